"""Which order took the place of which: an order of the same size that arrives in its stead. Pure.

Owns the guess of when a refused order would have been canceled, had it been admitted. Who quotes
cancels and enters the same size anew, so an order of that symbol, side and quantity which arrives
with no recorded cancel just before it replaces one that the log shows no cancel of: the oldest
refused one of that kind. So as many orders leave as arrive, whatever their sizes.

Bounded: of the waiting ones beyond `WAITING_MAX` the oldest go, and cancels older than `GAP_NS`.
"""

from collections import deque
from typing import Any, Final, TypeAlias, TypeVar

# What may replace each other: desk (empty where any may), symbol, side, quantity.
Kind: TypeAlias = tuple[str, str, int, int]
_Queued = TypeVar("_Queued")

# So long after a cancel its replacement arrives. Who quotes takes some milliseconds; the recorded
# flow of `guard/data` shows nothing more beyond a fifth of a second than chance gives.
GAP_NS: Final = 200_000_000
# Some 40 MB of them; more refused orders wait for a replacement only in a day of refusals.
WAITING_MAX: Final = 262_144


class Replacements:
    """Told of arrivals and cancels in the log's order; says which waiting order is replaced."""

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._waiting_max = waiting_max
        self._waiting: dict[Kind, deque[tuple[int, Any]]] = {}
        self._in_order: deque[tuple[Kind, Any]] = deque()  # those that waited, taken ones too
        self._canceled_ns: dict[Kind, deque[int]] = {}
        self._cancels: deque[tuple[int, Kind]] = deque()

    def canceled(self, kind: Kind, at_ns: int) -> None:
        """An admitted order of that kind was canceled: its replacement may follow."""
        self._canceled_ns.setdefault(kind, deque()).append(at_ns)
        self._cancels.append((at_ns, kind))

    def arrived(self, kind: Kind, at_ns: int) -> tuple[int, Any] | None:
        """An order of that kind arrived: since when the one that it replaces had waited, and it."""
        while self._cancels and self._cancels[0][0] < at_ns - GAP_NS:
            self._forget_cancel(*self._cancels.popleft())
        if kind in self._canceled_ns:
            self._take_first(self._canceled_ns, kind)
            return None
        return self._take_first(self._waiting, kind) if kind in self._waiting else None

    def wait(self, kind: Kind, at_ns: int, order: Any) -> None:
        """An order whose cancel the log does not show waits from now on."""
        self._waiting.setdefault(kind, deque()).append((at_ns, order))
        self._in_order.append((kind, order))
        if len(self._in_order) > self._waiting_max:
            oldest_kind, oldest = self._in_order.popleft()
            waiting = self._waiting.get(oldest_kind)
            if waiting and waiting[0][1] == oldest:
                self._take_first(self._waiting, oldest_kind)

    def _forget_cancel(self, at_ns: int, kind: Kind) -> None:
        left = self._canceled_ns.get(kind)
        if left and left[0] == at_ns:
            self._take_first(self._canceled_ns, kind)

    @staticmethod
    def _take_first(queues: dict[Kind, deque[_Queued]], kind: Kind) -> _Queued:
        queue = queues[kind]
        first = queue.popleft()
        if not queue:
            del queues[kind]
        return first
