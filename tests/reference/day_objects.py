"""A day's counts from its records as objects, one at a time: the reference of the report."""

from typing import Any

from guard.audit.collector import DayCollector
from guard.engine.request_events import FillRecorded, OrderDecided, OrderRefused, OrderReleased
from guard.protocol.messages import I64_MAX, Admit, Reject
from kernel.layout import TRACE


def _unpaid(answer: Any) -> int:
    return int(getattr(answer, "unpaid_fee_microcents", 0))


class DayOfObjects(DayCollector):
    """The same day, counted otherwise."""

    def _count(self, sequence: int, request: Any, answer: Any, decided: Any, state: Any) -> bool:
        event = decided.outcome
        if not isinstance(event, OrderDecided | OrderRefused | FillRecorded | OrderReleased):
            return super()._count(sequence, request, answer, decided, state)
        at_ns = self.counts.begin_record(
            sequence, event.received_at_ns, event.batch_first_sequence, state
        )
        if isinstance(event, FillRecorded):
            self._note_fill(event, sequence, at_ns, state)
        elif isinstance(event, OrderReleased):
            self.counts.note_cancel(event.cancel.desk, sequence, at_ns, state)
        else:
            self._note_order(event, sequence, at_ns, state)
            self.counts.decision_count += isinstance(event, OrderDecided)
            return False
        said = event.answer
        return bool(said.flags or said.collected_microcents or _unpaid(said))

    def _note_order(self, event: Any, sequence: int, at_ns: int, state: Any) -> None:
        counts, order, answer = self.counts, event.order, event.answer
        if order.sent_at_ns is not None and answer.reason == "stale_order":
            counts.order_latency.too_old_count += 1
        elif order.sent_at_ns is not None:
            counts.order_latency.add(_latency_ns(event, order.sent_at_ns))
        notional = fee = 0
        chosen, stage = None, ""
        if isinstance(answer, Admit):
            chosen = answer.venue
            notional, fee = answer.notional_microcents, answer.fee_microcents
        else:
            stage = answer.stage
            if stage == "kernel":
                self._note_gates(answer)
        alike = counts.alike(
            order.desk, order.symbol, order.venue, stage, answer.reason, chosen, state
        )
        counts.note_order(alike, notional, fee, sequence, at_ns, state)

    def _note_gates(self, answer: Reject) -> None:
        for number, gate in enumerate(TRACE.field_names):
            self.counts.note_gate(number, answer.detail.get(gate, 0))

    def _note_fill(self, event: Any, sequence: int, at_ns: int, state: Any) -> None:
        fill, answer = event.fill, event.answer
        if fill.executed_at_ns is not None:
            self.counts.fill_latency.add(_latency_ns(event, fill.executed_at_ns))
        self.counts.note_fill(fill.desk, answer.fee_microcents, sequence, at_ns, state)
        self._note_unusual(event, sequence, state)


def _latency_ns(event: Any, since_ns: int) -> int:
    return max(-I64_MAX, min(int(event.received_at_ns) - since_ns, I64_MAX))
