"""Planted bugs of limits, marks and rates: see `sim.mutations`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from guard.engine import limit_checks
from guard.engine.rates import Bucket
from guard.engine.recent import Recent
from guard.server.marks import Marks
from guard.server.request_path import RequestPath

Patch = AbstractContextManager[Any]


def mark_not_said() -> Patch:
    """What the mark was does not reach the order."""
    return patch.object(Marks, "say", lambda *_: 0)


def sell_valued_at_its_limit() -> Patch:
    """A sell holds what its limit is worth, be that one tick."""
    return patch.object(limit_checks, "valued_at", lambda _, request: request.price)


def rates_forgotten_at_a_restart() -> Patch:
    """Checkpoints do not keep what of rates is used."""
    return patch.object(Bucket, "dump", lambda _: [])


def duplicates_forgotten_at_a_restart() -> Patch:
    """Checkpoints do not keep which orders were admitted lately."""
    return patch.object(Recent, "dump", lambda _: [])


def time_begins_anew() -> Patch:
    """Each process counts the log's time from its own start."""
    return patch.object(RequestPath, "_elapsed_at", lambda self, wall_ns: wall_ns)


LIMIT_MUTATIONS: tuple[Callable[[], Patch], ...] = (
    mark_not_said,
    sell_valued_at_its_limit,
    rates_forgotten_at_a_restart,
    duplicates_forgotten_at_a_restart,
    time_begins_anew,
)
