# cython: annotation_typing=False, nonecheck=True
"""A fill folded from its row: what the state decides of it, held against the record. Pure.

Owns for fills what `guard.replay_lane` owns for orders. That the record is the text of the row's
values `guard.fill_rows` has shown; here, on the state before the record: the fill is new, its order
is open, what is then open and held and what is freed are those that `guard.decide_execution` gives,
and the desk can pay the fee. Then it is applied, as `guard.apply` does. Must not refuse anything.

It runs as it stands, or compiled with the types of `fill_lane.pxd` beside it.

How it fails: `InvariantError` where the ledger contradicts itself.
"""

from guard import packing
from guard.orders_codec import ADMITTED_HEAD, decode_fill
from guard.outcomes import Decided, FillRecorded
from guard.ranges import LOCAL_CLIENT
from guard.record_rules import RecordRules
from guard.replay_parts import FILLED_BYTES
from guard.state import GuardState
from kernel import InvariantError
from kernel import little_endian as le
from kernel.little_endian import Row

_FIXED_BYTES = FILLED_BYTES
_BETWEEN = 10  # integers of an order as it is remembered, between its quantity and its flags
_HEAD = ADMITTED_HEAD
_HEAD_BYTES = len(_HEAD)


class FillLane:
    """The lane of one state. `record_count`: how many fills went through it."""

    def __init__(self, state: GuardState, rules: RecordRules) -> None:
        self._state = state
        self._rules = rules
        self._quantity = self._reservation_id = self._notional = self._sent_at_ns = 0
        self._value = 0
        self.record_count = 0

    def take(self, rows: Row, row: int) -> bool:
        """Whether the record is what the rules give; it is then applied."""
        state = self._state
        orders, ledger = state.orders, state.ledger
        sequence = le.load_u64(rows, row + 16)
        received_at_ns, batch = le.load_i64(rows, row), le.load_i64(rows, row + 8)
        if sequence != state.next_sequence:
            return False
        if not self._rules.follows(sequence, received_at_ns, batch):
            return False
        key = le.bytes_at(rows, row + _FIXED_BYTES, rows[row + 82])
        order_row = orders.open_row(le.bytes_at(rows, row + _FIXED_BYTES, rows[row + 81]))
        if order_row < 0 or orders.has_fill(key) or not self._read_terms(orders.payload(order_row)):
            return False
        held, filled = orders.hold_and_filled(order_row)
        filled += le.load_i64(rows, row + 24)
        quantity = self._quantity
        if filled > quantity:
            return False
        notional = self._notional
        # Python's integers, in both forms: the product needs more than 64 bits.
        after = 0 if filled == quantity else notional - notional * filled // quantity
        released = held - after
        fee = le.load_i64(rows, row + 32)
        if (
            le.load_i64(rows, row + 56) != quantity - filled
            or le.load_i64(rows, row + 64) != after
            or le.load_i64(rows, row + 72) != released
            or not ledger.can_settle(self._reservation_id, released, fee)
        ):
            return False
        # Here it is decided, and goes on as `guard.apply` does.
        orders.forget_expired(received_at_ns)
        if not ledger.settle_hold(self._reservation_id, released, fee):
            raise InvariantError(f"hold {self._reservation_id} could be settled, and was not")
        payload_at = row + _FIXED_BYTES + rows[row + 82]
        payload = le.bytes_at(rows, payload_at, le.load_u16(rows, row + 84))
        orders.fill_open(order_row, key, payload, filled, after)
        if filled == quantity:
            orders.close_filled(order_row, state.expires_at_ns(received_at_ns, self._sent_at_ns))
        state.advance(sequence, received_at_ns)
        self._rules.note_batch(batch)
        self.record_count += 1
        return True

    def _read_terms(self, payload: bytes) -> bool:
        """Takes quantity, hold, notional and time out of an admission as it is remembered."""
        end = len(payload)
        if end < _HEAD_BYTES or not payload.startswith(_HEAD):
            return False
        at = behind(payload, _HEAD_BYTES, 2, end)  # symbol, side
        at = self._integer(payload, at, end)
        self._quantity = self._value
        at = behind(payload, at, _BETWEEN + 4, end)  # and flag, type, time in force, currency
        at = self._integer(payload, at, end)
        self._sent_at_ns = self._value
        at = behind(payload, at, 2, end)  # reason, sequence
        at = self._integer(payload, at, end)
        self._reservation_id = self._value
        at = behind(payload, at, 2, end)  # venue, substituted
        at = self._integer(payload, at, end)
        self._notional = self._value
        return at >= 0 and self._quantity > 0

    def _integer(self, payload: bytes, at: int, end: int) -> int:
        """Takes in the integer there, nil as 0; the place behind it, -1 where it is none."""
        self._value = 0
        if at < 0 or at >= end:
            return -1
        if payload[at] == 0xC0:
            return at + 1
        size = packing.integer_bytes(payload, at, end)
        if size < 0:
            return -1
        self._value = packing.integer_at(payload, at, size)
        return at + 1 + size

    def decided(self, rows: Row, row: int) -> Decided:
        """What `guard.engine` gives for the fill in that row, which was taken."""
        at = row + _FIXED_BYTES
        key = le.bytes_at(rows, at, rows[row + 82]).decode()
        desk, client_order_id, fill_id = key.split("\0")
        at += rows[row + 82]
        payload_bytes = le.load_u16(rows, row + 84)
        fill, answer = decode_fill(
            desk, client_order_id, fill_id, le.bytes_at(rows, at, payload_bytes)
        )
        received_at_ns, batch = le.load_i64(rows, row), le.load_u64(rows, row + 8)
        return Decided(FillRecorded(received_at_ns, LOCAL_CLIENT, batch, fill, answer, False))


def behind(payload: bytes, at: int, count: int, end: int) -> int:
    """The place behind so many values; -1 where one is not plain."""
    for _ in range(count):
        at = packing.value_end(payload, at, end)
    return at
