# cython: annotation_typing=False
"""The record of a plain fill as a row: what of it needs no state, shown once and for all. Pure.

Owns for fills what `guard.order_rows` owns for orders: the way from the record's exact text to a
row (`guard.replay_parts`), in which the text is that of the values, byte for byte, and fill and
answer agree. Plain is a fill that has no flags, whose fee is paid, and that halts nothing. It runs
as it stands, or compiled with the types of `fill_rows.pxd` beside it.

How it fails: it does not; what is not plain has no row.
"""

from guard import packing, text
from guard.messages import I64_MAX
from guard.record_reader import RecordReader
from guard.replay_parts import FILLED_BYTES
from kernel import little_endian as le

_FIXED_BYTES = FILLED_BYTES
_I64_MAX = I64_MAX
_NAME_BYTES_MAX, _IDENTIFIER_BYTES_MAX = 32, 64

_RECEIVED = b'{"event":"fill","received_at_ns":'
_DESK = b',"fill":{"type":"fill","desk":"'
_ORDER_ID = b'","client_order_id":"'
_FILL_ID = b'","fill_id":"'
_QUANTITY = b'","quantity":'
_FEE = b',"fee_microcents":'
_PRICE = b',"price":'
_EXECUTED = b',"executed_at_ns":'
_ANSWER_DESK = b'},"answer":{"type":"filled","desk":"'
_SEQUENCE = b'","wal_sequence":'
_OPEN = b',"open_quantity":'
_HOLD = b',"hold_microcents":'
_RELEASED = b',"released_microcents":'
_END = b',"unpaid_fee_microcents":0,"flags":[],"repeat":false},"halts_desk":false}'
_NULL = b"null"

# A fill as it is remembered (`guard.orders_codec`): an array of seven, the first of which is the
# array of quantity, fee, price and time; the last two are no unpaid fee and no flags.
_CONTENT_HEAD = b"\x97\x94"
_NIL = b"\xc0"
_NOTHING_UNPAID = b"\x00\x00"


class FillReader(RecordReader):
    """One record at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._desk_at = self._desk_bytes = 0
        self._order_at = self._order_bytes = self._fill_at = self._fill_bytes = 0

    def read(self, block: bytes, at: int, end: int, sequence: int, out: bytearray, row: int) -> int:
        """The length of the record's row, put at `row`; 0 where it is no plain fill."""
        self.at = at
        self.end = end
        if not self.origin(block, _RECEIVED, out, row):
            return 0
        le.store_u64(out, row + 16, sequence)
        if not self._read_names(block) or not self._read_fill(block, out, row):
            return 0
        if not self._read_answer(block, out, row, sequence):
            return 0
        return self._put_memory(block, out, row) - row

    def _read_names(self, block: bytes) -> bool:
        if not self.string(block, _DESK, _NAME_BYTES_MAX):
            return False
        self._desk_at = self.last
        self._desk_bytes = self.at - self.last
        if not self.string(block, _ORDER_ID, _IDENTIFIER_BYTES_MAX):
            return False
        self._order_at = self.last
        self._order_bytes = self.at - self.last
        if not self.string(block, _FILL_ID, _IDENTIFIER_BYTES_MAX):
            return False
        self._fill_at = self.last
        self._fill_bytes = self.at - self.last
        return self._desk_bytes > 0 and self._order_bytes > 0 and self._fill_bytes > 0

    def _read_fill(self, block: bytes, out: bytearray, row: int) -> bool:
        """Its numbers; those that may be null are 0 then."""
        return (
            self._put_number(block, _QUANTITY, out, row + 24)
            and self.value > 0
            and self._put_number(block, _FEE, out, row + 32)
            and self._put_optional(block, _PRICE, out, row + 40)
            and self._put_optional(block, _EXECUTED, out, row + 48)
        )

    def _put_number(self, block: bytes, piece: bytes, out: bytearray, at: int) -> bool:
        """The piece, and an integer from 0 to 2^63 - 1 behind it, put at `at`."""
        if not self.number(block, piece, 8) or self.value > _I64_MAX:
            return False
        le.store_u64(out, at, self.value)
        return True

    def _put_optional(self, block: bytes, piece: bytes, out: bytearray, at: int) -> bool:
        """The same, but null, put as 0, or an integer from 1 on."""
        if not self.is_next(block, piece):
            return False
        le.store_u64(out, at, 0)
        if self.is_next(block, _NULL):
            return True
        return self._put_number(block, b"", out, at) and self.value > 0

    def _read_answer(self, block: bytes, out: bytearray, row: int, sequence: int) -> bool:
        return (
            self._is_again(block, _ANSWER_DESK, self._desk_at, self._desk_bytes)
            and self._is_again(block, _ORDER_ID, self._order_at, self._order_bytes)
            and self._is_again(block, _FILL_ID, self._fill_at, self._fill_bytes)
            and self.is_number(block, _SEQUENCE, sequence)
            and self._put_number(block, _OPEN, out, row + 56)
            and self._put_number(block, _HOLD, out, row + 64)
            and self._put_number(block, _RELEASED, out, row + 72)
            and self.is_number(block, _FEE, le.load_u64(out, row + 32))
            and self.is_next(block, _END)
            and self.at == self.end
        )

    def _is_again(self, block: bytes, piece: bytes, start: int, count: int) -> bool:
        return self.is_again(block, piece, start, count, _IDENTIFIER_BYTES_MAX)

    def _put_memory(self, block: bytes, out: bytearray, row: int) -> int:
        """The keys and the fill as it is remembered, behind the fixed part; their end."""
        order_key_bytes = self._desk_bytes + 1 + self._order_bytes
        out[row + 80] = self._desk_bytes
        out[row + 81] = order_key_bytes
        out[row + 82] = order_key_bytes + 1 + self._fill_bytes
        out[row + 83] = self.client_bytes
        at = row + _FIXED_BYTES
        at = text.put_slice(out, at, block, self._desk_at, self._desk_bytes)
        at = text.put(out, at, b"\0")
        at = text.put_slice(out, at, block, self._order_at, self._order_bytes)
        at = text.put(out, at, b"\0")
        at = text.put_slice(out, at, block, self._fill_at, self._fill_bytes)
        start = at
        at = text.put(out, at, _CONTENT_HEAD)
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 24))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 32))
        at = put_optional(out, at, le.load_u64(out, row + 40))
        at = put_optional(out, at, le.load_u64(out, row + 48))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 16))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 56))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 64))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 72))
        at = text.put(out, at, _NOTHING_UNPAID)
        le.store_u16(out, row + 84, at - start)
        return text.put_slice(out, at, block, self.client_at, self.client_bytes)


def put_optional(out: bytearray, at: int, value: int) -> int:
    """Nil for 0, else the integer."""
    return text.put(out, at, _NIL) if value == 0 else packing.put_unsigned(out, at, value)
