"""How much of each limit was used through a day: the most, when, and the course. Pure.

Owns one line for each limit and each who uses it (`guard.engine.limit_use.Place`): the most that
was used of what it allowed then, with the record that came to it; and of what stands used until it
is less again, a row for each time bucket in which that or the bound changed. A limit that nothing
of is allowed is used beyond all measure by anything.

Bounded: those that used the most of theirs are kept, at least `LINES_MAX` of them, with exactly
the most that they used; how many others there are, whoever fills in the end counts. The course of
one that came to be among them late begins there. All courses share one width, which grows with the
span and where their rows are too many together.
"""

from collections.abc import Iterable
from typing import Any, Final

from guard.audit.formats import WHOLE_SHARE
from guard.audit.timegrid import TimeGrid
from guard.engine.limit_use import Place

# Twice as many are kept at times; far more than anybody reads, and some MB.
LINES_MAX: Final = 2_000
# About 40 MB of rows at most, as in `guard.audit.exposure`.
ROWS_MAX: Final = 200_000
# The share of a limit that allows nothing.
BEYOND_ALL: Final = 2**62
NO_BOUND: Final = -1

COLUMNS: Final = ("used_peak", "used", "bound")


def share_of(used: int, most: int) -> int:
    """How much of a limit is used, in millionths, rounded down."""
    if most <= 0:
        return BEYOND_ALL if used > 0 else 0
    return used * WHOLE_SHARE // most


class UseLine:
    """One limit and one who uses it. `used` and `most` as they were noted last; `peak_`: the most
    of what was allowed then; the record and its time are None where it was so from the start."""

    __slots__ = (
        "most", "peak_at_ns", "peak_most", "peak_sequence", "peak_share", "peak_used", "place",
        "rows", "used",
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        self.place = place
        self.used = 0
        self.most = NO_BOUND
        self.peak_used = self.peak_most = 0
        self.peak_share = -1
        self.peak_sequence: int | None = None
        self.peak_at_ns: int | None = None
        self.rows: dict[int, list[Any]] = {}


class UseLines:
    """All of them."""

    def __init__(self, lines_max: int = LINES_MAX, rows_max: int = ROWS_MAX) -> None:
        self._lines: dict[Place, UseLine] = {}
        self._lines_max, self._rows_max = lines_max, rows_max
        self._floor = -1  # the share of the greatest that was left out
        self._row_count = 0
        self._grid = TimeGrid(self._merge_rows)

    @property
    def bucket_width_ns(self) -> int:
        """The width of a bucket, the same for all."""
        return self._grid.width_ns

    @property
    def places(self) -> list[Place]:
        """Of those that are kept."""
        return list(self._lines)

    def note(
        self,
        place: Place,
        used: int,
        most: int,
        sequence: int | None,
        at_ns: int,
        is_standing: bool = True,
    ) -> None:
        """Behind that record so much of the limit is used; None: so it was before any is known."""
        line = self._lines.get(place)
        if line is None:
            if self._floor >= 0 and share_of(used, most) <= self._floor:
                return
            line = self._lines[place] = UseLine(place)
        elif line.used == used and line.most == most:
            return  # as it was
        share = share_of(used, most)
        if share > line.peak_share:
            line.peak_share, line.peak_used, line.peak_most = share, used, most
            line.peak_sequence = sequence
            line.peak_at_ns = None if sequence is None else at_ns
        if is_standing:
            self._note_row(line, used, most, at_ns)
        line.used, line.most = used, most
        if len(self._lines) > 2 * self._lines_max:
            self._prune()

    def _note_row(self, line: UseLine, used: int, most: int | None, at_ns: int) -> None:
        index = self._grid.index_of(at_ns)
        row = line.rows.get(index)
        if row is None:
            # What stood when the bucket began counts for its peak, too.
            line.rows[index] = [max(line.used, used), used, most]
            self._row_count += 1
            if self._row_count > self._rows_max:
                self._coarsen()
        else:
            row[:] = max(row[0], used), used, most

    def end(self, places: Iterable[Place], at_ns: int) -> None:
        """These limits bound nothing from here on; what was used of them stays."""
        for place in places:
            line = self._lines.get(place)
            if line is not None and line.most != NO_BOUND:
                if line.rows:
                    self._note_row(line, line.used, None, at_ns)
                line.most = NO_BOUND

    @property
    def is_full(self) -> bool:
        """Were any left out?"""
        return self._floor >= 0

    def _prune(self) -> None:
        """Keeps those that used the most."""
        ordered = sorted(self._lines.values(), key=_rank)
        self._floor = max(self._floor, ordered[self._lines_max].peak_share)
        self._lines = {line.place: line for line in ordered[: self._lines_max]}
        self._row_count = sum(len(line.rows) for line in self._lines.values())

    def _coarsen(self) -> None:
        # Below one row a line there is nothing to merge.
        while self._row_count > max(self._rows_max, len(self._lines)):
            self._grid.coarsen()

    def _merge_rows(self, factor: int) -> None:
        for line in self._lines.values():
            merged: dict[int, list[Any]] = {}
            for index in sorted(line.rows):
                row = line.rows[index]
                into = merged.get(index // factor)
                if into is None:
                    merged[index // factor] = row
                else:
                    into[:] = max(into[0], row[0]), row[1], row[2]
            line.rows = merged
        self._row_count = sum(len(line.rows) for line in self._lines.values())

    def listed(self) -> list[UseLine]:
        """Those that are kept, who used the most of theirs first."""
        return sorted(self._lines.values(), key=_rank)

    def rows_of(self, place: Place) -> list[list[Any]]:
        """A line's rows in time order: the bucket's start in ns, then `COLUMNS`."""
        line, width_ns = self._lines.get(place), self._grid.width_ns
        rows = {} if line is None else line.rows
        return [[index * width_ns, *rows[index]] for index in sorted(rows)]


def _rank(line: UseLine) -> tuple[int, Place]:
    return -line.peak_share, line.place
