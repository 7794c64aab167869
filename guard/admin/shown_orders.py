"""What queries show of orders, fills and positions, as types. Pure.

Owns the shape of these replies (`guard/ADMIN.md`, 3); they stand among the others in
`guard.admin.messages`, from where everybody takes them.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from guard.protocol.messages import RequestId


class OpenOrder(Struct):
    """An open order and what it holds. `suspect`: it should not be open any more.

    `replaces`: of one that waits for the venue's word, so long since the guard admitted it
    (`pending_ns`), whose place it is to take; what both hold stands with that one.
    """

    desk: str
    client_order_id: str
    symbol: str
    side: str
    quantity: int
    price: int
    venue: int
    filled_quantity: int
    hold_microcents: int
    wal_sequence: int
    age_ns: int | None
    sent_at_ns: int | None
    suspect: bool = False
    replaces: str | UnsetType = UNSET
    pending_ns: int | UnsetType = UNSET


class OpenOrdersReply(Struct, tag="open_orders", tag_field="type"):
    """A page of open orders; `next_cursor`: where the next one begins, null behind the last."""

    orders: list[OpenOrder]
    next_cursor: int | None
    head_sequence: int
    request_id: RequestId = UNSET


class PositionLine(Struct):
    """What a desk has in a symbol, in lots, sold short below zero; money in microcents.

    `confirmed_lots`: of the position what was filled within admitted orders. `exiting_...`: of what
    works what was admitted as reducing; `surplus_lots`: how much of that is more than there is to
    reduce. `cost_microcents`: of the position, or a short one's proceeds. `price_ticks`: the one
    that the log holds, at which it would make `unrealised_microcents`; null where there is none.
    """

    desk: str
    symbol: str
    position_lots: int
    confirmed_lots: int
    working_buys: int
    working_sells: int
    exiting_buys: int
    exiting_sells: int
    bought_lots: int
    sold_lots: int
    cost_microcents: int
    realised_microcents: int
    surplus_lots: int
    price_ticks: int | None = None
    unrealised_microcents: int | None = None


class PositionsReply(Struct, tag="positions", tag_field="type"):
    """A page of positions; `next_cursor`: where the next one begins, null behind the last.

    `since_sequence`: the record since which they are counted, 0 where they are not.
    """

    positions: list[PositionLine]
    since_sequence: int
    next_cursor: int | None
    head_sequence: int
    request_id: RequestId = UNSET


class FillLine(Struct):
    """A fill as it was recorded; `said`: what people have said of it since, in words."""

    fill_id: str
    quantity: int
    price: int | None
    fee_microcents: int
    unpaid_fee_microcents: int
    released_microcents: int
    flags: list[str]
    wal_sequence: int
    said: list[str] = []


class ReductionLine(Struct):
    """A reduction as it was recorded."""

    reduce_id: str
    quantity: int
    released_microcents: int
    flags: list[str]
    wal_sequence: int


class ExecutionLine(Struct):
    """An execution that a drop copy has reported of the order, as it was recorded."""

    execution_id: str
    venue: int
    symbol: str
    side: str
    quantity: int
    price: int
    released_microcents: int
    flags: list[str]
    wal_sequence: int


class UnchargedFill(Struct):
    """A fill whose fee was not charged, and what `accept_fill` would charge now."""

    desk: str
    client_order_id: str
    fill_id: str
    fee_microcents: int
    quantity: int
    flags: list[str]
    wal_sequence: int


class UnchargedFillsReply(Struct, tag="uncharged_fills", tag_field="type"):
    """A page of them; `next_cursor`: where the next one begins, null behind the last."""

    fills: list[UnchargedFill]
    next_cursor: int | None
    head_sequence: int
    request_id: RequestId = UNSET


class StoryReply(Struct, tag="order", tag_field="type"):
    """An order's story. `state`: as in a status."""

    desk: str
    client_order_id: str
    state: str
    order: dict[str, Any] | None
    answer: dict[str, Any] | None
    filled_quantity: int
    open_quantity: int
    hold_microcents: int
    release_sequence: int | None
    released_microcents: int | None
    fills: list[FillLine]
    head_sequence: int
    reductions: list[ReductionLine] = []
    executions: list[ExecutionLine] = []
    request_id: RequestId = UNSET


class UnreconciledLine(Struct):
    """A `fill` that no execution has confirmed, or an `execution` without its fill; how old."""

    what: str
    desk: str
    client_order_id: str
    id: str
    wal_sequence: int
    age_ns: int


class UnreconciledReply(Struct, tag="reconcile", tag_field="type"):
    """A page of them; `next_cursor`: where the next one begins, null behind the last."""

    waiting: list[UnreconciledLine]
    next_cursor: int | None
    head_sequence: int
    request_id: RequestId = UNSET
