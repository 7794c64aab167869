"""Time buckets whose width grows with the span, so that a day or a decade fits in memory. Pure.

Owns the widths: a ladder from a millisecond to a week in which each width divides the next, then
doublings. Buckets are aligned to the epoch, so that a width of an hour begins at the full hour.
A bucket's index is `at_ns // width_ns`; coarsening by a factor divides the indices by it.

How it works: a grid knows the first and the last index that it gave out. Where a new one would
make the span too long, the grid takes the next width and tells its owner, who merges its rows.
"""

from collections.abc import Callable
from typing import Final

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000

# Enough for a chart as wide as a screen, and for a day by the minute.
BUCKETS_MAX: Final = 1_440

WIDTHS_NS: Final = (
    *(width * MILLISECOND_NS for width in (1, 2, 10, 20, 100, 200)),
    *(width * SECOND_NS for width in (1, 2, 10, 30, 60, 300, 900, 1_800, 3_600)),
    *(width * 3_600 * SECOND_NS for width in (4, 24, 168)),
)


class TimeGrid:
    """Gives times their bucket. `on_coarsen(factor)` must divide every index by `factor`."""

    __slots__ = ("_first", "_last", "_on_coarsen", "width_ns")

    def __init__(self, on_coarsen: Callable[[int], None]) -> None:
        self.width_ns = WIDTHS_NS[0]
        self._first: int | None = None
        self._last = 0
        self._on_coarsen = on_coarsen

    def index_of(self, at_ns: int) -> int:
        """The index of a time's bucket, once the grid is coarse enough for it."""
        index = at_ns // self.width_ns
        if self._first is None:
            self._first = self._last = index
        elif not self._first <= index <= self._last:
            self._first = min(self._first, index)
            self._last = max(self._last, index)
            while self._last - self._first >= BUCKETS_MAX:
                self.coarsen()
            index = at_ns // self.width_ns
        return index

    def coarsen(self) -> None:
        """Takes the next width."""
        wider = (width for width in WIDTHS_NS if width > self.width_ns)
        width_ns = next(wider, 2 * self.width_ns)
        factor = width_ns // self.width_ns
        self.width_ns = width_ns
        if self._first is not None:
            self._first //= factor
            self._last //= factor
        self._on_coarsen(factor)
