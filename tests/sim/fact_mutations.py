"""Planted bugs of early facts, fees and debts: see `sim.mutations`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from guard.engine import decide, early, settling
from guard.engine.facts import KeptFacts

Patch = AbstractContextManager[Any]


def debt_not_collected() -> Patch:
    """What comes free is free, whatever is owed."""
    return patch.object(settling, "collected", lambda *_: 0)


def unknown_fee_charged() -> Patch:
    """The fee of an order that nobody knows is charged."""
    return patch.object(decide, "_is_chargeable", lambda *_: True)


def early_fill_not_met() -> Patch:
    """An order does not meet the fills that came before it."""
    return patch.object(KeptFacts, "meet", lambda *_: None)


def early_cancel_forgotten() -> Patch:
    """A cancel that came before its order is of no account."""
    return patch.object(early, "early_cancel", lambda *_: 0)


def checkpoint_without_facts() -> Patch:
    """Checkpoints do not keep what came early."""
    return patch.object(KeptFacts, "dump", lambda _: iter(()))


FACT_MUTATIONS: tuple[Callable[[], Patch], ...] = (
    debt_not_collected,
    unknown_fee_charged,
    early_fill_not_met,
    early_cancel_forgotten,
    checkpoint_without_facts,
)
