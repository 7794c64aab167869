"""Each desk's exposure through the last day, as its balances were seen, in rows. Pure.

Owns the rows of every desk: for each bucket in which the balances moved the peaks seen of what was
held and of what was held and spent together, and how they stood at its end, in the columns of the
report (`guard.audit.exposure.COLUMNS`), so that the same charts draw both. What moved between two
looks is not seen.

Bounded: buckets whose width grows with the time that there is to show, up to a day, and with the
number of desks, in plain arrays of integers. What is older than a day is forgotten, but for how a
desk stood then.
"""

from array import array
from typing import Any, Final

from guard.admin.messages import DeskLine
from guard.observe.series import MINUTE_NS, SECOND_NS

DAY_NS: Final = 24 * 60 * MINUTE_NS
# Each divides the next.
WIDTHS_NS: Final = tuple(seconds * SECOND_NS for seconds in (5, 15, 30, 60, 120, 600, 1_800, 3_600))
# Of a desk; a chart has no more places. Two minutes each for a day.
BUCKETS_MAX: Final = 720
# All desks together: 28 MB.
ROWS_MAX: Final = 500_000
COLUMNS: Final = 7  # begin, two peaks, held, spent, granted, cap (0: none)


class DayExposure:
    """The exposures of all desks, told of each look."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self.width_ns = WIDTHS_NS[0]
        self._rows_max = rows_max
        self._first_ns: int | None = None
        self._desks: dict[str, array[int]] = {}

    def note(self, line: DeskLine, at_ns: int) -> None:
        """Takes down how a desk stands at that time."""
        self._first_ns = at_ns if self._first_ns is None else min(self._first_ns, at_ns)
        if line.desk not in self._desks:
            self._desks[line.desk] = array("q")
        self._widen(at_ns - self._first_ns)
        rows = self._desks[line.desk]
        held, spent = line.held_microcents, line.spent_microcents
        stands = (held, spent, line.granted_microcents, line.max_reserved_microcents or 0)
        if rows and tuple(rows[-4:]) == stands:
            return
        begin = at_ns // self.width_ns * self.width_ns
        used = held + spent
        if rows and begin <= rows[-COLUMNS]:
            rows[-6] = max(rows[-6], held)
            rows[-5] = max(rows[-5], used)
            rows[-4:] = array("q", stands)
            return
        if rows:  # it stood so when the bucket began
            held_before, spent_before = rows[-4], rows[-3]
            peaks = (max(held, held_before), max(used, held_before + spent_before))
        else:
            peaks = (held, used)
        rows.extend((begin, *peaks, *stands))
        self._forget(rows, begin - DAY_NS)

    def _forget(self, rows: "array[int]", before_ns: int) -> None:
        """Drops what ended before then, a good part at a time; the last of it stays."""
        count = len(rows) // COLUMNS
        old = 0
        while old + 1 < count and rows[(old + 1) * COLUMNS] <= before_ns:
            old += 1
        if old > count // 8:
            del rows[: old * COLUMNS]

    def _widen(self, span_ns: int) -> None:
        """Takes wider buckets where there would be too many."""
        span_ns = min(span_ns, DAY_NS)
        most = min(BUCKETS_MAX, self._rows_max // len(self._desks))
        while span_ns // self.width_ns > most and self.width_ns < WIDTHS_NS[-1]:
            self.width_ns = next(width for width in WIDTHS_NS if width > self.width_ns)
            for desk, rows in self._desks.items():
                self._desks[desk] = _merged(rows, self.width_ns)

    def keep_only(self, desks: set[str]) -> None:
        """Forgets the desks that are no more, as where another log is served now."""
        for desk in self._desks.keys() - desks:
            del self._desks[desk]

    def series(self, desk: str, until_ns: int) -> list[list[Any]]:
        """The desk's rows of the last day, in time order, as the report has them."""
        rows = self._desks.get(desk)
        if rows is None:
            return []
        first_ns = (until_ns - DAY_NS) // self.width_ns * self.width_ns
        found: list[list[Any]] = []
        for at in range(0, len(rows), COLUMNS):
            begin, held_peak, used_peak, held, spent, granted, cap = rows[at : at + COLUMNS]
            stands = [held, spent, granted, cap or None]
            if begin <= first_ns:
                found = [[first_ns, held, held + spent, *stands]]
            else:
                found.append([begin, held_peak, used_peak, *stands])
        return found


def _merged(rows: "array[int]", width_ns: int) -> "array[int]":
    made = array("q")
    for at in range(0, len(rows), COLUMNS):
        row = rows[at : at + COLUMNS]
        begin = row[0] // width_ns * width_ns
        if made and made[-COLUMNS] == begin:
            made[-6] = max(made[-6], row[1])
            made[-5] = max(made[-5], row[2])
            made[-4:] = row[3:]
        else:
            row[0] = begin
            made.extend(row)
    return made
