# cython: annotation_typing=False
"""Checks decision records at a stretch: their text into rows, decided again, digests compared.

Owns: the quick way through records in the format's exact text, under one policy. Must not: refuse
anything. At the first record that is not in that text, or not right, it stops; `decision_log` looks
at it the long way round and says what is wrong with it, if anything. So whatever is counted here is
what the long way passes, and no more.

How it works: the audit bundle of one policy is the same text up to its digests; the keys of input
and decision are fixed; so a record is read from its front to its end without a decision about its
shape. Numbers go straight into the kernel's rows, many records' rows into one buffer, which is
decided in one call.

How it fails: a range of records that the spans do not hold is a `ValueError`.
"""

from typing import Any

from guard.record.kernel_rows import DECISION_TEXT, INPUT_TEXT
from kernel import little_endian as le
from kernel.digest import decision_digest_of_row, input_digest_of_row
from wal import rawbytes as raw
from wal import scan

_RECORDS_MAX = 256  # rows of so many records stay in a core's own cache
_INPUT_BYTES = 70
_DECISION_BYTES = 65
_OUTPUT_BYTES = 83
_HEX_LENGTH = 64
_DECISION_DIGEST = b'","decision_digest_hex":"'
_INPUT_OPENING = b'","replay_valid":true},"input":{'
_DECISION_OPENING = b'},"decision":{'
_INPUT_TEXT, _DECISION_TEXT = INPUT_TEXT, DECISION_TEXT
_METADATA = b'},"metadata":'


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

    def _parse(self, text: bytes, at: int, end: int, size: int, index: int) -> bool:
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
        if not raw.holds(text, at, _INPUT_OPENING, 32, size):
            return False
        at = _INPUT_TEXT.read(text, at + 32, size, self._inputs, index * _INPUT_BYTES)
        if at < 0 or not raw.holds(text, at, _DECISION_OPENING, 14, size):
            return False
        at = _DECISION_TEXT.read(text, at + 14, size, self._decisions, index * _DECISION_BYTES)
        if at < 0 or not raw.holds(text, at, _METADATA, 13, size):
            return False
        return scan.value_end(text, at + 13, size) == end - 1

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
