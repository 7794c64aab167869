"""How much of each limit is used as of now, and which are nearly used (`warn_percent`). Pure.

Owns the rule (`guard/PROTOCOL.md`, 3.5): of each limit that a scope with a `warn_percent` says
itself, of what that scope has (exposure, a day's loss), or of the positions and the open orders of
the desks that it covers, an alarm begins once so much of it is used, and ends once a twentieth less
than that is. No decision asks, and no record says so. Rates are no levels, and have none. And of
each key of limits, rates too, who uses the most of theirs (`worst`), whether or not it is told.

How it works: a step looks at so many places (a scope, a desk, a row of positions), the next one
goes on behind them; so however many there are, no request waits long for it.

How it fails: it does not.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from guard.engine.limit_use import (
    Place,
    SaidByName,
    Use,
    key_of,
    of_all,
    of_rates,
    used_ratio,
)
from guard.engine.state import GuardState
from guard.protocol.limits import WARNED_KEYS, LimitScope, file_name

_END_OF_100: Final = 95  # an alarm ends a twentieth below where it begins
_WARNED: Final = frozenset(map(file_name, WARNED_KEYS))


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
        self._tree: list[LimitScope] = []
        self._percents: dict[str, Any] = {}
        self._places: Iterator[list[Use]] = iter(())
        # By key: of the last look at all of them, and of the one that is under way.
        self._worst: dict[str, Use] = {}
        self._found: dict[str, Use] = {}

    def worst(self) -> list[Use]:
        """Of each key the greatest share that anybody uses of theirs, the greatest first."""
        found = [
            max(each, key=_share)
            for name in self._worst.keys() | self._found.keys()
            if (each := [of[name] for of in (self._worst, self._found) if name in of])
        ]
        return sorted(found, key=lambda use: (-_share(use), use.place))

    def step(self) -> tuple[list[Nearly], list[Nearly]]:
        """Looks at the next places: what is nearly used from now on, and what no more."""
        over: list[Nearly] = []
        if self._state.limits.tree is not self._tree:
            over += self._take_tree()
        if not self._tree:
            return [], over
        fresh: list[Nearly] = []
        looked_at = 0
        for found in islice(self._places, self._places_max):
            looked_at += 1
            for use in found:
                self._take(use)
            for one in _told(found, self._percents):
                self._note(one, fresh, over)
        if looked_at < self._places_max:
            self._places = self._all_places()
            self._worst, self._found = self._found, {}
        return fresh, over

    def _take(self, use: Use) -> None:
        name = key_of(use)
        known = self._found.get(name)
        if known is None or _share(use) > _share(known):
            self._found[name] = use

    def _take_tree(self) -> list[Nearly]:
        """Other limits: what is said no more is nearly used no more."""
        self._tree = self._state.limits.tree
        warned = [scope for scope in self._tree if scope.warn_percent is not UNSET]
        self._percents = {scope.place: scope.warn_percent for scope in warned}
        self._places = self._all_places()
        self._worst, self._found = {}, {}
        said = {
            (scope.place, file_name(name))
            for scope in warned
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

    def _all_places(self) -> Iterator[list[Use]]:
        """All once: rates, then what stands used."""
        said = SaidByName(self._tree)
        for each in said.all.values():
            if each.rates:
                yield list(of_rates(self._state, each, "", ""))
        yield from of_all(self._state, said)


def _share(use: Use) -> float:
    return used_ratio(use.used, use.most)


def _told(uses: Iterable[Use], percents: dict[str, Any]) -> Iterator[Nearly]:
    """Of those what is a level that is told, where the limit allows anything."""
    for use in uses:
        if use.place[0] in percents and use.place[1] in _WARNED and use.most > 0:
            yield Nearly(use.place, use.used, use.most, percents[use.place[0]])
