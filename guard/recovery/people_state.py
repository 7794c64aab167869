"""What people proposed and loosened, in a checkpoint's head. Pure.

A part of `guard.recovery.checkpoint_payload`. Owns what stands under the head's `people`, since
rules version 3.

How it fails: `StateError` where it says what no guard writes.
"""

from typing import Any, Final

from msgspec import UNSET, UnsetType

from guard.engine.overrides import add
from guard.engine.people import note_due
from guard.engine.people_kept import Loosened
from guard.engine.state import GuardState
from guard.recovery.people_head import LoosenedHeld, PeopleState
from guard.recovery.state_head import StateError
from kernel import InvariantError

_FIELD_OF: Final = {
    "limits": "limits",
    "policy": "policy",
    "cap": "microcents",
    "budget": "microcents",
}


def people_of(state: GuardState) -> PeopleState | UnsetType:
    """What there is of it; without terms there is none, and it is left out."""
    people = state.people
    if people.terms is None:
        return UNSET
    loosened = []
    for (what, desk), (until_ns, base) in sorted(people.loosened.items()):
        held: dict[str, Any] = {_FIELD_OF[what]: base}
        loosened.append(LoosenedHeld(what, desk, until_ns, **held))  # type: ignore[arg-type]
    overrides = [each.event for each in people.overrides.values()]
    return PeopleState(people.terms, list(people.pending.values()), loosened, overrides)


def take_people(state: GuardState, held: PeopleState | UnsetType) -> None:
    """Gives the state what `people_of` gave. Raises StateError."""
    if held is UNSET:
        return
    people = state.people
    people.terms = held.terms
    people.pending = {each.action_id: each for each in held.pending}
    if len(people.pending) != len(held.pending):
        raise StateError("people.pending: a proposal stands twice")
    for each in held.loosened:
        base = getattr(each, _FIELD_OF[each.what])
        of_desk = each.what in ("cap", "budget")
        if base is UNSET or (each.desk in state.desks) != of_desk:
            raise StateError(f"people.loosened: {each.what} of {each.desk!r} reverts to nothing")
        people.loosened[each.what, each.desk] = Loosened(each.until_ns, base)
    try:
        for event in held.overrides:
            add(state, event)
    except InvariantError as error:
        raise StateError(f"people.overrides: {error}") from error
    note_due(state)
