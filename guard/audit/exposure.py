"""Each desk's exposure through the day: what it held and had spent, against cap and grant. Pure.

Owns one row per desk and time bucket in which its ledger line changed: the peak of what was held,
the peak of what was held and spent together, and how the line stood at the bucket's end. Merging
buckets keeps the peaks, so that downsampling never hides one; the highest of each desk are kept
exactly as well, with the record that made them.

Bounded: all desks share one width, and where their rows are too many together it grows. In the end
a desk has at least one row, so desks bound the memory, as they bound the ledger itself.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from guard.audit.timegrid import TimeGrid
from guard.state import GuardState
from kernel import BudgetEngine

# About 60 MB of rows at most, and far more than a page can draw.
ROWS_MAX: Final = 200_000

COLUMNS: Final = (
    "held_peak_microcents",
    "used_peak_microcents",
    "held_microcents",
    "spent_microcents",
    "granted_microcents",
    "cap_microcents",
)
_HELD_PEAK, _USED_PEAK, _HELD, _SPENT, _GRANTED, _CAP = range(6)

Row = list[int | None]


@dataclass(slots=True)
class DeskExposure:
    """A desk's rows by bucket, and its highest exposures with the sequences that reached them."""

    rows: dict[int, list[Any]] = field(default_factory=dict)
    held_peak_microcents: int = 0
    held_peak_sequence: int | None = None
    used_peak_microcents: int = 0
    used_peak_sequence: int | None = None


class ExposureBook:
    """The exposures of all desks, told of each record that moved a ledger line."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self.desks: dict[str, DeskExposure] = {}
        self._rows_max = rows_max
        self._row_count = 0
        self._grid = TimeGrid(self._merge_rows)
        self._index = self._from_ns = self._until_ns = 0

    @property
    def bucket_width_ns(self) -> int:
        """The width of a bucket, the same for all desks."""
        return self._grid.width_ns

    def note(self, desk: str, ledger: BudgetEngine, sequence: int, at_ns: int) -> None:
        """Takes down how the desk's ledger line stands behind record `sequence`."""
        tenant = ledger.line(desk)
        if tenant is None:
            return  # a fill for a desk that the log does not know: nothing can have moved
        held, spent, granted, cap = tenant.reserved, tenant.committed, tenant.initial, tenant.cap
        used = held + spent
        line = self.desks.get(desk)
        if line is None:
            line = self.desks[desk] = DeskExposure()
        if held > line.held_peak_microcents:
            line.held_peak_microcents, line.held_peak_sequence = held, sequence
        if used > line.used_peak_microcents:
            line.used_peak_microcents, line.used_peak_sequence = used, sequence
        if not self._from_ns <= at_ns < self._until_ns:
            self._turn_to(at_ns)
        index = self._index
        row = line.rows.get(index)
        if row is None:
            line.rows[index] = [held, used, held, spent, granted, cap or None]
            self._row_count += 1
            if self._row_count > self._rows_max:
                self._coarsen()
            return
        if held > row[_HELD_PEAK]:
            row[_HELD_PEAK] = held
        if used > row[_USED_PEAK]:
            row[_USED_PEAK] = used
        row[_HELD:] = held, spent, granted, cap or None

    def _turn_to(self, at_ns: int) -> None:
        """The bucket of that time is the one at hand; it stays so until the buckets are merged."""
        self._index = self._grid.index_of(at_ns)
        self._from_ns = self._index * self._grid.width_ns
        self._until_ns = self._from_ns + self._grid.width_ns

    def seed(self, state: GuardState, sequence: int, at_ns: int) -> None:
        """Takes down every desk: where a range begins, their lines are already what they are."""
        for desk in state.desks:
            self.note(desk, state.ledger, sequence, at_ns)

    def _coarsen(self) -> None:
        # Below one row a desk there is nothing to merge.
        while self._row_count > max(self._rows_max, len(self.desks)):
            self._grid.coarsen()

    def _merge_rows(self, factor: int) -> None:
        self._until_ns = 0
        for line in self.desks.values():
            merged: dict[int, list[Any]] = {}
            for index in sorted(line.rows):
                row = line.rows[index]
                into = merged.get(index // factor)
                if into is None:
                    merged[index // factor] = row
                    continue
                into[_HELD_PEAK] = max(into[_HELD_PEAK], row[_HELD_PEAK])
                into[_USED_PEAK] = max(into[_USED_PEAK], row[_USED_PEAK])
                into[_HELD:] = row[_HELD:]
            line.rows = merged
        self._row_count = sum(len(line.rows) for line in self.desks.values())

    def series(self, desk: str) -> list[list[Any]]:
        """The desk's rows in time order: bucket start in ns, then `COLUMNS`."""
        line = self.desks.get(desk)
        rows = {} if line is None else line.rows
        return [[index * self._grid.width_ns, *rows[index]] for index in sorted(rows)]
