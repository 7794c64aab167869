# cython: annotation_typing=False, nonecheck=True
"""May an order trade against one of the firm itself? Pure; changes nothing.

Owns the rule (`guard/PROTOCOL.md`, 3.5): an order meets those of the other side, of whichever desk,
that are open in its symbol at the venue to which it would go, where the prices cross. An entry is
refused or flagged, as the limits say; an order that but reduces a position is flagged alone, and so
is an entry that two people let pass. A reject tells the venue and whose limit it is, and nothing of
the orders that it would meet.

At which prices orders work: `guard.engine.working_book`.
"""

from guard.engine.found import Found
from guard.engine.state import GuardState
from guard.protocol import limits
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from kernel import little_endian as le
from kernel.layout import DECISION

_SELF_MATCH = limits.SELF_MATCH
_FLAG, _REFUSE = (limits.CHOICES_OF_KEY[limits.SELF_MATCH].index(w) for w in ("flag", "refuse"))
_VENUE_AT = DECISION.field("selected_model_id").offset


def meets_own_order(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Would it meet one at the venue that was chosen, and may it not?"""
    effective, worth = found.limits, found.worth
    if effective is None or effective.values[_SELF_MATCH] < _REFUSE:
        return False
    assert worth is not None
    venue = le.load_u32(outcome.output_row, _VENUE_AT)
    if found.is_overruled:
        venue = request.venue
    if not state.book.meets(worth.number, venue, request):
        return False
    outcome.asked, outcome.scope = venue, effective.scopes[_SELF_MATCH]
    return True


def is_flagged(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Of an order that is admitted: does it meet one, and do its limits look for that?"""
    effective, worth = found.limits, found.worth
    if effective is None or effective.values[_SELF_MATCH] < _FLAG:
        return False
    assert worth is not None
    return state.book.meets(worth.number, outcome.venue, request)
