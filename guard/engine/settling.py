# cython: annotation_typing=False, nonecheck=True
"""What a fact leaves of an order's hold, and what is paid out of what comes free. Pure.

Owns the arithmetic that fills, cancels and reductions have in common (`guard/PROTOCOL.md`, 4 and
5): the share of a hold, what of a fee cannot be paid, what of a debt can be, whether there is room
to remember one more fact of an order, and how two requests under one identity differ.
`guard.engine.decide` and the deciding modules beside it ask. Those that apply have it hold what a
record says against the state, and settled with the ledger: nothing else here changes anything.

How it fails: `InvariantError` for a record that leaves another hold, or other lots, than follow
from the state. A desk that has a debt has a line in the ledger.
"""

from guard.engine.remembered_form import OrderPhase
from guard.engine.state import GuardState
from guard.protocol import slots
from guard.protocol.fields import ValueKind
from guard.protocol.layout import Layout
from guard.protocol.messages import I64_MAX
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from kernel import InvariantError

SAME = -1
_SAME = SAME
_I64_MAX = I64_MAX
_PHASE_OPEN, _PHASE_REFUSED = int(OrderPhase.OPEN), int(OrderPhase.REFUSED)
_TEXT, _OPTIONAL_TEXT = int(ValueKind.TEXT), int(ValueKind.OPTIONAL_TEXT)


def first_difference(content: Layout, first: int, one: Request, other: Request) -> int:
    """The first field, in the protocol's order, in which the two differ; -1 where none does."""
    for index in range(first, content.count):
        slot = content.slots[index]
        kind = content.kinds[index]
        if kind in (_TEXT, _OPTIONAL_TEXT):
            if not slots.is_same_text(one, other, slot, content.text_ats[index]):
                return index
        elif slots.request_number(one, slot) != slots.request_number(other, slot):
            return index
    return _SAME


def is_fill_window_full(state: GuardState, row: int, request: Request) -> bool:
    """Is there no room left to remember one more fill of the order in that row?

    To forget one instead would let it count twice.
    """
    orders = state.orders
    if not orders.shares.is_split or orders.phase(row) == _PHASE_REFUSED:
        return False
    if orders.fill_count(row) >= orders.shares.fills_per_order_max:
        return True
    return state.share_of(request).fills >= orders.shares.fills_max


def collected(state: GuardState, request: Request, released: int, paid: int) -> int:
    """What of the desk's debt is paid out of what is free then, in microcents."""
    desk = state.desk_of(request)
    if desk is None or desk.unpaid_fees_microcents == 0:
        return 0
    line = state.ledger.line(desk.name)
    assert line is not None
    free: int = desk.debt_paid_by(line.remaining + released - paid)
    return free


def check_freed(state: GuardState, row: int, phase: int, lots: int, outcome: Outcome) -> int:
    """Does a fact that takes so many lots of the order leave what there was, less what it frees?

    Of an order that is not open, or of none, it takes and frees nothing. Raises InvariantError.
    """
    held = left = 0
    if phase == _PHASE_OPEN:
        orders = state.orders
        orders.read(row)
        held = orders.hold_microcents(row)
        left = orders.left(row)
        left -= lots if lots < left else left
    if outcome.open_quantity != left or (
        outcome.released_microcents + outcome.hold_microcents != held
    ):
        raise InvariantError(
            f"record {outcome.sequence} frees {outcome.released_microcents} microcents and leaves "
            f"{outcome.hold_microcents} and {outcome.open_quantity} lots, of {held} held and with "
            f"{left} lots left"
        )
    return 0


def settle(state: GuardState, hold: int, paid: int, outcome: Outcome) -> int:
    """Has the ledger free of the hold what the record frees, and pay so much, in microcents.

    Raises InvariantError where it cannot.
    """
    released = outcome.released_microcents
    if not state.ledger.settle_hold(hold, released, paid):
        assessed = state.ledger.assess_settle(hold, released, paid)
        words = f"settle of record {outcome.sequence}: the ledger answers {assessed!r}"
        raise InvariantError(words)
    return 0


def hold_after(first_microcents: int, filled: int, quantity: int) -> int:
    """What an order still holds once so many of its lots are filled."""
    if filled >= quantity:
        return 0
    wide_first = first_microcents
    freed = wide_first * filled // quantity
    return first_microcents - freed


def unpaid_fee(state: GuardState, request: Request, released_microcents: int) -> int:
    """The part of the fee that the desk's budget cannot pay, in microcents."""
    fee = request.fee_microcents
    if fee <= 0:
        return 0
    desk = state.desk_of(request)
    if desk is None:
        return fee
    line = state.ledger.line(desk.name)
    assert line is not None
    available = line.remaining + released_microcents
    room = _I64_MAX - line.committed
    payable = available if available < room else room
    return fee - payable if fee > payable else 0
