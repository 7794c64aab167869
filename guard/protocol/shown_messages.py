"""Questions about limits and positions, and what is shown of them, as types of messages. Pure.

Owns their shape (`guard/PROTOCOL.md`, 11 and 12); they stand among the others in
`guard.protocol.messages`, from where everybody takes them.
"""

from msgspec import UNSET, Struct, UnsetType

from guard.protocol.value_types import Name, RequestId


class ShowLimits(Struct, tag="limits", tag_field="type", forbid_unknown_fields=True, gc=False):
    """Which limits count for a desk in a symbol, and what is used of its rates?"""

    desk: Name
    symbol: Name
    request_id: RequestId = UNSET


class ShowPositions(
    Struct, tag="positions", tag_field="type", forbid_unknown_fields=True, gc=False
):
    """What does a desk have, and what works of it? Symbols are shown from that one on."""

    desk: Name
    from_symbol: Name | None = None
    request_id: RequestId = UNSET


class LimitLine(Struct):
    """A limit or a rate: whose it is, its number (None: waived), what of it is used, if said."""

    limit: str
    scope: str
    value: int | None
    used: int | None = None


class LimitsReply(Struct, tag="limits", tag_field="type"):
    """The limits that count for the desk in the symbol; none where there are no limits."""

    desk: str
    symbol: str
    limits: list[LimitLine]
    request_id: RequestId = UNSET


class SymbolPosition(Struct):
    """What a desk has in a symbol, in lots, sold short below zero; money in microcents.

    `confirmed_lots`: what of the position may be reduced. `average_cost_microcents`: of a lot,
    rounded against the desk; 0 without a position.
    """

    symbol: str
    position_lots: int
    confirmed_lots: int
    working_buys: int
    working_sells: int
    cost_microcents: int
    average_cost_microcents: int
    realised_microcents: int


class PositionsReply(Struct, tag="positions", tag_field="type"):
    """A page of a desk's positions, in ascending order of their symbols.

    `since_sequence`: the record since which they are counted, 0 where they are not.
    `next_symbol`: where the next page begins; None where this one ends the list.
    """

    desk: str
    positions: list[SymbolPosition]
    since_sequence: int
    next_symbol: str | None = None
    request_id: RequestId = UNSET
    behind_records: int | UnsetType = UNSET
    behind_ns: int | UnsetType = UNSET
