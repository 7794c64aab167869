# cython: annotation_typing=False
"""The record of a plain order as a row: what of it needs no state, shown once and for all. Pure.

Owns the quick way from the record of an order that was admitted, or refused by the kernel, in its
exact text to a row (`guard.replay_parts` describes it), and what is proven on the way: the text is
that of the values in the row, byte for byte; the digests are those of input and decision; event,
input, decision and answer agree with each other wherever they say the same thing. What is left,
which is all that the state decides, `guard.replay_lane` does. Must not: refuse anything.

How it works: one walk from the record's front to its end, in which each piece of text either is the
one that must stand there, or a value; nothing is looked for. It runs as it stands, or compiled with
the types of `order_rows.pxd` beside it.

How it fails: it does not; what is not plain has no row.
"""

import msgspec

from guard import packing, text
from guard.decide_entry import REASON_WORD
from guard.messages import I64_MAX, ORDER_TYPES, SIDES, TIMES_IN_FORCE
from guard.orders_codec import (
    ADMITTED_HEAD,
    PACKED_ORDER_TYPES,
    PACKED_SIDES,
    PACKED_TIMES_IN_FORCE,
)
from guard.record_reader import RecordReader
from guard.replay_parts import DECIDED_BYTES
from kernel import Action, Reason
from kernel import little_endian as le
from kernel.digest import decision_digest_of_row, input_digest_of_row
from kernel.layout import TRACE, TRACE_ROW_BYTES
from wal import rawbytes as raw

_FIXED_BYTES = DECIDED_BYTES
_I64_MAX = I64_MAX
_EXECUTE, _SUBSTITUTE, _REJECT = map(
    int, (Action.EXECUTE_REQUESTED, Action.SUBSTITUTE, Action.REJECT)
)
_RISK_LIMIT, _CONFIDENCE_LIMIT = int(Reason.RISK_HARD_LIMIT), int(Reason.CONFIDENCE_HARD_LIMIT)
_GATES, _COUNTS_BYTES = len(TRACE.field_names), TRACE_ROW_BYTES
_REASONS_MAX = 128  # above every number of the kernel's own
_TOKENS_PER_ORDER = 1_000_000  # as in guard.decide_entry
_BPS_MAX = 10_000
_NAME_BYTES_MAX, _IDENTIFIER_BYTES_MAX = 32, 64
_HEX_LENGTH = 64

_AUDIT = (
    b'{"audit":{"schema_version":"calybris.audit.v1","digest_algorithm":"sha256",'
    b'"proof_version":1,"policy_epoch":'
)
_CATALOG = b',"catalog_epoch":'
_POLICY = b',"created_by":"calybris","policy_digest_hex":"'
_INPUT_DIGEST = b'","input_digest_hex":"'
_DECISION_DIGEST = b'","decision_digest_hex":"'
_INPUT = b'","replay_valid":true},"input":{"'
_DECISION = b'},"decision":{"'
_RECEIVED = b'},"metadata":{"event":"order","received_at_ns":'
_ORDER_ID = b',"order":{"type":"order","client_order_id":"'
_DESK = b'","desk":"'
_SYMBOL = b'","symbol":"'
_SIDE = b'","side":"'
_QUANTITY = b'","quantity":'
_PRICE = b',"price":'
_VENUE = b',"venue":'
_RISK = b',"risk_bps":'
_CONFIDENCE = b',"confidence_bps":'
_QUALITY = b',"minimum_quality_bps":'
_LATENCY = b',"max_p95_latency_ms":'
_CAPABILITIES = b',"required_capabilities":'
_PROVIDERS = b',"allowed_providers":'
_REGIONS = b',"required_regions":'
_MAX_FEE = b',"max_fee_microcents":'
_ALLOWED = b',"allow_substitute":true'
_NOT_ALLOWED = b',"allow_substitute":false'
_TYPE = b',"order_type":"'
_TIME = b'","time_in_force":"'
_CURRENCY = b'","currency":'
_SENT_AT = b',"sent_at_ns":'
_ANSWER = b'},"answer":{"type":"admit","client_order_id":"'
_SEQUENCE = b'","wal_sequence":'
_RESERVATION = b',"reservation_id":'
_SUBSTITUTED = b',"substituted":true'
_NOT_SUBSTITUTED = b',"substituted":false'
_NOTIONAL = b',"notional_microcents":'
_FEE = b',"fee_microcents":'
_REASON = b',"reason":"'
_END = b'","repeat":false}}}'
_NULL = b"null"
_REASONS = [REASON_WORD.get(code, "").encode() for code in range(_REASONS_MAX)]
_REJECT_ANSWER = b'},"answer":{"type":"reject","client_order_id":"'
_STAGE = b',"stage":"kernel","reason":"'
_DETAIL = b'","detail":{'
_COUNTS = [
    b'%b"%b":' % (b"," if index else b"", gate.encode())
    for index, gate in enumerate(TRACE.field_names)
]
_ASKED, _LIMIT = b',"asked":', b',"limit":'
_REJECT_END = b'},"repeat":false}}}'

# An order as it is remembered (`guard.orders_codec`). A refusal is an array of five, the last of
# which is the map of its detail.
_CONTENT_HEAD = ADMITTED_HEAD
_REJECT_CONTENT_HEAD = b"\x95" + ADMITTED_HEAD[1:]
_KERNEL_STAGE = b"\x01"  # its place in `guard.orders_codec`
_pack = msgspec.msgpack.encode
_COUNT_KEYS = [_pack(gate) for gate in TRACE.field_names]
_ASKED_KEY, _LIMIT_KEY = _pack("asked"), _pack("limit")
_COUNTS_HEAD, _COUNTS_AND_LIMIT_HEAD = bytes([0x80 + _GATES]), bytes([0x80 + _GATES + 2])
_SIDES, _TYPES, _TIMES = SIDES, ORDER_TYPES, TIMES_IN_FORCE
_PACKED_SIDES, _PACKED_TYPES, _PACKED_TIMES = (
    PACKED_SIDES,
    PACKED_ORDER_TYPES,
    PACKED_TIMES_IN_FORCE,
)
_TRUE, _FALSE, _NIL = b"\xc3", b"\xc2", b"\xc0"


class DecidedReader(RecordReader):
    """One record at a time. `currency`: of all orders read that name one; others are not plain."""

    def __init__(self) -> None:
        super().__init__()
        self.currency = b""
        self._id_at = self._id_bytes = self._desk_at = self._desk_bytes = 0
        self._symbol_at = self._symbol_bytes = self._currency_at = self._currency_bytes = 0
        self._side = self._type = self._time = 0
        self._is_substitute_allowed = False

    def read(self, block: bytes, at: int, end: int, sequence: int, out: bytearray, row: int) -> int:
        """The length of the record's row, put at `row`; 0 where it is no plain order's."""
        self.at = at
        self.end = end
        if not self._read_opening(block, out, row, sequence):
            return 0
        if not self._read_event(block, out, row) or not self._read_numbers(block, out, row):
            return 0
        if not self._read_rest_of_order(block, out, row):
            return 0
        if out[row + 118] == _REJECT:
            if not self._read_refusal(block, out, row, sequence):
                return 0
        elif not self._read_answer(block, out, row, sequence):
            return 0
        return self._put_memory(block, out, row) - row

    def _read_opening(self, block: bytes, out: bytearray, row: int, sequence: int) -> bool:
        """Audit, input and decision; their two rows and the policy's digest are then in `out`."""
        if not self.number(block, _AUDIT, 8):
            return False
        policy_epoch = self.value
        if not self.number(block, _CATALOG, 8):
            return False
        catalog_epoch = self.value
        if not self.is_next(block, _POLICY):
            return False
        if self.at + 3 * _HEX_LENGTH + 128 > self.end:
            return False
        if not put_digest(out, row + 181, block, self.at):
            return False
        self.at += _HEX_LENGTH
        if not self.is_next(block, _INPUT_DIGEST):
            return False
        input_hex_at = self.at
        self.at += _HEX_LENGTH
        if not self.is_next(block, _DECISION_DIGEST):
            return False
        decision_hex_at = self.at
        self.at += _HEX_LENGTH
        if not self.is_next(block, _INPUT):
            return False
        at = self.read_input(block, self.at, self.end, out, row + 40)
        if at < 0:
            return False
        self.at = at
        if not self.is_next(block, _DECISION):
            return False
        at = self.read_decision(block, self.at, self.end, out, row + 110)
        if at < 0:
            return False
        self.at = at
        if not self._agree(out, row, sequence, policy_epoch, catalog_epoch):
            return False
        digest = input_digest_of_row(le.bytes_at(out, row + 40, 70))
        if not raw.is_hex_of(block, input_hex_at, digest):
            return False
        digest = decision_digest_of_row(le.bytes_at(out, row + 110, 65))
        return raw.is_hex_of(block, decision_hex_at, digest)

    def _agree(
        self, out: bytearray, row: int, sequence: int, policy_epoch: int, catalog_epoch: int
    ) -> bool:
        """Whether input and decision are of this record and of these epochs."""
        action = out[row + 118]
        reason = le.load_u16(out, row + 119)
        return (
            le.load_u64(out, row + 40) == sequence
            and le.load_u64(out, row + 110) == sequence
            and le.load_u64(out, row + 159) == policy_epoch
            and le.load_u64(out, row + 167) == catalog_epoch
            and le.load_u32(out, row + 56) == _TOKENS_PER_ORDER
            and le.load_i64(out, row + 60) >= 0
            and _EXECUTE <= action <= _REJECT
            and reason < _REASONS_MAX
        )

    def _read_event(self, block: bytes, out: bytearray, row: int) -> bool:
        """The event's head and the order's names."""
        if not self.origin(block, _RECEIVED, out, row):
            return False
        if not self.string(block, _ORDER_ID, _IDENTIFIER_BYTES_MAX):
            return False
        self._id_at = self.last
        self._id_bytes = self.at - self.last
        if not self.string(block, _DESK, _NAME_BYTES_MAX):
            return False
        self._desk_at = self.last
        self._desk_bytes = self.at - self.last
        if not self.string(block, _SYMBOL, _NAME_BYTES_MAX):
            return False
        self._symbol_at = self.last
        self._symbol_bytes = self.at - self.last
        self._side = self.word(block, _SIDE, _SIDES)
        return self._side >= 0 and self._id_bytes > 0 and self._desk_bytes > 0 < self._symbol_bytes

    def _read_numbers(self, block: bytes, out: bytearray, row: int) -> bool:
        """The order's integers, which all but its price stand in the input too."""
        quantity = le.load_u32(out, row + 52)
        risk = le.load_u16(out, row + 76)
        confidence = le.load_u16(out, row + 78)
        quality = le.load_u16(out, row + 80)
        if quantity == 0 or risk > _BPS_MAX or confidence > _BPS_MAX or quality > _BPS_MAX:
            return False
        if not self.is_number(block, _QUANTITY, quantity) or not self.number(block, _PRICE, 8):
            return False
        price = self.value
        if price == 0 or price > _I64_MAX:
            return False
        le.store_u64(out, row + 24, price)
        return (
            self.is_number(block, _VENUE, le.load_u32(out, row + 48))
            and self.is_number(block, _RISK, risk)
            and self.is_number(block, _CONFIDENCE, confidence)
            and self.is_number(block, _QUALITY, quality)
            and self.is_number(block, _LATENCY, le.load_u32(out, row + 82))
            and self.is_number(block, _CAPABILITIES, le.load_u64(out, row + 86))
            and self.is_number(block, _PROVIDERS, le.load_u64(out, row + 94))
            and self.is_number(block, _REGIONS, le.load_u64(out, row + 102))
            and self.is_number(block, _MAX_FEE, le.load_u64(out, row + 68))
        )

    def _read_rest_of_order(self, block: bytes, out: bytearray, row: int) -> bool:
        self._is_substitute_allowed = self.is_next(block, _ALLOWED)
        if not self._is_substitute_allowed and (
            not self.is_next(block, _NOT_ALLOWED)
            or out[row + 118] == _SUBSTITUTE  # what may not go elsewhere was not admitted there
        ):
            return False
        self._type = self.word(block, _TYPE, _TYPES)
        if self._type < 0:
            return False
        self._time = self.word(block, _TIME, _TIMES)
        if self._time < 0 or not self.is_next(block, _CURRENCY):
            return False
        self._currency_bytes = -1
        if not self.is_next(block, _NULL):
            if not self.string(block, b'"', _NAME_BYTES_MAX):
                return False
            self._currency_at = self.last
            self._currency_bytes = self.at - self.last
            self.at += 1
            if not self._is_same_currency(block):
                return False
        if not self.is_next(block, _SENT_AT):
            return False
        sent_at = 0
        if not self.is_next(block, _NULL):
            if not self.number(block, b"", 8):
                return False
            sent_at = self.value
            if sent_at == 0 or sent_at > _I64_MAX:
                return False
        le.store_u64(out, row + 32, sent_at)
        return True

    def _is_same_currency(self, block: bytes) -> bool:
        """Whether it is that of the orders before: which one it must be, the state says."""
        count = len(self.currency)
        if count == 0:
            return self._currency_bytes > 0
        return self._currency_bytes == count and raw.has_at(
            block, self._currency_at, self.currency, count
        )

    def _read_answer(self, block: bytes, out: bytearray, row: int, sequence: int) -> bool:
        """The answer, which says of itself the hold's number alone; then the record's end."""
        if not self._is_id_again(block, _ANSWER) or not self.is_number(block, _SEQUENCE, sequence):
            return False
        if not self.number(block, _RESERVATION, 8):
            return False
        le.store_u64(out, row + 16, self.value)
        substituted = out[row + 118] == _SUBSTITUTE
        reason = _REASONS[le.load_u16(out, row + 119)]
        return (
            self.is_number(block, _VENUE, le.load_u32(out, row + 121))
            and self.is_next(block, _SUBSTITUTED if substituted else _NOT_SUBSTITUTED)
            and self.is_number(block, _NOTIONAL, le.load_u64(out, row + 60))
            and self.is_number(block, _FEE, le.load_u64(out, row + 127))
            and self.is_next(block, _REASON)
            and self.is_next(block, reason)
            and self.is_next(block, _END)
            and self.at == self.end
        )

    def _read_refusal(self, block: bytes, out: bytearray, row: int, sequence: int) -> bool:
        """The kernel's refusal: its counts, and the hard limit where that was the reason."""
        if not self._is_id_again(block, _REJECT_ANSWER):
            return False
        code = le.load_u16(out, row + 119)
        if not (
            self.is_number(block, _SEQUENCE, sequence)
            and self.is_next(block, _STAGE)
            and self.is_next(block, _REASONS[code])
            and self.is_next(block, _DETAIL)
        ):
            return False
        for index in range(_GATES):
            if not self.number(block, _COUNTS[index], 2):
                return False
            le.store_u16(out, row + _FIXED_BYTES + 2 * index, self.value)
        le.store_u64(out, row + 16, 0)
        if code in (_RISK_LIMIT, _CONFIDENCE_LIMIT):
            asked = le.load_u16(out, row + (76 if code == _RISK_LIMIT else 78))
            if not self.is_number(block, _ASKED, asked) or not self.number(block, _LIMIT, 2):
                return False
            le.store_u64(out, row + 16, self.value)
        return self.is_next(block, _REJECT_END) and self.at == self.end

    def _is_id_again(self, block: bytes, piece: bytes) -> bool:
        return self.is_again(block, piece, self._id_at, self._id_bytes, _IDENTIFIER_BYTES_MAX)

    # Writing.

    def _put_memory(self, block: bytes, out: bytearray, row: int) -> int:
        """Symbol, key and the order as it is remembered, behind the row's fixed part; their end."""
        if len(self.currency) == 0 and self._currency_bytes > 0:
            self.currency = le.bytes_at(block, self._currency_at, self._currency_bytes)
        key_bytes = self._desk_bytes + 1 + self._id_bytes
        out[row + 175] = self._desk_bytes
        out[row + 176] = key_bytes
        out[row + 177] = self._symbol_bytes
        out[row + 178] = self.client_bytes
        is_refusal = out[row + 118] == _REJECT
        at = row + _FIXED_BYTES + (_COUNTS_BYTES if is_refusal else 0)
        at = text.put_slice(out, at, block, self._symbol_at, self._symbol_bytes)
        at = text.put_slice(out, at, block, self._desk_at, self._desk_bytes)
        at = text.put(out, at, b"\0")
        at = text.put_slice(out, at, block, self._id_at, self._id_bytes)
        payload_at = at
        at = text.put(out, at, _REJECT_CONTENT_HEAD if is_refusal else _CONTENT_HEAD)
        at = self._put_order(block, out, row, at)
        at = packing.put_unsigned(out, at, le.load_u16(out, row + 119))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 40))
        at = put_refusal(out, row, at) if is_refusal else put_admission(out, row, at)
        le.store_u16(out, row + 179, at - payload_at)
        return text.put_slice(out, at, block, self.client_at, self.client_bytes)

    def _put_order(self, block: bytes, out: bytearray, row: int, at: int) -> int:
        """The order's fields from its symbol on."""
        at = packing.put_text(out, at, block, self._symbol_at, self._symbol_bytes)
        at = text.put(out, at, _PACKED_SIDES[self._side])
        at = packing.put_unsigned(out, at, le.load_u32(out, row + 52))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 24))
        at = packing.put_unsigned(out, at, le.load_u32(out, row + 48))
        at = packing.put_unsigned(out, at, le.load_u16(out, row + 76))
        at = packing.put_unsigned(out, at, le.load_u16(out, row + 78))
        at = packing.put_unsigned(out, at, le.load_u16(out, row + 80))
        at = packing.put_unsigned(out, at, le.load_u32(out, row + 82))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 86))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 94))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 102))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 68))
        at = text.put(out, at, _TRUE if self._is_substitute_allowed else _FALSE)
        at = text.put(out, at, _PACKED_TYPES[self._type])
        at = text.put(out, at, _PACKED_TIMES[self._time])
        if self._currency_bytes < 0:
            at = text.put(out, at, _NIL)
        else:
            at = packing.put_text(out, at, block, self._currency_at, self._currency_bytes)
        sent_at = le.load_u64(out, row + 32)
        return text.put(out, at, _NIL) if sent_at == 0 else packing.put_unsigned(out, at, sent_at)


def put_admission(out: bytearray, row: int, at: int) -> int:
    """The rest of an admission as it is remembered."""
    at = packing.put_unsigned(out, at, le.load_u64(out, row + 16))
    at = packing.put_unsigned(out, at, le.load_u32(out, row + 121))
    at = text.put(out, at, _TRUE if out[row + 118] == _SUBSTITUTE else _FALSE)
    at = packing.put_unsigned(out, at, le.load_u64(out, row + 60))
    return packing.put_unsigned(out, at, le.load_u64(out, row + 127))


def put_refusal(out: bytearray, row: int, at: int) -> int:
    """The rest of a refusal by the kernel as it is remembered."""
    code = le.load_u16(out, row + 119)
    has_limit = code in (_RISK_LIMIT, _CONFIDENCE_LIMIT)
    at = text.put(out, at, _KERNEL_STAGE)
    at = text.put(out, at, _COUNTS_AND_LIMIT_HEAD if has_limit else _COUNTS_HEAD)
    for index in range(_GATES):
        at = text.put(out, at, _COUNT_KEYS[index])
        at = packing.put_unsigned(out, at, le.load_u16(out, row + _FIXED_BYTES + 2 * index))
    if has_limit:
        at = text.put(out, at, _ASKED_KEY)
        asked = le.load_u16(out, row + (76 if code == _RISK_LIMIT else 78))
        at = packing.put_unsigned(out, at, asked)
        at = text.put(out, at, _LIMIT_KEY)
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 16))
    return at


def put_digest(out: bytearray, at: int, text_of: bytes, start: int) -> bool:
    """Puts the 32 bytes of a digest; whether they stand there in lower-case hexadecimal."""
    for index in range(32):
        high = nibble_of(text_of[start + 2 * index])
        low = nibble_of(text_of[start + 2 * index + 1])
        if high > 15 or low > 15:
            return False
        out[at + index] = high << 4 | low
    return True


def nibble_of(character: int) -> int:
    """The value of a lower-case hexadecimal digit; 255 where it is none."""
    if 0x30 <= character <= 0x39:
        return character - 0x30
    if 0x61 <= character <= 0x66:
        return character - 0x57
    return 255
