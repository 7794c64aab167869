"""Accounts as a configuration says them: `[accounts.NAME]`. Pure.

Owns the shape of that section and its checks, the event that sets one, and where a log says another
thing (`guard.config.activation` has the differences of all else).

How it fails: `ValueError` naming the place, the value and what is allowed.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from msgspec import UNSET, Struct

from guard.engine.account_events import AccountSet
from guard.engine.accounts import ACCOUNTS_MAX
from guard.engine.actor import Actor
from guard.engine.state import GuardState
from guard.protocol.ranges import DeskName

_SHOWN_MAX = 20  # of names


class AccountSection(Struct, forbid_unknown_fields=True, frozen=True):
    """An account: its desk, and whose it is, if it is a customer's."""

    desk: DeskName
    customer: DeskName | None = None


class AccountTerms(NamedTuple):
    """The same, checked. `customer`: empty for none."""

    account: str
    desk: str
    customer: str = ""


def account_terms(
    sections: dict[DeskName, AccountSection], desks: Collection[str]
) -> dict[str, AccountTerms]:
    """The accounts by name, in the file's order, of desks that there are."""
    if len(sections) > ACCOUNTS_MAX:
        raise ValueError(f"accounts: {len(sections)} of them; allowed: at most {ACCOUNTS_MAX}")
    for name, section in sections.items():
        if section.desk not in desks:
            more = ", …" if len(desks) > _SHOWN_MAX else ""
            shown = ", ".join(sorted(desks)[:_SHOWN_MAX]) + more or "none is configured"
            raise ValueError(
                f"accounts.{name}.desk: there is no desk {section.desk!r}; allowed: {shown}"
            )
    return {
        name: AccountTerms(name, section.desk, section.customer or "")
        for name, section in sections.items()
    }


def customers_of(accounts: dict[str, AccountTerms]) -> dict[str, str]:
    """Whose each account is; empty: nobody's."""
    return {name: terms.customer for name, terms in accounts.items()}


def account_event(terms: AccountTerms, actor: Actor) -> AccountSet:
    """The event that sets an account."""
    return actor.event(
        AccountSet, account=terms.account, desk=terms.desk, customer=terms.customer or UNSET
    )


def account_differences(
    state: GuardState, accounts: dict[str, AccountTerms], actor: Actor
) -> Iterator[tuple[str, AccountSet | None, str]]:
    """Where the configuration says something else than the log: in words, what makes it so, and the
    place in the file."""
    for name, terms in accounts.items():
        place, event = f"accounts.{name}", account_event(terms, actor)
        recorded = state.accounts.get(name)
        if recorded is None:
            yield f"{place}: the log lacks it, the configuration adds it", event, place
        elif recorded.desk != terms.desk:
            text = f"{place}.desk: the log says {recorded.desk}, the configuration {terms.desk}"
            yield f"{text}; an account's desk never changes", None, place
        elif recorded.customer != terms.customer:
            said, says = recorded.customer or "none", terms.customer or "none"
            yield f"{place}.customer: the log says {said}, the configuration {says}", event, place
    for name, _, _ in state.accounts.entries():
        if name not in accounts:
            place = f"accounts.{name}"
            yield f"{place}: the log has it, the configuration lacks it", None, place
