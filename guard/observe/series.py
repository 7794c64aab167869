"""Counts and figures over time, in rings of a fixed length. Pure.

Owns one ring: rows for the last so many buckets of one width, a row of zeros (or of nothing) where
nothing came. A bucket that has left the ring is forgotten; what comes later than that for it is
dropped. Memory is what the length says, whatever comes.
"""

from typing import Final

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
# Ten minutes by the second, a day by the minute.
SECONDS_KEPT: Final = 600
MINUTES_KEPT: Final = 1_440

Value = int | None


class Ring:
    """Rows of equal width in time, the newest last."""

    def __init__(self, width_ns: int, length: int, empty: tuple[Value, ...]) -> None:
        """`empty`: the row of a bucket in which nothing came."""
        self.width_ns: Final = width_ns
        self._length = length
        self._empty = empty
        self._rows: list[list[Value]] = [list(empty) for _ in range(length)]
        self._first: int | None = None  # what was ever touched
        self._newest = 0

    def row(self, at_ns: int) -> list[Value] | None:
        """The row of that time, to be changed; None where the ring has gone beyond it."""
        index = at_ns // self.width_ns
        if self._first is None:
            self._first = self._newest = index
        elif index > self._newest:
            for passed in range(max(self._newest + 1, index - self._length + 1), index + 1):
                self._rows[passed % self._length][:] = self._empty
            self._newest = index
        elif index <= self._newest - self._length:
            return None
        else:
            self._first = min(self._first, index)
        return self._rows[index % self._length]

    def rows(self, until_ns: int, count: int | None = None) -> list[list[Value]]:
        """The rows up to that time's, which is left out: begin in ns, then the columns.

        `count`: no more than so many, the newest.
        """
        if self._first is None:
            return []
        end = until_ns // self.width_ns
        if end > self._newest + 1:
            self.row((end - 1) * self.width_ns)  # nothing has come since: zeros
        begin = max(self._first, self._newest - self._length + 1)
        if count is not None:
            begin = max(begin, end - count)
        return [
            [index * self.width_ns, *self._rows[index % self._length]]
            for index in range(begin, end)
        ]
