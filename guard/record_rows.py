# cython: annotation_typing=False
"""Records of a log as rows, end to end (`guard.replay_parts` describes them). Pure.

Owns the buffer of rows, and which record becomes a row of which kind: a plain order
(`guard.order_rows`), a plain fill (`guard.fill_rows`), else its data as it stands. It runs as it
stands, or compiled with the types of `record_rows.pxd` beside it; interpreted that is slower than
to decide each record again, so that replay uses it compiled only, and the tests run both.

How it fails: a range of records that the spans do not hold is a `ValueError`.
"""

from typing import Any

from guard import text
from guard.fill_rows import FillReader
from guard.order_rows import DecidedReader
from guard.replay_parts import DECIDED, FILLED, RAW, ROW_HEAD
from kernel import little_endian as le

_HEAD_BYTES = ROW_HEAD.size
_RAW, _DECIDED, _FILLED = RAW, DECIDED, FILLED
_DATA_BYTES_MAX = 2**32 - 1
# Every string of a plain record and what is remembered at their longest, with room to spare.
_ROW_BYTES_MAX = 2048
_FIRST_ROOM = 1 << 16


class RecordRows:
    """Rows end to end, until they are taken."""

    def __init__(self) -> None:
        self._orders = DecidedReader()
        self._fills = FillReader()
        self._out = bytearray(_FIRST_ROOM)
        self._size = 0

    def currency(self) -> bytes:
        """The one currency that the orders among the rows so far name; empty where none does."""
        return self._orders.currency

    def take(self) -> bytes:
        """The rows so far, which are forgotten."""
        self._orders.currency = b""
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
            if not self._add_plain(block, at, end, sequence):
                self._add_raw(block, at, end)
            sequence += 1

    def _add_plain(self, block: bytes, at: int, end: int, sequence: int) -> bool:
        """Whether the record from `at` to `end` is a plain one; its row is then added."""
        self._make_room(_ROW_BYTES_MAX)
        out = self._out
        row = self._size + _HEAD_BYTES
        kind = _DECIDED
        length = self._orders.read(block, at, end, sequence, out, row)
        if length == 0:
            kind = _FILLED
            length = self._fills.read(block, at, end, sequence, out, row)
        if length == 0:
            return False
        self._put_head(out, kind, length)
        self._size = row + length
        return True

    def _add_raw(self, block: bytes, at: int, end: int) -> None:
        length = end - at
        if length > _DATA_BYTES_MAX:
            raise ValueError(f"a record of {length} bytes is too long for a row")
        self._make_room(_HEAD_BYTES + length)
        out = self._out
        self._put_head(out, _RAW, length)
        text.put_slice(out, self._size + _HEAD_BYTES, block, at, length)
        self._size += _HEAD_BYTES + length

    def _put_head(self, out: bytearray, kind: int, length: int) -> None:
        out[self._size] = kind
        le.store_u32(out, self._size + 1, length)

    def _make_room(self, byte_count: int) -> None:
        missing = self._size + byte_count - len(self._out)
        if missing > 0:
            self._out.extend(bytes(max(missing, len(self._out))))
