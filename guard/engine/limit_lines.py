"""The limits that counted for a desk in a symbol at a record, as plain values. Pure.

Owns what an explanation and a query show of them: each limit with its scope, and each rate with
what of it was used. What others share of a rate is shown to who may read the log, and to no client.
"""

from typing import Any

from guard.engine.limits import Effective, explained
from guard.engine.rates import NOTIONAL, ORDERS
from guard.engine.state import GuardState
from guard.protocol.limits import NO_LIMIT, Scope

_KINDS = {ORDERS: "orders", NOTIONAL: "notional"}


def effective_limits(state: GuardState, desk: str, symbol: str) -> Effective:
    """What counts for a desk in a symbol."""
    limits = state.limits
    return limits.effective(limits.desk_class(desk), limits.symbol_class(symbol))


def limit_lines(state: GuardState, desk: str, symbol: str) -> list[dict[str, Any]]:
    """Each limit that any scope says, and each rate; none where there are no limits.

    `limit`: None where it is waived. `scope`: whose it is.
    """
    if not state.has_limits:
        return []
    lines: list[dict[str, Any]] = [
        {
            "limit": name,
            "scope": Scope(scope).name.lower(),
            "value": None if value == NO_LIMIT else value,
        }
        for name, value, scope in explained(state.limits, desk, symbol)
    ]
    lines += [
        {
            "limit": f"rate of {_KINDS[bucket.kind]} in {bucket.window_ms} ms",
            "scope": Scope(bucket.scope).name.lower(),
            "value": bucket.max,
            "used": bucket.used(state.elapsed_ns),
        }
        for bucket in effective_limits(state, desk, symbol).buckets
    ]
    return lines
