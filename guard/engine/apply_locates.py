"""Apply what people say of locates. Pure but for the state.

A part of `guard.engine.apply_event`, whose table names these with all others.

How it fails: `InvariantError` where the event cannot follow from the state.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.engine.locate_events import LocateAdded, LocateRemoved
from guard.engine.locates import Locate
from guard.engine.state import GuardState
from kernel import InvariantError


def _apply_added(state: GuardState, event: LocateAdded) -> None:
    if event.desk not in state.desks or event.symbol not in state.instruments:
        raise InvariantError(f"locate {event.locate_id} is of {event.desk} in {event.symbol}")
    locate = Locate(event.desk, event.symbol, event.quantity_lots, 0, state.next_sequence)
    state.locates.add(event.locate_id, locate)
    state.has_locates = True


def _apply_removed(state: GuardState, event: LocateRemoved) -> None:
    state.locates.remove(event.locate_id)
    state.has_locates = len(state.locates) > 0


APPLY_LOCATES: Final[dict[type, Callable[[GuardState, Any], None]]] = {
    LocateAdded: _apply_added,
    LocateRemoved: _apply_removed,
}
