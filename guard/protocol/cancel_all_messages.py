"""What ends all open orders of a scope at once, as types of messages. Pure.

Owns their shape (`guard/PROTOCOL.md`, 5.3); they stand among the others in
`guard.protocol.messages`, from where everybody takes them.
"""

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from guard.protocol.value_types import U32_MAX, Count, Name, RequestId

Venue: TypeAlias = Annotated[int, Meta(ge=1, le=U32_MAX)]


class CancelAll(Struct, tag="cancel_all", tag_field="type", forbid_unknown_fields=True, gc=False):
    """What is open of these orders is off: of a desk, in a symbol, at a venue; left out: of any.

    None is not taken for left out: it stands where a sender has no value for what it means to say,
    and the scope would be wider than that. `through_sequence`: of those alone whose own record is
    not behind that one.
    """

    through_sequence: Count
    of_desk: Name | UnsetType = UNSET
    of_symbol: Name | UnsetType = UNSET
    of_venue: Venue | UnsetType = UNSET
    request_id: RequestId = UNSET


class CancelScope(Struct, tag="cancel_all", tag_field="type", forbid_unknown_fields=True, gc=False):
    """The same as a record has it, with every key; None: of any."""

    through_sequence: Count
    of_desk: Name | None = None
    of_symbol: Name | None = None
    of_venue: Venue | None = None

    def request(self) -> CancelAll:
        """What asked for it."""
        return CancelAll(
            self.through_sequence,
            UNSET if self.of_desk is None else self.of_desk,
            UNSET if self.of_symbol is None else self.of_symbol,
            UNSET if self.of_venue is None else self.of_venue,
        )


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
