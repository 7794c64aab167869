# cython: annotation_typing=False, nonecheck=True
"""A day's counts from its requests and what was answered, without an object for any. Pure.

Owns the way from a request and its outcome to the functions of `guard.audit.day_counts`. Orders
alike are found by the bytes that say what they share; only the first of a kind is put into words.
The age of an order that was refused as stale is no latency, and stands in none.
"""

from guard.audit.day_counts import Alike, DayCounts
from guard.engine.state import GuardState
from guard.protocol import slots
from guard.protocol.fields import EARLY, GATES, REASON_WORDS, STAGES
from guard.protocol.outcome import OUTCOME_NUMBERS, Outcome, OutcomeKind
from guard.protocol.reasons import Refusal
from guard.protocol.request import TEXTS, Request
from kernel import little_endian as le

_ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED = map(int, list(OutcomeKind)[:5])
_REDUCED = int(OutcomeKind.REDUCED)
_EXECUTED = int(OutcomeKind.EXECUTED)
_REPLACED, _REPLACE_REJECTED = int(OutcomeKind.REPLACED), int(OutcomeKind.REPLACE_REJECTED)
_STALE_ORDER = REASON_WORDS.index(Refusal.STALE_ORDER.word)
_EARLY = EARLY
_KERNEL = STAGES.index("kernel")
_GATE_COUNT = len(GATES)
_FIRST_GATE = OUTCOME_NUMBERS.index(GATES[0])
_DESK_AT, _SYMBOL_AT = TEXTS["desk"][0], TEXTS["symbol"][0]
_KIND_BYTES, _NAME_BYTES_MAX = 16, 255


class DayRequests:
    """The way to these counts."""

    def __init__(self, counts: DayCounts) -> None:
        self._counts = counts
        self._kind = bytearray(_KIND_BYTES + 2 * _NAME_BYTES_MAX)

    def observe(self, sequence: int, request: Request, answer: Outcome, state: GuardState) -> bool:
        """Counts a record; whether it is a fact of which there is more to be said."""
        counts = self._counts
        at_ns = counts.begin_record(
            sequence, request.received_at_ns, request.batch_first_sequence, state
        )
        kind = answer.kind
        if kind == _FILLED:
            if answer.flags & _EARLY:  # it was counted when it came
                counts.note_early_fill(self._desk(request, state), sequence, at_ns, state)
                return True
            executed_at_ns = request.executed_at_ns
            if executed_at_ns != 0:
                counts.fill_latency.add(state.clock_of(request) - executed_at_ns)
            fee = request.fee_microcents
            counts.note_fill(self._desk(request, state), fee, sequence, at_ns, state)
            return (
                answer.flags != 0
                or answer.unpaid_fee_microcents != 0
                or answer.collected_microcents != 0
            )
        if kind == _RELEASED:
            counts.note_cancel(self._desk(request, state), sequence, at_ns, state)
            return answer.flags != 0 or answer.collected_microcents != 0
        if kind == _REDUCED:
            counts.note_reduction(self._desk(request, state), sequence, at_ns, state)
            return answer.collected_microcents != 0
        if kind == _EXECUTED:
            counts.note_execution(self._desk(request, state), sequence, at_ns, state)
            return answer.flags != 0 or answer.collected_microcents != 0
        if kind in (_REPLACED, _REPLACE_REJECTED):
            desk = self._desk(request, state)
            counts.note_settled(kind == _REPLACED, desk, sequence, at_ns, state)
            return answer.collected_microcents != 0
        sent_at_ns = request.sent_at_ns
        if sent_at_ns != 0 and answer.reason == _STALE_ORDER:
            counts.order_latency.too_old_count += 1
        elif sent_at_ns != 0:
            counts.order_latency.add(state.clock_of(request) - sent_at_ns)
        notional = fee = 0
        if kind == _ADMITTED:
            notional, fee = answer.notional_microcents, answer.fee_microcents
        elif answer.stage == _KERNEL:
            self._note_gates(answer)
        if kind != _REFUSED:
            counts.decision_count += 1
        alike = self._alike(request, answer, state)
        counts.note_order(alike, notional, fee, sequence, at_ns, state)
        return False

    def _note_gates(self, answer: Outcome) -> None:
        for gate in range(_GATE_COUNT):
            count = slots.outcome_number(answer, _FIRST_GATE + gate)
            if count != 0:
                self._counts.note_gate(gate, count)

    def _desk(self, request: Request, state: GuardState) -> str:
        desk = state.desk_of(request)
        return request.desk if desk is None else desk.name

    def _alike(self, request: Request, answer: Outcome, state: GuardState) -> Alike:
        """The orders like this one, by the bytes that say what they share."""
        kind, is_admitted = self._kind, answer.kind == _ADMITTED
        symbol_bytes, desk_bytes = request.symbol_bytes, request.desk_bytes
        # Stage and reason, the venue chosen and the one asked for, where the symbol ends. Then
        # symbol and desk, which stand one behind the other.
        le.store_u16(kind, 0, answer.kind << 8 | symbol_bytes)
        le.store_u16(kind, 2, answer.reason)
        le.store_u32(kind, 4, answer.venue if is_admitted else 0)
        le.store_u32(kind, 8, request.venue)
        le.store_u32(kind, 12, 0 if is_admitted else answer.stage)
        symbol = le.bytes_at(request.texts, _SYMBOL_AT, symbol_bytes)
        desk = le.bytes_at(request.texts, _DESK_AT, desk_bytes)
        le.store_bytes(kind, _KIND_BYTES, symbol)
        le.store_bytes(kind, _KIND_BYTES + symbol_bytes, desk)
        key = le.bytes_of(kind, _KIND_BYTES + symbol_bytes + desk_bytes)
        found = self._counts.alike_of_row.get(key)
        if found is None:
            found = self._counts.alike(
                desk.decode(),
                symbol.decode(),
                request.venue,
                "" if is_admitted else STAGES[answer.stage],
                REASON_WORDS[answer.reason],
                answer.venue if is_admitted else None,
                state,
            )
            self._counts.alike_of_row[key] = found
        return found
