"""The oracle's part about accounts and their customers: whose an order is (PROTOCOL 3.7, ADMIN 2).

Plain dictionaries, like the rest of it (`sim.oracle`).
"""

from typing import Any

from sim.tables import Reply

Key = tuple[str, str]
# In the order in which a state of one of them is looked at.
KINDS = ("customer", "account", "trader")


class OracleAccounts:
    """See the module."""

    desks: dict[str, Any]
    said: dict[Key, str]
    next_sequence: int

    def _reset_accounts(self) -> None:
        self.accounts: dict[str, Reply] = {}

    def accounts_of(self, desk: str) -> list[str]:
        """The names of those that the desk has."""
        return [name for name, account in sorted(self.accounts.items()) if account["desk"] == desk]

    def _misnamed(self, content: Reply) -> str | None:
        """Why an order that names that account, or none, is refused."""
        name, desk = content["account"], content["desk"]
        if name is None:
            return "account_missing" if self.accounts_of(desk) else None
        return None if name in self.accounts_of(desk) else "account_unknown"

    def _said_of_names(self, content: Reply) -> dict[str, str | None]:
        """What a person has said of whom an order names, and of its account's customer."""
        account = self.accounts.get(content["account"] or "", {})
        named = {**content, "customer": account.get("customer")}
        return {kind: self.said.get((kind, named[kind] or "")) for kind in KINDS}

    def _is_named(self, scope: str, name: str) -> bool:
        """May a person say anything of that name?"""
        if scope == "customer":
            customers = {account["customer"] for account in self.accounts.values()}
            return name in customers - {""} or (scope, name) in self.said
        return scope == "trader" or name in self.accounts

    # What operators do.

    def _object_set_account(self, action: Reply, _now_ns: int) -> Key | None:
        if action["desk"] not in self.desks:
            return "unknown_desk", "desk"
        known = self.accounts.get(action["account"])
        if known is not None and known["desk"] != action["desk"]:
            return "account_exists", "desk"
        is_same = known is not None and known["customer"] == action["customer"]
        return ("already_so", "customer") if is_same else None

    def _do_set_account(self, action: Reply, *_: int) -> None:
        kept = {name: action[name] for name in ("desk", "customer")}
        self.accounts[action["account"]] = kept

    def _shown_accounts(self) -> Reply:
        lines = [{"account": name, **account} for name, account in sorted(self.accounts.items())]
        head = self.next_sequence - 1
        return {"type": "accounts", "accounts": lines, "next_after": None, "head_sequence": head}
