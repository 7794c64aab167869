"""Accounts: the event that sets one, and what there is of them. Pure.

A part of `guard.admin.actions`, whose tables name this action with all others.

How it fails: `AdminError` for what cannot be.
"""

from typing import Any

from msgspec import UNSET

from guard.admin.account_messages import (
    AccountLine,
    AccountsReply,
    ListAccounts,
    SetAccount,
)
from guard.admin.errors import AdminError
from guard.admin.plans import Plan, named
from guard.engine.account_events import AccountSet
from guard.engine.accounts import ACCOUNTS_MAX
from guard.engine.actor import Actor
from guard.engine.state import GuardState


def account_set(_state: GuardState, action: SetAccount, actor: Actor) -> Any:
    """The event of that."""
    return named(
        actor,
        AccountSet,
        action,
        account=action.account,
        desk=action.desk,
        customer=action.customer or UNSET,
    )


def plan_account(state: GuardState, action: SetAccount, actor: Actor) -> Plan:
    """An account that is new, or another customer of one that there is. Raises AdminError."""
    if action.desk not in state.desks:
        raise AdminError("unknown_desk", "desk", f"there is no desk {action.desk!r}")
    place = f"account {action.account} of desk {action.desk}"
    known, customer = state.accounts.get(action.account), action.customer or "none"
    if known is None:
        if len(state.accounts) >= ACCOUNTS_MAX:
            words = f"{ACCOUNTS_MAX} accounts are there; no more are allowed"
            raise AdminError("too_many", "account", words)
        changes = [f"{place}: added, customer {customer}"]
        if not state.desks[action.desk].has_accounts:
            changes.append(f"desk {action.desk}: its orders have to name an account from now on")
    elif known.desk != action.desk:
        words = (
            f"account {action.account!r} is of desk {known.desk!r}; allowed: that desk, for good"
        )
        raise AdminError("account_exists", "desk", words)
    elif known.customer == action.customer:
        words = f"{place}: its customer is {customer} already"
        raise AdminError("already_so", "customer", words)
    else:
        changes = [f"{place}: customer {known.customer or 'none'} -> {customer}"]
    return Plan(account_set(state, action, actor), changes)


def accounts_reply(state: GuardState, query: ListAccounts, _now_ns: int) -> AccountsReply:
    """A page of what there is."""
    found = [
        AccountLine(account, desk, customer)
        for account, desk, customer in state.accounts.entries()
        if account > query.after and query.desk in (None, desk)
    ]
    page = found[: query.limit]
    after = page[-1].account if len(found) > len(page) else None
    return AccountsReply(page, after, state.next_sequence - 1)
