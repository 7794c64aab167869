"""Accounts, and what is stopped of them, of customers and so on, in a checkpoint's head. Pure.

A part of `guard.recovery.checkpoint_payload`.

How it fails: `StateError` where it says what no guard writes, `InvariantError` of what cannot be.
"""

from typing import Any

from msgspec import UNSET

from guard.engine.apply_trading import NAMES_STOPPED_MAX
from guard.engine.state import GuardState
from guard.record.words import refusal
from guard.recovery.state_head import StateError, StateHead

_FLAGS = {"stopped_accounts": "is_stopped", "reducing_accounts": "is_reducing"}
_NAMES = ("stopped_names", "reducing_names")


def stopped_of(state: GuardState) -> dict[str, Any]:
    """The fields of what is stopped, or may but reduce; left out where nothing is."""
    said: dict[str, Any] = {
        field: [one.name for one in state.accounts.all() if getattr(one, flag)] or UNSET
        for field, flag in _FLAGS.items()
    }
    return said | {field: sorted(getattr(state, field)) or UNSET for field in _NAMES}


def take_accounts(state: GuardState, head: StateHead) -> None:
    """Gives the state its accounts, and what is stopped."""
    state.accounts.load(head.accounts or (), state.desks)
    for _, desk, _ in head.accounts or ():
        state.desks[desk].has_accounts = True
    for field, flag in _FLAGS.items():
        for name in getattr(head, field) or ():
            account = state.accounts.get(name)
            if account is None:
                raise StateError(refusal(field, name, "the name of an account"))
            setattr(account, flag, True)
    count = 0
    for field in _NAMES:
        names = getattr(head, field) or ()
        getattr(state, field).update(names)
        count += len(names)
    if count > NAMES_STOPPED_MAX:
        raise StateError(refusal("stopped_names", count, f"at most {NAMES_STOPPED_MAX}"))
