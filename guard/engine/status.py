# cython: annotation_typing=False, nonecheck=True
"""What a status shows of an order. Pure; changes nothing but the outcome.

Owns what the guard knows of one (`guard/PROTOCOL.md`, 6): its own first answer, and how it stands
now; of a chain (`guard.engine.chains`) how that stands, whichever of its orders is asked about.

How it fails: it does not.
"""

from guard.engine import early, replacing, suspects
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.fields import STATES
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.request import Request

_NO_ROW, _STATUS = NO_ROW, int(OutcomeKind.STATUS)
_OPEN, _PHASE_REFUSED = int(OrderPhase.OPEN), int(OrderPhase.REFUSED)
# What a status calls each phase; all kinds of closed are one to a client.
_STATE_OF_PHASE = [
    STATES.index(word) for word in ("unknown", "open", "closed", "closed", "refused", "closed")
]


def answer_status(state: GuardState, request: Request, outcome: Outcome) -> int:
    """What is known of an order."""
    orders = state.orders
    named = orders.find_named(request, request.received_at_ns)
    row = named if named == _NO_ROW else orders.first_of(named)
    outcome.kind = _STATUS
    outcome.state = outcome.filled_quantity = 0
    outcome.open_quantity = outcome.hold_microcents = 0
    outcome.busted_fills = outcome.corrected_fills = 0
    outcome.reduced_quantity = outcome.suspect = 0
    outcome.standing_wal_sequence = outcome.pending_wal_sequence = 0
    if row == _NO_ROW:
        return 0
    phase = orders.phase(row)
    orders.read(row)
    orders.read_answer(named, outcome)
    outcome.kind = _STATUS
    outcome.state = _STATE_OF_PHASE[phase]
    outcome.filled_quantity = orders.filled_quantity(row)
    outcome.hold_microcents = orders.hold_microcents(row)
    if phase == _OPEN:
        outcome.open_quantity = orders.left(row)
        outcome.suspect = suspects.is_suspect(state, row, request.received_at_ns)
    if phase != _PHASE_REFUSED:
        outcome.reduced_quantity = orders.reduced_quantity(named)
    if orders.chain_of(row) != 0:
        replacing.put_chain(orders, row, outcome)
    if state.has_facts:
        early.count_amended(state, row, outcome)
    return 0
