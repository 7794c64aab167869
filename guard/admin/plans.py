"""What an action's planner gives, and the event in its actor's name. Pure."""

from typing import Any, NamedTuple

from guard.admin.message_base import Action
from guard.engine.actor import Actor


class Plan(NamedTuple):
    """The event of an action, and what it changes, in words."""

    event: Any
    changes: list[str]


def named(actor: Actor, kind: Any, asked_for: Action, **fields: object) -> Any:
    """The event of an action, under its id."""
    return actor.event(kind, **fields, action_id=asked_for.action_id)
