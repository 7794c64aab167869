"""Tells the operator what fills and executions have not met in time (`guard/PROTOCOL.md`, 14).

Owns the look at what waits (`guard.engine.executions`), once a second and at so many at a time: an
unconfirmed fill, and an execution whose fill has not come, are overdue once the `reconcile_s` that
counts for their desk is over. Each is told once, the first few of a second in words and the rest in
number.

How it fails: it does not, but for what `alarm` raises.
"""

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Final

from guard.engine.state import GuardState
from guard.process.line_forms import told
from guard.protocol.limits import RECONCILE, UNSAID
from guard.protocol.ranges import NANOSECONDS_PER_SECOND

LOOKED_AT_MAX: Final = 2_000  # in a second
TOLD_MAX: Final = 8  # in a second, in words


class Reconciling:
    """What was found of a state's executions."""

    def __init__(
        self, state: GuardState, wall_ns: Callable[[], int], alarm: Callable[[str], None]
    ) -> None:
        self._state, self._wall_ns, self._alarm = state, wall_ns, alarm
        self._told: set[bytes] = set()
        self._at = 0

    def look(self) -> None:
        """Once a second."""
        kept, now_ns = self._state.executions, self._wall_ns()
        count = len(kept.unconfirmed) + len(kept.unreported)
        self._told &= kept.unconfirmed.keys() | kept.unreported.keys() if self._told else set()
        if not count:
            return
        self._at = 0 if self._at >= count else self._at
        found = [
            (what, key)
            for what, key, at_ns in islice(
                _waiting(self._state), self._at, self._at + LOOKED_AT_MAX
            )
            if key not in self._told and is_overdue(self._state, key, at_ns, now_ns)
        ]
        self._at += LOOKED_AT_MAX
        self._told.update(key for _, key in found)
        for what, key in found[:TOLD_MAX]:
            name = key.decode().replace("\0", "/")
            text = f"{what} {name} in time: `pretrade-guard admin reconcile` lists what has not met"
            self._alarm(told("unreconciled", text, trade=name))
        if len(found) > TOLD_MAX:
            text = f"{len(found) - TOLD_MAX} more fills and executions have not met in time"
            self._alarm(told("unreconciled", text))


def _waiting(state: GuardState) -> Iterator[tuple[str, bytes, int]]:
    kept = state.executions
    return chain(
        (("no drop copy confirms fill", key, fill.at_ns) for key, fill in kept.unconfirmed.items()),
        (("no fill reports execution", key, one.at_ns) for key, one in kept.unreported.items()),
    )


def overdue_count(state: GuardState, now_ns: int) -> int:
    """How many of the first so many that wait are overdue (LOOKED_AT_MAX)."""
    first = islice(_waiting(state), LOOKED_AT_MAX)
    return sum(is_overdue(state, key, at_ns, now_ns) for _, key, at_ns in first)


def is_overdue(state: GuardState, key: bytes, at_ns: int, now_ns: int) -> bool:
    """Has it waited for longer than its desk's `reconcile_s`? Never where none is said."""
    desk = state.desks.get(key[: key.index(b"\0")].decode())
    if desk is None:
        return False
    within_s = state.limits.effective(desk.limit_class, 0).value(RECONCILE)
    return within_s != UNSAID and now_ns - at_ns > within_s * NANOSECONDS_PER_SECOND
