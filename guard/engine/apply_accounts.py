"""Apply what is said of accounts. Pure but for the state.

A part of `guard.engine.apply_event`, whose table names these with all others.

How it fails: `InvariantError` where the event cannot follow from the state.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.engine.account_events import AccountSet
from guard.engine.state import GuardState
from kernel import InvariantError


def _apply_account(state: GuardState, event: AccountSet) -> None:
    desk = state.desks.get(event.desk)
    if desk is None:
        raise InvariantError(f"account {event.account} is of desk {event.desk}, never opened")
    state.accounts.put(event.account, event.desk, event.customer or "")
    desk.has_accounts = True


APPLY_ACCOUNTS: Final[dict[type, Callable[[GuardState, Any], None]]] = {
    AccountSet: _apply_account,
}
