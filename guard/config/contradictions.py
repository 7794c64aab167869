"""Limits that no order can meet: a minimum above a maximum, words of which none is left. Pure.

Owns the search for a desk and a symbol for which what several scopes say excludes every order, or
for a scope that may not have anything. A list that one scope leaves empty, or a symbol that may not
be traded, says so in so many words, and is no contradiction.

How it works: what a desk and what a symbol says counts together with the firm's, and with what is
said of the desk in that symbol. What a customer, an account, a trader or an algorithm says is
looked at beside the firm's alone. Scopes that say the same are looked at once. Where so many desks
and symbols say different things that there are more than `PAIRS_MAX` pairs, only scopes of one line
are looked at (firm, desk; firm, symbol; those of a desk in a symbol): a daemon checks limits, too.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Final, NamedTuple

from msgspec import UNSET

from guard.protocol.instruments import money_text
from guard.protocol.limits import (
    KEYS,
    MARKET_BUFFER,
    NO_LIMIT,
    ORDER_TYPES,
    QUANTITY_MAX,
    QUANTITY_MIN,
    QUANTITY_STEP,
    SIDES,
    TIMES_IN_FORCE,
    UNSAID,
    VALUE_MAX,
    VALUE_MIN,
    WORDS_OF_KEY,
    LimitScope,
    file_name,
    stricter,
    value_of,
)
from guard.protocol.messages import U32_MAX

PAIRS_MAX: Final = 50_000
_WHOLE_BPS: Final = 10_000
_LOOKED_AT: Final = (
    QUANTITY_MIN, QUANTITY_MAX, QUANTITY_STEP, VALUE_MIN, VALUE_MAX, SIDES, ORDER_TYPES,
    TIMES_IN_FORCE, MARKET_BUFFER,
)  # fmt: skip
_MARKET_ALONE: Final = 1 << WORDS_OF_KEY[ORDER_TYPES].index("market")


class _Said(NamedTuple):
    """A value, and where it stands."""

    value: int
    place: str


def contradictions(tree: Sequence[LimitScope]) -> Iterator[str]:
    """Each desk and symbol for which no order can meet the limits, and why."""
    by_name = {scope.key: scope for scope in tree}
    for scope in tree:
        for barred in _of_money(scope):
            yield f"{barred}: desk {scope.desk or 'any'}, symbol {scope.symbol or 'any'}"
    for scopes in _together(by_name):
        if not _is_symbol_refused(scopes):
            why = _why_none(scopes)
            if why is not None:
                desk = next((scope.desk for scope in scopes if scope.desk), "any")
                symbol = next((scope.symbol for scope in scopes if scope.symbol), "any")
                yield f"{why}: desk {desk}, symbol {symbol}"


def _together(by_name: dict[tuple[str, str], LimitScope]) -> Iterator[list[LimitScope]]:
    """The scopes that count together, of each desk and symbol that says anything."""
    firm = [scope for name, scope in by_name.items() if name == ("", "")]
    desks = [scope for scope in by_name.values() if scope.desk and not scope.symbol]
    symbols = [scope for scope in by_name.values() if scope.symbol and not scope.desk]
    yield firm
    named = [scope for scope in by_name.values() if scope.name is not None]
    for scope in (*desks, *symbols, *named):
        yield [*firm, scope]
    for (desk, symbol), scope in by_name.items():
        if desk and symbol:
            wider = (by_name.get((desk, "")), by_name.get(("", symbol)))
            yield [*firm, *(each for each in wider if each is not None), scope]
    listed = {symbol for scope in by_name.values() for symbol in _listed(scope)}
    different_desks = {_what_is_said(scope, ()): scope for scope in desks}
    different_symbols = {_what_is_said(scope, listed): scope for scope in symbols}
    if len(different_desks) * len(different_symbols) <= PAIRS_MAX:
        for pair in product(different_desks.values(), different_symbols.values()):
            yield [*firm, *pair]


def _of_money(scope: LimitScope) -> Iterator[str]:
    """What a scope may have of which it may never come to have anything."""
    instead = "a list of sides, symbols or restricted_symbols says that nothing may be traded"
    for name in ("exposure_gross_max", "exposure_net_max"):
        if getattr(scope, f"{name}_microcents") == 0:
            yield f"{scope.place}.{name}: 0 admits no order; allowed: above 0; {instead}"
    both = (scope.exposure_long_max_microcents, scope.exposure_short_max_microcents)
    if both == (0, 0):
        yield (
            f"{scope.place}.exposure_long_max: 0, beside an exposure_short_max of 0, admits no "
            f"order; allowed: one of both above 0; {instead}"
        )
    share_bps = scope.concentration_max_bps
    is_part = isinstance(share_bps, int) and share_bps < _WHOLE_BPS
    if is_part and scope.concentration_from_microcents == 0:
        yield (
            f"{scope.place}.concentration_from: 0 admits no first order, which is all that there "
            "is; allowed: above 0"
        )


def _listed(scope: LimitScope) -> Iterable[str]:
    return (*(scope.symbols or ()), *(scope.restricted_symbols or ()))


def _what_is_said(scope: LimitScope, listed: Iterable[str]) -> tuple[object, ...]:
    """All of a scope by which it is looked at; its symbol's name where a list has it."""
    return (
        *(value_of(scope, KEYS[number]) for number in _LOOKED_AT),
        None if scope.venues is UNSET else tuple(scope.venues),
        _least_notional(scope),
        None if scope.symbols is UNSET else tuple(scope.symbols),
        tuple(scope.restricted_symbols or ()),
        scope.symbol if scope.symbol in listed else "",
    )


def _least_notional(scope: LimitScope) -> int | None:
    rates = [rate.max for rate in scope.rates or () if rate.kind == "notional"]
    return min(rates, default=None)


def _is_symbol_refused(scopes: Sequence[LimitScope]) -> bool:
    """May what these say of no symbol, or not of theirs, be traded at all?"""
    symbol = next((scope.symbol for scope in scopes if scope.symbol), "")
    for scope in scopes:
        allowed = [symbol] if scope.symbols is UNSET else scope.symbols
        if not allowed or (symbol and symbol not in allowed):
            return True
        if symbol in (scope.restricted_symbols or ()):
            return True
    return False


def _why_none(scopes: Sequence[LimitScope]) -> str | None:
    """Why no order meets what all of these say; None where one may."""
    said = {number: _both(scopes, number) for number in _LOOKED_AT}
    return (
        _of_quantity(said)
        or _of_value(said, scopes)
        or _of_words(said, scopes)
        or _of_venues(scopes)
    )


def _both(scopes: Sequence[LimitScope], number: int) -> _Said | None:
    """What all say of a key, and the last place that made it stricter."""
    key, found = KEYS[number], None
    for scope in scopes:
        value = value_of(scope, key)
        if value == UNSAID:
            continue
        both = value if found is None else min(stricter(key, found.value, value), NO_LIMIT)
        if found is None or both != found.value:
            found = _Said(both, f"{scope.place}.{file_name(key.name)}")
    return found


def _of_quantity(said: dict[int, _Said | None]) -> str | None:
    low = said[QUANTITY_MIN] or _Said(1, "one lot")
    high = said[QUANTITY_MAX]
    if high is None or high.value > U32_MAX:
        high = _Said(U32_MAX, "the most lots of an order")
    if low.value > high.value:
        return f"{low.place}: {low.value} is above {high.place}, {high.value}"
    step = said[QUANTITY_STEP]
    if step is None or -(-low.value // step.value) * step.value <= high.value:
        return None
    return (
        f"{step.place}: no multiple of {step.value} is from {low.value} ({low.place}) to "
        f"{high.value} ({high.place})"
    )


def _of_value(said: dict[int, _Said | None], scopes: Sequence[LimitScope]) -> str | None:
    low = said[VALUE_MIN]
    if low is None:
        return None
    highs = [high for high in (said[VALUE_MAX],) if high is not None]
    for scope in scopes:
        notional = _least_notional(scope)
        if notional is not None:
            highs.append(_Said(notional, f"{scope.place}.rates of notional"))
    high = min(highs, default=None)
    if high is None or low.value <= high.value:
        return None
    return f"{low.place}: {money_text(low.value)} is above {high.place}, {money_text(high.value)}"


def _of_words(said: dict[int, _Said | None], scopes: Sequence[LimitScope]) -> str | None:
    for number in WORDS_OF_KEY:
        found, name = said[number], KEYS[number].name
        if found is not None and found.value == 0 and not _is_any_empty(scopes, name):
            return f"{found.place}: leaves no one of {', '.join(WORDS_OF_KEY[number])}"
    types = said[ORDER_TYPES]
    if types is None or types.value != _MARKET_ALONE or said[MARKET_BUFFER] is not None:
        return None
    return f"{types.place}: market orders alone, and no scope says their market_buffer_bps"


def _of_venues(scopes: Sequence[LimitScope]) -> str | None:
    lists = [scope for scope in scopes if scope.venues is not UNSET]
    if not lists or _is_any_empty(lists, "venues"):
        return None
    if set.intersection(*(set(scope.venues or ()) for scope in lists)):
        return None
    return f"{lists[-1].place}.venues: leaves none of those that {lists[0].place}.venues allows"


def _is_any_empty(scopes: Sequence[LimitScope], name: str) -> bool:
    """Does a scope leave that list empty, in so many words?"""
    return any(getattr(scope, name) == [] for scope in scopes)
