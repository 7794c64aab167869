# cython: annotation_typing=False, nonecheck=True
"""Each desk's exposure through the day: what it held and had spent, against cap and grant. Pure.

Owns one row per desk and time bucket in which its ledger line changed: the peak of what was held,
the peak of what was held and spent together, and how the line stood at the bucket's end. What the
line was when the bucket began counts for its peaks, too: it stood so until the first change.
Merging buckets keeps the peaks, so that downsampling never hides one; the highest of each desk are
kept exactly as well, with the record that made them. A record that moved nothing makes no row.

Bounded: all desks share one width, and where their rows are too many together it grows. In the end
a desk has at least one row, so desks bound the memory, as they bound the ledger itself.
"""

from typing import Any, Final

from guard.audit.timegrid import TimeGrid
from guard.engine.state import GuardState
from kernel.ledger import BudgetEngine
from kernel.ledger_lines import Tenant

# About 40 MB of rows at most, and far more than a page can draw.
ROWS_MAX: Final = 200_000

COLUMNS: Final = (
    "held_peak_microcents",
    "used_peak_microcents",
    "held_microcents",
    "spent_microcents",
    "granted_microcents",
    "cap_microcents",
)


class ExposureRow:
    """A desk's exposure in one bucket, in microcents: two peaks, then its end. `cap` 0: none."""

    __slots__ = ("cap", "granted", "held", "held_peak", "spent", "used_peak")

    def __init__(self, held: int, used: int) -> None:
        """`held`, `used`: how much it is when the bucket begins."""
        self.held_peak = held
        self.used_peak = used
        self.held = self.spent = self.granted = self.cap = 0

    def take(self, tenant: Tenant) -> None:
        """Takes down how the ledger line stands."""
        held, spent = tenant.reserved, tenant.committed
        if held > self.held_peak:
            self.held_peak = held
        if held + spent > self.used_peak:
            self.used_peak = held + spent
        self.held = held
        self.spent = spent
        self.granted = tenant.initial
        self.cap = tenant.cap

    def merge(self, later: "ExposureRow") -> None:
        """Takes in a bucket that follows."""
        self.held_peak = max(self.held_peak, later.held_peak)
        self.used_peak = max(self.used_peak, later.used_peak)
        self.held, self.spent = later.held, later.spent
        self.granted, self.cap = later.granted, later.cap

    def values(self) -> list[Any]:
        """As `COLUMNS` has them; no cap is None."""
        return [
            self.held_peak,
            self.used_peak,
            self.held,
            self.spent,
            self.granted,
            self.cap or None,
        ]


class DeskExposure:
    """A desk's rows by bucket, and its highest exposures with the sequences that reached them.

    `held`, `spent`, `granted` and `cap`: its ledger line as it was noted last, in microcents.
    """

    __slots__ = (
        "cap",
        "granted",
        "held",
        "held_peak_microcents",
        "held_peak_sequence",
        "rows",
        "spent",
        "used_peak_microcents",
        "used_peak_sequence",
    )

    def __init__(self) -> None:
        self.rows: dict[int, ExposureRow] = {}
        self.held_peak_microcents = self.used_peak_microcents = 0
        self.held_peak_sequence: int | None = None
        self.used_peak_sequence: int | None = None
        self.held = self.spent = self.granted = self.cap = 0

    def stands_as(self, tenant: Tenant) -> bool:
        """Is the ledger line what it was when it was noted last?"""
        return (
            self.held == tenant.reserved
            and self.spent == tenant.committed
            and self.granted == tenant.initial
            and self.cap == tenant.cap
        )


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
        line = self.desks.get(desk)
        if line is None:
            line = self.desks[desk] = DeskExposure()
        elif line.stands_as(tenant):
            return  # such as a fill of an unknown order, without a fee
        held = tenant.reserved
        used = held + tenant.committed
        if held > line.held_peak_microcents:
            line.held_peak_microcents = held
            line.held_peak_sequence = sequence
        if used > line.used_peak_microcents:
            line.used_peak_microcents = used
            line.used_peak_sequence = sequence
        if not self._from_ns <= at_ns < self._until_ns:
            self._turn_to(at_ns)
        row = line.rows.get(self._index)
        is_new = row is None
        if row is None:
            row = line.rows[self._index] = ExposureRow(line.held, line.held + line.spent)
        row.take(tenant)
        line.held, line.spent = held, tenant.committed
        line.granted, line.cap = tenant.initial, tenant.cap
        if is_new:
            self._row_count += 1
            if self._row_count > self._rows_max:
                self._coarsen()

    def _turn_to(self, at_ns: int) -> None:
        """The bucket of that time is the one at hand; it stays so until the buckets are merged."""
        self._index = self._grid.index_of(at_ns)
        self._from_ns = self._index * self._grid.width_ns
        self._until_ns = self._from_ns + self._grid.width_ns

    def seed(self, state: GuardState, sequence: int, at_ns: int) -> None:
        """Takes down every desk: where a range begins, their lines are already what they are.

        No record of the range is known to have made them so.
        """
        for desk in state.desks:
            self.note(desk, state.ledger, sequence, at_ns)
        for line in self.desks.values():
            line.held_peak_sequence = line.used_peak_sequence = None

    def _coarsen(self) -> None:
        # Below one row a desk there is nothing to merge.
        while self._row_count > max(self._rows_max, len(self.desks)):
            self._grid.coarsen()

    def _merge_rows(self, factor: int) -> None:
        self._until_ns = 0
        for line in self.desks.values():
            merged: dict[int, ExposureRow] = {}
            for index in sorted(line.rows):
                row = line.rows[index]
                into = merged.get(index // factor)
                if into is None:
                    merged[index // factor] = row
                else:
                    into.merge(row)
            line.rows = merged
        self._row_count = sum(len(line.rows) for line in self.desks.values())

    def series(self, desk: str) -> list[list[Any]]:
        """The desk's rows in time order: bucket start in ns, then `COLUMNS`."""
        line = self.desks.get(desk)
        rows = {} if line is None else line.rows
        return [[index * self._grid.width_ns, *rows[index].values()] for index in sorted(rows)]
