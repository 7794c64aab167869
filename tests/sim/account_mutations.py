"""Planted bugs of accounts and their customers: see `sim.mutations`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from guard.engine import apply_event
from guard.engine.account_events import AccountSet
from guard.engine.accounts import Accounts
from guard.protocol.reasons import Refusal

Patch = AbstractContextManager[Any]
# Checks of whom an order names.
NAMES_BLIND = (Refusal.ACCOUNT_MISSING, Refusal.ACCOUNT_UNKNOWN)


def account_set_in_the_log_alone() -> Patch:
    """A desk has an account in the log, and its orders may not name it."""
    return patch.dict(apply_event._APPLY, {AccountSet: lambda *_: None})


def account_lost_at_a_start() -> Patch:
    """Checkpoints keep no accounts."""
    return patch.object(Accounts, "entries", lambda _: [])


ACCOUNT_MUTATIONS: tuple[Callable[[], Patch], ...] = (
    account_set_in_the_log_alone,
    account_lost_at_a_start,
)
