"""A reduction: the venue took so many lots off an order. Decided, and applied. Pure.

Owns the rule (`guard/PROTOCOL.md`, 5.1): what is open of the order is less by so many lots, which
work no more, and their share of the hold is free, by the arithmetic of fills; with the last of them
the order is closed. As every fact it is recorded whatever it says of an order that was admitted: of
one that is closed it takes nothing (`late`), and never more than is open (`overreduced`). Its
identity is its id within its order; it is remembered as the order's fills are, and in their number.
It counts since rules version 3.

How it fails: `InvariantError` where a record does not follow from the state, as
`guard.engine.apply` does.
"""

from guard.engine import chains, positioning, settling
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol import fields
from guard.protocol.fields import OVERREDUCED, REDUCED_LATE
from guard.protocol.layout import Layout, json_steps
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.reasons import ErrorCode
from guard.protocol.request import Request
from kernel import InvariantError

SINCE_RULES = 3
_CONTENT = Layout(json_steps(fields.RECORDED_FIELDS[fields.REDUCE]))
_KEY_FIELDS = 3


def decide_reduction(state: GuardState, request: Request, outcome: Outcome) -> None:
    """What the rules give for a reduction."""
    orders, now_ns = state.orders, request.received_at_ns
    if state.rules_version < SINCE_RULES:  # which no start of this software leaves in force
        _fail(outcome, ErrorCode.UNKNOWN_ORDER)
        return
    outcome.kind = OutcomeKind.REDUCED
    known_row = orders.find_fill(request, now_ns)
    if known_row != NO_ROW:
        _answer_known(state, known_row, request, outcome)
        return
    row = orders.find(request, now_ns)
    if row == NO_ROW:
        _fail(outcome, ErrorCode.UNKNOWN_ORDER)
    elif orders.phase(row) == OrderPhase.REFUSED:
        _fail(outcome, ErrorCode.ORDER_REFUSED)
    elif settling.is_fill_window_full(state, row, request):
        _fail(outcome, ErrorCode.FILL_WINDOW_FULL)
    else:
        _take_off(state, row, request, outcome)


def _take_off(state: GuardState, row: int, request: Request, outcome: Outcome) -> None:
    orders = state.orders
    outcome.flags = REDUCED_LATE
    outcome.open_quantity = outcome.hold_microcents = outcome.released_microcents = 0
    is_open = orders.phase(row) == OrderPhase.OPEN
    if is_open and orders.chain_of(row):
        _take_off_chain(state, row, request, outcome)
    elif is_open:
        orders.read(row)
        quantity, left = orders.known.quantity, orders.left(row)
        outcome.flags = OVERREDUCED if request.quantity > left else 0
        left -= min(left, request.quantity)
        held = orders.hold_microcents(row)
        first = orders.known_outcome.notional_microcents
        outcome.open_quantity = left
        outcome.hold_microcents = settling.hold_after(first, quantity - left, quantity)
        outcome.released_microcents = held - outcome.hold_microcents
    released = outcome.released_microcents
    outcome.collected_microcents = settling.collected(state, request, released, 0)


def _take_off_chain(state: GuardState, first: int, request: Request, outcome: Outcome) -> int:
    """Of orders that replace each other it is the named one's: the larger one still counts.

    How many lots are open no more.
    """
    orders = state.orders
    held, left = orders.hold_microcents(first), orders.left(first)
    own, lots = _own_lots(state, first, request)
    outcome.open_quantity, outcome.hold_microcents = left, held
    if own != NO_ROW:
        filled, off = orders.filled_quantity(first), min(lots, request.quantity)
        outcome.flags = OVERREDUCED if request.quantity > lots else 0
        lots, outcome.hold_microcents = chains.larger(orders, first, filled, own, off)
        outcome.open_quantity = chains.lots_left(lots, filled)
    outcome.released_microcents = held - outcome.hold_microcents
    return left - outcome.open_quantity


def _own_lots(state: GuardState, first: int, request: Request) -> tuple[int, int]:
    """The row of the named order of an open chain, and what of it is open; NO_ROW where it does
    not stand any more: nothing can be taken off it."""
    orders = state.orders
    own = orders.find_named(request, request.received_at_ns)
    if own not in (chains.standing(orders, first), chains.pending(orders, first)):
        return NO_ROW, 0
    order = Request()
    orders.read_into(own, order, Outcome())
    lots = chains.lots_of(orders, own, order)
    return own, chains.lots_left(lots, orders.filled_quantity(first))


def _answer_known(state: GuardState, row: int, request: Request, outcome: Outcome) -> None:
    """The first answer again; or an error, for one with other content."""
    known = state.found.request
    state.orders.read_fill(row, known, outcome)
    field = settling.first_difference(_CONTENT, _KEY_FIELDS, known, request)
    if field == settling.SAME:
        outcome.repeat = 1
        return
    _fail(outcome, ErrorCode.REDUCE_ID_REUSED)
    outcome.field = field


def _fail(outcome: Outcome, code: ErrorCode) -> None:
    outcome.kind, outcome.error = OutcomeKind.ERROR, code


def apply_reduction(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Folds a recorded reduction into the state, but for what it pays of a debt.

    The row of the order where it is to be closed now; NO_ROW.
    """
    orders = state.orders
    row = orders.find(request, request.received_at_ns)
    if row == NO_ROW or orders.phase(row) == OrderPhase.REFUSED:
        raise InvariantError(f"record {outcome.sequence} reduces an order that was never admitted")
    orders.read(row)
    phase = orders.phase(row)
    is_open = phase == OrderPhase.OPEN
    of_chain = is_open and orders.chain_of(row) != 0
    off = _take_off_chain(state, row, request, Outcome()) if of_chain else request.quantity
    settling.check_freed(state, row, phase, off, outcome)
    lots = min(orders.left(row), off) if is_open else 0
    hold = orders.known_outcome.reservation_id
    if hold and outcome.released_microcents:
        settling.settle(state, hold, 0, outcome)
    if is_open and state.positions.is_kept:
        positioning.note_reduced(state, row, lots)
    orders.add_fill(row, request, outcome)
    if of_chain:
        own, of_own = _own_lots(state, row, request)
        if own != NO_ROW:
            chains.take_off(orders, own, min(of_own, request.quantity))
        orders.note_fill(row, orders.filled_quantity(row), outcome.hold_microcents)
    else:
        orders.note_reduced(row, lots, outcome.hold_microcents)
    return row if is_open and outcome.open_quantity == 0 else NO_ROW
