"""What no guard writes of what people do, and have to do. Pure.

A part of `guard.record.rules`, which says what these rules are for and how they fail.
"""

from typing import Any, Final

from guard.engine.actor import Actor
from guard.engine.events import (
    CheckpointTaken,
    ClockAccepted,
    EntriesHalted,
    EntriesResumed,
    RulesActivated,
    SessionClosed,
    SessionStarted,
)
from guard.engine.latch_lifting import why_it_stays
from guard.engine.latches import LATCHES_SINCE_RULES, place_words
from guard.engine.loss_events import LossBreached
from guard.engine.people import due_event
from guard.engine.people_events import LatchSet, LooseningReverted, OverrideExpired, ProposalExpired
from guard.engine.state import GuardState
from guard.record.codec import RecordError
from guard.record.words import refusal

# What time causes, and what may stand before it though its time has come: nothing is decided there.
TIMED: Final = frozenset((LooseningReverted, OverrideExpired, ProposalExpired))
DECIDE_NOTHING: Final = frozenset(
    (
        CheckpointTaken,
        ClockAccepted,
        EntriesHalted,
        EntriesResumed,
        LossBreached,
        RulesActivated,
        SessionClosed,
        SessionStarted,
    )
)


def check_due(state: GuardState, event: Any) -> None:
    """What time causes stands before whatever is decided behind its time, and only there."""
    if type(event) in DECIDE_NOTHING:
        return
    actor = Actor(event.received_at_ns, event.batch_first_sequence, "", "")
    wanted: Any = due_event(state, actor)
    if type(event) in TIMED:
        actor = Actor(event.received_at_ns, event.batch_first_sequence, event.by, event.why)
        wanted = due_event(state, actor)
        if wanted == event:
            return
    tag = event.__struct_config__.tag
    if wanted is None:
        allowed = f"from {state.due_at_ns} on, when anything is due"
        raise RecordError(refusal("received_at_ns", event.received_at_ns, allowed))
    allowed = f"{wanted.__struct_config__.tag}, due since {wanted.due_ns}"
    raise RecordError(refusal("event", tag, allowed))


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
    if words := why_it_stays(state, event.desk, event.symbol, event.latch):
        raise RecordError(refusal("latch", event.latch, f"once it is over; {words}"))
