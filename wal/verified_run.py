"""Records that stand one after another in a segment, verified. Pure.

Owns where each of them is within the block that was read. Must not read or verify. A reader hands
runs on instead of entries, so that who needs only the data, or only to count, makes no object per
record. A record whose line is not in our exact form is a run of its own, in that form.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from wal.chain import Head
from wal.entry import Entry, encode_line, line_opening
from wal.errors import WalInputError

SPANS_PER_LINE: Final = 3  # as `wal.scan` fills them
HASH_LENGTH: Final = 64
BEFORE_DATA_LENGTH: Final = len('","data":')
LINE_CLOSING_LENGTH: Final = len("}\n")


class LocatedEntry(Entry, frozen=True, gc=False):
    """A verified entry and where it stands: segment file name, byte offsets of its line."""

    segment: str
    offset: int
    end_offset: int


@dataclass(slots=True)
class Run:
    """`block` holds lines in our form; `spans` three places for each (`LineScanner.scan`).

    The records `first` to `count` (as indexes into `spans`) are meant, which lie in `segment`
    from byte `offset` to `end_offset`. `head` is the one that they follow, `last` their own.
    `line_at` is where the line of record `first` begins in the block.
    """

    segment: str
    offset: int
    end_offset: int
    head: Head
    last: Head
    block: bytes
    spans: array[int]
    line_at: int
    first: int
    count: int

    @property
    def record_count(self) -> int:
        """How many records these are."""
        return self.count - self.first

    def hash_of(self, sequence: int) -> str:
        """The hash of one of the records."""
        at = self.spans[3 * self._index_of(sequence) + 2]
        return self.block[at : at + HASH_LENGTH].decode()

    def data_of(self, sequence: int) -> bytes:
        """The data of one of the records."""
        index = self._index_of(sequence)
        return self.block[self.spans[3 * index] : self.spans[3 * index + 1]]

    def datas(self) -> Iterator[bytes]:
        """The data of each record, in order."""
        block, spans = self.block, self.spans
        for at in range(SPANS_PER_LINE * self.first, SPANS_PER_LINE * self.count, SPANS_PER_LINE):
            yield block[spans[at] : spans[at + 1]]

    def records(self) -> Iterator[tuple[int, str, bytes]]:
        """The sequence of each record, the hash of the one before, and its data."""
        block, spans = self.block, self.spans
        sequence, previous_hash = self.head
        for at in range(SPANS_PER_LINE * self.first, SPANS_PER_LINE * self.count, SPANS_PER_LINE):
            sequence += 1
            yield sequence, previous_hash, block[spans[at] : spans[at + 1]]
            hash_at = spans[at + 2]
            previous_hash = block[hash_at : hash_at + HASH_LENGTH].decode()

    def since(self, sequence: int) -> Run:
        """The same from record `sequence` on, which may be the one after the last."""
        if sequence == self.head.sequence + 1:
            return self
        index = self._index_of(sequence - 1)
        line_at = self.spans[3 * index + 1] + LINE_CLOSING_LENGTH
        is_empty = index + 1 == self.count
        return replace(
            self,
            offset=self.end_offset if is_empty else self.offset + line_at - self.line_at,
            head=Head(sequence - 1, self.hash_of(sequence - 1)),
            line_at=line_at,
            first=index + 1,
        )  # fmt: skip

    def entries(self) -> Iterator[LocatedEntry]:
        """The records."""
        block, spans = self.block, self.spans
        sequence, previous_hash = self.head
        offset, line_at = self.offset, self.line_at
        for index in range(self.first, self.count):
            at = SPANS_PER_LINE * index
            data_at, data_end, hash_at = spans[at], spans[at + 1], spans[at + 2]
            entry_hash = block[hash_at : hash_at + HASH_LENGTH].decode()
            sequence += 1
            line_end = data_end + LINE_CLOSING_LENGTH
            end_offset = offset + line_end - line_at if index + 1 < self.count else self.end_offset
            yield LocatedEntry(
                sequence, previous_hash, entry_hash, block[data_at:data_end],
                self.segment, offset, end_offset,
            )  # fmt: skip
            previous_hash, offset, line_at = entry_hash, end_offset, line_end

    def _index_of(self, sequence: int) -> int:
        if not self.head.sequence < sequence <= self.last.sequence:
            allowed = f"{self.head.sequence + 1} to {self.last.sequence}"
            raise WalInputError(f"sequence: {sequence} is not allowed; allowed: {allowed}")
        return self.first + sequence - self.head.sequence - 1


def run_of_entry(entry: Entry, segment: str, offset: int, end_offset: int) -> Run:
    """The run of one record, whatever its line looked like."""
    head = Head(entry.sequence - 1, entry.previous_hash)
    line = encode_line(entry.sequence, entry.previous_hash, entry.entry_hash, entry.data)
    hash_at = len(line_opening(entry.sequence, entry.previous_hash))
    data_at = hash_at + HASH_LENGTH + BEFORE_DATA_LENGTH
    spans = array("q", (data_at, data_at + len(entry.data), hash_at))
    return Run(segment, offset, end_offset, head, entry.head, line, spans, 0, 0, 1)
