"""The limits that counted for a desk in a symbol at a record, as plain values. Pure.

Owns what an explanation and a query show of them: each limit with its scope, and of each rate and
of the limits of positions and open orders what was used. What others share of a rate is shown to
who may read the log, and to no client.
"""

from collections.abc import Sequence
from typing import Any, Final

from guard.engine.exposure import CONCENTRATION_BPS, CONCENTRATION_FROM, DAY_LOSS
from guard.engine.limits import Effective, explained
from guard.engine.measures import GROSS
from guard.engine.positions import BUY, NO_POSITION, SELL
from guard.engine.rates import CANCELS, EXECUTIONS, NOTIONAL, ORDERS, REPLACES, Bucket
from guard.engine.state import GuardState
from guard.protocol.limits import NO_LIMIT, OWN_KEYS, Scope, ScopeKey

_OF_ALLS: Final = (Scope.DESK, Scope.DESK_SYMBOL, Scope.ACCOUNT)
_OF_SYMBOLS: Final = (Scope.SYMBOL, Scope.DESK_SYMBOL)
# Limits of which a desk uses what is its own, whichever scope says them.
_OWN_FIGURES: Final = ("position_long_max", "position_short_max", "open_orders_max")
NO_SYMBOL: Final = 2**32 - 1  # as a number: more than there can be
_KINDS = {
    ORDERS: "orders",
    NOTIONAL: "notional",
    CANCELS: "cancels",
    EXECUTIONS: "executions",
    REPLACES: "replaces",
}


def effective_limits(
    state: GuardState, desk: str, symbol: str, names: Sequence[ScopeKey] = ()
) -> Effective:
    """What counts for a desk in a symbol, and those of `NAMED_SCOPES`."""
    return state.limits.resolved(desk, symbol, names)


def limit_lines(
    state: GuardState, desk: str, symbol: str, names: Sequence[ScopeKey] = ()
) -> list[dict[str, Any]]:
    """Each limit that any of these scopes says, and each rate; none where there are no limits.

    `value`: None where it is waived. `scope`: whose it is. `used`: of it, where that can be said,
    and then `is_own`: by the desk alone.
    """
    if not state.has_limits:
        return []
    used = _used_of(state, desk, symbol)
    lines: list[dict[str, Any]] = [
        {
            "limit": name,
            "scope": Scope(scope).name.lower(),
            "value": None if value == NO_LIMIT else value,
            **({"used": used[name], "is_own": True} if name in used else {}),
            **_used_of_money(state, desk, symbol, name, Scope(scope)),
        }
        for name, value, scope in explained(state.limits, desk, symbol, names)
    ]
    lines += [
        {
            "limit": f"rate of {_KINDS[bucket.kind]} in {bucket.window_ms} ms",
            "scope": Scope(bucket.scope).name.lower(),
            "value": bucket.max,
            "used": _used_in(state, bucket, desk, symbol),
            "is_own": bucket.kind == EXECUTIONS or Scope(bucket.scope) in _OF_ALLS,
        }
        for bucket in effective_limits(state, desk, symbol, names).buckets
    ]
    return lines


def _used_of_money(
    state: GuardState, desk: str, symbol: str, name: str, scope: Scope
) -> dict[str, Any]:
    """What a scope has of what its own limit bounds, if that is kept."""
    number = next((at for at, key in enumerate(OWN_KEYS) if key.name == name), CONCENTRATION_FROM)
    kept, known = state.positions, state.desks.get(desk)
    if number == CONCENTRATION_FROM or known is None or not kept.exposure.is_on:
        return {}
    if number == DAY_LOSS:
        place = (desk if scope in _OF_ALLS else "", symbol if scope in _OF_SYMBOLS else "")
        return {"used": max(0, -state.day_profit(*place)), "is_own": scope in _OF_ALLS}
    of_symbol = kept.symbols.get(symbol)
    book = None if of_symbol is None else kept.exposure.book(of_symbol)
    if scope == Scope.SYMBOL:
        return {} if book is None else {"used": book.figure(number), "is_own": False}
    measure = kept.exposure.firm if scope == Scope.FIRM else kept.exposure.desk(known.share)
    if number != CONCENTRATION_BPS:
        return {"used": measure.figure(number), "is_own": scope == Scope.DESK}
    whole = measure.figure(GROSS)
    if scope == Scope.FIRM:
        share = 0 if book is None else book.figure(GROSS)
    else:
        row = kept.find(known.share, NO_SYMBOL if of_symbol is None else of_symbol)
        share = 0 if row == NO_POSITION else kept.exposure.gross_of(row)
    used = -(-share * 10_000 // whole) if whole else 0
    return {"used": used, "is_own": scope == Scope.DESK}


def _used_of(state: GuardState, desk: str, symbol: str) -> dict[str, int]:
    """What the desk uses of `_OWN_FIGURES`: a position counts with all that works towards it."""
    known, kept = state.desks.get(desk), state.positions
    if known is None:
        return {}
    row = kept.find(known.share, kept.symbols.get(symbol, NO_SYMBOL))
    long = short = 0
    if row != NO_POSITION:
        position = kept.position(row)
        long, short = position + kept.working(row, BUY), kept.working(row, SELL) - position
    open_orders = state.orders.shares.of(known.share).open_count
    return dict(zip(_OWN_FIGURES, (max(long, 0), max(short, 0), open_orders), strict=True))


def _used_in(state: GuardState, bucket: Bucket, desk: str, symbol: str) -> int:
    """What of a rate is used; of executions on the side that uses more."""
    if bucket.kind != EXECUTIONS:
        return bucket.used(state.elapsed_ns)
    known, number = state.desks.get(desk), state.positions.symbols.get(symbol, NO_SYMBOL)
    if known is None:
        return 0
    keys = [(known.share, number, side) for side in (BUY, SELL)]
    repeated, elapsed_ns = state.limits.repeated, state.elapsed_ns
    return max(repeated.used(key, elapsed_ns, bucket.window_ms) for key in keys)
