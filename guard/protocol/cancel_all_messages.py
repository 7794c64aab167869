"""What ends all open orders of a scope at once, as types of messages. Pure.

Owns their shape (`guard/PROTOCOL.md`, 5.3); they stand among the others in
`guard.protocol.messages`, from where everybody takes them.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from guard.protocol.value_types import U32_MAX, Count, Name, RequestId


class CancelAll(Struct, tag="cancel_all", tag_field="type", forbid_unknown_fields=True, gc=False):
    """What is open of these orders is off: of a desk, in a symbol, at a venue; None: of any.

    `through_sequence`: of those alone whose own record is not behind that one.
    """

    through_sequence: Count
    of_desk: Name | None = None
    of_symbol: Name | None = None
    of_venue: Annotated[int, Meta(ge=1, le=U32_MAX)] | None = None
    request_id: RequestId = UNSET


class CanceledAll(Struct, tag="canceled_all", tag_field="type", gc=False):
    """So many orders of the scope, which the request named, are closed; what they held is free.

    `collected_microcents`: of their desks' debts, what came free and paid them.
    """

    through_sequence: int
    of_desk: str | None
    of_symbol: str | None
    of_venue: int | None
    wal_sequence: int
    orders: int
    released_microcents: int
    collected_microcents: int | UnsetType = UNSET
    request_id: RequestId = UNSET
