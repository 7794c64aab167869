# cython: annotation_typing=False, nonecheck=True
"""Records folded from their rows: what the state decides of them, held against the record. Pure.

Owns the quick way of `guard.replay` through the records of plain orders, and the call of
`guard.fill_lane` for plain fills. That a row's record is the text of the values in it, which agree
with each other, `guard.order_rows` has shown. Here, on the state before the record: nothing stands
in the order's way (`guard.decide_entry`), its notional is the one recorded, and the kernel decides
the recorded input to the recorded decision under the policy that the record names; of an admission,
the desk can hold the notional, under the recorded number; of a refusal, the counts are the kernel's
and the limit the policy's. With that the answer is decided, byte for byte, and is applied as
`guard.apply` does.

Must not: refuse anything. Where any of this is not so nothing has changed, and the record goes the
long way round, by the engine's own rules, which say what is wrong with it if anything is.

It runs as it stands, or compiled with the types of `replay_lane.pxd` beside it.

How it fails: `InvariantError` where the ledger contradicts itself.
"""

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from guard.decide_entry import REASON_WORD
from guard.fill_lane import FillLane
from guard.orders_codec import decode_order
from guard.outcomes import Decided, KernelRows, OrderDecided
from guard.ranges import LOCAL_CLIENT
from guard.record_rules import RecordRules
from guard.replay_parts import DECIDED, DECIDED_BYTES, FILLED, ROW_HEAD
from guard.state import GuardState
from kernel import Action, InvariantError, Reason
from kernel import little_endian as le
from kernel.layout import TRACE_ROW_BYTES
from kernel.little_endian import Row

_HEAD_BYTES = ROW_HEAD.size
_DECIDED, _FILLED, _FIXED_BYTES = DECIDED, FILLED, DECIDED_BYTES
_INPUT_AT, _INPUT_BYTES = 40, 70
_DECISION_AT, _DECISION_BYTES = 110, 65
_DIGEST_AT, _DIGEST_BYTES = 181, 32
_REJECT = int(Action.REJECT)
_REASONS_MAX = 128
_COUNTS_BYTES = TRACE_ROW_BYTES
_RISK_LIMIT, _CONFIDENCE_LIMIT = int(Reason.RISK_HARD_LIMIT), int(Reason.CONFIDENCE_HARD_LIMIT)
# Of desks and symbols; bounded as in guard.wire.
_NAMES_KEPT_MAX = 16_384

# Told of a record that was folded from its row, where no more is wanted: the rows, the offset of
# that one's head (`guard.replay_parts`), and the state after it. It must change nothing.
RowObserver: TypeAlias = Callable[[bytes, int, GuardState], None]


class ReplayLane:
    """The lane of one state. `order_count`: how many orders went through it."""

    def __init__(self, state: GuardState, rules: RecordRules) -> None:
        self._state = state
        self._rules = rules
        self._digest_hex = ""
        self._digest = b""
        self._names: dict[bytes, str] = {}
        self._input = self._output_row = b""
        self.fills = FillLane(state, rules)
        self.order_count = 0
        self.reason_counts = [0] * _REASONS_MAX

    def fold(
        self,
        rows: bytes,
        at: int,
        tell: Callable[[Decided], None] | None,
        tell_row: RowObserver | None,
    ) -> int:
        """Folds the rows from offset `at` on; the offset of the first one that it does not.

        After each, `tell_row` is told of it where it is given; else `tell` is told what the rules
        give for the record.
        """
        size = len(rows)
        while at + _HEAD_BYTES <= size:
            kind = rows[at]
            row = at + _HEAD_BYTES
            is_order = kind == _DECIDED
            if is_order:
                is_taken = self._take(rows, row)
            else:
                is_taken = kind == _FILLED and self.fills.take(rows, row)
            if not is_taken:
                break
            if tell_row is not None:
                tell_row(rows, at, self._state)
            elif tell is not None:
                tell(self._decided(rows, row) if is_order else self.fills.decided(rows, row))
            at = row + le.load_u32(rows, at + 1)
        return at

    def reasons(self) -> Counter[str]:
        """How many of the orders taken had which reason."""
        return Counter(
            {REASON_WORD[code]: count for code, count in enumerate(self.reason_counts) if count}
        )

    def _take(self, rows: Row, row: int) -> bool:
        """Whether the record is what the rules give; it is then applied."""
        state = self._state
        received_at_ns = le.load_i64(rows, row)
        sequence = le.load_u64(rows, row + _INPUT_AT)
        if sequence != state.next_sequence or state.entries_halt is not None:
            return False
        batch = le.load_i64(rows, row + 8)
        if not self._rules.follows(sequence, received_at_ns, batch):
            return False
        is_refusal = rows[row + 118] == _REJECT
        at = row + _FIXED_BYTES + (_COUNTS_BYTES if is_refusal else 0)
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
        quantity, price = le.load_u32(rows, row + 52), le.load_u64(rows, row + 24)
        if instrument.notional_microcents(quantity, price) != le.load_i64(rows, row + 60):
            return False
        key = le.bytes_at(rows, at, rows[row + 176])
        orders = state.orders
        if not orders.is_free(key) or orders.is_full(state.remembered_orders_max, received_at_ns):
            return False
        at += rows[row + 176]
        payload = le.bytes_at(rows, at, le.load_u16(rows, row + 179))
        if is_refusal:
            if not self._is_refused(rows, row):
                return False
            expires_at_ns = state.expires_at_ns(received_at_ns, sent_at_ns)
            # Here it is decided, and goes on as `guard.apply` does.
            orders.forget_expired(received_at_ns)
            orders.add_refused(key, payload, expires_at_ns)
        elif not self._admit(rows, row, desk_name, key, payload):
            return False
        state.advance(sequence, received_at_ns)
        self._rules.note_batch(batch)
        self.order_count += 1
        self.reason_counts[le.load_u16(rows, row + 119)] += 1
        return True

    def _admit(self, rows: Row, row: int, desk: str, key: bytes, payload: bytes) -> bool:
        """Whether the desk can hold the notional, under the number of the record; it then does."""
        state = self._state
        notional = le.load_i64(rows, row + 60)
        ledger = state.ledger
        line = ledger.line(desk)
        reservation_id = le.load_i64(rows, row + 16)
        if line is None or not line.can_hold(notional):
            return False
        if ledger.next_reservation_id != reservation_id:
            return False
        orders = state.orders
        orders.forget_expired(le.load_i64(rows, row))
        if ledger.reserve_line(line, notional) != reservation_id:
            raise InvariantError(f"the ledger did not give hold {reservation_id}, which was next")
        orders.add_open(key, payload, len(payload), notional)  # type: ignore[arg-type]
        return True

    def _is_refused(self, rows: Row, row: int) -> bool:
        """Whether the refusal's counts are the kernel's, and its limit the policy's."""
        counts = le.bytes_at(rows, row + _FIXED_BYTES, _COUNTS_BYTES)
        if not self._output_row.endswith(counts):
            return False
        policy = self._state.policy
        assert policy is not None
        code = le.load_u16(rows, row + 119)
        limit = 0
        if code == _RISK_LIMIT:
            limit = policy.hard_risk_limit_bps
        elif code == _CONFIDENCE_LIMIT:
            limit = policy.minimum_confidence_bps
        return le.load_u64(rows, row + 16) == limit

    def _is_decided(self, rows: Row, row: int) -> bool:
        """Whether the policy in force is the record's, and gives its decision."""
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
        return self._output_row.startswith(decision)

    def _name(self, rows: Row, at: int, count: int) -> str:
        """A desk's or symbol's name as text, kept for its next order."""
        key = le.bytes_at(rows, at, count)
        known = self._names.get(key)
        if known is None:
            known = key.decode()
            if len(self._names) < _NAMES_KEPT_MAX:
                self._names[key] = known
        return known

    def _decided(self, rows: Row, row: int) -> Decided:
        """What `guard.engine` gives for the record that was taken last."""
        at = row + _FIXED_BYTES + rows[row + 177]
        if rows[row + 118] == _REJECT:
            at += _COUNTS_BYTES
        key_bytes = rows[row + 176]
        payload_bytes = le.load_u16(rows, row + 179)
        desk, _, client_order_id = le.bytes_at(rows, at, key_bytes).decode().partition("\0")
        at += key_bytes
        order, answer = decode_order(desk, client_order_id, le.bytes_at(rows, at, payload_bytes))
        received_at_ns, batch = le.load_i64(rows, row), le.load_u64(rows, row + 8)
        event = OrderDecided(received_at_ns, LOCAL_CLIENT, batch, order, answer)
        kernel_rows = KernelRows(self._input, self._output_row, self._digest_hex)
        return Decided(event, kernel_rows)
