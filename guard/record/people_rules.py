"""What no guard writes of what people do, and have to do. Pure.

A part of `guard.record.rules`, which says what these rules are for and how they fail.
"""

from typing import Any

from guard.engine.latch_lifting import why_it_stays
from guard.engine.latches import LATCHES_SINCE_RULES, place_words
from guard.engine.people_events import LatchSet
from guard.engine.state import GuardState
from guard.record.codec import RecordError
from guard.record.words import refusal


def check_latch(state: GuardState, event: Any) -> None:
    """Under rules that have any; it is lifted where it is set, and what set it is over."""
    if state.rules_version < LATCHES_SINCE_RULES:
        tag = event.__struct_config__.tag
        allowed = f"since version {LATCHES_SINCE_RULES} of the rules"
        raise RecordError(refusal("event", tag, allowed))
    if type(event) is LatchSet:
        return
    if event.latch not in state.latches.of(event.desk, event.symbol):
        where = place_words(event.desk, event.symbol)
        raise RecordError(refusal("latch", event.latch, f"what is set of {where}"))
    if words := why_it_stays(state, event.desk, event.latch):
        raise RecordError(refusal("latch", event.latch, f"once it is over; {words}"))
