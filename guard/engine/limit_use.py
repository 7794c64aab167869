"""How much is used of what limits allow: of what is there, and within a window. Pure.

Owns what is measured for each limit that a scope says itself: of what that scope has (exposure, a
day's loss), of the positions and the open orders of the desks that it covers, of its concentration
in a symbol, and of its rates. The figures are those that the checks look at
(`guard.engine.exposure`, `guard.engine.position_checks`, `guard.engine.rates`); here is who uses
which of them. Warnings (`guard.engine.limit_watch`) and the report of a day ask here.

Concentration is measured in one symbol, and counts once a scope has more than it is said to count
from; below that none of it is used.

How it fails: it does not.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from guard.engine.exposure import CONCENTRATION_BPS
from guard.engine.measures import GROSS
from guard.engine.positions import BUY, NO_POSITION, SELL
from guard.engine.rates import EXECUTIONS
from guard.engine.state import GuardState
from guard.protocol.limits import (
    DAY_LOSS_MAX,
    KEYS,
    OWN_KEYS,
    LimitScope,
    Scope,
    ScopeKey,
    file_name,
)

_LOSS: Final = KEYS[DAY_LOSS_MAX].name
CONCENTRATION: Final = OWN_KEYS[CONCENTRATION_BPS].name
_OWN: Final = tuple(
    (number, key.name)
    for number, key in enumerate(OWN_KEYS)
    if key.unit == "money" and "_max_" in key.name
)
_POSITIONS: Final = (("position_long_max", BUY), ("position_short_max", SELL))
_POSITION_NAMES: Final = tuple(name for name, _ in _POSITIONS)
_OPEN_ORDERS: Final = "open_orders_max"
RATE_WORDS: Final = "rate of "
# All keys of which something stands used, until it is less again.
STANDING_KEYS: Final = (
    *(name for _, name in _OWN),
    CONCENTRATION,
    *_POSITION_NAMES,
    _OPEN_ORDERS,
)

# Where the limit is said, its name in a file, and of which desk and symbol (empty: all) it is used.
Place: TypeAlias = tuple[str, str, str, str]


class Use(NamedTuple):
    """So much of a limit is used; below zero counts as nothing."""

    place: Place
    used: int
    most: int


class Said(NamedTuple):
    """What one scope says of limits that can be used, by what they bound.

    `own`: the place of each among the figures of an exposure, and its name; `rates`: their words
    and the key of each one's bucket.
    """

    scope: LimitScope
    own: tuple[tuple[int, str, int], ...]
    positions: tuple[tuple[str, int, int], ...]
    open_orders: int | None
    concentration: tuple[int, int] | None
    rates: tuple[tuple[str, tuple[str, str, str, int], int], ...]


def rate_words(kind: str, window_ms: int) -> str:
    """What a rate is called where limits are listed."""
    return f"{RATE_WORDS}{kind} in {window_ms} ms"


def key_of(use: Use) -> str:
    """The key that a limit is of: a rate's without its window."""
    return use.place[1].partition(" in ")[0]


def used_ratio(used: int, most: int) -> float:
    """How much of a limit is used; without end, where nothing is allowed and anything is."""
    if most > 0:
        return used / most
    return math.inf if used > 0 else 0.0


def user_of(name: str, scope: LimitScope, desk: str, symbol: str) -> tuple[str, str]:
    """Who uses a scope's limit of that name with an order of that desk in that symbol."""
    if name in _POSITION_NAMES:
        return desk, symbol
    if name == _OPEN_ORDERS:
        return desk, ""
    return (scope.desk, symbol) if name == CONCENTRATION else ("", "")


def said_by(scope: LimitScope) -> Said:
    """What a scope says of them."""
    own = [(at, name, most) for at, name in _OWN if isinstance(most := getattr(scope, name), int)]
    positions = [
        (name, side, most)
        for name, side in _POSITIONS
        if isinstance(most := getattr(scope, name), int)
    ]
    most, since = scope.concentration_max_bps, scope.concentration_from_microcents
    rates = [
        (
            rate_words(rate.kind, rate.window_ms),
            (*scope.key, rate.kind, rate.window_ms),
            rate.max,
        )
        for rate in scope.rates or ()
    ]
    return Said(
        scope,
        tuple(own),
        tuple(positions),
        scope.open_orders_max if isinstance(scope.open_orders_max, int) else None,
        (most, since) if isinstance(most, int) and isinstance(since, int) else None,
        tuple(rates),
    )


class SaidByName:
    """What the scopes of a tree say, by the names of desk and symbol (empty: all)."""

    def __init__(self, tree: Iterable[LimitScope]) -> None:
        self.all: dict[tuple[str, str], Said] = {scope.key: said_by(scope) for scope in tree}

    def covering(self, desk: str, symbol: str, named: Iterable[ScopeKey] = ()) -> list[Said]:
        """Those that cover a desk in a symbol, and of these names, each once, the widest first."""
        names = dict.fromkeys((("", ""), (desk, ""), ("", symbol), (desk, symbol), *named))
        return [self.all[name] for name in names if name in self.all]


def of_scope(state: GuardState, said: Said) -> Iterator[Use]:
    """What the scope itself has of what its own limits bound."""
    scope, exposure = said.scope, state.positions.exposure
    is_known = (not scope.desk or scope.desk in state.desks) and (
        not scope.symbol or scope.symbol in state.positions.symbols
    )
    if not exposure.is_on or not is_known:
        return
    for number, name, most in said.own:
        if name == _LOSS:
            used = -state.day_profit(scope.desk, scope.symbol)
        elif scope.scope == Scope.SYMBOL:
            used = exposure.book(state.positions.symbols[scope.symbol]).figure(number)
        elif scope.scope == Scope.DESK:
            used = exposure.desk(state.desks[scope.desk].share).figure(number)
        else:
            used = exposure.firm.figure(number)
        yield Use((scope.place, file_name(name), "", ""), max(used, 0), most)


def of_desk(state: GuardState, said: Said, desk: str) -> Iterator[Use]:
    """What a desk that the scope covers uses of its limit of open orders."""
    if said.open_orders is not None and not said.scope.symbol:
        used = state.orders.shares.of(state.desks[desk].share).open_count
        yield Use((said.scope.place, _OPEN_ORDERS, desk, ""), used, said.open_orders)


def of_row(state: GuardState, said: Said, row: int, desk: str, symbol: str) -> Iterator[Use]:
    """What a desk in a symbol uses of the scope's limits of positions: with all that works."""
    if said.positions:
        kept = state.positions
        position = kept.position(row)
        for name, side, most in said.positions:
            used = (position if side == BUY else -position) + kept.working(row, side)
            yield Use((said.scope.place, name, desk, symbol), max(used, 0), most)


def of_concentration(state: GuardState, said: Said, desk: str, symbol: str) -> Iterator[Use]:
    """What of the scope's gross is in a symbol, in basis points rounded up."""
    exposure = state.positions.exposure
    number = state.positions.symbols.get(symbol)
    if said.concentration is None or number is None or not exposure.is_on:
        return
    most, since_microcents = said.concentration
    if said.scope.desk:
        share = state.desks[desk].share
        row = state.positions.find(share, number)
        whole = exposure.desk(share).figure(GROSS)
        part = 0 if row == NO_POSITION else exposure.gross_of(row)
    else:
        whole, part = exposure.firm.figure(GROSS), exposure.book(number).figure(GROSS)
    used = -(-part * 10_000 // whole) if whole > since_microcents else 0
    user = user_of(CONCENTRATION, said.scope, desk, symbol)
    yield Use((said.scope.place, CONCENTRATION, *user), used, most)


def of_rates(state: GuardState, said: Said, desk: str, symbol: str) -> Iterator[Use]:
    """What counts of the scope's rates now; of executions for that desk in that symbol alone."""
    for words, key, most in said.rates:
        bucket = state.limits.buckets[key]
        if bucket.kind != EXECUTIONS:
            used = bucket.used(state.elapsed_ns)
            yield Use((said.scope.place, words, "", ""), used, most)
            continue
        known, number = state.desks.get(desk), state.positions.symbols.get(symbol)
        if known is not None and number is not None:
            counted, elapsed_ns = state.limits.repeated, state.elapsed_ns
            keys = [(known.share, number, side) for side in (BUY, SELL)]
            used = max(counted.used(each, elapsed_ns, bucket.window_ms) for each in keys)
            yield Use((said.scope.place, words, desk, symbol), used, most)


def of_all(state: GuardState, said: SaidByName) -> Iterator[list[Use]]:
    """All that stands used, once: of scopes, then of desks, then of rows of positions."""
    for each in list(said.all.values()):
        yield list(of_scope(state, each))
    if any(each.open_orders is not None for each in said.all.values()):
        for desk in list(state.desks):
            covering = said.covering(desk, "")
            yield [use for each in covering for use in of_desk(state, each, desk)]
    if not any(each.positions or each.concentration for each in said.all.values()):
        return
    desks = {desk.share: desk.name for desk in state.desks.values()}
    symbols = list(state.positions.symbols)
    for row in range(state.positions.count):
        number, at = state.positions.key_of(row)
        desk, symbol = desks.get(number, ""), symbols[at]
        covering = said.covering(desk, symbol)
        found = [use for each in covering for use in of_row(state, each, row, desk, symbol)]
        for each in covering:
            found += of_concentration(state, each, desk, symbol)
        yield found
