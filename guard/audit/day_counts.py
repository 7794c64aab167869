# cython: annotation_typing=False, nonecheck=True
"""The counts that every order and fill of a day changes: one function for each. Pure.

Owns what is counted once a record: time and batch, the timeline, latencies, gates, exposures, and
orders that are alike, which go into `guard.audit.answers` when they are too many kinds, and at the
end. `guard.audit.day_requests` calls them with what stands in a request and its outcome.

Sums of money and of times are Python's integers in both forms: no day overflows them.
"""

from typing import Any, Final

from guard import histogram
from guard.audit.answers import AnswerTables
from guard.audit.exposure import ExposureBook
from guard.audit.histogram import PRECISION_BITS, Histogram
from guard.audit.timegrid import TimeGrid
from guard.engine.state import GuardState
from guard.protocol.messages import I64_MAX
from kernel.layout import TRACE

# Kinds of orders that are counted in bulk; some 20 MB at most.
ALIKE_MAX: Final = 50_000

TIMELINE_COLUMNS: Final = (
    "admitted",
    "rejected_order",
    "rejected_kernel",
    "rejected_ledger",
    "fills",
    "cancels",
)
# An admission has no stage.
COLUMN_OF_STAGE: Final = {"": 0, "order": 1, "kernel": 2, "ledger": 3}
FILLS, CANCELS = 4, 5

_FILLS, _CANCELS = FILLS, CANCELS
_GATES = len(TRACE.field_names)
_PRECISION_BITS = PRECISION_BITS
_LATENCY_NS_MAX = I64_MAX
# What is longer is no latency: a clock that was never set, or a request that was kept back. One
# `sent_at_ns` of 1 would make the mean of a day years.
LATENCY_SHOWN_NS_MAX: Final = 86_400_000_000_000
_SHOWN_NS_MAX = LATENCY_SHOWN_NS_MAX
_BUCKETS = histogram.bucket_of(LATENCY_SHOWN_NS_MAX, PRECISION_BITS) + 1


class Alike:
    """Orders alike in all that is counted: what they share, and how many, how much."""

    __slots__ = (
        "chosen", "column", "count", "desk", "fees_microcents", "notional_microcents", "reason",
        "stage", "symbol", "venue",
    )  # fmt: skip

    def __init__(
        self, desk: str, symbol: str, venue: int, stage: str, reason: str, chosen: int | None
    ) -> None:
        self.desk = desk
        self.symbol = symbol
        self.venue = venue
        self.stage = stage
        self.reason = reason
        self.chosen = chosen
        self.column = COLUMN_OF_STAGE[stage]
        self.count = 0
        self.notional_microcents = 0
        self.fees_microcents = 0


class Latencies:
    """Times between two clocks, counted by bucket.

    Those below zero and those above a day are only counted: they say nothing of a way.
    """

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.below_zero_count = self.too_old_count = 0
        self._least_ns, self._greatest_ns = _LATENCY_NS_MAX, 0
        self._total_ns = 0

    def add(self, latency_ns: int) -> None:
        """Counts one, which fits an i64."""
        if latency_ns < 0:
            self.below_zero_count += 1
            return
        if latency_ns > _SHOWN_NS_MAX:
            self.too_old_count += 1
            return
        if latency_ns < self._least_ns:
            self._least_ns = latency_ns
        if latency_ns > self._greatest_ns:
            self._greatest_ns = latency_ns
        bucket = histogram.bucket_of(latency_ns, _PRECISION_BITS)
        self._counts[bucket] += 1
        self._total_ns += latency_ns

    def as_histogram(self) -> Histogram:
        """What was counted from zero on."""
        made = Histogram()
        counts = {bucket: count for bucket, count in enumerate(self._counts) if count}
        if counts:
            made.add_buckets(counts, self._total_ns, self._least_ns, self._greatest_ns)
        return made


class DayCounts:
    """The counts of one day. What is an attribute here `guard.audit.report` reads."""

    def __init__(self) -> None:
        self.answers = AnswerTables()
        self.exposure = ExposureBook()
        self.order_latency, self.fill_latency = Latencies(), Latencies()
        self.first_sequence: int | None = None
        self.last_sequence = self.first_ns = self.last_ns = self.record_count = 0
        # What was in force where a range begins.
        self.first_policy: Any = None
        self.first_policy_digest_hex = ""
        self.decision_count = self.fill_count = self.cancel_count = self.execution_count = 0
        self.reduction_count = self.replaced_count = self.replace_rejected_count = 0
        self.fill_fees_microcents = self.rebates_microcents = 0
        self._gate_counts = [0] * _GATES
        self._batches: dict[int, int] = {}
        self._batch_first_sequence: int | None = None
        self._batch_count = 0
        self._rows: dict[int, list[int]] = {}
        self._grid = TimeGrid(self._merge_rows)
        # The row at hand, and the times that fall into it.
        self._row = [0] * len(TIMELINE_COLUMNS)
        self._from_ns = self._until_ns = 0
        self._alike: dict[tuple[Any, ...], Alike] = {}
        # The same ones under what `guard.audit.day_requests` knows them by.
        self.alike_of_row: dict[bytes, Alike] = {}

    def begin_record(
        self, sequence: int, received_at_ns: int, batch_first_sequence: int, state: GuardState
    ) -> int:
        """Counts what every record has; the time that it counts at, in ns.

        Called again for each further order of one record, it counts that no second time.
        """
        if received_at_ns > self.last_ns:
            self.last_ns = received_at_ns
        at_ns = self.last_ns
        if self.first_sequence is None:
            self._begin(sequence, at_ns, state)
        if sequence == self.last_sequence:
            return at_ns
        self.last_sequence = sequence
        self.record_count += 1
        if batch_first_sequence != self._batch_first_sequence:
            self._close_batch()
            self._batch_first_sequence = batch_first_sequence
        self._batch_count += 1
        return at_ns

    def count_at(self, at_ns: int, column: int) -> None:
        """Counts one more in a column of the timeline."""
        if not self._from_ns <= at_ns < self._until_ns:
            self._turn_to(at_ns)
        self._row[column] += 1

    def note_order(
        self,
        alike: Alike,
        notional_microcents: int,
        fee_microcents: int,
        sequence: int,
        at_ns: int,
        state: GuardState,
    ) -> None:
        """Counts an order with those that are like it; notional and fee of a refused one are 0."""
        alike.count += 1
        if alike.chosen is not None:
            alike.notional_microcents += notional_microcents
            alike.fees_microcents += fee_microcents
            self.exposure.note(alike.desk, state.ledger, sequence, at_ns)
        self.count_at(at_ns, alike.column)

    def note_fill(
        self, desk: str, fee_microcents: int, sequence: int, at_ns: int, state: GuardState
    ) -> None:
        """Counts a fill; a fee below zero is a rebate."""
        self.fill_count += 1
        self.fill_fees_microcents += fee_microcents
        if fee_microcents < 0:
            self.rebates_microcents -= fee_microcents
        self.exposure.note(desk, state.ledger, sequence, at_ns)
        self.count_at(at_ns, _FILLS)

    def note_early_fill(self, desk: str, sequence: int, at_ns: int, state: GuardState) -> None:
        """What a fill moves that was counted when it came, and meets its order now."""
        self.exposure.note(desk, state.ledger, sequence, at_ns)

    def note_cancel(self, desk: str, sequence: int, at_ns: int, state: GuardState) -> None:
        """Counts a cancel."""
        self.cancel_count += 1
        self.exposure.note(desk, state.ledger, sequence, at_ns)
        self.count_at(at_ns, _CANCELS)

    def note_reduction(self, desk: str, sequence: int, at_ns: int, state: GuardState) -> None:
        """Counts a reduction."""
        self.reduction_count += 1
        self.exposure.note(desk, state.ledger, sequence, at_ns)

    def note_execution(self, desk: str, sequence: int, at_ns: int, state: GuardState) -> None:
        """Counts an execution of a drop copy."""
        self.execution_count += 1
        self.exposure.note(desk, state.ledger, sequence, at_ns)

    def note_settled(
        self, is_replaced: bool, desk: str, sequence: int, at_ns: int, state: GuardState
    ) -> None:
        """Counts a replace of which the venue has spoken."""
        if is_replaced:
            self.replaced_count += 1
        else:
            self.replace_rejected_count += 1
        self.exposure.note(desk, state.ledger, sequence, at_ns)

    def note_gate(self, gate: int, count: int) -> None:
        """Counts the venues that a gate of the kernel's stopped, by its place in the trace."""
        self._gate_counts[gate] += count

    def alike(
        self,
        desk: str,
        symbol: str,
        venue: int,
        stage: str,
        reason: str,
        chosen: int | None,
        state: GuardState,
    ) -> Alike:
        """The orders like this one. What was counted so far may go into the tables before."""
        key = (desk, symbol, venue, stage, reason, chosen)
        found = self._alike.get(key)
        if found is None:
            if len(self._alike) >= ALIKE_MAX:
                self._count_alike(state)
            found = self._alike[key] = Alike(desk, symbol, venue, stage, reason, chosen)
        return found

    def finish(self, state: GuardState) -> None:
        """Counts what was put off. Once, behind the last record, before anything is read."""
        self._close_batch()
        self._count_alike(state)

    @property
    def batch_records(self) -> Histogram:
        """How many records the batches had."""
        made = Histogram()
        for records, times in self._batches.items():
            made.add(records, times)
        return made

    @property
    def gates(self) -> dict[str, int]:
        """How many venues each gate of the kernel's stopped, where it stopped any."""
        counts = zip(TRACE.field_names, self._gate_counts, strict=True)
        return {gate: count for gate, count in counts if count}

    def timeline(self) -> tuple[int, list[list[int]]]:
        """The width of a bucket in ns, and per bucket its start in ns and `TIMELINE_COLUMNS`."""
        width_ns = self._grid.width_ns
        return width_ns, [[index * width_ns, *self._rows[index]] for index in sorted(self._rows)]

    def _begin(self, sequence: int, at_ns: int, state: GuardState) -> None:
        self.first_sequence, self.first_ns = sequence, at_ns
        if sequence > 1:
            self.exposure.seed(state, sequence, at_ns)
            self.first_policy = state.policy
            self.first_policy_digest_hex = state.policy_digest_hex

    def _close_batch(self) -> None:
        """The batch at hand is whole: another begins, or the log is at its end."""
        if self._batch_count:
            self._batches[self._batch_count] = self._batches.get(self._batch_count, 0) + 1
        self._batch_count = 0

    def _count_alike(self, state: GuardState) -> None:
        self.answers.count(self._alike.values(), state)
        self._alike.clear()
        self.alike_of_row.clear()

    def _turn_to(self, at_ns: int) -> None:
        """The row of that time is the one at hand; it stays so until the rows are merged."""
        index = self._grid.index_of(at_ns)
        row = self._rows.get(index)
        if row is None:
            row = self._rows[index] = [0] * len(TIMELINE_COLUMNS)
        width_ns = self._grid.width_ns
        self._row = row
        self._from_ns = index * width_ns
        self._until_ns = self._from_ns + width_ns

    def _merge_rows(self, factor: int) -> None:
        merged: dict[int, list[int]] = {}
        for index, row in self._rows.items():
            into = merged.setdefault(index // factor, [0] * len(row))
            into[:] = [left + right for left, right in zip(into, row, strict=True)]
        self._rows = merged
