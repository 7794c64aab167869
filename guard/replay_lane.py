# cython: annotation_typing=False, nonecheck=True
"""Admissions folded from their rows: what the state decides of them, held against the record. Pure.

Owns the quick way of `guard.replay` through the records of plain admitted orders. That a row's
record is the text of the values in it, which agree with each other, `guard.order_rows` has shown.
Here, on the state before the record: nothing stands in the order's way (`guard.decide_entry`), its
notional is the one recorded, the kernel decides the recorded input to the recorded decision under
the policy that the record names, the desk can hold the notional, and the hold has the recorded
number. With that the answer is decided, byte for byte, and is applied as `guard.apply` does.

Must not: refuse anything. Where any of this is not so nothing has changed, and the record goes the
long way round, by the engine's own rules, which say what is wrong with it if anything is.

It runs as it stands, or compiled with the types of `replay_lane.pxd` beside it.

How it fails: `InvariantError` where the ledger contradicts itself.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

from guard.decide_entry import REASON_WORD
from guard.orders_codec import decode_order
from guard.outcomes import Decided, KernelRows, OrderDecided
from guard.replay_parts import ADMITTED, ADMITTED_BYTES, ROW_HEAD
from guard.state import GuardState
from kernel import InvariantError
from kernel import little_endian as le
from kernel.little_endian import Row

_HEAD_BYTES = ROW_HEAD.size
_ADMITTED, _FIXED_BYTES = ADMITTED, ADMITTED_BYTES
_INPUT_AT, _INPUT_BYTES = 40, 70
_DECISION_AT, _DECISION_BYTES = 110, 65
_DIGEST_AT, _DIGEST_BYTES = 181, 32
_REJECT = 3
# Of desks and symbols; bounded as in guard.wire.
_NAMES_KEPT_MAX = 16_384

# What is told of an admission where no more is wanted: sequence, received_at_ns,
# batch_first_sequence, sent_at_ns (0: none), desk, symbol, venue asked for, venue chosen, reason,
# notional and fee in microcents, and the state after it.
AdmissionObserver: TypeAlias = Callable[
    [int, int, int, int, str, str, int, int, str, int, int, GuardState], None
]
ADMISSION_WORDS: Final = {1: REASON_WORD[1], 2: REASON_WORD[2]}


class ReplayLane:
    """The lane of one state. `record_count`: how many records went through it."""

    def __init__(self, state: GuardState) -> None:
        self._state = state
        self._digest_hex = ""
        self._digest = b""
        self._names: dict[bytes, str] = {}
        self._input = self._output_row = b""
        self.record_count = 0
        self.reason_counts = [0, 0, 0]

    def fold(
        self,
        rows: bytes,
        at: int,
        tell: Callable[[Decided], None] | None,
        tell_admission: AdmissionObserver | None,
    ) -> int:
        """Folds the admissions from offset `at` on; the offset of the first row that it does not.

        After each, `tell` is told what the rules give for the record, or `tell_admission` where it
        is given.
        """
        size = len(rows)
        while at + _HEAD_BYTES <= size and rows[at] == _ADMITTED:
            row = at + _HEAD_BYTES
            if not self._admit(rows, row):
                break
            if tell_admission is not None:
                self._tell_admission(rows, row, tell_admission)
            elif tell is not None:
                tell(self._decided(rows, row))
            at = row + le.load_u32(rows, at + 1)
        return at

    def reasons(self) -> Counter[str]:
        """How many admissions had which reason."""
        return +Counter({ADMISSION_WORDS[code]: self.reason_counts[code] for code in (1, 2)})

    def _admit(self, rows: Row, row: int) -> bool:
        state = self._state
        received_at_ns = le.load_i64(rows, row)
        sequence = le.load_u64(rows, row + _INPUT_AT)
        if sequence != state.next_sequence or state.entries_halt is not None:
            return False
        at = row + _FIXED_BYTES
        symbol = self._name(rows, at, rows[row + 177])
        at += rows[row + 177]
        desk_name = self._name(rows, at, rows[row + 175])
        desk = state.desks.get(desk_name)
        instrument = state.instruments.get(symbol)
        if desk is None or instrument is None or desk.is_halted or not self._is_decided(rows, row):
            return False
        sent_at_ns = le.load_i64(rows, row + 32)
        if sent_at_ns != 0 and abs(received_at_ns - sent_at_ns) > state.remembered_order_window_ns:
            return False
        notional = le.load_i64(rows, row + 60)
        quantity, price = le.load_u32(rows, row + 52), le.load_u64(rows, row + 24)
        if instrument.notional_microcents(quantity, price) != notional:
            return False
        key_bytes = rows[row + 176]
        key = le.bytes_at(rows, at, key_bytes)
        orders = state.orders
        if not orders.is_free(key) or orders.is_full(state.remembered_orders_max, received_at_ns):
            return False
        ledger = state.ledger
        line = ledger.line(desk_name)
        if line is None or not line.can_hold(notional):
            return False
        reservation_id = le.load_u64(rows, row + 16)
        if ledger.next_reservation_id != reservation_id:
            return False
        # Here it is decided, and goes on as `guard.apply` does.
        orders.forget_expired(received_at_ns)
        if ledger.reserve_line(line, notional) != reservation_id:
            raise InvariantError(f"record {sequence}: the ledger gave another hold than it said")
        payload = le.bytes_at(rows, at + key_bytes, le.load_u16(rows, row + 179))
        orders.add_open(key, payload, len(payload), notional)  # type: ignore[arg-type]
        state.next_sequence = sequence + 1
        if received_at_ns > state.last_received_at_ns:
            state.last_received_at_ns = received_at_ns
        state.is_closed_cleanly = False
        self.record_count += 1
        self.reason_counts[le.load_u16(rows, row + 119)] += 1
        return True

    def _is_decided(self, rows: Row, row: int) -> bool:
        """Whether the policy in force is the record's, and gives its decision, an admission."""
        state = self._state
        policy = state.policy
        if policy is None:
            return False
        if state.policy_digest_hex is not self._digest_hex:
            self._digest_hex = state.policy_digest_hex
            self._digest = bytes.fromhex(state.policy_digest_hex)
        if len(self._digest) != _DIGEST_BYTES:
            return False
        if le.bytes_at(rows, row + _DIGEST_AT, _DIGEST_BYTES) != self._digest:
            return False
        self._input = le.bytes_at(rows, row + _INPUT_AT, _INPUT_BYTES)
        self._output_row = policy.decide_row(self._input)
        decision = le.bytes_at(rows, row + _DECISION_AT, _DECISION_BYTES)
        return self._output_row.startswith(decision) and rows[row + 118] != _REJECT

    def _name(self, rows: Row, at: int, count: int) -> str:
        """A desk's or symbol's name as text, kept for its next order."""
        key = le.bytes_at(rows, at, count)
        known = self._names.get(key)
        if known is None:
            known = key.decode()
            if len(self._names) < _NAMES_KEPT_MAX:
                self._names[key] = known
        return known

    def _tell_admission(self, rows: Row, row: int, tell: AdmissionObserver) -> None:
        at = row + _FIXED_BYTES
        symbol = self._name(rows, at, rows[row + 177])
        tell(
            le.load_u64(rows, row + _INPUT_AT),
            le.load_i64(rows, row),
            le.load_u64(rows, row + 8),
            le.load_u64(rows, row + 32),
            self._name(rows, at + rows[row + 177], rows[row + 175]),
            symbol,
            le.load_u32(rows, row + 48),
            le.load_u32(rows, row + 121),
            ADMISSION_WORDS[le.load_u16(rows, row + 119)],
            le.load_i64(rows, row + 60),
            le.load_u64(rows, row + 127),
            self._state,
        )

    def _decided(self, rows: Row, row: int) -> Decided:
        """What `guard.engine` gives for the record that was admitted last."""
        at = row + _FIXED_BYTES + rows[row + 177]
        key_bytes = rows[row + 176]
        payload_bytes = le.load_u16(rows, row + 179)
        desk, _, client_order_id = le.bytes_at(rows, at, key_bytes).decode().partition("\0")
        at += key_bytes
        order, answer = decode_order(desk, client_order_id, le.bytes_at(rows, at, payload_bytes))
        client = le.bytes_at(rows, at + payload_bytes, rows[row + 178]).decode()
        received_at_ns, batch = le.load_i64(rows, row), le.load_u64(rows, row + 8)
        event = OrderDecided(received_at_ns, client, batch, order, answer)
        kernel_rows = KernelRows(self._input, self._output_row, self._digest_hex)
        return Decided(event, kernel_rows)
