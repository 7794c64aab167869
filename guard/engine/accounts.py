# cython: annotation_typing=False
"""Accounts: whose an order may be within its desk. Plain data; pure.

Owns which there are, by name. An account is of one desk for good, and of one customer, or of none,
at a time; a customer is no more than what accounts name, of whichever desks. A desk that has
accounts takes no order that names none (`guard.engine.order_checks`).

How it fails: `InvariantError` for an account that is set as none may be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from guard.protocol.fields import ORDER_NAMES
from guard.protocol.limit_scopes import NAMED_SCOPES, ScopeKey, name_key
from guard.protocol.request import TEXTS, Request
from kernel import InvariantError
from kernel import little_endian as le

ACCOUNTS_MAX: Final = 100_000
AccountEntry = tuple[str, str, str]  # name, desk, customer; no customer: empty

_ACCOUNT_AT = TEXTS["account"][0]


@dataclass  # no slots: the compiler knows them of itself, and does not take the word
class Account:
    """An account of a desk's. `customer`: empty where it is nobody's."""

    name: str
    desk: str
    customer: str = ""
    is_stopped: bool = False  # by a person
    is_reducing: bool = False  # by a person


class Accounts:
    """All that there are."""

    def __init__(self) -> None:
        self._by_name: dict[bytes, Account] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def of(self, request: Request) -> Account | None:
        """The account that an order names; None where it names none, or one that there is not."""
        if request.account_bytes == 0:
            return None
        name = le.bytes_at(request.texts, _ACCOUNT_AT, request.account_bytes)
        return self._by_name.get(name)

    def get(self, name: str) -> Account | None:
        """The account of that name."""
        return self._by_name.get(name.encode())

    def put(self, name: str, desk: str, customer: str) -> None:
        """An account that is new, or another customer of one that there is."""
        account = self.get(name)
        if account is None:
            if len(self) >= ACCOUNTS_MAX:
                raise InvariantError(f"account {name} is one more than {ACCOUNTS_MAX}")
            self._by_name[name.encode()] = Account(name, desk, customer)
        elif account.desk != desk:
            raise InvariantError(f"account {name} is of desk {account.desk}, set of {desk}")
        else:
            account.customer = customer

    def customers(self) -> dict[str, str]:
        """What they are called, and whose each is."""
        return {account.name: account.customer for account in self._by_name.values()}

    def has_customer(self, name: str) -> bool:
        """Is an account that customer's? Those without one are of nobody, not of one called ""."""
        return name != "" and any(one.customer == name for one in self._by_name.values())

    def customer_of(self, account_name: str) -> str:
        """Whose that account is; empty where there is no such account, or it is nobody's."""
        account = self.get(account_name)
        return "" if account is None else account.customer

    def scopes_of(self, names: Mapping[str, str]) -> list[ScopeKey]:
        """The scopes of whom an order names (of `ORDER_NAMES`, empty: nobody), and of its account's
        customer, as limits are found by; for who asks seldom.
        """
        said = {"customer": self.customer_of(names.get("account", "")), **names}
        return [name_key(kind, said[kind]) for kind in NAMED_SCOPES if said.get(kind)]

    def scopes_of_request(self, request: Request) -> list[ScopeKey]:
        """The same of an order's or a replace's request."""
        return self.scopes_of({kind: request.text(kind) for kind in ORDER_NAMES})

    def all(self) -> list[Account]:
        """All of them, by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]

    def entries(self) -> list[AccountEntry]:
        """What each is."""
        return [(one.name, one.desk, one.customer) for one in self.all()]

    def load(self, entries: Iterable[AccountEntry], desks: Iterable[str]) -> None:
        """Becomes what `entries` gave, of those desks."""
        for name, desk, customer in entries:
            if self.get(name) is not None or desk not in desks:
                raise InvariantError(f"account {name} of desk {desk} stands twice, or of no desk")
            self.put(name, desk, customer)
