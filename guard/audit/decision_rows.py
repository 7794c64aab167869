# cython: annotation_typing=False
"""Checks decision records at a stretch: their text into rows, decided again, digests compared.

Owns: the quick way through records in the format's exact text, under one policy. Must not: refuse
anything. At the first record that is not in that text, or not right, it stops; `decision_log` looks
at it the long way round and says what is wrong with it, if anything. So whatever is counted here is
what the long way passes, and no more.

How it works: the audit bundle of one policy is the same text up to its digests; the keys of input
and decision are fixed; so a record is read from its front to its end without a decision about its
shape. Numbers go straight into the kernel's rows, many records' rows into one buffer, which is
decided in one call. This file runs as it stands, or compiled with the types of
`decision_rows.pxd` beside it; the tests run both.

How it fails: a range of records that the spans do not hold is a `ValueError`.
"""

from typing import Any

from kernel import little_endian as le
from kernel.digest import decision_digest_of_row, input_digest_of_row
from kernel.layout import DECISION, INPUT, IntType
from kernel.little_endian import Buffer, Row
from kernel.reasons import Action, Reason
from wal import rawbytes as raw
from wal import scan

_RECORDS_MAX = 256  # rows of so many records stay in a core's own cache
_INPUT_BYTES = 70
_DECISION_BYTES = 65
_OUTPUT_BYTES = 83
_HEX_LENGTH = 64
_U64_MAX = 2**64 - 1
_I64_LIMIT = 2**63  # what a negative value reaches at most, and a positive one stays below
_TENTH = 2**64 // 10
_DECISION_DIGEST = b'","decision_digest_hex":"'
_INPUT_OPENING = b'","replay_valid":true},"input":{"'
_DECISION_OPENING = b'},"decision":{"'
_METADATA = b'},"metadata":'
_COLON = b'":'
_COMMA = b',"'
_SIGNED = 8 + 128  # how `_width_of` marks an i64


def _width_of(int_type: IntType) -> int:
    return int_type.width_bytes + (128 if int_type.minimum < 0 else 0)


# Of each field: its key as it stands in the text, and its width in bytes.
_INPUT_KEYS = [field.name.encode() + _COLON for field in INPUT.fields]
_INPUT_WIDTHS = bytes(_width_of(field.type) for field in INPUT.fields)
_DECISION_KEYS = [
    field.name.encode() + (b'":"' if field.name in ("action", "reason") else _COLON)
    for field in DECISION.fields
]
_DECISION_WIDTHS = bytes(_width_of(field.type) for field in DECISION.fields)
_ACTIONS = [(action.camel.encode(), int(action)) for action in Action]
_REASONS = [(reason.camel.encode(), int(reason)) for reason in Reason]


class DecisionRows:
    """The records of one policy. `reason_counts`: how many decisions had each reason's number."""

    def __init__(
        self,
        decide_rows: Any,
        policy_digest_hex: str,
        policy_epoch: int,
        catalog_epoch: int,
        created_by: str,
    ) -> None:
        """`decide_rows`: the policy's, of packed rows; and what its audit bundles say."""
        tail = f'"policy_digest_hex":"{policy_digest_hex}","input_digest_hex":"'
        self._bundle = (
            '{"audit":{"schema_version":"calybris.audit.v1","digest_algorithm":"sha256",'
            f'"proof_version":1,"policy_epoch":{policy_epoch},"catalog_epoch":{catalog_epoch},'
            f'"created_by":"{created_by}",{tail}'
        ).encode()
        self._old_bundle = ('{"audit":{' + tail).encode()
        self._decide_rows = decide_rows
        self._inputs = bytearray(_RECORDS_MAX * _INPUT_BYTES)
        self._decisions = bytearray(_RECORDS_MAX * _DECISION_BYTES)
        self._outputs = bytearray(_RECORDS_MAX * _OUTPUT_BYTES)
        self._digest_places = [0] * 256
        self._value = 0
        self.reason_counts = [0] * 128

    def check(self, block: bytes, spans: Any, first: int, count: int) -> int:
        """How many records from index `first` on, up to `count`, are right: at most 256.

        `block` and `spans` are a run's (`wal.Run`).
        """
        size = len(block)
        places = spans
        if not (0 <= first <= count and 3 * count <= len(places)):
            raise ValueError(f"records {first} to {count} are not within {len(places) // 3}")
        text = block
        parsed = 0
        while parsed < _RECORDS_MAX and first + parsed < count:
            at = places[3 * (first + parsed)]
            end = places[3 * (first + parsed) + 1]
            if not 0 <= at < end < size:
                raise ValueError(f"a record from {at} to {end} is not within {size} bytes")
            if not self._parse(text, at, end, size, parsed):
                break
            parsed += 1
        if parsed == 0:
            return 0
        self._decide_rows(self._inputs, parsed, self._outputs)
        right = 0
        while right < parsed and self._is_right(block, right):
            right += 1
        return right

    def _parse(self, text: Row, at: int, end: int, size: int, index: int) -> bool:
        """Whether the record from `at` to `end` has the exact text; its rows are then filled."""
        length = len(self._bundle)
        if raw.holds(text, at, self._bundle, length, size):
            at += length
        else:
            length = len(self._old_bundle)
            if not raw.holds(text, at, self._old_bundle, length, size):
                return False
            at += length
        if at + 2 * _HEX_LENGTH + 60 > size:
            return False
        self._digest_places[index] = at
        at += _HEX_LENGTH
        if not raw.holds(text, at, _DECISION_DIGEST, 25, size):
            return False
        at += 25 + _HEX_LENGTH
        if not raw.holds(text, at, _INPUT_OPENING, 33, size):
            return False
        at = self._parse_input(text, at + 33, index * _INPUT_BYTES, size)
        if at < 0 or not raw.holds(text, at, _DECISION_OPENING, 15, size):
            return False
        at = self._parse_decision(text, at + 15, index * _DECISION_BYTES, size)
        if at < 0 or not raw.holds(text, at, _METADATA, 13, size):
            return False
        return scan.value_end(text, at + 13, size) == end - 1

    def _parse_input(self, text: Row, at: int, to: int, size: int) -> int:
        """The place behind the input's last value, whose row is at `to`; -1 if it is unusual."""
        row = self._inputs
        for field in range(13):
            key = _INPUT_KEYS[field]
            length = len(key)
            if not raw.holds(text, at, key, length, size):
                return -1
            width = _INPUT_WIDTHS[field]
            at = self._parse_number(text, at + length, width)
            if at < 0:
                return -1
            width &= 127
            store_value(row, to, self._value, width)
            to += width
            if field < 12:
                if not raw.holds(text, at, _COMMA, 2, size):
                    return -1
                at += 2
        return at

    def _parse_decision(self, text: Row, at: int, to: int, size: int) -> int:
        """The same for the decision."""
        row = self._decisions
        for field in range(13):
            key = _DECISION_KEYS[field]
            length = len(key)
            if not raw.holds(text, at, key, length, size):
                return -1
            at += length
            width = _DECISION_WIDTHS[field]
            if field == 1 or field == 2:
                at = self._parse_word(text, at, _ACTIONS if field == 1 else _REASONS, size)
            else:
                at = self._parse_number(text, at, width)
            if at < 0:
                return -1
            width &= 127
            store_value(row, to, self._value, width)
            to += width
            if field < 12:
                if not raw.holds(text, at, _COMMA, 2, size):
                    return -1
                at += 2
        return at

    def _parse_word(self, text: Row, at: int, words: list[tuple[bytes, int]], size: int) -> int:
        """The place behind one of `words` and its closing quote; `_value` is its number."""
        for word, number in words:
            length = len(word)
            if raw.holds(text, at, word, length, size) and text[at + length] == 0x22:
                self._value = number
                return at + length + 1
        return -1

    def _parse_number(self, text: Row, at: int, width: int) -> int:
        """The place behind an integer of that width, as it would be written; -1 if it is none.

        `_value` is the integer; of a negative one, its two's complement in 64 bits.
        """
        is_negative = text[at] == 0x2D
        if is_negative:
            if width != _SIGNED:
                return -1
            at += 1
        digit = text[at]
        if not 0x30 <= digit <= 0x39:
            return -1
        value = digit - 0x30
        at += 1
        if value == 0:
            if is_negative or 0x30 <= text[at] <= 0x39:
                return -1
            self._value = 0
            return at
        digits = 1
        while 0x30 <= text[at] <= 0x39:
            digit = text[at] - 0x30
            digits += 1
            # The twentieth digit is the first that may not fit: 2^64 - 1 ends in 5.
            if digits > 19 and (digits > 20 or value > _TENTH or (value == _TENTH and digit > 5)):
                return -1
            value = value * 10 + digit
            at += 1
        if is_negative:
            if value > _I64_LIMIT:
                return -1
            value = _U64_MAX - value + 1
        elif width == _SIGNED:
            if value >= _I64_LIMIT:
                return -1
        elif width < 8 and value >> (8 * width) != 0:
            return -1
        self._value = value
        return at

    def _is_right(self, block: bytes, index: int) -> bool:
        """Whether a parsed record is what the policy gives for its input, and its digests are."""
        at = index * _DECISION_BYTES
        if not raw.same_rows(self._decisions, at, self._outputs, index * _OUTPUT_BYTES, 65):
            return False
        place = self._digest_places[index]
        start = index * _INPUT_BYTES
        row = raw.bytes_at(self._inputs, start, _INPUT_BYTES)
        if not raw.is_hex_of(block, place, input_digest_of_row(row)):
            return False
        place += _HEX_LENGTH + 25
        row = raw.bytes_at(self._decisions, at, _DECISION_BYTES)
        if not raw.is_hex_of(block, place, decision_digest_of_row(row)):
            return False
        self.reason_counts[le.load_u16(self._decisions, at + 9)] += 1
        return True


def store_value(out: Buffer, at: int, value: int, width: int) -> None:
    """Put an integer of 1, 2, 4 or 8 bytes at that place."""
    if width == 8:
        le.store_u64(out, at, value)
    elif width == 4:
        le.store_u32(out, at, value)
    elif width == 2:
        le.store_u16(out, at, value)
    else:
        out[at] = value
