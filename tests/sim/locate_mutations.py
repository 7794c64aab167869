"""Planted bugs of locates: see `sim.mutations`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from guard.engine import apply_event
from guard.engine.locate_events import LocateAdded, LocateRemoved
from guard.engine.locates import Locates

Patch = AbstractContextManager[Any]


def locate_removed_in_the_log_alone() -> Patch:
    """A desk sells short out of what a lender has taken back."""
    return patch.dict(apply_event._APPLY, {LocateRemoved: lambda *_: None})


def locate_added_in_the_log_alone() -> Patch:
    """Nobody may sell short what a lender has promised."""
    return patch.dict(apply_event._APPLY, {LocateAdded: lambda *_: None})


def locate_lost_at_a_start() -> Patch:
    """Checkpoints keep no locates."""
    return patch.object(Locates, "entries", lambda _: [])


LOCATE_MUTATIONS: tuple[Callable[[], Patch], ...] = (
    locate_removed_in_the_log_alone,
    locate_added_in_the_log_alone,
    locate_lost_at_a_start,
)
