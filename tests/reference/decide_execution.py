"""Decide a fill, a cancel or a status: the state and a request → an outcome or a plain reply. Pure.

Owns the guard's rules for what happens to an order after its answer: what a fill frees and commits
and what it is flagged with, what a cancel frees, what a status shows. A fill or a cancel reports a
fact and is never refused because of a limit or a halt. Changes nothing; see
`reference.decide_entry` for how the two kinds of result differ.

How it fails: it does not; what cannot be done is an `error` reply.
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from guard.engine.events import Decided
from guard.engine.request_events import FillRecorded, OrderReleased
from guard.protocol.messages import (
    I64_MAX,
    U64_MAX,
    Admit,
    Cancel,
    ErrorReply,
    Fill,
    Filled,
    Released,
    Reply,
    Status,
    StatusReply,
)
from guard.protocol.reasons import ErrorCode
from reference.difference import first_difference
from reference.orders import OrderPhase, OrderState
from reference.orders_codec import order_key
from reference.origin import Origin
from reference.state import GuardState

_BOUNDED_FEES: Final = 2  # the rules' version from which on fees are bounded and debts collected


def decide_fill(state: GuardState, fill: Fill, origin: Origin) -> Decided | Reply:
    """A fill: recorded whatever it says, unless it is a repeat or contradicts an earlier one."""
    now_ns = origin.received_at_ns
    orders = state.orders
    is_due = bool(state.facts.due)
    earlier = (
        None if is_due else orders.find_fill(fill.desk, fill.client_order_id, fill.fill_id, now_ns)
    )
    if earlier is not None:
        recorded, answer = earlier
        field = first_difference(recorded, fill)
        if field is None:
            return msgspec.structs.replace(answer, repeat=True)
        text = f"{field}: fill_id {fill.fill_id!r} is known with another {field}"
        return ErrorReply(ErrorCode.FILL_ID_REUSED.word, field, text)
    order = orders.find(fill.desk, fill.client_order_id, now_ns)
    released, hold_after, open_after = _share_freed(order, fill)
    flags = _fill_flags(order, fill)
    if state.rules_version >= _BOUNDED_FEES:
        if order is not None and "unknown" not in flags:
            flags += ["uncharged"] * (not _is_within_bound(state, order, fill))
            flags += ["early"] * is_due
            flags += ["uncounted"] * (order.filled_quantity + fill.quantity > I64_MAX)
        elif fill.fee_microcents > 0:
            flags.append("uncharged")
    unpaid = 0 if "uncharged" in flags else _unpaid_fee(state, fill, released)
    charged = 0 if "uncharged" in flags else max(fill.fee_microcents, 0) - unpaid
    answer = Filled(
        fill.desk,
        fill.client_order_id,
        fill.fill_id,
        state.next_sequence,
        open_after,
        hold_after,
        released,
        fill.fee_microcents,
        unpaid,
        flags,
        False,
        _collected(state, fill.desk, released - charged),
    )
    return Decided(
        FillRecorded(
            origin.received_at_ns,
            origin.client,
            origin.batch_first_sequence,
            fill,
            answer,
            unpaid > 0,
        )
    )


def _is_within_bound(state: GuardState, order: OrderState, fill: Fill) -> bool:
    """Is the fee of a fill one that is charged, since it is within its desk's bound?"""
    desk = state.desks[fill.desk]
    if desk.fee_bound_bps < 0 or fill.fee_microcents <= 0:
        return True
    instrument = state.instruments[order.order.symbol]
    notional = instrument.notional_microcents(fill.quantity, fill.price or order.order.price)
    bound = min(notional, U64_MAX) * desk.fee_bound_bps + desk.fee_minimum_microcents * 10_000
    return fill.fee_microcents * 10_000 <= bound


def _collected(state: GuardState, name: str, freed_microcents: int) -> int | UnsetType:
    """What of a desk's debt is paid out of what is free and comes free."""
    desk = state.desks.get(name)
    if desk is None or state.rules_version < _BOUNDED_FEES:
        return UNSET
    free = (state.ledger.remaining_microcents(name) or 0) + freed_microcents
    return min(desk.unpaid_fees_microcents, free) or UNSET


def _share_freed(order: OrderState | None, fill: Fill) -> tuple[int, int, int]:
    """What the fill frees and what is then held (microcents), and what is then open (lots)."""
    if order is None or order.phase is not OrderPhase.OPEN or not isinstance(order.answer, Admit):
        return 0, 0, 0
    quantity = order.order.quantity
    filled = order.filled_quantity + fill.quantity
    if filled >= quantity:
        return order.hold_microcents, 0, 0
    hold_at_first = order.answer.notional_microcents
    hold_after = hold_at_first - hold_at_first * filled // quantity
    return order.hold_microcents - hold_after, hold_after, quantity - filled


def _unpaid_fee(state: GuardState, fill: Fill, released_microcents: int) -> int:
    """The part of the fee that the desk's budget cannot pay, in microcents."""
    fee = max(fill.fee_microcents, 0)
    if fill.desk not in state.desks:
        return fee
    ledger = state.ledger
    available = (ledger.remaining_microcents(fill.desk) or 0) + released_microcents
    room = I64_MAX - (ledger.committed_microcents(fill.desk) or 0)
    return max(fee - min(available, room), 0)


def _fill_flags(order: OrderState | None, fill: Fill) -> list[str]:
    if order is None:
        return ["unknown"]
    if order.phase is OrderPhase.REFUSED:
        return ["unknown", "refused"]
    flags = []
    if order.filled_quantity + fill.quantity > order.order.quantity:
        flags.append("overfill")
    if order.phase is not OrderPhase.OPEN:
        flags.append("late")
    return flags


_NOTHING_TO_CANCEL: Final = {
    OrderPhase.REFUSED: (ErrorCode.ORDER_REFUSED, "was refused: it holds nothing"),
    OrderPhase.FILLED: (ErrorCode.ORDER_FILLED, "has nothing left that is open"),
}


def decide_cancel(state: GuardState, cancel: Cancel, origin: Origin) -> Decided | Reply:
    """A cancel: what the order still holds is freed, once."""
    orders = state.orders
    key = order_key(cancel.desk, cancel.client_order_id)
    early = state.facts.cancel_of(key, origin.received_at_ns)
    if early:
        return Released(cancel.desk, cancel.client_order_id, early, 0, True, flags=["early"])
    order = orders.find(cancel.desk, cancel.client_order_id, origin.received_at_ns)
    if order is None and _may_keep_cancel(state, cancel, origin):
        answer = Released(
            cancel.desk, cancel.client_order_id, state.next_sequence, 0, False, flags=["early"]
        )
        return _released(cancel, answer, origin)
    if order is None:
        code, words = ErrorCode.UNKNOWN_ORDER, "is not known to the guard"
    elif order.phase in _NOTHING_TO_CANCEL:
        code, words = _NOTHING_TO_CANCEL[order.phase]
    elif order.release is not None:
        collected = state.facts.collected_of(key, origin.received_at_ns) or UNSET
        return msgspec.structs.replace(order.release, repeat=True, collected_microcents=collected)
    else:
        answer = Released(
            cancel.desk,
            cancel.client_order_id,
            state.next_sequence,
            order.hold_microcents,
            False,
            _collected(state, cancel.desk, order.hold_microcents),
        )
        return _released(cancel, answer, origin)
    text = f"client_order_id: {cancel.client_order_id!r} of desk {cancel.desk!r} {words}"
    return ErrorReply(code.word, "client_order_id", text)


def _may_keep_cancel(state: GuardState, cancel: Cancel, origin: Origin) -> bool:
    return (
        state.rules_version >= _BOUNDED_FEES
        and cancel.desk in state.desks
        and state.facts.has_room_for_cancel(cancel.desk.encode(), origin.received_at_ns)
    )


def _released(cancel: Cancel, answer: Released, origin: Origin) -> Decided:
    return Decided(
        OrderReleased(
            origin.received_at_ns, origin.client, origin.batch_first_sequence, cancel, answer
        )
    )


_STATE_WORD: Final[dict[OrderPhase, Literal["open", "closed", "refused"]]] = {
    OrderPhase.OPEN: "open",
    OrderPhase.FILLED: "closed",
    OrderPhase.CANCELED: "closed",
    OrderPhase.REFUSED: "refused",
}


def answer_status(state: GuardState, status: Status, origin: Origin) -> StatusReply:
    """What is known of an order."""
    desk, client_order_id = status.desk, status.client_order_id
    order = state.orders.find(desk, client_order_id, origin.received_at_ns)
    if order is None:
        return StatusReply(desk, client_order_id, "unknown", None, 0, 0, 0)
    return StatusReply(
        desk,
        client_order_id,
        _STATE_WORD[order.phase],
        order.answer,
        order.filled_quantity,
        order.open_quantity,
        order.hold_microcents,
    )
