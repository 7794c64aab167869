"""Whose a limit may be: the scopes of a tree of limits. Pure.

A part of `guard.protocol.limits`, which has all else of it.
"""

from enum import IntEnum
from typing import Final, TypeAlias


class Scope(IntEnum):
    """Whose limit it is. A reject's detail names it by its number."""

    UNSAID = 0
    FIRM = 1
    DESK = 2
    SYMBOL = 3
    DESK_SYMBOL = 4
    ACCOUNT = 5
    TRADER = 6
    ALGO = 7
    CUSTOMER = 8


# The scopes of what an order names beside its desk and its symbol, and of its account's customer,
# the widest first.
NAMED_SCOPES: Final = {
    "customer": Scope.CUSTOMER,
    "account": Scope.ACCOUNT,
    "trader": Scope.TRADER,
    "algo": Scope.ALGO,
}
SCOPE_WORDS: Final = {
    Scope.UNSAID: "no scope",
    Scope.FIRM: "the firm",
    Scope.DESK: "the desk",
    Scope.SYMBOL: "the symbol",
    Scope.DESK_SYMBOL: "the desk in this symbol",
    Scope.ACCOUNT: "the account",
    Scope.TRADER: "the trader",
    Scope.ALGO: "the algorithm",
    Scope.CUSTOMER: "the customer",
}

# Desk and symbol, empty for all; or what no desk is called, and nothing.
ScopeKey: TypeAlias = tuple[str, str]


def name_key(kind: str, name: str) -> ScopeKey:
    """The key of the scope of a customer, an account, a trader, an algorithm."""
    return f"{kind}={name}", ""
