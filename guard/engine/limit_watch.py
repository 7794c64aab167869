"""Which limits are nearly used: a scope's `warn_percent`, an alarm and no refusal. Pure.

Owns the rule (`guard/PROTOCOL.md`, 3.5): of each limit that a scope with a `warn_percent` says
itself, of what that scope has (exposure, a day's loss), or of the positions and the open orders of
the desks that it covers, an alarm begins once so much of it is used, and ends once a twentieth less
than that is. No decision asks, and no record says so. Rates are no levels, and have none.

How it works: a step looks at so many places (a scope, a desk, a row of positions), the next one
goes on behind them; so however many there are, no request waits long for it.

How it fails: it does not.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from guard.engine.limit_use import Place, SaidByName, Use, of_all
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
        """All once."""
        percents = {scope.place: scope.warn_percent for scope in self._scopes}
        for uses in of_all(self._state, SaidByName(self._scopes)):
            yield list(_told(uses, percents))


def _told(uses: Iterable[Use], percents: dict[str, Any]) -> Iterator[Nearly]:
    """Of those what is a level, where the limit allows anything."""
    for use in uses:
        if use.place[1] in _WARNED and use.most > 0:
            yield Nearly(use.place, use.used, use.most, percents[use.place[0]])
