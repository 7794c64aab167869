"""The `[limits]` of a configuration: read, checked, compared, and shown to a risk officer.

Owns the shape of the section (`configs/production.toml` explains every key) and its translation
into the tree that the log records (`guard.protocol.limits`). Money is text there and integers here;
"none" says in so many words that there is no such limit.

What is unsaid refuses: where there is a `[limits]` at all, the largest quantity and value and the
price collar must be said for each desk in each symbol, by whichever scope, or waived; and where
there is a collar, the age that its reference may have. A configuration without the section has no
limits, and works as ever.

How it fails: `ValueError` naming scope and key, the value and what is allowed.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from msgspec import UNSET, Struct

from guard.config.contradictions import contradictions
from guard.engine.limits import Limits, explained
from guard.protocol import limits
from guard.protocol.instruments import money_text, parse_money_microcents
from guard.protocol.limits import (
    CHOICES_OF_KEY,
    KEYS,
    NAMED_SCOPES,
    NO_LIMIT,
    PRICE_COLLAR,
    REFERENCE_AGE_MAX,
    WORDS_OF_KEY,
    JumpBps,
    LimitBps,
    LimitKey,
    LimitScope,
    Percent,
    RateKind,
    RateLimit,
    Scope,
    SelfMatch,
    SessionEnd,
    ShareBps,
    ShortSales,
    Strictest,
    WindowMs,
    WindowS,
    file_name,
    name_key,
    normalized,
)
from guard.protocol.messages import I64_MAX, OrderType, Side, TimeInForce
from guard.protocol.ranges import Count, CountAboveZero, Symbol, VenueId

NONE: Final = "none"
SHOWN_MAX: Final = 20  # of what is unsaid
NOBODY: Final[Mapping[str, str]] = MappingProxyType({})  # has an account

NoneWord: TypeAlias = Literal["none"]
_TIME: Final = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)
_MONEY: Final = {file_name(key.name): key for key in KEYS if key.unit == "money"}


class RateSection(Struct, forbid_unknown_fields=True, frozen=True):
    """A rate: `max` of orders; of `notional` money, as text."""

    kind: RateKind
    window_ms: WindowMs
    max: CountAboveZero | str


class SessionSection(Struct, forbid_unknown_fields=True, frozen=True):
    """When a venue's session ends: hours and minutes, UTC."""

    venue: VenueId
    ends: str


class ScopeSection(Struct, forbid_unknown_fields=True, frozen=True):
    """What a scope may say."""

    quantity_min: CountAboveZero | None = None
    quantity_max: CountAboveZero | NoneWord | None = None
    quantity_step: CountAboveZero | None = None
    price_step: CountAboveZero | None = None
    value_min: str | None = None
    value_max: str | None = None
    price_collar_bps: LimitBps | NoneWord | None = None
    reference_age_max_ms: WindowMs | NoneWord | None = None
    market_buffer_bps: LimitBps | None = None
    duplicate_window_ms: WindowMs | None = None
    position_long_max: Count | NoneWord | None = None
    position_short_max: Count | NoneWord | None = None
    open_orders_max: CountAboveZero | NoneWord | None = None
    revalue_bps: LimitBps | None = None
    revalue_s: WindowS | None = None
    reconcile_s: WindowS | None = None
    require_reconciliation: bool | None = None
    immediate_order_s: WindowS | None = None
    exposure_gross_max: str | None = None
    exposure_net_max: str | None = None
    exposure_long_max: str | None = None
    exposure_short_max: str | None = None
    concentration_max_bps: ShareBps | NoneWord | None = None
    concentration_from: str | None = None
    day_loss_max: str | None = None
    self_match: SelfMatch | None = None
    short_sales: ShortSales | None = None
    mark_jump_bps: JumpBps | NoneWord | None = None
    mark_confirm_ms: WindowMs | None = None
    sides: list[Side] | None = None
    order_types: list[OrderType] | None = None
    times_in_force: list[TimeInForce] | None = None
    venues: list[VenueId] | None = None
    drop_copy_venues: list[VenueId] | None = None
    symbols: list[Symbol] | None = None
    restricted_symbols: list[Symbol] | None = None
    rates: list[RateSection] | None = None
    warn_percent: Percent | None = None
    session_ends: list[SessionSection] | None = None


class DeskSection(ScopeSection, forbid_unknown_fields=True, frozen=True):
    """What a desk's scope says, and those of it in single symbols."""

    symbol: dict[Symbol, ScopeSection] = {}


class LimitsSection(ScopeSection, forbid_unknown_fields=True, frozen=True):
    """`[limits]`: the firm's, and the narrower scopes."""

    desk: dict[Symbol, DeskSection] = {}
    symbol: dict[Symbol, ScopeSection] = {}
    customer: dict[Symbol, ScopeSection] = {}
    account: dict[Symbol, ScopeSection] = {}
    trader: dict[Symbol, ScopeSection] = {}
    algo: dict[Symbol, ScopeSection] = {}


def limit_tree(
    section: LimitsSection,
    desks: Collection[str],
    symbols: Collection[str],
    venues: Collection[int],
    accounts: Mapping[str, str] = NOBODY,
) -> list[LimitScope]:
    """The section as the log records it; `accounts`: whose each is. Raises ValueError naming the
    place.
    """
    tree = tree_of(section)
    check_tree(tree, desks, symbols, accounts)
    check_venues(tree, venues)
    return tree


def tree_of(section: LimitsSection) -> list[LimitScope]:
    """The same, whatever desks and symbols there are, and whatever is unsaid."""
    scopes = [_scope(section, "", "")]
    for symbol, narrower in section.symbol.items():
        scopes.append(_scope(narrower, "", symbol))
    for desk, of_desk in section.desk.items():
        scopes.append(_scope(of_desk, desk, ""))
        scopes += [_scope(narrower, desk, symbol) for symbol, narrower in of_desk.symbol.items()]
    for kind in NAMED_SCOPES:
        for name, of_name in getattr(section, kind).items():
            scopes.append(_scope(of_name, "", "", **{kind: name}))
    return normalized([scope for scope in scopes if scope.scope == Scope.FIRM or _says(scope)])


def check_tree(
    tree: list[LimitScope],
    desks: Collection[str],
    symbols: Collection[str],
    accounts: Mapping[str, str] = NOBODY,
) -> None:
    """Names that there are, an order that can meet them, nothing unsaid that must be said.

    Raises ValueError.
    """
    check_names(tree, desks, symbols, accounts)
    _check_ages(tree)
    found = list(islice(contradictions(tree), SHOWN_MAX + 1))
    if found:
        shown = "\n  ".join(found[:SHOWN_MAX])
        more = "\n  and more" if len(found) > SHOWN_MAX else ""
        raise ValueError(f"limits: no order can meet these:\n  {shown}{more}")
    found = list(islice(unsaid(tree, desks, symbols), SHOWN_MAX + 1))
    if found:
        shown = "\n  ".join(found[:SHOWN_MAX])
        more = "\n  and more" if len(found) > SHOWN_MAX else ""
        raise ValueError(
            "limits: left unsaid for a desk in a symbol; allowed: a limit in any scope that covers "
            f'it, or "none":\n  {shown}{more}'
        )


def _check_ages(tree: list[LimitScope]) -> None:
    """A collar needs a reference's age; whom an order names has none of a desk in a symbol."""
    is_said = any(
        scope.scope == Scope.FIRM and scope.reference_age_max_ms is not UNSET for scope in tree
    )
    for scope in tree:
        if scope.name is None or is_said or scope.reference_age_max_ms is not UNSET:
            continue
        if scope.price_collar_bps not in (UNSET, None):
            raise ValueError(
                f"{scope.place}.price_collar_bps: {scope.price_collar_bps} is not allowed; "
                "allowed: beside reference_age_max_ms, there or of the firm"
            )


def check_names(
    tree: list[LimitScope],
    desks: Collection[str],
    symbols: Collection[str],
    accounts: Mapping[str, str] = NOBODY,
) -> None:
    """Names that there are; nobody defines traders and algorithms. `accounts`: whose each is.

    Raises ValueError.
    """
    customers = set(accounts.values()) - {""}
    for scope in tree:
        if scope.customer is not UNSET and scope.customer not in customers:
            raise ValueError(
                f"{scope.place}: no account is of customer {scope.customer!r}; allowed: "
                f"{_some_of(customers)}"
            )
        if scope.account is not UNSET and scope.account not in accounts:
            raise ValueError(
                f"{scope.place}: there is no account {scope.account!r}; allowed: "
                f"{_some_of(accounts)}"
            )
        if scope.desk and scope.desk not in desks:
            raise ValueError(
                f"{scope.place}: there is no desk {scope.desk!r}; allowed: {_some_of(desks)}"
            )
        for symbol in (scope.symbol, *(scope.symbols or ()), *(scope.restricted_symbols or ())):
            if symbol and symbol not in symbols:
                raise ValueError(
                    f"{scope.place}: there is no symbol {symbol!r}; allowed: {_some_of(symbols)}"
                )


def check_venues(tree: list[LimitScope], venues: Collection[int]) -> None:
    """Venues that the policy has, and of drop copies at least one. Raises ValueError."""
    for scope in tree:
        for name in ("venues", "drop_copy_venues"):
            said = getattr(scope, name)
            if name == "drop_copy_venues" and said == []:
                raise ValueError(
                    f"{scope.place}.{name}: [] is not allowed; allowed: at least one venue, or "
                    "left out, where there is a drop copy of all"
                )
            for venue in said or ():
                if venue not in venues:
                    raise ValueError(
                        f"{scope.place}.{name}: the policy has no venue {venue}; allowed: "
                        f"{_some_of(list(map(str, sorted(venues))))}"
                    )
        for end in scope.session_ends or ():
            if end.venue not in venues:
                raise ValueError(
                    f"{scope.place}.session_ends: the policy has no venue {end.venue}; allowed: "
                    f"{_some_of(list(map(str, sorted(venues))))}"
                )


def _some_of(names: Collection[str]) -> str:
    more = ", …" if len(names) > SHOWN_MAX else ""
    return ", ".join(sorted(names)[:SHOWN_MAX]) + more or "none is configured"


def unsaid(
    tree: list[LimitScope], desks: Collection[str], symbols: Collection[str]
) -> Iterator[str]:
    """What must be said and is not: key, desk and symbol."""
    if not tree:
        return
    said: dict[str, set[tuple[str, str]]] = {
        key.name: {
            scope.key
            for scope in tree
            if scope.name is None and getattr(scope, key.name) is not UNSET
        }
        for key in KEYS
    }
    for key in KEYS:
        if key.must_be_said:
            for desk, symbol in _uncovered(said[key.name], desks, symbols):
                yield f"{file_name(key.name)}: desk {desk}, symbol {symbol}"
    collar, age = KEYS[PRICE_COLLAR].name, KEYS[REFERENCE_AGE_MAX].name
    known = Limits()
    known.set(tree, "")
    for desk, symbol in _uncovered(said[age], desks, symbols):
        found = known.effective(known.desk_class(desk), known.symbol_class(symbol))
        if found.value(PRICE_COLLAR) not in (limits.UNSAID, NO_LIMIT):
            yield f"{age}, since there is a {collar}: desk {desk}, symbol {symbol}"


def _uncovered(
    said: set[tuple[str, str]], desks: Collection[str], symbols: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Each desk in each symbol for which none of these scopes speaks."""
    if ("", "") in said:
        return
    left = [symbol for symbol in symbols if ("", symbol) not in said]
    for desk in desks:
        if (desk, "") not in said:
            for symbol in left:
                if (desk, symbol) not in said:
                    yield desk, symbol


_SAYING: Final = tuple(
    name for name in LimitScope.__struct_fields__[2:] if name not in NAMED_SCOPES
)


def _says(scope: LimitScope) -> bool:
    return any(getattr(scope, name) is not UNSET for name in _SAYING)


def _scope(section: ScopeSection, desk: str, symbol: str, **named: str) -> LimitScope:
    """`named`: one of `NAMED_SCOPES`, if it is of that."""
    said: dict[str, Any] = dict(named)
    place = LimitScope(desk, symbol, **said).place
    for name in ScopeSection.__struct_fields__:
        value = getattr(section, name)
        if value is None or name in ("rates", "session_ends"):
            continue
        if name in _MONEY:
            key = _MONEY[name]
            may_be_none = key.strictest == Strictest.LEAST
            said[key.name] = _money(value, f"{place}.{name}", may_be_none, key.is_own)
        else:
            said[name] = None if value == NONE else value
    if section.session_ends is not None:
        said["session_ends"] = [
            SessionEnd(one.venue, _second(one.ends, f"{place}.session_ends[{at}].ends"))
            for at, one in enumerate(section.session_ends)
        ]
    if section.rates is not None:
        said["rates"] = [
            RateLimit(rate.kind, rate.window_ms, _rate_max(rate, f"{place}.rates[{at}].max"))
            for at, rate in enumerate(section.rates)
        ]
    return LimitScope(desk, symbol, **said)


def _money(text: str, place: str, may_be_none: bool, may_be_zero: bool = False) -> int | None:
    if may_be_none and text == NONE:
        return None
    microcents = parse_money_microcents(text, place)
    if microcents == 0 and not may_be_zero:
        raise ValueError(f"{place}: {text!r} is not allowed; allowed: above zero")
    return microcents


def _second(text: str, place: str) -> int:
    """The second of the day of a time such as 21:00."""
    if not _TIME.fullmatch(text):
        raise ValueError(f'{place}: {text!r} is not allowed; allowed: a time, such as "21:00", UTC')
    return 3_600 * int(text[:2]) + 60 * int(text[3:])


def _rate_max(rate: RateSection, place: str) -> int:
    if rate.kind != "notional":
        if isinstance(rate.max, str):
            raise ValueError(
                f"{place}: {rate.max!r} is not allowed of {rate.kind}; allowed: a whole number "
                f"from 1 to {I64_MAX}"
            )
        return rate.max
    if not isinstance(rate.max, str):
        raise ValueError(
            f'{place}: {rate.max} is not allowed of notional; allowed: money, such as "1.50"'
        )
    return _money(rate.max, place, False) or 0


# For people.


def tree_differences(recorded: list[LimitScope], configured: list[LimitScope]) -> list[str]:
    """Each key of each scope in which two trees differ, in words."""
    before = {scope.key: scope for scope in recorded}
    after = {scope.key: scope for scope in configured}
    words = []
    for name in sorted({*before, *after}):
        one, other = (side.get(name) or LimitScope() for side in (before, after))
        of = (before.get(name) or other).place
        for field in _SAYING:
            was, becomes = getattr(one, field), getattr(other, field)
            if was != becomes:
                place = f"{of}.{file_name(field)}"
                words.append(f"{place}: {said_text(field, was)} -> {said_text(field, becomes)}")
    return words


def said_text(field: str, value: Any) -> str:
    """What a scope says of a key, as people read it."""
    if value is UNSET:
        return "unsaid"
    if value is None:
        return NONE
    if field.endswith("_microcents"):
        return money_text(value, ",")
    if field == "session_ends":
        return ", ".join(map(session_text, value)) or "none"
    if field == "rates":
        return ", ".join(map(rate_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(map(str, value)) or "no one"
    return f"{value:,}"


def session_text(end: SessionEnd) -> str:
    """When a venue's session ends, as people read it."""
    minutes = end.second // 60
    return f"venue {end.venue} at {minutes // 60:02}:{minutes % 60:02} UTC"


def rate_text(rate: RateLimit) -> str:
    """A rate, as people read it."""
    most = money_text(rate.max, ",") if rate.kind == "notional" else f"{rate.max:,}"
    return f"{most} {rate.kind} in {rate.window_ms:,} ms"


def value_text(key: LimitKey, value: int) -> str:
    """A resolved limit with its unit."""
    if value == NO_LIMIT:
        return NONE
    if key.strictest == Strictest.BOTH:
        words = [word for bit, word in enumerate(WORDS_OF_KEY[key.number]) if value >> bit & 1]
        return " ".join(words) or "no one"
    if key.number in CHOICES_OF_KEY:
        return CHOICES_OF_KEY[key.number][value]
    if key.unit == "flag":
        return "yes" if value else "no"
    return money_text(value, ",") if key.unit == "money" else f"{value:,} {key.unit}"


def effective_lines(
    tree: list[LimitScope], desk: str, symbol: str, **named: str
) -> list[tuple[str, str, str]]:
    """What counts for a desk in a symbol, and for those of `NAMED_SCOPES`: key, limit, and where
    that is said.
    """
    known = Limits()
    known.set(tree, "")
    places = {
        Scope.FIRM: LimitScope().place,
        Scope.DESK: LimitScope(desk).place,
        Scope.SYMBOL: LimitScope("", symbol).place,
        Scope.DESK_SYMBOL: LimitScope(desk, symbol).place,
        **{NAMED_SCOPES[kind]: f"limits.{kind}.{name}" for kind, name in named.items()},
    }
    names = [name_key(*one) for one in named.items()]
    by_name = {key.name: key for key in KEYS}
    lines = [
        (file_name(name), value_text(by_name[name], value), places[scope])
        for name, value, scope in explained(known, desk, symbol, names)
    ]
    found = known.resolved(desk, symbol, names)
    if found.venues is not None:
        venues = " ".join(map(str, sorted(found.venues))) or "no one"
        lines.append(("venues", venues, places[Scope(found.venue_scope)]))
    if found.symbol_refusal:
        lines.append(("symbol", "not to be traded", places[Scope(found.symbol_scope)]))
    for scope in tree:
        is_of_place = scope.desk in ("", desk) and scope.symbol in ("", symbol)
        if scope.key in names or (scope.name is None and is_of_place):
            lines += [("rates", rate_text(rate), scope.place) for rate in scope.rates or ()]
            lines += [
                ("session_ends", session_text(end), scope.place) for end in scope.session_ends or ()
            ]
            if scope.warn_percent is not UNSET:
                lines.append(("warn_percent", f"{scope.warn_percent} %", scope.place))
    return lines
