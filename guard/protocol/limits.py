"""The limits of a scope: which keys there are, what each may say, which of two is stricter. Pure.

Owns the table of keys (`KEYS`) and the shape in which a tree of limits stands in a record, as one
`LimitScope` for each scope that says anything. Configuration reads its file into these
(`guard.config.limits`), the engine resolves them for a desk and a symbol (`guard.engine.limits`).

A scope is the firm, a desk, a symbol, or a desk in a symbol. What several scopes say all counts:
the strictest wins. A key that a scope does not name says nothing there. Where the word "none" is
allowed, it says that there is no such limit, which is not the same as saying nothing
(`LimitKey.must_be_said`).

How it fails: `ValueError` naming scope and key, of a tree that cannot be.
"""

import hashlib
import math
from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from guard.protocol.limit_scopes import NAMED_SCOPES as NAMED_SCOPES
from guard.protocol.limit_scopes import SCOPE_WORDS as SCOPE_WORDS
from guard.protocol.limit_scopes import Scope as Scope
from guard.protocol.limit_scopes import ScopeKey as ScopeKey
from guard.protocol.limit_scopes import name_key as name_key
from guard.protocol.messages import I64_MAX, OrderType, Side, TimeInForce
from guard.protocol.ranges import (
    Count,
    CountAboveZero,
    Microcents,
    MicrocentsAboveZero,
    ScopeName,
    Symbol,
    VenueId,
)

# Ten times the reference: what is wider bounds nothing.
LIMIT_BPS_MAX: Final = 100_000
WINDOW_MS_MAX: Final = 86_400_000  # a day
EXECUTIONS_MAX: Final = 1_000  # of one rate: so many times are kept
RATES_MAX: Final = 8  # of one scope: each has its buckets
NAMES_MAX: Final = 16_384  # of one list; as many symbols as a guard has
SCOPES_MAX: Final = 100_000  # a tree of these is below a record's greatest size

LimitBps: TypeAlias = Annotated[int, Meta(ge=0, le=LIMIT_BPS_MAX)]
JumpBps: TypeAlias = Annotated[int, Meta(ge=1, le=LIMIT_BPS_MAX)]
ShareBps: TypeAlias = Annotated[int, Meta(ge=0, le=10_000)]
WindowMs: TypeAlias = Annotated[int, Meta(ge=1, le=WINDOW_MS_MAX)]
WindowS: TypeAlias = Annotated[int, Meta(ge=1, le=WINDOW_MS_MAX // 1_000)]
SecondOfDay: TypeAlias = Annotated[int, Meta(ge=0, le=86_399)]
Percent: TypeAlias = Annotated[int, Meta(ge=1, le=100)]
RateKind: TypeAlias = Literal["orders", "notional", "cancels", "executions", "replaces"]
SelfMatch: TypeAlias = Literal["off", "flag", "refuse"]
ShortSales: TypeAlias = Literal["allowed", "locate", "refused"]


class RateLimit(Struct, forbid_unknown_fields=True, frozen=True):
    """At most so many within any window of that length; of `notional` in microcents.

    What is beyond it of `cancels` is flagged; of `executions`, orders of one desk, symbol and side
    that were filled, it latches.
    """

    kind: RateKind
    window_ms: WindowMs
    max: CountAboveZero


class SessionEnd(Struct, forbid_unknown_fields=True, frozen=True):
    """When a venue's session ends, each day: its `day` orders end with it. Seconds of a UTC day."""

    venue: VenueId
    second: SecondOfDay


class LimitScope(Struct, forbid_unknown_fields=True, frozen=True):
    """What one scope says: of the firm (no name), a desk, a symbol, or a desk in a symbol; or of an
    account, a trader, an algorithm.

    Quantities in lots, prices in ticks. None: there is no such limit, said in so many words.
    """

    desk: ScopeName = ""
    symbol: ScopeName = ""
    quantity_min: CountAboveZero | UnsetType = UNSET
    quantity_max: CountAboveZero | UnsetType | None = UNSET
    quantity_step: CountAboveZero | UnsetType = UNSET
    price_step: CountAboveZero | UnsetType = UNSET
    value_min_microcents: MicrocentsAboveZero | UnsetType = UNSET
    value_max_microcents: MicrocentsAboveZero | UnsetType | None = UNSET
    price_collar_bps: LimitBps | UnsetType | None = UNSET
    reference_age_max_ms: WindowMs | UnsetType | None = UNSET
    market_buffer_bps: LimitBps | UnsetType = UNSET
    duplicate_window_ms: WindowMs | UnsetType = UNSET
    position_long_max: Count | UnsetType | None = UNSET
    position_short_max: Count | UnsetType | None = UNSET
    open_orders_max: CountAboveZero | UnsetType | None = UNSET
    revalue_bps: LimitBps | UnsetType = UNSET
    revalue_s: WindowS | UnsetType = UNSET
    reconcile_s: WindowS | UnsetType = UNSET
    require_reconciliation: bool | UnsetType = UNSET
    immediate_order_s: WindowS | UnsetType = UNSET
    exposure_gross_max_microcents: Microcents | UnsetType | None = UNSET
    exposure_net_max_microcents: Microcents | UnsetType | None = UNSET
    exposure_long_max_microcents: Microcents | UnsetType | None = UNSET
    exposure_short_max_microcents: Microcents | UnsetType | None = UNSET
    concentration_max_bps: ShareBps | UnsetType | None = UNSET
    concentration_from_microcents: Microcents | UnsetType | None = UNSET
    day_loss_max_microcents: Microcents | UnsetType | None = UNSET
    self_match: SelfMatch | UnsetType = UNSET
    short_sales: ShortSales | UnsetType = UNSET
    mark_jump_bps: JumpBps | UnsetType | None = UNSET
    mark_confirm_ms: WindowMs | UnsetType = UNSET
    sides: list[Side] | UnsetType = UNSET
    order_types: list[OrderType] | UnsetType = UNSET
    times_in_force: list[TimeInForce] | UnsetType = UNSET
    venues: list[VenueId] | UnsetType = UNSET
    drop_copy_venues: list[VenueId] | UnsetType = UNSET
    symbols: list[Symbol] | UnsetType = UNSET
    restricted_symbols: list[Symbol] | UnsetType = UNSET
    rates: list[RateLimit] | UnsetType = UNSET
    warn_percent: Percent | UnsetType = UNSET
    session_ends: list[SessionEnd] | UnsetType = UNSET
    account: Symbol | UnsetType = UNSET
    trader: Symbol | UnsetType = UNSET
    algo: Symbol | UnsetType = UNSET
    customer: Symbol | UnsetType = UNSET

    @property
    def name(self) -> tuple[str, str] | None:
        """Which of `NAMED_SCOPES` it is, and the name; None where it is none."""
        for kind in NAMED_SCOPES:
            said = getattr(self, kind)
            if said is not UNSET:
                return kind, said
        return None

    @property
    def key(self) -> ScopeKey:
        """By what it is told from all others."""
        return (self.desk, self.symbol) if self.name is None else name_key(*self.name)

    @property
    def place(self) -> str:
        """Where it stands in a configuration."""
        if self.name is not None:
            return f"limits.{self.name[0]}.{self.name[1]}"
        desk = f".desk.{self.desk}" if self.desk else ""
        return f"limits{desk}" + (f".symbol.{self.symbol}" if self.symbol else "")

    @property
    def scope(self) -> Scope:
        """Which kind of scope it is."""
        if self.name is not None:
            return NAMED_SCOPES[self.name[0]]
        if self.desk:
            return Scope.DESK_SYMBOL if self.symbol else Scope.DESK
        return Scope.SYMBOL if self.symbol else Scope.FIRM


class Strictest(IntEnum):
    """What two scopes' values of a key are together."""

    LEAST = 0
    GREATEST = 1
    COMMON_MULTIPLE = 2  # both steps are kept
    BOTH = 3  # words that both allow, as bits


class LimitKey(NamedTuple):
    """A key whose value is one integer. `number`: its place among the values of a row.

    `unit`: how people read it. `must_be_said`: for each desk and symbol, or "none" in its place.
    `scopes`: where it may be said. `is_own`: it bounds what its own scope has, and what narrower or
    wider ones say bounds something else; of any other key the strictest counts.
    """

    name: str
    number: int
    strictest: Strictest
    unit: Literal["lots", "ticks", "money", "bps", "ms", "s", "words", "orders", "flag", "choice"]
    must_be_said: bool = False
    scopes: tuple[Scope, ...] = tuple(Scope)[:5]  # but for those of NAMED_SCOPES
    is_own: bool = False


UNSAID: Final = -1
NO_LIMIT: Final = I64_MAX
_OF_PLACES = tuple(Scope)[:5]
_OF_FIRM, _OF_DESKS = (Scope.FIRM,), (Scope.FIRM, Scope.DESK)
_OF_MONEY = (Scope.FIRM, Scope.DESK, Scope.SYMBOL)
_OF_SYMBOLS = (Scope.FIRM, Scope.SYMBOL)
# (An age of the reference must be said where a collar is.)
_ROWS: Final[tuple[tuple[Any, ...], ...]] = (
    ("quantity_min", Strictest.GREATEST, "lots"),
    ("quantity_max", Strictest.LEAST, "lots", True),
    ("quantity_step", Strictest.COMMON_MULTIPLE, "lots"),
    ("price_step", Strictest.COMMON_MULTIPLE, "ticks"),
    ("value_min_microcents", Strictest.GREATEST, "money"),
    ("value_max_microcents", Strictest.LEAST, "money", True),
    ("price_collar_bps", Strictest.LEAST, "bps", True),
    ("reference_age_max_ms", Strictest.LEAST, "ms"),
    ("market_buffer_bps", Strictest.GREATEST, "bps"),
    ("duplicate_window_ms", Strictest.GREATEST, "ms"),
    ("sides", Strictest.BOTH, "words"),
    ("order_types", Strictest.BOTH, "words"),
    ("times_in_force", Strictest.BOTH, "words"),
    # Of a desk in a symbol, whichever scope says them; the last one of a desk.
    ("position_long_max", Strictest.LEAST, "lots"),
    ("position_short_max", Strictest.LEAST, "lots"),
    ("open_orders_max", Strictest.LEAST, "orders", False, _OF_DESKS),
    # When a price of positions is recorded.
    ("revalue_bps", Strictest.LEAST, "bps", False, _OF_FIRM),
    ("revalue_s", Strictest.LEAST, "s", False, _OF_FIRM),
    # Where there is a drop copy: how soon it confirms a fill, and whether a start waits for it.
    ("reconcile_s", Strictest.LEAST, "s"),
    ("require_reconciliation", Strictest.GREATEST, "flag", False, _OF_DESKS),
    # No decision asks: how long an `ioc` or `fok` order may be open before it is suspect.
    ("immediate_order_s", Strictest.LEAST, "s"),
    # Of what the scope itself has (`guard.engine.exposure`), in this order there.
    ("exposure_gross_max_microcents", Strictest.LEAST, "money", False, _OF_MONEY, True),
    ("exposure_net_max_microcents", Strictest.LEAST, "money", False, _OF_MONEY, True),
    ("exposure_long_max_microcents", Strictest.LEAST, "money", False, _OF_MONEY, True),
    ("exposure_short_max_microcents", Strictest.LEAST, "money", False, _OF_MONEY, True),
    ("concentration_max_bps", Strictest.LEAST, "bps", False, _OF_DESKS, True),
    ("concentration_from_microcents", Strictest.LEAST, "money", False, _OF_DESKS, True),
    ("day_loss_max_microcents", Strictest.LEAST, "money", False, _OF_PLACES, True),
    # One of a few words, the strictest last.
    ("self_match", Strictest.GREATEST, "choice"),
    ("short_sales", Strictest.GREATEST, "choice"),
    # Of a symbol's mark, whosesoever order asks: which is none yet, and how long it is none.
    ("mark_jump_bps", Strictest.LEAST, "bps", False, _OF_SYMBOLS),
    ("mark_confirm_ms", Strictest.GREATEST, "ms", False, _OF_SYMBOLS),
)
# What is looked at of an order by itself may be said of whom it names, too; and so may its lists
# and its rates of these kinds.
_OF_ORDERS: Final = (
    "quantity_min", "quantity_max", "quantity_step", "price_step", "value_min_microcents",
    "value_max_microcents", "price_collar_bps", "reference_age_max_ms", "market_buffer_bps",
    "sides", "order_types", "times_in_force",
)  # fmt: skip
_LISTS_OF_ORDERS: Final = ("venues", "symbols", "restricted_symbols", "rates")
_RATES_OF_ORDERS: Final = ("orders", "replaces", "notional")
_PLAIN_KEYS: Final = tuple(
    LimitKey(name, number, *rest) for number, (name, *rest) in enumerate(_ROWS)
)
KEYS: Final = tuple(
    key._replace(scopes=tuple(Scope)) if key.name in _OF_ORDERS else key for key in _PLAIN_KEYS
)
(
    QUANTITY_MIN, QUANTITY_MAX, QUANTITY_STEP, PRICE_STEP, VALUE_MIN, VALUE_MAX, PRICE_COLLAR,
    REFERENCE_AGE_MAX, MARKET_BUFFER, DUPLICATE_WINDOW, SIDES, ORDER_TYPES, TIMES_IN_FORCE,
    POSITION_LONG_MAX, POSITION_SHORT_MAX, OPEN_ORDERS_MAX, REVALUE_BPS, REVALUE_S,
    RECONCILE, REQUIRE_RECONCILIATION, IMMEDIATE_ORDER,
    *_,
) = range(len(KEYS))  # fmt: skip
OWN_KEYS: Final = tuple(key for key in KEYS if key.is_own)
_NUMBERS: Final = {key.name: key.number for key in KEYS}
DAY_LOSS_MAX: Final = _NUMBERS["day_loss_max_microcents"]
MARK_JUMP, MARK_CONFIRM = _NUMBERS["mark_jump_bps"], _NUMBERS["mark_confirm_ms"]
# What a scope's `warn_percent` is of, where that scope says it: levels, and no rates.
WARNED_KEYS: Final = (
    *(key.name for key in OWN_KEYS if key.unit == "money" and "_max_" in key.name),
    *(KEYS[number].name for number in (POSITION_LONG_MAX, POSITION_SHORT_MAX, OPEN_ORDERS_MAX)),
)
WORDS_OF_KEY: Final[dict[int, tuple[str, ...]]] = {
    SIDES: ("buy", "sell"),
    ORDER_TYPES: ("limit", "market"),
    TIMES_IN_FORCE: ("day", "ioc", "fok", "gtc"),
}
SELF_MATCH, SHORT_SALES = (
    next(key.number for key in KEYS if key.name == name) for name in ("self_match", "short_sales")
)
CHOICES_OF_KEY: Final[dict[int, tuple[str, ...]]] = {
    SELF_MATCH: get_args(SelfMatch),
    SHORT_SALES: get_args(ShortSales),
}
LIST_KEYS: Final = ("venues", "drop_copy_venues", "symbols", "restricted_symbols")
# What a file calls a key: money is text there.
FILE_NAMES: Final = {
    key.name: key.name.removesuffix("_microcents") for key in KEYS if key.unit == "money"
}
_FIELD_NAMES: Final = {in_file: name for name, in_file in FILE_NAMES.items()}


def file_name(name: str) -> str:
    """What a configuration calls the key of that name."""
    return FILE_NAMES.get(name, name)


def field_name(file_key: str) -> str:
    """The key that a configuration calls so."""
    return _FIELD_NAMES.get(file_key, file_key)


def value_of(scope: LimitScope, key: LimitKey) -> int:
    """What a scope says of a key, as one integer: UNSAID, NO_LIMIT, or the limit."""
    said = getattr(scope, key.name)
    if said is UNSET:
        return UNSAID
    if said is None:
        return NO_LIMIT
    if key.strictest == Strictest.BOTH:
        words = WORDS_OF_KEY[key.number]
        return sum(1 << words.index(word) for word in set(said))
    if key.number in CHOICES_OF_KEY:
        return CHOICES_OF_KEY[key.number].index(said)
    return int(said)


def own_values(scope: LimitScope | None) -> tuple[int, ...]:
    """What a scope, if there is one, says of the keys that bound what it has itself."""
    if scope is None:
        return (UNSAID,) * len(OWN_KEYS)
    return tuple(value_of(scope, key) for key in OWN_KEYS)


def stricter(key: LimitKey, one: int, other: int) -> int:
    """Both values together, of which neither is UNSAID."""
    if key.strictest == Strictest.LEAST:
        return min(one, other)
    if key.strictest == Strictest.GREATEST:
        return max(one, other)
    return one & other if key.strictest == Strictest.BOTH else math.lcm(one, other)


def normalized(scopes: Sequence[LimitScope]) -> list[LimitScope]:
    """The same tree as it stands in a record: scopes and lists sorted, each name once.

    Raises ValueError for a scope that stands twice, lists that are empty or too long, a minimum
    above its maximum, steps that no order can keep together.
    """
    if len(scopes) > SCOPES_MAX:
        raise ValueError(f"limits: {len(scopes)} scopes; allowed: at most {SCOPES_MAX}")
    ordered = sorted(map(_sorted_lists, scopes), key=lambda scope: scope.key)
    for one, other in pairwise(ordered):
        if one.key == other.key:
            raise ValueError(f"{one.place}: stands twice")
    for scope in ordered:
        _check_scope(scope)
    if revaluing(ordered)[0] is None:
        _check_nothing_valued(ordered)
    return ordered


def _check_nothing_valued(scopes: Sequence[LimitScope]) -> None:
    """Positions have no price: nothing may bound what they are worth."""
    for scope in scopes:
        for key in OWN_KEYS:
            if getattr(scope, key.name) is not UNSET:
                words = "where the firm's scope says revalue_bps: positions have no price else"
                raise _misplaced(scope, key.name, words)


def _sorted_lists(scope: LimitScope) -> LimitScope:
    changes: dict[str, Any] = {}
    for name in (*LIST_KEYS, *(KEYS[number].name for number in WORDS_OF_KEY)):
        said = getattr(scope, name)
        if said is not UNSET:
            if len(said) > NAMES_MAX:
                raise ValueError(f"{scope.place}.{name}: {len(said)}; allowed: up to {NAMES_MAX}")
            changes[name] = sorted(set(said))
    if scope.rates is not UNSET:
        changes["rates"] = sorted(scope.rates, key=lambda rate: (rate.kind, rate.window_ms))
    if scope.session_ends is not UNSET:
        changes["session_ends"] = sorted(scope.session_ends, key=lambda end: end.venue)
    return msgspec.structs.replace(scope, **changes)


_SCOPES_WORDS: Final = {
    _OF_FIRM: "the firm alone",
    _OF_DESKS: "the firm and of desks",
    _OF_MONEY: "the firm, of desks and of symbols",
    _OF_SYMBOLS: "the firm and of symbols",
    _OF_PLACES: "the firm, of desks, of symbols, and of desks in symbols",
}


def _misplaced(scope: LimitScope, name: str, allowed: str) -> ValueError:
    said = getattr(scope, name)
    shown = "none" if said is None else said
    return ValueError(
        f"{scope.place}.{file_name(name)}: {shown} is not allowed; allowed: {allowed}"
    )


# Neither says anything without the other.
_TOGETHER: Final = (
    ("concentration_max_bps", "concentration_from_microcents"),
    ("mark_jump_bps", "mark_confirm_ms"),
)


def _check_scope(scope: LimitScope) -> None:
    for low, high in (
        ("quantity_min", "quantity_max"),
        ("value_min_microcents", "value_max_microcents"),
    ):
        least, most = getattr(scope, low), getattr(scope, high)
        if isinstance(least, int) and isinstance(most, int) and least > most:
            raise ValueError(
                f"{scope.place}.{file_name(low)}: {least} is not allowed; allowed: up to "
                f"{file_name(high)}, {most}"
            )
    for key in KEYS:
        if scope.scope not in key.scopes and getattr(scope, key.name) is not UNSET:
            raise _misplaced(scope, key.name, f"in the scopes of {_SCOPES_WORDS[key.scopes]}")
    if scope.revalue_s is not UNSET and scope.revalue_bps is UNSET:
        words = "beside revalue_bps, without which no price is recorded"
        raise _misplaced(scope, "revalue_s", words)
    for name in ("require_reconciliation", "drop_copy_venues"):
        if getattr(scope, name) is not UNSET and scope.reconcile_s is UNSET:
            words = "beside reconcile_s, which says that there is a drop copy"
            raise _misplaced(scope, name, words)
    for names in _TOGETHER:
        for one, other in (names, names[::-1]):
            if getattr(scope, one) not in (UNSET, None) and getattr(scope, other) is UNSET:
                raise _misplaced(scope, one, f"beside {file_name(other)}")
    if scope.warn_percent is not UNSET and not any(
        isinstance(getattr(scope, name), int) for name in WARNED_KEYS
    ):
        raise _misplaced(scope, "warn_percent", f"beside {', '.join(map(file_name, WARNED_KEYS))}")
    _check_sessions(scope)
    if scope.name is not None:
        _check_named(scope)
    if scope.rates is UNSET:
        return
    if len(scope.rates) > RATES_MAX:
        raise ValueError(f"{scope.place}.rates: {len(scope.rates)}; allowed: up to {RATES_MAX}")
    for rate in scope.rates:
        if rate.kind == "executions" and rate.max > EXECUTIONS_MAX:
            raise ValueError(
                f"{scope.place}.rates: max {rate.max} of executions; allowed: 1 to {EXECUTIONS_MAX}"
            )
    windows = [(rate.kind, rate.window_ms) for rate in scope.rates]
    if len(set(windows)) != len(windows):
        raise ValueError(f"{scope.place}.rates: a kind has the same window_ms twice")


def _check_named(scope: LimitScope) -> None:
    """Of one of `NAMED_SCOPES` alone, and of what its orders say themselves."""
    assert scope.name is not None
    count = sum(getattr(scope, kind) is not UNSET for kind in NAMED_SCOPES)
    if scope.desk or scope.symbol or count > 1:
        raise ValueError(f"{scope.place}: names something else, too; allowed: one name")
    allowed = {*_OF_ORDERS, *_LISTS_OF_ORDERS, *NAMED_SCOPES, "desk", "symbol"}
    for name in scope.__struct_fields__:
        if name not in allowed and getattr(scope, name) is not UNSET:
            raise _misplaced(scope, name, "in other scopes")
    for rate in scope.rates or ():
        if rate.kind not in _RATES_OF_ORDERS:
            raise ValueError(
                f"{scope.place}.rates: {rate.kind} is not allowed; allowed: "
                f"{', '.join(_RATES_OF_ORDERS)}"
            )


def _check_sessions(scope: LimitScope) -> None:
    """Of the firm alone, and each venue once."""
    ends = scope.session_ends
    if ends is UNSET:
        return
    if scope.scope != Scope.FIRM:
        raise ValueError(f"{scope.place}.session_ends: allowed in the scopes of the firm alone")
    if len(ends) > NAMES_MAX:
        raise ValueError(f"{scope.place}.session_ends: {len(ends)}; allowed: up to {NAMES_MAX}")
    for one, other in pairwise(sorted(end.venue for end in ends)):
        if one == other:
            raise ValueError(f"{scope.place}.session_ends: venue {one} stands twice")


def revaluing(tree: Sequence[LimitScope]) -> tuple[int | None, int]:
    """When positions get another price: basis points, None where never; seconds, 0 where unsaid."""
    for scope in tree:
        if scope.scope == Scope.FIRM and scope.revalue_bps is not UNSET:
            return scope.revalue_bps, 0 if scope.revalue_s is UNSET else scope.revalue_s
    return None, 0


def digest_hex(scopes: Sequence[LimitScope]) -> str:
    """The digest of a normalized tree."""
    return hashlib.sha256(b"guardlim\0" + msgspec.json.encode(scopes)).hexdigest()
