# cython: annotation_typing=False, nonecheck=True
"""A day's counts from the rows of its plain orders and fills, without an object for any. Pure.

Owns the way from a row that `guard.replay_lane` took to the functions of `guard.audit.day_counts`
(its `RowObserver`). Orders alike are found by the bytes of the row that say what they share; only
the first of a kind is put into words.

It runs as it stands, or compiled with the types of `day_rows.pxd` beside it.

How it fails: it does not. A row is read as `guard.replay_parts` describes it, unchecked.
"""

from guard.audit.day_counts import Alike, DayCounts
from guard.decide_entry import REASON_WORD
from guard.replay_parts import DECIDED, DECIDED_BYTES, FILLED_BYTES, ROW_HEAD
from guard.engine.state import GuardState
from kernel import Action
from kernel import little_endian as le
from kernel.layout import TRACE, TRACE_ROW_BYTES
from kernel.little_endian import Row

_DECIDED, _FIXED_BYTES, _FILL_BYTES = DECIDED, DECIDED_BYTES, FILLED_BYTES
_HEAD_BYTES, _COUNTS_BYTES = ROW_HEAD.size, TRACE_ROW_BYTES
_REJECT = int(Action.REJECT)
_GATES = len(TRACE.field_names)
_KIND_BYTES, _NAME_BYTES_MAX = 12, 255
# Of desks; bounded as in guard.wire.
_NAMES_KEPT_MAX = 16_384


class DayRows:
    """The way to these counts."""

    def __init__(self, counts: DayCounts) -> None:
        self._counts = counts
        self._kind = bytearray(_KIND_BYTES + 2 * _NAME_BYTES_MAX)
        self._desks: dict[bytes, str] = {}

    def observe_row(self, rows: bytes, at: int, state: GuardState) -> None:
        """Counts the record of the row whose head is at that offset; `state` is that after it."""
        if rows[at] == _DECIDED:
            self._observe_order(rows, at + _HEAD_BYTES, state)
        else:
            self._observe_fill(rows, at + _HEAD_BYTES, state)

    def _observe_order(self, rows: Row, row: int, state: GuardState) -> None:
        counts = self._counts
        sequence = le.load_u64(rows, row + 40)
        received_at_ns = le.load_i64(rows, row)
        at_ns = counts.begin_record(sequence, received_at_ns, le.load_u64(rows, row + 8), state)
        sent_at_ns = le.load_i64(rows, row + 32)
        if sent_at_ns != 0:
            counts.order_latency.add(received_at_ns - sent_at_ns)
        notional = fee = 0
        if rows[row + 118] == _REJECT:
            for gate in range(_GATES):
                count = le.load_u16(rows, row + _FIXED_BYTES + 2 * gate)
                if count != 0:
                    counts.note_gate(gate, count)
        else:
            notional = le.load_i64(rows, row + 60)
            fee = le.load_u64(rows, row + 127)
        counts.decision_count += 1
        alike = self._alike_of_row(rows, row, state)
        counts.note_order(alike, notional, fee, sequence, at_ns, state)

    def _observe_fill(self, rows: Row, row: int, state: GuardState) -> None:
        counts = self._counts
        sequence = le.load_u64(rows, row + 16)
        received_at_ns = le.load_i64(rows, row)
        at_ns = counts.begin_record(sequence, received_at_ns, le.load_u64(rows, row + 8), state)
        executed_at_ns = le.load_i64(rows, row + 48)
        if executed_at_ns != 0:
            counts.fill_latency.add(received_at_ns - executed_at_ns)
        name = le.bytes_at(rows, row + _FILL_BYTES, rows[row + 80])
        desk = self._desks.get(name)
        if desk is None:
            desk = name.decode()
            if len(self._desks) < _NAMES_KEPT_MAX:
                self._desks[name] = desk
        counts.note_fill(desk, le.load_i64(rows, row + 32), sequence, at_ns, state)

    def _alike_of_row(self, rows: Row, row: int, state: GuardState) -> Alike:
        """The orders like that of the row, by the bytes of it that say what they share."""
        counts = self._counts
        names_at = row + _FIXED_BYTES
        if rows[row + 118] == _REJECT:
            names_at += _COUNTS_BYTES
        symbol_bytes, desk_bytes = rows[row + 177], rows[row + 175]
        kind = self._kind
        # Action, reason and the venue chosen; the venue asked for; where the symbol ends. Then
        # symbol and desk, which stand one behind the other.
        le.store_u16(kind, 0, rows[row + 118] << 8 | symbol_bytes)
        le.store_u16(kind, 2, le.load_u16(rows, row + 119))
        le.store_u32(kind, 4, le.load_u32(rows, row + 121))
        le.store_u32(kind, 8, le.load_u32(rows, row + 48))
        names = le.bytes_at(rows, names_at, symbol_bytes + desk_bytes)
        le.store_bytes(kind, _KIND_BYTES, names)
        key = le.bytes_of(kind, _KIND_BYTES + symbol_bytes + desk_bytes)
        found = counts.alike_of_row.get(key)
        if found is None:
            is_refusal = rows[row + 118] == _REJECT
            found = counts.alike(
                names[symbol_bytes:].decode(),
                names[:symbol_bytes].decode(),
                le.load_u32(rows, row + 48),
                "kernel" if is_refusal else "",
                REASON_WORD[le.load_u16(rows, row + 119)],
                None if is_refusal else le.load_u32(rows, row + 121),
                state,
            )
            counts.alike_of_row[key] = found
        return found
