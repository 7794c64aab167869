"""How many orders of one desk, symbol and side were filled lately: what a latch goes by. Pure.

Owns the count that RTS 6 article 15(3) asks for. An order counts once, with its first fill, at the
log's count of time that the fill's record says. More than `max` of them within any half-open window
of the length that a rate of executions says (`guard.protocol.limits`) are one too many: whoever
applies the record sets the latch then, and the count begins anew.

Of each desk, symbol and side the times of the last few are kept, as many as the largest rate
allows; one of which the longest window is over is forgotten with the next that is noted. So there
are never more than those that were filled within it.

How it fails: `ValueError` for a dump that cannot be.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from guard.protocol.limits import EXECUTIONS_MAX
from kernel import InvariantError

_NS_PER_MS: Final = 1_000_000

# The numbers of desk and symbol, the side.
Key: TypeAlias = tuple[int, int, int]
# The same, and the times.
RepeatedEntry: TypeAlias = tuple[int, int, int, list[int]]


class Repeated:
    """All counts. `window_ns`: the longest of any rate; 0: nothing is counted."""

    def __init__(self) -> None:
        self.window_ns = 0
        self._times: dict[Key, list[int]] = {}  # the one that was noted last stands last

    def __len__(self) -> int:
        return len(self._times)

    def forget(self) -> None:
        """Nothing is asked any more."""
        self._times.clear()

    def used(self, key: Key, elapsed_ns: int, window_ms: int) -> int:
        """How many count within the window that ends then."""
        since_ns = elapsed_ns - window_ms * _NS_PER_MS
        return sum(at_ns > since_ns for at_ns in self._times.get(key, ()))

    def note(self, key: Key, elapsed_ns: int) -> None:
        """One more order was filled then."""
        self._forget_old(elapsed_ns)
        times = self._times.pop(key, [])
        if times and elapsed_ns < times[-1]:
            raise InvariantError(f"an order is filled at {elapsed_ns}, behind one at {times[-1]}")
        times.append(elapsed_ns)
        del times[: -EXECUTIONS_MAX - 1]
        self._times[key] = times

    def begin_anew(self, key: Key) -> None:
        """A latch is set: what was counted for it counts no more."""
        self._times.pop(key, None)

    def _forget_old(self, elapsed_ns: int) -> None:
        old = []
        for key, times in self._times.items():
            if times[-1] > elapsed_ns - self.window_ns:
                break
            old.append(key)
        for key in old:
            del self._times[key]

    def entries(self) -> Iterator[RepeatedEntry]:
        """What is kept, in its order."""
        for (desk, symbol, side), times in self._times.items():
            yield desk, symbol, side, list(times)

    def load(self, entries: Iterable[RepeatedEntry], elapsed_ns: int) -> None:
        """What `entries` gave, of a log whose count of time that is."""
        last_ns = 0
        for desk, symbol, side, times in entries:
            key = desk, symbol, side
            is_sorted = times == sorted(times) and times and last_ns <= times[-1] <= elapsed_ns
            if key in self._times or side not in (0, 1) or not is_sorted or times[0] < 0:
                raise ValueError(f"repeated: {key} with {times} cannot be at {elapsed_ns}")
            if len(times) > EXECUTIONS_MAX + 1:
                raise ValueError(f"repeated: {len(times)} times; {EXECUTIONS_MAX} at most")
            self._times[key] = times
            last_ns = times[-1]
