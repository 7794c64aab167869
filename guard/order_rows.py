# cython: annotation_typing=False
"""Records of a log as rows: what of an admission needs no state, shown once and for all. Pure.

Owns the quick way from the record of an admitted order in its exact text to a row (`guard.
replay_parts` describes it), and what is proven on the way: the text is that of the values in the
row, byte for byte; the digests are those of input and decision; and event, input, decision and
answer agree with each other wherever they say the same thing. What is left, which is all that the
state decides, `guard.replay_lane` does. Must not: refuse anything; whatever is unusual becomes a
row of its data as it stands, and goes the long way round (`guard.replay`).

How it works: one walk from the record's front to its end, in which each piece of text either is the
one that must stand there, or a value; nothing is looked for. It runs as it stands, or compiled with
the types of `order_rows.pxd` beside it; interpreted it is slower than the long way, so replay uses
it compiled only, and the tests run both.

How it fails: a range of records that the spans do not hold is a `ValueError`.
"""

from typing import Any

import msgspec

from guard import packing, text
from guard.decide_entry import REASON_WORD
from guard.messages import I64_MAX
from guard.record_reader import RecordReader
from guard.replay_parts import ADMITTED, ADMITTED_BYTES, RAW, ROW_HEAD
from kernel import Action
from kernel import little_endian as le
from kernel.digest import decision_digest_of_row, input_digest_of_row
from wal import rawbytes as raw

_HEAD_BYTES = ROW_HEAD.size
_RAW, _ADMITTED, _FIXED_BYTES = RAW, ADMITTED, ADMITTED_BYTES
_DATA_BYTES_MAX = 2**32 - 1
# Every string and the payload at their longest, with room to spare.
_ROW_BYTES_MAX = 2048
_FIRST_ROOM = 1 << 16
_I64_MAX = I64_MAX
_EXECUTE, _SUBSTITUTE = int(Action.EXECUTE_REQUESTED), int(Action.SUBSTITUTE)
_TOKENS_PER_ORDER = 1_000_000  # as in guard.decide_entry
_BPS_MAX = 10_000
_NAME_BYTES_MAX, _IDENTIFIER_BYTES_MAX, _CLIENT_BYTES_MAX = 32, 64, 128
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
_CLIENT = b',"client":"'
_BATCH = b'","batch_first_sequence":'
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
_REASONS = [b"", b"", b""]  # of the two numbers that an admission may have
for _code in (1, 2):
    _REASONS[_code] = REASON_WORD[_code].encode()

# An order as it is remembered (`guard.orders_codec`): an array of eight, the first of which is the
# array of an order's fields from its symbol to the time it was sent.
_CONTENT_HEAD = b"\x98\xdc\x00\x12"
_SIDES = [b"buy", b"sell"]
_TYPES = [b"limit", b"market"]
_TIMES = [b"day", b"ioc", b"fok", b"gtc"]
_PACKED_SIDES = [msgspec.msgpack.encode(word.decode()) for word in _SIDES]
_PACKED_TYPES = [msgspec.msgpack.encode(word.decode()) for word in _TYPES]
_PACKED_TIMES = [msgspec.msgpack.encode(word.decode()) for word in _TIMES]
_TRUE, _FALSE, _NIL = b"\xc3", b"\xc2", b"\xc0"


class OrderRows:
    """Rows end to end, until they are taken."""

    def __init__(self) -> None:
        self._reader = RecordReader()
        self._out = bytearray(_FIRST_ROOM)
        self._size = 0
        self._at = self._end = self._last = 0
        self._client_at = self._client_bytes = 0
        self._id_at = self._id_bytes = self._desk_at = self._desk_bytes = 0
        self._symbol_at = self._symbol_bytes = self._currency_at = self._currency_bytes = 0
        self._side = self._type = self._time = 0
        self._is_substitute_allowed = False

    def take(self) -> bytes:
        """The rows so far, which are forgotten."""
        rows = le.bytes_of(self._out, self._size)
        self._size = 0
        return rows

    def add(self, block: bytes, spans: Any, first: int, count: int, sequence: int) -> None:
        """Adds the records from index `first` up to `count`, of which the first is `sequence`.

        `block` and `spans` are a run's (`wal.Run`).
        """
        size = len(block)
        places = spans
        if not (0 <= first <= count and 3 * count <= len(places)):
            raise ValueError(f"records {first} to {count} are not within {len(places) // 3}")
        for index in range(first, count):
            at = places[3 * index]
            end = places[3 * index + 1]
            if not 0 <= at < end < size:
                raise ValueError(f"a record from {at} to {end} is not within {size} bytes")
            if not self._add_admitted(block, at, end, sequence):
                self._add_raw(block, at, end)
            sequence += 1

    def _add_raw(self, block: bytes, at: int, end: int) -> None:
        length = end - at
        if length > _DATA_BYTES_MAX:
            raise ValueError(f"a record of {length} bytes is too long for a row")
        self._make_room(_HEAD_BYTES + length)
        out = self._out
        out_at = self._size
        self._put_head(out, out_at, _RAW, length)
        text.put_slice(out, out_at + _HEAD_BYTES, block, at, length)
        self._size = out_at + _HEAD_BYTES + length

    def _put_head(self, out: bytearray, at: int, kind: int, length: int) -> None:
        out[at] = kind
        le.store_u32(out, at + 1, length)

    def _make_room(self, byte_count: int) -> None:
        missing = self._size + byte_count - len(self._out)
        if missing > 0:
            self._out.extend(bytes(max(missing, len(self._out))))

    def _add_admitted(self, block: bytes, at: int, end: int, sequence: int) -> bool:
        """Whether the record from `at` to `end` is a plain admission; its row is then added."""
        self._make_room(_ROW_BYTES_MAX)
        out = self._out
        row = self._size + _HEAD_BYTES
        self._at = at
        self._end = end
        if not self._read_opening(block, out, row, sequence):
            return False
        if not self._read_event(block, out, row):
            return False
        if not self._read_numbers(block, out, row):
            return False
        if not self._read_rest_of_order(block, out, row):
            return False
        if not self._read_answer(block, out, row, sequence):
            return False
        length = self._put_memory(block, out, row) - row
        self._put_head(out, self._size, _ADMITTED, length)
        self._size = row + length
        return True

    # Reading: each step goes on at `_at`, and says whether the text is the one that must be there.

    def _is_next(self, block: bytes, piece: bytes) -> bool:
        length = len(piece)
        if not raw.holds(block, self._at, piece, length, self._end):
            return False
        self._at += length
        return True

    def _number(self, block: bytes, piece: bytes, width: int) -> bool:
        """The piece and an integer behind it, which is then the reader's `value`."""
        if not self._is_next(block, piece):
            return False
        at = self._reader.read_number(block, self._at, width)
        if at < 0:
            return False
        self._at = at
        return True

    def _is_number(self, block: bytes, piece: bytes, value: int) -> bool:
        """The piece and that very integer, from 0 to 2^64 - 1, behind it."""
        return self._number(block, piece, 8) and self._reader.value == value

    def _string(self, block: bytes, piece: bytes, bytes_max: int) -> bool:
        """The piece and a plain string behind it, up to its closing quote: `_last` to `_at`."""
        if not self._is_next(block, piece):
            return False
        at = self._at
        self._last = at
        while 0x20 <= block[at] < 0x7F and block[at] != 0x22 and block[at] != 0x5C:
            at += 1
        self._at = at
        return block[at] == 0x22 and at - self._last <= bytes_max

    def _word(self, block: bytes, piece: bytes, words: list[bytes]) -> int:
        """The piece and one of the words, up to its closing quote: which one; -1 for none."""
        if not self._string(block, piece, _NAME_BYTES_MAX):
            return -1
        for index in range(len(words)):
            word = words[index]
            if len(word) == self._at - self._last and raw.has_at(
                block, self._last, word, len(word)
            ):
                return index
        return -1

    def _read_opening(self, block: bytes, out: bytearray, row: int, sequence: int) -> bool:
        """Audit, input and decision; their two rows and the policy's digest are then in `out`."""
        reader = self._reader
        if not self._number(block, _AUDIT, 8):
            return False
        policy_epoch = reader.value
        if not self._number(block, _CATALOG, 8):
            return False
        catalog_epoch = reader.value
        if not self._is_next(block, _POLICY):
            return False
        if self._at + 3 * _HEX_LENGTH + 128 > self._end:
            return False
        if not put_digest(out, row + 181, block, self._at):
            return False
        self._at += _HEX_LENGTH
        if not self._is_next(block, _INPUT_DIGEST):
            return False
        input_hex_at = self._at
        self._at += _HEX_LENGTH
        if not self._is_next(block, _DECISION_DIGEST):
            return False
        decision_hex_at = self._at
        self._at += _HEX_LENGTH
        if not self._is_next(block, _INPUT):
            return False
        at = reader.read_input(block, self._at, self._end, out, row + 40)
        if at < 0:
            return False
        self._at = at
        if not self._is_next(block, _DECISION):
            return False
        at = reader.read_decision(block, self._at, self._end, out, row + 110)
        if at < 0:
            return False
        self._at = at
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
        """Whether input and decision are of this record, of these epochs, and an admission."""
        action = out[row + 118]
        reason = le.load_u16(out, row + 119)
        return (
            le.load_u64(out, row + 40) == sequence
            and le.load_u64(out, row + 110) == sequence
            and le.load_u64(out, row + 159) == policy_epoch
            and le.load_u64(out, row + 167) == catalog_epoch
            and le.load_u32(out, row + 56) == _TOKENS_PER_ORDER
            and le.load_i64(out, row + 60) >= 0
            and _EXECUTE <= action <= _SUBSTITUTE
            and 1 <= reason <= 2
        )

    def _read_event(self, block: bytes, out: bytearray, row: int) -> bool:
        """The event's head and the order's names."""
        reader = self._reader
        if not self._number(block, _RECEIVED, 8) or reader.value > _I64_MAX:
            return False
        le.store_u64(out, row, reader.value)
        if not self._string(block, _CLIENT, _CLIENT_BYTES_MAX):
            return False
        self._client_at = self._last
        self._client_bytes = self._at - self._last
        if not self._number(block, _BATCH, 8):
            return False
        le.store_u64(out, row + 8, reader.value)
        if not self._string(block, _ORDER_ID, _IDENTIFIER_BYTES_MAX):
            return False
        self._id_at = self._last
        self._id_bytes = self._at - self._last
        if not self._string(block, _DESK, _NAME_BYTES_MAX):
            return False
        self._desk_at = self._last
        self._desk_bytes = self._at - self._last
        if not self._string(block, _SYMBOL, _NAME_BYTES_MAX):
            return False
        self._symbol_at = self._last
        self._symbol_bytes = self._at - self._last
        self._side = self._word(block, _SIDE, _SIDES)
        return self._side >= 0 and self._id_bytes > 0 and self._desk_bytes > 0 < self._symbol_bytes

    def _read_numbers(self, block: bytes, out: bytearray, row: int) -> bool:
        """The order's integers, which all but its price stand in the input too."""
        quantity = le.load_u32(out, row + 52)
        risk = le.load_u16(out, row + 76)
        confidence = le.load_u16(out, row + 78)
        quality = le.load_u16(out, row + 80)
        if quantity == 0 or risk > _BPS_MAX or confidence > _BPS_MAX or quality > _BPS_MAX:
            return False
        if not self._is_number(block, _QUANTITY, quantity) or not self._number(block, _PRICE, 8):
            return False
        price = self._reader.value
        if price == 0 or price > _I64_MAX:
            return False
        le.store_u64(out, row + 24, price)
        return (
            self._is_number(block, _VENUE, le.load_u32(out, row + 48))
            and self._is_number(block, _RISK, risk)
            and self._is_number(block, _CONFIDENCE, confidence)
            and self._is_number(block, _QUALITY, quality)
            and self._is_number(block, _LATENCY, le.load_u32(out, row + 82))
            and self._is_number(block, _CAPABILITIES, le.load_u64(out, row + 86))
            and self._is_number(block, _PROVIDERS, le.load_u64(out, row + 94))
            and self._is_number(block, _REGIONS, le.load_u64(out, row + 102))
            and self._is_number(block, _MAX_FEE, le.load_u64(out, row + 68))
        )

    def _read_rest_of_order(self, block: bytes, out: bytearray, row: int) -> bool:
        self._is_substitute_allowed = self._is_next(block, _ALLOWED)
        if not self._is_substitute_allowed and (
            not self._is_next(block, _NOT_ALLOWED)
            or out[row + 118] == _SUBSTITUTE  # what may not go elsewhere was not admitted there
        ):
            return False
        self._type = self._word(block, _TYPE, _TYPES)
        if self._type < 0:
            return False
        self._time = self._word(block, _TIME, _TIMES)
        if self._time < 0 or not self._is_next(block, _CURRENCY):
            return False
        self._currency_bytes = -1
        if not self._is_next(block, _NULL):
            if not self._string(block, b'"', _NAME_BYTES_MAX):
                return False
            self._currency_at = self._last
            self._currency_bytes = self._at - self._last
            self._at += 1
        if not self._is_next(block, _SENT_AT):
            return False
        sent_at = 0
        if not self._is_next(block, _NULL):
            if not self._number(block, b"", 8):
                return False
            sent_at = self._reader.value
            if sent_at == 0 or sent_at > _I64_MAX:
                return False
        le.store_u64(out, row + 32, sent_at)
        return True

    def _read_answer(self, block: bytes, out: bytearray, row: int, sequence: int) -> bool:
        """The answer, which says of itself the hold's number alone; then the record's end."""
        if not self._string(block, _ANSWER, _IDENTIFIER_BYTES_MAX):
            return False
        if self._at - self._last != self._id_bytes or not raw.same_rows(
            block, self._last, block, self._id_at, self._id_bytes
        ):
            return False
        if not self._is_number(block, _SEQUENCE, sequence):
            return False
        if not self._number(block, _RESERVATION, 8):
            return False
        le.store_u64(out, row + 16, self._reader.value)
        substituted = out[row + 118] == _SUBSTITUTE
        reason = _REASONS[le.load_u16(out, row + 119)]
        return (
            self._is_number(block, _VENUE, le.load_u32(out, row + 121))
            and self._is_next(block, _SUBSTITUTED if substituted else _NOT_SUBSTITUTED)
            and self._is_number(block, _NOTIONAL, le.load_u64(out, row + 60))
            and self._is_number(block, _FEE, le.load_u64(out, row + 127))
            and self._is_next(block, _REASON)
            and self._is_next(block, reason)
            and self._is_next(block, _END)
            and self._at == self._end
        )

    # Writing.

    def _put_memory(self, block: bytes, out: bytearray, row: int) -> int:
        """Symbol, key and the order as it is remembered, behind the row's fixed part; their end."""
        key_bytes = self._desk_bytes + 1 + self._id_bytes
        out[row + 175] = self._desk_bytes
        out[row + 176] = key_bytes
        out[row + 177] = self._symbol_bytes
        out[row + 178] = self._client_bytes
        at = row + _FIXED_BYTES
        at = text.put_slice(out, at, block, self._symbol_at, self._symbol_bytes)
        at = text.put_slice(out, at, block, self._desk_at, self._desk_bytes)
        at = text.put(out, at, b"\0")
        at = text.put_slice(out, at, block, self._id_at, self._id_bytes)
        payload_at = at
        at = text.put(out, at, _CONTENT_HEAD)
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
        at = text.put(out, at, _NIL) if sent_at == 0 else packing.put_unsigned(out, at, sent_at)
        at = packing.put_unsigned(out, at, le.load_u16(out, row + 119))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 40))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 16))
        at = packing.put_unsigned(out, at, le.load_u32(out, row + 121))
        at = text.put(out, at, _TRUE if out[row + 118] == _SUBSTITUTE else _FALSE)
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 60))
        at = packing.put_unsigned(out, at, le.load_u64(out, row + 127))
        le.store_u16(out, row + 179, at - payload_at)
        return text.put_slice(out, at, block, self._client_at, self._client_bytes)


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
