# cython: annotation_typing=False, nonecheck=True
"""Which requests move positions and working orders, and by how much. Pure but for the positions.

Owns the rule (`guard/PROTOCOL.md`, 12): an order works from its admission until it is filled or
closed. A fill counts in the position wherever its order is known, be it late, more than was
ordered, or of an order that was refused; but only lots within the quantity of an admitted order are
confirmed. A fill that says no price traded at its order's. What people say of fills afterwards:
`guard.engine.amended_positions`.

`guard.engine.apply` calls this for what it folds, before it changes the order's own row. Under
rules that keep no positions it does not.

How it fails: `InvariantError` where an order that was admitted is of no desk or no symbol.
"""

from guard.engine import chains
from guard.engine.positions import BUY, NO_POSITION
from guard.engine.remembered_form import OrderPhase
from guard.engine.state import GuardState
from guard.protocol.request import Request
from kernel import InvariantError

_BUY, _NO_POSITION = BUY, NO_POSITION
_OPEN, _PHASE_REFUSED = int(OrderPhase.OPEN), int(OrderPhase.REFUSED)


def reduces(state: GuardState, request: Request) -> bool:
    """Is an order such that it can but reduce its desk's position, with all that works that way?"""
    desk, worth = state.desk_of(request), state.worth_of(request)
    if desk is None or worth is None:
        return False
    positions = state.positions
    row = positions.find(desk.share, worth.number)
    if row == _NO_POSITION:
        return False
    lots = positions.reducible(row, request.side) - positions.working(row, request.side)
    return request.quantity <= lots if lots > 0 else False


def note_admitted(state: GuardState, request: Request, is_exit: bool) -> int:
    """All of an order works from now on."""
    desk, worth = state.desk_of(request), state.worth_of(request)
    if desk is None or worth is None:
        raise InvariantError(f"an order of {request.desk} in {request.symbol} was admitted")
    row = state.positions.obtain(desk.share, worth.number)
    if is_exit:
        state.positions.count_exit(1)
    return state.positions.work(row, request.side, request.quantity, is_exit)


def note_more(state: GuardState, request: Request, lots: int, is_exit: bool) -> int:
    """So many lots more work of the order that an admitted replace is to take the place of."""
    desk, worth = state.desk_of(request), state.worth_of(request)
    if desk is None or worth is None:
        raise InvariantError(f"an order of {request.desk} in {request.symbol} was replaced")
    row = state.positions.obtain(desk.share, worth.number)
    return state.positions.work(row, request.side, lots, is_exit)


def note_fill(state: GuardState, order_row: int, phase: int, request: Request) -> int:
    """A fill of the order in that row, which was in that phase before it."""
    orders, positions = state.orders, state.positions
    orders.read(order_row)
    order, desk_number = orders.known, orders.share_number(order_row)
    worth = state.worth_of(order)
    if phase == _PHASE_REFUSED and (worth is None or desk_number == 0):
        return 0
    if worth is None:
        raise InvariantError(f"an order of {order.symbol} was admitted, which is not defined")
    row = positions.obtain(desk_number, worth.number)
    lots = request.quantity
    confirmed = 0
    if phase != _PHASE_REFUSED:
        left = orders.left(order_row)
        within = left if left < lots else lots
        confirmed = chains.admitted_of(orders, order_row, lots, within)
        if phase == _OPEN:
            is_exit = orders.known_outcome.reservation_id == 0
            if is_exit and within == left:
                positions.count_exit(-1)
            positions.work(row, order.side, -within, is_exit)
    price = request.price if request.price > 0 else order.price
    microcents = worth.traded_microcents(lots, price, order.side == _BUY)
    return positions.trade(row, order.side, lots, confirmed, microcents)


def note_closed(state: GuardState, order_row: int) -> int:
    """What is left of the open order in that row works no more."""
    state.orders.read(order_row)
    return note_reduced(state, order_row, state.orders.left(order_row))


def note_reduced(state: GuardState, order_row: int, lots: int) -> int:
    """So many lots of the open order in that row work no more."""
    orders = state.orders
    orders.read(order_row)
    order = orders.known
    worth = state.worth_of(order)
    if worth is None:
        raise InvariantError(f"an order of {order.symbol} was admitted, which is not defined")
    row = state.positions.obtain(orders.share_number(order_row), worth.number)
    is_exit = orders.known_outcome.reservation_id == 0
    if is_exit and lots == orders.left(order_row):
        state.positions.count_exit(-1)
    return state.positions.work(row, order.side, -lots, is_exit)


def note_open_orders(state: GuardState) -> None:
    """All that is open works: where positions begin to be kept."""
    orders = state.orders
    row = orders.find_open(0, orders.row_end())
    while row != -1:
        orders.read(row)
        worth = state.worth_of(orders.known)
        if worth is None:
            raise InvariantError(f"an order of {orders.known.symbol} is open, not defined")
        position = state.positions.obtain(orders.share_number(row), worth.number)
        state.positions.work(position, orders.known.side, orders.left(row), False)
        row = orders.find_open(row + 1, orders.row_end())
