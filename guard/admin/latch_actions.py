"""Lifting a latch: the event that does it, and what it changes in words. Pure.

How it fails: `AdminError` where there is no such desk or symbol, or no such latch is set there.
"""

from guard.admin import messages as asked
from guard.admin.messages import AdminError
from guard.engine.actor import Actor
from guard.engine.latch_lifting import why_it_stays
from guard.engine.latches import Latches, place_words
from guard.engine.people_events import LatchLifted
from guard.engine.state import GuardState


def lifted(_state: GuardState, action: asked.LiftLatch, actor: Actor) -> LatchLifted:
    """The event."""
    return actor.event(
        LatchLifted,
        desk=action.desk,
        symbol=action.symbol,
        latch=action.latch,
        action_id=action.action_id,
    )


def lift_changes(state: GuardState, action: asked.LiftLatch) -> list[str]:
    """What lifting it changes."""
    if action.desk and action.desk not in state.desks:
        raise AdminError("unknown_desk", "desk", f"there is no desk {action.desk!r}")
    if action.symbol and action.symbol not in state.instruments:
        raise AdminError("unknown_symbol", "symbol", f"there is no symbol {action.symbol!r}")
    place = place_words(action.desk, action.symbol)
    kinds = state.latches.of(action.desk, action.symbol)
    if action.latch not in kinds:
        is_set = ", ".join(kinds) or "none"
        words = f"latch {action.latch!r} is not set of {place}; set there: {is_set}"
        raise AdminError("not_latched", "latch", words)
    if words := why_it_stays(state, action.desk, action.symbol, action.latch):
        raise AdminError("not_over", "latch", f"latch {action.latch!r} of {place}: {words}")
    return [f"{place}: latch {action.latch} of record {kinds[action.latch]} -> lifted"]


def latch_lines(latches: Latches) -> list[str]:
    """Each that is set: its kind and its place."""
    return [f"{kind} {place_words(desk, symbol)}" for desk, symbol, kind, _ in latches.entries()]
