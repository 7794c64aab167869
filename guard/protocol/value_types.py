"""What a field of a message may be: ranges, names and words. Pure.

Owns the types of which `guard.protocol.messages` makes its messages, and the words as bytes. A
field's declared range is checked by msgspec while it decodes; what that cannot express (the
alphabet of a name, the upper end of a u64) stands in `guard.protocol.wire`.
"""

from typing import Annotated, Literal, NamedTuple, TypeAlias, get_args

from msgspec import Meta, UnsetType

U32_MAX = 2**32 - 1
I64_MAX = 2**63 - 1
U64_MAX = 2**64 - 1

# msgspec holds bounds of integers as i64; `guard.protocol.wire` checks the u64 fields' upper end.
Count: TypeAlias = Annotated[int, Meta(ge=1, le=I64_MAX)]
Unsigned32: TypeAlias = Annotated[int, Meta(ge=0, le=U32_MAX)]
Unsigned64: TypeAlias = Annotated[int, Meta(ge=0)]
BasisPoints: TypeAlias = Annotated[int, Meta(ge=0, le=10_000)]
NAME_LENGTH_MAX = 32
ID_LENGTH_MAX = 64
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH_MAX)]
Identifier: TypeAlias = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_MAX)]
RequestId: TypeAlias = int | str | UnsetType | None


class Behind(NamedTuple):
    """How far a guard that stands by is behind: it knows of so many records that it does not have
    yet, and had all that there were so long ago.
    """

    records: int
    ns: int


Side: TypeAlias = Literal["buy", "sell"]
OrderType: TypeAlias = Literal["limit", "market"]
TimeInForce: TypeAlias = Literal["day", "ioc", "fok", "gtc"]
# The same words as bytes, for who reads and writes them in place.
SIDES, ORDER_TYPES, TIMES_IN_FORCE = (
    [word.encode() for word in get_args(choice)] for choice in (Side, OrderType, TimeInForce)
)
