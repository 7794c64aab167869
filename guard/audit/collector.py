"""What a day was like: collected from its records, one at a time, in bounded memory. Pure.

Owns the counts that the report of `replay` shows: answers over time, by reason, stage, desk,
symbol and venue; fills and cancels; exposures; what the log tells of latencies and batches; the
policies in force; and what people and start-ups did. It is an observer of `guard.replay`: it sees
only records that were decided again and found the same.

What may be many is bounded: names beyond `NAMES_MAX` count together under `OTHER_NAMES`, and only
the first `ADMINISTRATIVE_MAX` administrative events are kept (the rest are counted). A time is
never before the last one: where the clock was set back, records count at the latest time seen.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from guard.audit.exposure import ExposureBook
from guard.audit.histogram import Histogram
from guard.audit.timegrid import TimeGrid
from guard.messages import Admit, Reject
from guard.outcomes import (
    Administrative,
    Decided,
    DeskCapped,
    DeskOpened,
    DeskToppedUp,
    FillRecorded,
    OrderDecided,
    OrderRefused,
    OrderReleased,
    Outcome,
    PolicyActivated,
)
from guard.replay_parts import Place
from guard.state import GuardState

NAMES_MAX: Final = 20_000
OTHER_NAMES: Final = "(others)"
ADMINISTRATIVE_MAX: Final = 2_000
# Kinds of orders that are counted in bulk; some 20 MB at most.
ALIKE_MAX: Final = 50_000
POLICIES_MAX: Final = 1_000
# What one policy of so many venues lists of each; beyond, the log itself is the place to look.
POLICY_VENUES_MAX: Final = 256

TIMELINE_COLUMNS: Final = (
    "admitted",
    "rejected_order",
    "rejected_kernel",
    "rejected_ledger",
    "fills",
    "cancels",
)
_COLUMN_OF_STAGE: Final = {"order": 1, "kernel": 2, "ledger": 3}
_FILLS, _CANCELS = 4, 5


@dataclass(slots=True)
class AnswerCounts:
    """What the orders of one desk, symbol or asked-for venue were answered."""

    admitted: int = 0
    rejected: int = 0
    substituted: int = 0
    admitted_notional_microcents: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class VenueCounts(AnswerCounts):
    """The same by the venue asked for, and how many orders were admitted to it."""

    admitted_to: int = 0
    fees_microcents: int = 0


@dataclass(slots=True)
class PolicyPeriod:
    """A policy in force from a record on, and how many decisions were made under it.

    `from_sequence` is None where the collector began later than the policy.
    """

    from_sequence: int | None
    from_ns: int | None
    digest_hex: str
    content: dict[str, Any]
    decisions: int = 0


class DayCollector:
    """An observer of replay; see the module. Its attributes are what `guard.audit.report` reads."""

    def __init__(self) -> None:
        self.first_sequence: int | None = None
        self.last_sequence = 0
        self.first_ns = 0
        self.last_ns = 0
        self.record_count = 0
        self.admitted_count = 0
        self.rejected_by_stage: Counter[str] = Counter()
        self.reasons: Counter[tuple[str, str, str]] = Counter()
        self.gates: Counter[str] = Counter()
        self.desks: dict[str, AnswerCounts] = {}
        self.symbols: dict[str, AnswerCounts] = {}
        self.venues: dict[str, VenueCounts] = {}
        self.fill_flags: Counter[str] = Counter()
        self.fill_count = 0
        self.fill_fees_microcents = 0
        self.unpaid_fees_microcents = 0
        self.cancel_count = 0
        self.exposure = ExposureBook()
        self.order_latency_ns = Histogram()
        self.fill_latency_ns = Histogram()
        self.clock_skew_count = 0
        self.policies: list[PolicyPeriod] = []
        self.policies_left_out = 0
        self.administrative: list[dict[str, Any]] = []
        self.administrative_left_out = 0
        self._rows: dict[int, list[int]] = {}
        self._grid = TimeGrid(self._merge_rows)
        # The row at hand, and the times that fall into it.
        self._current_row = [0] * len(TIMELINE_COLUMNS)
        self._current_from_ns = self._current_until_ns = 0
        self._batch_first_sequence: int | None = None
        self._batch_count = 0
        self._batches: dict[int, int] = {}
        # Orders alike in all that is counted: how many, their notional, their fees. Counted on in
        # bulk, which costs a third of counting each order under each of its names.
        self._alike: dict[tuple[Any, ...], list[int]] = {}

    def observe(self, place: Place, decided: Decided, state: GuardState) -> None:
        """Counts one record, which the state has just taken in."""
        outcome = decided.outcome
        sequence = place.sequence
        at_ns = self._begin_record(
            sequence, outcome.received_at_ns, outcome.batch_first_sequence, state, outcome
        )
        kind = type(outcome)
        if kind is OrderDecided or kind is OrderRefused:
            self._note_order(outcome, sequence, at_ns, state)  # type: ignore[arg-type]
            if kind is OrderDecided:
                self.policies[-1].decisions += 1
        elif isinstance(outcome, FillRecorded):
            self._note_fill(outcome, sequence, at_ns, state)
        elif isinstance(outcome, OrderReleased):
            self.cancel_count += 1
            self._row(at_ns)[_CANCELS] += 1
            self.exposure.note(outcome.cancel.desk, state.ledger, sequence, at_ns)
        else:
            self._note_administrative(outcome, sequence, at_ns, state)

    def observe_admission(
        self,
        sequence: int,
        received_at_ns: int,
        batch_first_sequence: int,
        sent_at_ns: int,
        desk: str,
        symbol: str,
        venue: int,
        chosen: int,
        reason: str,
        notional_microcents: int,
        fee_microcents: int,
        state: GuardState,
    ) -> None:
        """Counts the record of a plain admission (`guard.replay_lane.AdmissionObserver`)."""
        at_ns = self._begin_record(sequence, received_at_ns, batch_first_sequence, state, None)
        if sent_at_ns:
            self._note_latency(self.order_latency_ns, received_at_ns - sent_at_ns)
        self.exposure.note(desk, state.ledger, sequence, at_ns)
        self._row(at_ns)[0] += 1
        key = (desk, symbol, venue, "", reason, chosen)
        self._count(key, notional_microcents, fee_microcents, state)
        self.policies[-1].decisions += 1

    def _begin_record(
        self,
        sequence: int,
        received_at_ns: int,
        batch_first_sequence: int,
        state: GuardState,
        outcome: Outcome | None,
    ) -> int:
        """Counts what every record has; the time that it counts at, in ns."""
        at_ns = received_at_ns
        if at_ns > self.last_ns:
            self.last_ns = at_ns
        else:
            at_ns = self.last_ns
        if self.first_sequence is None:
            self._begin(sequence, at_ns, state, outcome)
        self.last_sequence = sequence
        self.record_count += 1
        if batch_first_sequence != self._batch_first_sequence:
            self._close_batch()
            self._batch_first_sequence = batch_first_sequence
        self._batch_count += 1
        return at_ns

    def finish(self, state: GuardState) -> None:
        """Counts what was put off. Once, behind the last record, before anything is read."""
        self._close_batch()
        self._count_alike(state)

    @property
    def batch_records(self) -> Histogram:
        """How many records the batches had."""
        histogram = Histogram()
        for records, times in self._batches.items():
            histogram.add(records, times)
        return histogram

    def _close_batch(self) -> None:
        """The batch at hand is whole: another begins, or the log is at its end."""
        if self._batch_count:
            self._batches[self._batch_count] = self._batches.get(self._batch_count, 0) + 1
        self._batch_count = 0

    def timeline(self) -> tuple[int, list[list[int]]]:
        """The width of a bucket in ns, and per bucket its start in ns and `TIMELINE_COLUMNS`."""
        width_ns = self._grid.width_ns
        return width_ns, [[index * width_ns, *self._rows[index]] for index in sorted(self._rows)]

    def _begin(self, sequence: int, at_ns: int, state: GuardState, outcome: Outcome | None) -> None:
        self.first_sequence, self.first_ns = sequence, at_ns
        if sequence > 1:
            self.exposure.seed(state, sequence, at_ns)
            # A policy that this very record activates is noted with it.
            if state.policy is not None and not isinstance(outcome, PolicyActivated):
                content = state.policy.as_dict()
                self._add_policy(PolicyPeriod(None, None, state.policy_digest_hex, content))

    def _note_order(
        self, event: OrderDecided | OrderRefused, sequence: int, at_ns: int, state: GuardState
    ) -> None:
        order, answer = event.order, event.answer
        if order.sent_at_ns is not None:
            self._note_latency(self.order_latency_ns, event.received_at_ns - order.sent_at_ns)
        notional = fee = 0
        if type(answer) is Admit:
            chosen: int | None = answer.venue
            stage = ""
            column = 0
            notional, fee = answer.notional_microcents, answer.fee_microcents
            self.exposure.note(order.desk, state.ledger, sequence, at_ns)
        else:
            chosen = None
            stage = answer.stage  # type: ignore[union-attr]
            column = _COLUMN_OF_STAGE[stage]
            if stage == "kernel":
                self._note_gates(answer)  # type: ignore[arg-type]
        self._row(at_ns)[column] += 1
        key = (order.desk, order.symbol, order.venue, stage, answer.reason, chosen)
        self._count(key, notional, fee, state)

    def _count(self, key: tuple[Any, ...], notional: int, fee: int, state: GuardState) -> None:
        """Counts an order with those that are like it."""
        alike = self._alike.get(key)
        if alike is None:
            if len(self._alike) >= ALIKE_MAX:
                self._count_alike(state)
            self._alike[key] = [1, notional, fee]
        else:
            alike[0] += 1
            alike[1] += notional
            alike[2] += fee

    def _count_alike(self, state: GuardState) -> None:
        for key, (count, notional, fees) in self._alike.items():
            desk, symbol, venue, stage, reason, chosen = key
            lines: tuple[AnswerCounts, ...] = (
                _named(self.desks, desk, AnswerCounts, desk in state.desks),
                _named(self.symbols, symbol, AnswerCounts, symbol in state.instruments),
                _named(self.venues, str(venue), VenueCounts),
            )
            for line in lines:
                line.reasons[reason] += count
                line.admitted_notional_microcents += notional
                if chosen is None:
                    line.rejected += count
                else:
                    line.admitted += count
                    line.substituted += count if chosen != venue else 0
            if chosen is None:
                self.rejected_by_stage[stage] += count
                self.reasons["reject", stage, reason] += count
            else:
                self.admitted_count += count
                self.reasons["admit", "", reason] += count
                to = _named(self.venues, str(chosen), VenueCounts, is_known=True)
                to.admitted_to += count
                to.fees_microcents += fees
        self._alike.clear()

    def _note_gates(self, answer: Reject) -> None:
        for gate, count in answer.detail.items():
            if count and gate not in ("asked", "limit", "chosen"):
                self.gates[gate] += count

    def _note_fill(self, event: FillRecorded, sequence: int, at_ns: int, state: GuardState) -> None:
        fill, answer = event.fill, event.answer
        self.fill_count += 1
        self.fill_flags.update(answer.flags)
        self.fill_fees_microcents += answer.fee_microcents
        self.unpaid_fees_microcents += answer.unpaid_fee_microcents
        if fill.executed_at_ns is not None:
            self._note_latency(self.fill_latency_ns, event.received_at_ns - fill.executed_at_ns)
        self._row(at_ns)[_FILLS] += 1
        self.exposure.note(fill.desk, state.ledger, sequence, at_ns)
        if event.halts_desk:
            text = {"desk": fill.desk, "unpaid_fee_microcents": answer.unpaid_fee_microcents}
            self._keep(sequence, event, "desk_halted", text)

    def _note_latency(self, histogram: Histogram, latency_ns: int) -> None:
        if latency_ns < 0:
            self.clock_skew_count += 1
        else:
            histogram.add(latency_ns)

    def _note_administrative(
        self, event: Outcome, sequence: int, at_ns: int, state: GuardState
    ) -> None:
        fields: dict[str, Any] = msgspec.to_builtins(event)
        if isinstance(event, DeskOpened | DeskToppedUp | DeskCapped):
            self.exposure.note(event.desk, state.ledger, sequence, at_ns)
        if isinstance(event, PolicyActivated):
            content = msgspec.to_builtins(event.policy)
            digest_hex = event.policy_digest_hex
            self._add_policy(PolicyPeriod(sequence, event.received_at_ns, digest_hex, content))
            fields["policy"] = {"policy_epoch": content["policy_epoch"]}
        for name in ("event", "received_at_ns", "client", "batch_first_sequence", "by", "why"):
            fields.pop(name, None)
        self._keep(sequence, event, event.__struct_config__.tag, fields)  # type: ignore[arg-type]

    def _keep(self, sequence: int, event: Outcome, name: str, fields: dict[str, Any]) -> None:
        if len(self.administrative) >= ADMINISTRATIVE_MAX:
            self.administrative_left_out += 1
            return
        who = (event.by, event.why) if isinstance(event, Administrative) else (event.client, "")
        self.administrative.append(
            {
                "sequence": sequence,
                "received_at_ns": event.received_at_ns,
                "event": name,
                "by": who[0],
                "why": who[1],
                "fields": fields,
            }
        )

    def _add_policy(self, period: PolicyPeriod) -> None:
        models = period.content["models"]
        period.content["model_count"] = len(models)
        if len(models) > POLICY_VENUES_MAX:
            period.content["models"] = []
        if len(self.policies) >= POLICIES_MAX:
            self.policies_left_out += 1
            self.policies.pop(0)  # the ones in force last are the ones that are asked for
        self.policies.append(period)

    def _row(self, at_ns: int) -> list[int]:
        if self._current_from_ns <= at_ns < self._current_until_ns:
            return self._current_row
        index = self._grid.index_of(at_ns)
        row = self._rows.get(index)
        if row is None:
            row = self._rows[index] = [0] * len(TIMELINE_COLUMNS)
        width_ns = self._grid.width_ns
        self._current_row = row
        self._current_from_ns = index * width_ns
        self._current_until_ns = self._current_from_ns + width_ns
        return row

    def _merge_rows(self, factor: int) -> None:
        merged: dict[int, list[int]] = {}
        for index, row in self._rows.items():
            into = merged.setdefault(index // factor, [0] * len(row))
            into[:] = [left + right for left, right in zip(into, row, strict=True)]
        self._rows = merged


_CountsType = TypeVar("_CountsType", bound=AnswerCounts)


def _named(
    table: dict[str, _CountsType], name: str, kind: type[_CountsType], is_known: bool = False
) -> _CountsType:
    """The counts of a name. A stranger's name finds no line of its own in a full table."""
    counts = table.get(name)
    if counts is None:
        if len(table) >= NAMES_MAX and not is_known:
            name = OTHER_NAMES
        counts = table.setdefault(name, kind())
    return counts
