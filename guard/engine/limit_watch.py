"""Which limits are nearly used: a scope's `warn_percent`, an alarm and no refusal. Pure.

Owns the rule (`guard/PROTOCOL.md`, 3.5): of each limit that a scope with a `warn_percent` says
itself, of what that scope has (exposure, a day's loss), or of the positions and the open orders of
the desks that it covers, an alarm begins once so much of it is used, and ends once a twentieth less
than that is. No decision asks, and no record says so. Rates are no levels, and have none.

How it works: a step looks at so many places (a scope, a desk, a row of positions), the next one
goes on behind them; so however many there are, no request waits long for it.

How it fails: it does not.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from msgspec import UNSET

from guard.engine.positions import BUY, SELL
from guard.engine.state import GuardState
from guard.protocol.limits import (
    DAY_LOSS_MAX,
    KEYS,
    OWN_KEYS,
    WARNED_KEYS,
    LimitScope,
    Scope,
    file_name,
)

_END_OF_100: Final = 95  # an alarm ends a twentieth below where it begins
_LOSS: Final = KEYS[DAY_LOSS_MAX].name
_OWN: Final = tuple(
    (number, key.name) for number, key in enumerate(OWN_KEYS) if key.name in WARNED_KEYS
)
_POSITIONS: Final = (("position_long_max", BUY), ("position_short_max", SELL))
_OPEN_ORDERS: Final = "open_orders_max"

# Where the limit is said, its name in a file, and of which desk and symbol (empty: all) it is used.
Place: TypeAlias = tuple[str, str, str, str]


class Nearly(NamedTuple):
    """A limit of which so much is used, and from how many percent on that is told."""

    place: Place
    used: int
    most: int
    percent: int

    @property
    def words(self) -> str:
        """For people: what is used of which limit, and by whom."""
        said, name, desk, symbol = self.place
        of = f"desk {desk} in {symbol}" if desk and symbol else f"desk {desk}" if desk else symbol
        whose = f" by {of}" if of else ""
        return f"{said}.{name}{whose}: {self.used * 100 // self.most} % used"


class LimitWatch:
    """See the module. `near`: what is nearly used, as it was when it was looked at last."""

    def __init__(self, state: GuardState, places_max: int) -> None:
        """`places_max`: how many a step looks at."""
        self._state, self._places_max = state, places_max
        self.near: dict[Place, Nearly] = {}
        self._scopes: list[LimitScope] = []
        self._tree: list[LimitScope] = []
        self._places: Iterator[list[Nearly]] = iter(())

    def step(self) -> tuple[list[Nearly], list[Nearly]]:
        """Looks at the next places: what is nearly used from now on, and what no more."""
        over: list[Nearly] = []
        if self._state.limits.tree is not self._tree:
            over += self._take_tree()
        if not self._scopes:
            return [], over
        fresh: list[Nearly] = []
        looked_at = 0
        for found in islice(self._places, self._places_max):
            looked_at += 1
            for one in found:
                self._note(one, fresh, over)
        if looked_at < self._places_max:
            self._places = self._all_places()
        return fresh, over

    def _take_tree(self) -> list[Nearly]:
        """Other limits: what is said no more is nearly used no more."""
        self._tree = self._state.limits.tree
        self._scopes = [scope for scope in self._tree if scope.warn_percent is not UNSET]
        self._places = self._all_places()
        said = {
            (scope.place, file_name(name))
            for scope in self._scopes
            for name in WARNED_KEYS
            if isinstance(getattr(scope, name), int)
        }
        gone = [place for place in self.near if place[:2] not in said]
        return [self.near.pop(place) for place in gone]

    def _note(self, one: Nearly, fresh: list[Nearly], over: list[Nearly]) -> None:
        used, begins = one.used * 100, one.most * one.percent
        if one.place in self.near:
            self.near[one.place] = one
            if used * 100 < begins * _END_OF_100:
                over.append(self.near.pop(one.place))
        elif used >= begins:
            self.near[one.place] = one
            fresh.append(one)

    def _all_places(self) -> Iterator[list[Nearly]]:
        """All once: scopes, then desks, then rows of positions."""
        state, scopes = self._state, self._scopes
        for scope in scopes:
            yield _of_scope(state, scope)
        of_desks = {scope.desk: scope for scope in scopes if not scope.symbol}
        if any(isinstance(scope.open_orders_max, int) for scope in of_desks.values()):
            for desk in list(state.desks):
                yield _of_desk(state, of_desks, desk)
        limited = [
            scope
            for scope in scopes
            if any(isinstance(getattr(scope, name), int) for name, _ in _POSITIONS)
        ]
        if not limited:
            return
        by_name = {(scope.desk, scope.symbol): scope for scope in limited}
        desks = {desk.share: desk.name for desk in state.desks.values()}
        symbols = list(state.positions.symbols)
        for row in range(state.positions.count):
            number, symbol = state.positions.key_of(row)
            yield _of_row(state, by_name, row, desks.get(number, ""), symbols[symbol])


def _nearly(scope: LimitScope, name: str, desk: str, symbol: str, used: int) -> Iterator[Nearly]:
    """What is used of the limit of that name, where the scope says it and it allows anything."""
    most, percent = getattr(scope, name), scope.warn_percent
    if isinstance(most, int) and most > 0 and isinstance(percent, int):
        place = (scope.place, file_name(name), desk, symbol)
        yield Nearly(place, max(used, 0), most, percent)


def _of_scope(state: GuardState, scope: LimitScope) -> list[Nearly]:
    """What the scope itself has."""
    exposure, found = state.positions.exposure, list[Nearly]()
    is_known = (not scope.desk or scope.desk in state.desks) and (
        not scope.symbol or scope.symbol in state.positions.symbols
    )
    if not exposure.is_on or not is_known:
        return found
    for number, name in _OWN:
        if name == _LOSS:
            used = -state.day_profit(scope.desk, scope.symbol)
        elif scope.scope == Scope.SYMBOL:
            used = exposure.book(state.positions.symbols[scope.symbol]).figure(number)
        elif scope.scope == Scope.DESK:
            used = exposure.desk(state.desks[scope.desk].share).figure(number)
        else:
            used = exposure.firm.figure(number)
        found += _nearly(scope, name, "", "", used)
    return found


def _of_desk(state: GuardState, scopes: dict[str, LimitScope], desk: str) -> list[Nearly]:
    """Of each limit of open orders that covers a desk."""
    used = state.orders.shares.of(state.desks[desk].share).open_count
    said = (scopes[name] for name in ("", desk) if name in scopes)
    return [one for scope in said for one in _nearly(scope, _OPEN_ORDERS, desk, "", used)]


def _of_row(
    state: GuardState, scopes: dict[tuple[str, str], LimitScope], row: int, desk: str, symbol: str
) -> list[Nearly]:
    """Of each limit of positions that covers a desk in a symbol: with all that works."""
    kept, found = state.positions, list[Nearly]()
    position = kept.position(row)
    for name in (("", ""), (desk, ""), ("", symbol), (desk, symbol)):
        scope = scopes.get(name)
        if scope is not None:
            for key, side in _POSITIONS:
                used = (position if side == BUY else -position) + kept.working(row, side)
                found += _nearly(scope, key, desk, symbol, used)
    return found
