# cython: annotation_typing=False, nonecheck=True
"""Apply: a request and its outcome → the state. Pure but for the state it changes.

Owns every change of the state that a request makes. It follows what the outcome says and decides
nothing: recovery runs this alone, so that a corrected rule never changes a recovered state. Live
and replay run it after they decided. What no request asked for: `guard.engine.apply_event`.

How it fails: `InvariantError` where the outcome cannot follow from the state (another reservation
id, a hold that is not there): the log and the state are not of one history, nothing may go on.
"""

from typing import NoReturn

from guard.engine import (
    execution,
    fact_rates,
    forgetting,
    limit_checks,
    locating,
    overrides,
    positioning,
    reducing,
    remembered_orphans,
    remembered_rows,
    replacing,
    settling,
)
from guard.engine.found import Desk
from guard.engine.remembered_form import TIMED_SINCE_RULES_VERSION, OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol import fields
from guard.protocol.fields import CODE_OF_REASON, EARLY, FILL, UNCHARGED
from guard.protocol.messages import I64_MAX
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.reasons import NOT_REMEMBERED
from guard.protocol.request import Request
from kernel import Charged, InvariantError, MissingReservation

_NO_ROW = NO_ROW
_I64_MAX = I64_MAX
_TIMED_SINCE = TIMED_SINCE_RULES_VERSION
_ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED = map(int, list(OutcomeKind)[:5])
_REDUCED = int(OutcomeKind.REDUCED)
_REPLACED, _REPLACE_REJECTED = int(OutcomeKind.REPLACED), int(OutcomeKind.REPLACE_REJECTED)
_EXECUTED, _BY_EXECUTION = int(OutcomeKind.EXECUTED), fields.EXECUTED
_OPEN, _PHASE_FILLED, _CANCELED, _PHASE_REFUSED = map(int, list(OrderPhase)[:4])
_UNCHARGED, _EARLY = UNCHARGED, EARLY
_FILL_KIND, _ORDER_KIND, _REPLACE_KIND = FILL, fields.ORDER, fields.REPLACE
_EARLY_FACTS = 2  # the rules' version from which on they are kept
_NOT_REMEMBERED = sorted(CODE_OF_REASON[word] for word in NOT_REMEMBERED)


def apply(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Folds the outcome of a request, which is recorded as `outcome.sequence`, into the state."""
    sequence = outcome.sequence
    if sequence != state.next_sequence:
        raise InvariantError(f"event {sequence} is applied where {state.next_sequence} is due")
    is_split = state.orders.shares.is_split
    if not is_split:
        forgetting.forget_expired(state.orders, request.received_at_ns)
    if state.has_facts:
        state.forget_facts(request.received_at_ns)
    if request.elapsed_ns > state.elapsed_ns:
        state.elapsed_ns = request.elapsed_ns
    kind = outcome.kind
    if state.has_overrides and kind <= _REFUSED and request.kind == _ORDER_KIND:
        overrides.use(state, request, sequence)
    if state.has_facts and state.facts.due:
        _check_due(state, request)
    locating_row, located = _NO_ROW, 0
    if state.has_locates and kind > _REFUSED:
        locating_row = state.orders.find(request, request.received_at_ns)
        located = locating.used_by(state, locating_row)
    if kind == _ADMITTED:
        apply_admitted(state, request, outcome)
    elif kind in (_REJECTED, _REFUSED):
        apply_rejected(state, request, outcome)
    elif kind == _FILLED:
        _apply_fill(state, request, outcome)
    elif kind == _RELEASED:
        apply_release(state, request, outcome)
        if state.limits.counts_facts:
            fact_rates.note_cancel(state, request)
    elif kind in (_REDUCED, _EXECUTED, _REPLACED, _REPLACE_REJECTED):
        if kind == _REDUCED:
            row = reducing.apply_reduction(state, request, outcome)
        elif kind == _EXECUTED:
            row = execution.apply_execution(state, request, outcome)
        else:
            row = replacing.apply_settled(state, request, outcome)
        if row != _NO_ROW:
            state.close_order(row, _PHASE_FILLED, request, state.orders.known.sent_at_ns)
        if outcome.collected_microcents > 0:
            _charge(state, request, outcome.collected_microcents)
            _collect(state, request, outcome)
    else:
        raise InvariantError(f"an outcome of kind {kind} is applied")
    if locating_row != _NO_ROW:
        locating.note_change(state, locating_row, located)
    if is_split:
        share = state.share_of(request)
        forgetting.forget_some(state.orders, share, sequence, request.received_at_ns)
    return state.advance(sequence, request.received_at_ns)


def apply_admitted(state: GuardState, request: Request, outcome: Outcome) -> int:
    """An order, or a replace, is open from now on."""
    if request.kind == _REPLACE_KIND:
        replacing.apply_replace(state, request, outcome)
    else:
        _apply_order(state, request, outcome)
    if state.has_facts:
        key = state.orders.order_key(request)
        if key in state.facts.fills_of:
            state.facts.meet(key)
            state.note_facts()
    return 0


def _apply_order(state: GuardState, request: Request, outcome: Outcome) -> int:
    desk = state.desk_of(request)
    line = None if desk is None else state.ledger.line(desk.name)
    if desk is not None and state.limits.counts_orders and outcome.reservation_id != 0:
        _note_limits(state, desk, request, outcome)
    notional = outcome.notional_microcents
    reservation_id = 0
    is_exit = notional == 0 and line is not None and state.positions.is_kept
    if line is not None and notional > 0:
        reservation_id = state.ledger.reserve_line(line, notional)
    if reservation_id != outcome.reservation_id or (reservation_id == 0 and not is_exit):
        _refuse_reservation(state, request, outcome, reservation_id)
    is_timed = state.rules_version >= _TIMED_SINCE
    state.orders.add(state.share_of(request), request, outcome, is_timed)
    return count_working(state, request, outcome, is_exit)


def count_working(state: GuardState, request: Request, outcome: Outcome, is_exit: bool) -> int:
    """An admitted order works: in its position, at its price, and out of its locate."""
    if state.positions.is_kept:
        positioning.note_admitted(state, request, is_exit)
    if state.book.is_kept:
        worth = state.worth_of(request)
        assert worth is not None
        state.book.add(worth.number, outcome.venue, request)
    if outcome.located_lots > 0:
        state.locates.use(request.locate_id, outcome.located_lots)
    return 0


def uncount_working(state: GuardState, request: Request, outcome: Outcome, is_exit: bool) -> int:
    """The reverse of `count_working`, of an order that was but tried."""
    if state.positions.is_kept:
        if is_exit:
            state.positions.count_exit(-1)
        lots = request.quantity
        positioning.note_more(state, request, -lots, is_exit)
    if state.book.is_kept:
        worth = state.worth_of(request)
        assert worth is not None
        state.book.take(worth.number, outcome.venue, request)
    if outcome.located_lots > 0:
        used = outcome.located_lots
        state.locates.use(request.locate_id, -used)
    return 0


def _note_limits(state: GuardState, desk: Desk, request: Request, outcome: Outcome) -> int:
    """An entry counts in the rates of its scopes, and against what comes again."""
    worth = state.worth_of(request)
    if worth is None:
        raise InvariantError(f"record {outcome.sequence} admits an order of no known symbol")
    effective = state.limits.of_order(desk.limit_class, worth.limit_class, request, state.accounts)
    return limit_checks.note_admitted(state, request, outcome, effective)


def _check_due(state: GuardState, request: Request) -> None:
    """Fills that came before their order are the next records behind its own."""
    due = state.facts.due
    if request.kind != _FILL_KIND or state.orders.said_fill_key(request) != due[0]:
        raise InvariantError(
            f"record {state.next_sequence} stands where the early fill {due[0]!r} is due"
        )


def _refuse_reservation(
    state: GuardState, request: Request, outcome: Outcome, reservation_id: int
) -> NoReturn:
    """The record's hold is not the one that the ledger gave, or it gave none."""
    if reservation_id == 0:
        assessed = state.ledger.assess_reserve(request.desk, outcome.notional_microcents)
        raise InvariantError(
            f"reserve for record {outcome.sequence}: the ledger answers {assessed!r}"
        )
    raise InvariantError(
        f"record {outcome.sequence} holds reservation {outcome.reservation_id}, "
        f"the ledger gave {reservation_id}"
    )


def apply_rejected(state: GuardState, request: Request, outcome: Outcome) -> int:
    """A refused order is remembered, unless what it was refused for says otherwise."""
    if outcome.reason in _NOT_REMEMBERED:
        return 0
    is_timed = state.rules_version >= _TIMED_SINCE
    row = state.orders.add(state.share_of(request), request, outcome, is_timed)
    return state.close_order(row, _PHASE_REFUSED, request, request.sent_at_ns)


def _apply_fill(state: GuardState, request: Request, outcome: Outcome) -> int:
    orders = state.orders
    received_at_ns = request.received_at_ns
    paid = paid_microcents(request, outcome) + outcome.collected_microcents
    row = orders.find(request, received_at_ns)
    phase = _PHASE_REFUSED if row == _NO_ROW else orders.phase(row)
    if outcome.flags & _BY_EXECUTION:
        return _apply_reported(state, row, phase, request, outcome)
    settling.check_freed(state, row, phase, request.quantity, outcome)
    if state.has_facts and state.facts.due:
        _take_due(state)
    if row != _NO_ROW and state.positions.is_kept:
        positioning.note_fill(state, row, phase, request)
        if state.limits.has_drop_copy and phase != _PHASE_REFUSED:
            execution.note_unconfirmed(state, row, request, outcome.sequence)
    if state.limits.counts_facts and phase != _PHASE_REFUSED and orders.filled_quantity(row) == 0:
        fact_rates.note_filled(state, row, request)
    if phase == _PHASE_REFUSED:
        expires_at_ns = state.orphan_expires_at_ns(received_at_ns)
        if row != _NO_ROW or not _keep_fill(state, request, outcome, expires_at_ns):
            fills_max = state.remembered_orders_max
            remembered_orphans.add(orders, request, outcome, expires_at_ns, fills_max)
        _charge(state, request, paid)
    elif phase == _OPEN:
        orders.read(row)
        hold = orders.known_outcome.reservation_id
        if hold == 0:  # nothing is held for an order that but reduces
            _charge(state, request, paid)
        else:
            settling.settle(state, hold, paid, outcome)
        _note_fill(state, row, request, outcome)
        if outcome.open_quantity == 0:
            state.close_order(row, _PHASE_FILLED, request, orders.known.sent_at_ns)
    else:
        _note_fill(state, row, request, outcome)
        _charge(state, request, paid)
    return _note_debt(state, request, outcome)


def _note_debt(state: GuardState, request: Request, outcome: Outcome) -> int:
    """What of a fill's fee could not be paid is owed, and what came free pays what was."""
    if outcome.halts_desk:
        desk = state.desk_of(request)
        if desk is not None:
            desk.is_halted = True
            desk.unpaid_fees_microcents += outcome.unpaid_fee_microcents
    if outcome.collected_microcents > 0:
        _collect(state, request, outcome)
    return 0


def _apply_reported(
    state: GuardState, row: int, phase: int, request: Request, outcome: Outcome
) -> int:
    """A fill whose execution has moved all: its fee is charged, and it is remembered."""
    if row == _NO_ROW:
        raise InvariantError(f"record {outcome.sequence} is a fill of an execution of no order")
    settling.check_freed(state, row, phase, 0, outcome)
    _charge(state, request, paid_microcents(request, outcome) + outcome.collected_microcents)
    state.orders.add_fill(row, request, outcome)
    execution.note_reported(state, request, outcome.sequence)
    return _note_debt(state, request, outcome)


def _keep_fill(state: GuardState, request: Request, outcome: Outcome, expires_at_ns: int) -> bool:
    """Keeps a fill for its order, if that may come yet; False where there is no room."""
    if state.rules_version < _EARLY_FACTS or state.desk_of(request) is None:
        return False
    orders, facts = state.orders, state.facts
    if not facts.has_room_for_fill(orders.order_key(request)):
        return False
    expires_at_ns = facts.keep_fill(orders.fill_key(request), expires_at_ns)
    orders.add_early_fill(request, outcome, expires_at_ns)
    state.note_facts()
    return True


def _take_due(state: GuardState) -> None:
    """The early fill is recorded with its order now: under its identity there is but one."""
    remembered_rows.forget_early_fill(state.orders, state.facts.due.pop(0))
    state.note_facts()


def _collect(state: GuardState, request: Request, outcome: Outcome) -> int:
    """A part of the desk's debt was paid, or all of it."""
    desk = state.desk_of(request)
    if desk is None:
        raise InvariantError(f"record {outcome.sequence} collects from {request.desk}, no desk")
    desk.collect(outcome.collected_microcents)
    return 0


def paid_microcents(request: Request, outcome: Outcome) -> int:
    """The part of a fill's fee that the desk's budget pays."""
    fee = 0 if outcome.flags & _UNCHARGED else request.fee_microcents
    return (fee if fee > 0 else 0) - outcome.unpaid_fee_microcents


def _note_fill(state: GuardState, row: int, request: Request, outcome: Outcome) -> int:
    orders = state.orders
    orders.add_fill(row, request, outcome)
    # Overfills may add up without end; what a reply can carry is bounded.
    filled = orders.filled_quantity(row) + request.quantity
    return orders.note_fill(row, filled if filled < _I64_MAX else _I64_MAX, outcome.hold_microcents)


def _charge(state: GuardState, request: Request, paid: int) -> int:
    """A fee that no hold stands behind."""
    if paid > 0:
        result = state.ledger.charge(request.desk, paid)
        if not isinstance(result, Charged):
            raise InvariantError(f"fee of {request.desk}: the ledger answers {result!r}")
    return 0


def apply_release(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Frees all that an open order holds, and closes it."""
    orders = state.orders
    row = orders.find(request, request.received_at_ns)
    if row == _NO_ROW and outcome.flags & _EARLY:
        return _keep_cancel(state, request, outcome)
    if row == _NO_ROW or orders.phase(row) == _PHASE_REFUSED:
        raise InvariantError(f"record {outcome.sequence} releases an order that is not open")
    held = orders.hold_microcents(row)
    if outcome.released_microcents != held:
        raise InvariantError(
            f"record {outcome.sequence} releases {outcome.released_microcents} microcents of an "
            f"order that holds {held}"
        )
    close_canceled(state, row, request, outcome.sequence)
    if outcome.collected_microcents > 0:
        _charge(state, request, outcome.collected_microcents)
        _collect(state, request, outcome)
        key = remembered_rows.key_of(orders, row)
        ends_ns = remembered_rows.expires_at_ns(orders, row)
        state.facts.keep_collected(key, outcome.collected_microcents, ends_ns)
        state.note_facts()
    return 0


def close_canceled(state: GuardState, row: int, request: Request, sequence: int) -> int:
    """Frees all that the open order in that row holds, by record `sequence`, and closes it."""
    orders = state.orders
    orders.read(row)
    if state.positions.is_kept:
        positioning.note_closed(state, row)
    hold = orders.known_outcome.reservation_id
    if hold == 0 and orders.phase(row) != _OPEN:
        raise InvariantError(f"record {sequence} releases an order that is not open")
    if hold != 0 and state.ledger.release_hold(hold) < 0:
        raise InvariantError(
            f"release of record {sequence}: the ledger answers {MissingReservation()!r}"
        )
    orders.release(row, sequence, orders.hold_microcents(row))
    return state.close_order(row, _CANCELED, request, orders.known.sent_at_ns)


def _keep_cancel(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Keeps a cancel that came before its order, which is refused then."""
    desk = state.desk_of(request)
    if desk is None or outcome.released_microcents or outcome.collected_microcents:
        raise InvariantError(f"record {outcome.sequence} cancels early what cannot come")
    expires_at_ns = state.cancel_expires_at_ns(request.received_at_ns)
    state.facts.keep_cancel(state.orders.order_key(request), outcome.sequence, expires_at_ns)
    state.note_facts()
    return 0
