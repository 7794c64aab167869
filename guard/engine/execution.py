"""An execution that a drop copy reports: decided, and applied. Pure.

Owns the rule (`guard/PROTOCOL.md`, 14). A trade moves position and hold once, whichever of fill and
execution comes first: both name it by one id within their order, and the execution is of the
venue to which the order was admitted. An execution that comes first counts as a fill does, but for
the fee, which the fill brings. One that finds its fill confirms it; where the two differ, or the
order's symbol, side or venue is another, the execution counts in the fill's place (as a
correction does), lots beyond the fill's are filled too, and the desk is latched. Of an order that
is not known nothing moves.

The identity of an execution is its desk, venue and id.

How it fails: `InvariantError` where a record does not follow from the state.
"""

import zlib
from typing import Final, NamedTuple, TypeAlias

import msgspec

from guard.engine import chains, fact_rates, remembered_rows, settling
from guard.engine.amended_positions import Traded, confirmed_lots
from guard.engine.execution_rows import CONTENT, Answered, decode
from guard.engine.executions import Unconfirmed, Unreported
from guard.engine.facts import Amendment
from guard.engine.latches import OF_ALL
from guard.engine.positions import BUY, NO_POSITION
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.fields import (
    EXECUTION_CONFIRMS,
    EXECUTION_DIFFERS,
    EXECUTION_FIELDS,
    EXECUTION_LATE,
    EXECUTION_OVERFILL,
    EXECUTION_REFUSED,
    EXECUTION_UNKNOWN,
    REFUSED,
    UNKNOWN,
)
from guard.protocol.messages import I64_MAX
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.reasons import ErrorCode
from guard.protocol.request import Request
from kernel import InvariantError

LATCH: Final = "execution_differs"
# What an execution moved, as `guard.engine.executions.Unreported` says it last.
Moved: TypeAlias = tuple[int, int, int, int]
NOTHING: Final[Moved] = (NO_POSITION, 0, 0, 0)


class Trade(NamedTuple):
    """What an execution is to its order. `counted`: as what its fill counts in the position.

    `has_fill`: it came before. `more`: lots of the order's beyond those that its fill said.
    `is_other`: of another symbol, side or venue than the order's.
    """

    counted: Traded | None
    has_fill: bool
    fill_sequence: int
    fee_microcents: int
    more: int
    differs: bool
    is_other: bool
    is_other_venue: bool = False


def identity(request: Request) -> bytes:
    """The key of an execution's identity; no fill's, which has an order."""
    return f"{request.desk}\0\0{request.venue}/{request.fill_id}".encode()


def decide_execution(state: GuardState, request: Request, outcome: Outcome) -> None:
    """What the rules give for an execution."""
    orders, now_ns = state.orders, request.received_at_ns
    outcome.kind = OutcomeKind.EXECUTED
    outcome.flags = outcome.open_quantity = outcome.hold_microcents = 0
    outcome.released_microcents = outcome.collected_microcents = 0
    known_row = remembered_rows.find_fill(orders, identity(request))
    row = orders.find(request, now_ns)
    if known_row != NO_ROW:
        _answer_known(remembered_rows.payload_beside(orders, known_row), request, outcome)
    elif row == NO_ROW:
        _decide_unknown(state, request, outcome)
    elif settling.is_fill_window_full(state, row, request):
        _fail(outcome, ErrorCode.FILL_WINDOW_FULL)
    else:
        _decide_trade(state, row, request, outcome)


def _decide_unknown(state: GuardState, request: Request, outcome: Outcome) -> None:
    outcome.flags = EXECUTION_UNKNOWN
    kept = state.executions.unknown.get(identity(request), request.received_at_ns)
    if kept is not None:
        outcome.sequence, digest = kept
        outcome.repeat = 1
        if digest != _digest(request):
            _fail(outcome, ErrorCode.EXECUTION_ID_REUSED)
            outcome.field = EXECUTION_FIELDS.index("execution_id")


def _decide_trade(state: GuardState, row: int, request: Request, outcome: Outcome) -> None:
    orders, phase = state.orders, state.orders.phase(row)
    trade = assess(state, row, request)
    left = 0 if phase == OrderPhase.REFUSED else orders.left(row)
    flags = EXECUTION_CONFIRMS if trade.has_fill else 0
    flags |= EXECUTION_DIFFERS if trade.differs else 0
    if phase == OrderPhase.REFUSED:
        flags |= EXECUTION_REFUSED
    elif trade.more:
        flags |= EXECUTION_OVERFILL if trade.more > left else 0
        flags |= EXECUTION_LATE if phase != OrderPhase.OPEN else 0
    outcome.flags = flags
    if phase == OrderPhase.OPEN:
        quantity, held = orders.known.quantity, orders.hold_microcents(row)
        first = orders.known_outcome.notional_microcents
        left -= min(left, trade.more)
        outcome.open_quantity = left
        outcome.hold_microcents = held
        if trade.more:
            if orders.chain_of(row):
                outcome.hold_microcents = chains.held_with(orders, row, left)
            else:
                outcome.hold_microcents = settling.hold_after(first, quantity - left, quantity)
        outcome.released_microcents = held - outcome.hold_microcents
        released = outcome.released_microcents
        outcome.collected_microcents = settling.collected(state, request, released, 0)


def assess(state: GuardState, row: int, request: Request) -> Trade:
    """What the execution is to the order in that row, which is read then."""
    orders = state.orders
    orders.read(row)
    order = orders.known
    is_admitted = orders.phase(row) != OrderPhase.REFUSED
    is_other_venue = is_admitted and orders.known_outcome.venue != request.venue
    is_other = is_other_venue or order.symbol != request.symbol or order.side != request.side
    key = orders.fill_key(request)
    fill_row = NO_ROW if is_other_venue else remembered_rows.find_fill(orders, key)
    if fill_row == NO_ROW:
        return Trade(None, False, 0, 0, request.quantity, is_other, is_other, is_other_venue)
    fill, answer = Request(), Outcome()
    orders.read_fill(fill_row, fill, answer)
    if answer.flags & UNKNOWN and not answer.flags & REFUSED:  # it counted nothing, and never will
        return Trade(None, True, 0, 0, request.quantity, is_other, is_other)
    amendment = state.facts.amendment_of(key, answer.sequence)
    quantity = fill.quantity if amendment.quantity is None else amendment.quantity
    price = fill.price or None if amendment.price is None else amendment.price
    counted = None if amendment.is_busted else Traded(quantity, price)
    is_as_said = counted is not None and quantity == request.quantity
    differs = is_other or not is_as_said or price not in (None, request.price)
    return Trade(
        counted,
        True,
        answer.sequence,
        fill.fee_microcents,
        max(0, request.quantity - fill.quantity),
        differs,
        is_other,
    )


def _answer_known(payload: bytes, request: Request, outcome: Outcome) -> None:
    """The first answer again; or an error, for one with other content."""
    known = decode(payload)
    for name in CONTENT:
        if getattr(known, name) != getattr(request, name):
            _fail(outcome, ErrorCode.EXECUTION_ID_REUSED)
            outcome.field = EXECUTION_FIELDS.index(name)
            return
    outcome.repeat = 1
    for name in Answered._fields[len(CONTENT) :]:
        setattr(outcome, name, getattr(known, name))


def _fail(outcome: Outcome, code: ErrorCode) -> None:
    outcome.kind, outcome.error, outcome.repeat = OutcomeKind.ERROR, code, 0


def _digest(request: Request) -> int:
    """Of the content of an execution whose order is not known."""
    content = [getattr(request, name) for name in CONTENT]
    return zlib.crc32(msgspec.msgpack.encode(content))


def apply_execution(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Folds a recorded execution into the state, but for what it pays of a debt.

    The row of the order that is filled by it and to be closed, which is read then; NO_ROW.
    """
    orders, now_ns = state.orders, request.received_at_ns
    row = orders.find(request, now_ns)
    if (row == NO_ROW) != bool(outcome.flags & EXECUTION_UNKNOWN):
        raise InvariantError(f"record {outcome.sequence} is of an order that it takes for another")
    if row == NO_ROW:
        if request.desk in state.desks:
            values = outcome.sequence, _digest(request)
            expires_at_ns = state.cancel_expires_at_ns(now_ns)
            state.executions.unknown.forget_expired(now_ns)
            state.executions.keep_unknown(identity(request), values, expires_at_ns)
        return NO_ROW
    trade = assess(state, row, request)
    phase = orders.phase(row)
    settling.check_freed(state, row, phase, trade.more, outcome)
    hold = orders.known_outcome.reservation_id
    if hold and outcome.released_microcents:
        settling.settle(state, hold, 0, outcome)
    is_first = orders.filled_quantity(row) == 0 and trade.more > 0
    if is_first and state.limits.counts_facts and phase != OrderPhase.REFUSED:
        fact_rates.note_filled(state, row, request)
        orders.read(row)
    moved = NOTHING
    if state.positions.is_kept:
        moved = _move(state, row, phase, request, trade)
    if phase != OrderPhase.REFUSED:
        filled = min(I64_MAX, orders.filled_quantity(row) + trade.more)
        held = outcome.hold_microcents if phase == OrderPhase.OPEN else orders.hold_microcents(row)
        orders.note_fill(row, filled, held)
    _keep(state, row, request, outcome, trade, moved)
    if trade.differs:
        _latch(state, request)
    is_filled = phase == OrderPhase.OPEN and outcome.open_quantity == 0
    return row if is_filled else NO_ROW


def _move(state: GuardState, row: int, phase: int, request: Request, trade: Trade) -> Moved:
    """Moves the position by what the execution says, and by no more than its fill has left."""
    orders, positions = state.orders, state.positions
    order, desk_number, first = orders.known, orders.share_number(row), orders.known_outcome
    own = state.worth_of(order)
    is_admitted = phase != OrderPhase.REFUSED
    lots = min(orders.left(row), trade.more) if is_admitted else 0
    confirmed = chains.admitted_of(orders, row, trade.more, lots) if is_admitted else 0
    if own is not None and desk_number:
        key = orders.fill_key(request)
        entry = None if not trade.has_fill else state.executions.unconfirmed.pop(key, None)
        if entry is None and _is_counted(trade, order, request):
            return NOTHING  # of a position that may not have been kept then
        own_row = NO_POSITION
        is_working = phase == OrderPhase.OPEN and lots > 0
        if is_working or entry is not None or trade.counted is not None:
            own_row = positions.obtain(desk_number, own.number)
        if is_working:
            is_exit = first.reservation_id == 0
            if is_exit and lots == orders.left(row):
                positions.count_exit(-1)
            positions.work(own_row, order.side, -lots, is_exit)
        if entry is not None:
            positions.pend(own_row, order.side, -entry.lots)
            confirmed += entry.lots
        if trade.counted is not None:
            was = 0
            if entry is None:
                was = confirmed_lots(state, row, key, trade.fill_sequence) or 0
                confirmed += was
            if _is_counted(trade, order, request):
                if entry is not None:
                    positions.confirm(own_row, order.side, entry.lots)
                return NOTHING
            price = order.price if trade.counted.price is None else trade.counted.price
            microcents = own.traded_microcents(trade.counted.quantity, price, order.side == BUY)
            was = min(was, trade.counted.quantity)
            positions.undo(own_row, order.side, trade.counted.quantity, was, microcents)
    traded = state.worth_of(request)
    if traded is None or not desk_number:
        return NOTHING
    within = 0 if trade.is_other or not is_admitted else min(confirmed, request.quantity)
    microcents = traded.traded_microcents(request.quantity, request.price, request.side == BUY)
    position_row = positions.obtain(desk_number, traded.number)
    positions.trade(position_row, request.side, request.quantity, within, microcents)
    return position_row, request.side, within, microcents


def _is_counted(trade: Trade, order: Request, request: Request) -> bool:
    """Was its fill counted just as the execution says?"""
    if trade.counted is None or trade.differs:
        return False
    price = order.price if trade.counted.price is None else trade.counted.price
    return bool(price == request.price)


def _keep(
    state: GuardState, row: int, request: Request, outcome: Outcome, trade: Trade, moved: Moved
) -> None:
    """Remembers the execution with its order, and what of it is still to come."""
    orders, key = state.orders, state.orders.fill_key(request)
    content = [getattr(request, name) for name in CONTENT]
    answer = [getattr(outcome, name) for name in Answered._fields[len(CONTENT) :]]
    payload = msgspec.msgpack.encode([*content, *answer])
    remembered_rows.add_beside(orders, row, identity(request), payload)
    if not trade.has_fill and not trade.is_other_venue:
        said = request.quantity, request.price, int(trade.is_other)
        kept = Unreported(outcome.sequence, request.received_at_ns, *said, *moved)
        state.executions.keep_unreported(key, kept, lambda of: is_order_remembered(state, of))
    elif trade.counted is not None and not trade.is_other:
        if trade.differs:
            amend_by_execution(state, key, trade.fill_sequence, request.quantity, request.price)
        elif trade.counted.price is None and request.price != orders.known.price:
            price_by_execution(state, key, trade.fill_sequence, request.price)
    state.executions.unknown.forget_expired(request.received_at_ns)
    if state.executions.unknown.get(identity(request), 0) is not None:
        state.executions.unknown.remove(identity(request))


def amend_by_execution(
    state: GuardState, key: bytes, fill_sequence: int, quantity: int, price: int
) -> None:
    """The fill stands corrected: what a person says of it later is said of what counted."""
    fee = Request()
    orders, answer = state.orders, Outcome()
    orders.read_fill(remembered_rows.find_fill(orders, key), fee, answer)
    amendment = state.facts.amendment_of(key, fill_sequence)
    said = fee.fee_microcents if amendment.fee_microcents is None else amendment.fee_microcents
    _amend(state, key, amendment._replace(quantity=quantity, price=price, fee_microcents=said))


def price_by_execution(state: GuardState, key: bytes, fill_sequence: int, price: int) -> None:
    """The fill, which said no price, traded at its execution's: it is taken back at that, too."""
    _amend(state, key, state.facts.amendment_of(key, fill_sequence)._replace(price=price))


def _amend(state: GuardState, key: bytes, amendment: Amendment) -> None:
    orders = state.orders
    state.facts.amend(
        key,
        amendment,
        lambda of, sequence: remembered_rows.is_fill_remembered(orders, of, sequence),
    )
    state.note_facts()


def _latch(state: GuardState, request: Request) -> None:
    """Fill and execution differ. A refused order may be of a desk that there is not."""
    if request.desk in state.desks:
        state.latch(request.desk, OF_ALL, LATCH)


def is_order_remembered(state: GuardState, key: bytes) -> bool:
    """Is the order of a fill's key remembered still?"""
    order_key = key[: key.rindex(b"\0")]
    return remembered_rows.find_order(state.orders, order_key) != NO_ROW


# Fills where there is a drop copy, or behind their execution.


def note_unconfirmed(state: GuardState, row: int, request: Request, sequence: int) -> None:
    """A fill has moved its position; what of it counted as confirmed waits for its execution.

    Nothing waits where no limit says that there is a drop copy of the order's venue.
    """
    orders, positions = state.orders, state.positions
    orders.read(row)
    order, desk = orders.known, state.desks.get(request.desk)
    worth = state.worth_of(order)
    if desk is None or worth is None:
        return
    effective = state.limits.effective(desk.limit_class, worth.limit_class)
    if not effective.is_copied(orders.known_outcome.venue):
        return
    position_row = positions.obtain(desk.share, worth.number)
    lots = min(orders.left(row), request.quantity)
    positions.confirm(position_row, order.side, -lots)
    positions.pend(position_row, order.side, lots)
    state.executions.keep_unconfirmed(
        orders.fill_key(request),
        Unconfirmed(sequence, request.received_at_ns, position_row, order.side, lots),
        lambda of: is_order_remembered(state, of),
    )


def reported_before(state: GuardState, request: Request) -> Unreported | None:
    """The execution that moved position and hold before this fill of its."""
    return state.executions.unreported.get(state.orders.fill_key(request))


def differs_from(execution: Unreported, request: Request) -> bool:
    """Does the fill, or its order, say otherwise than its execution, which came before it?"""
    is_priced = request.price != 0
    return (
        execution.is_other != 0
        or execution.quantity != request.quantity
        or (is_priced and execution.price != request.price)
    )


def note_reported(state: GuardState, request: Request, sequence: int) -> None:
    """The fill of an execution came, and is remembered by now."""
    key = state.orders.fill_key(request)
    execution = state.executions.unreported.pop(key)
    if differs_from(execution, request):
        _latch(state, request)
        if not execution.is_other:
            amend_by_execution(state, key, sequence, execution.quantity, execution.price)
    elif request.price == 0:
        orders = state.orders
        orders.read(orders.find(request, request.received_at_ns))
        if execution.price != orders.known.price:
            price_by_execution(state, key, sequence, execution.price)
