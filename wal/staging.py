# cython: annotation_typing=False
"""What a log's writer has staged: the chain's running end, and the lines behind the durable ones.

Owns: the hash of each record after the one before, and the bytes of their lines. Must not: look
into a record, touch a file, or know when a batch is durable (`wal.writer` does).

How it works: a line is written into a buffer as it will stand in the file. Two buffers take turns:
while one is being written to the disk, the other fills, so that nothing is copied again. One that a
burst has made large goes with its batch, so that memory shrinks behind it. The writer has one batch
under way at most; `take` relies on it.

How it fails: nothing is staged where `append` raises. Whoever closes it says what is raised then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wal import linetext
from wal import rawbytes as raw
from wal.chain import ChainHasher, Head
from wal.entryhash import EntryHash
from wal.errors import WalInputError, WalInvariantError
from wal.rawbytes import Row

_CAPACITY_MIN: Final = 64 * 1024  # some forty orders
# Larger ones are not kept: 10,000 orders, more than are staged in 100 ms of a sync at full load. A
# buffer that has to grow again for each batch is cleared and copied six times on its way.
_CAPACITY_KEPT_MAX: Final = 16 * 1024 * 1024


class Staging:
    """The staged head (`sequence`, `entry_hash` as ASCII bytes), and what no batch has taken yet.

    `record_count` and `byte_count` say how much that is; `taken_bytes` how much all batches have
    taken so far. `is_open`: whether it takes any more.
    """

    def __init__(
        self, hasher: ChainHasher, head: Head, bytes_max: int, refuse: Callable[[], None]
    ) -> None:
        """`bytes_max`: of all lines of a batch. `refuse`: raises, once it is closed."""
        self.sequence = head.sequence
        self.entry_hash = head.entry_hash.encode()
        self.record_count = 0
        self.byte_count = 0
        self.taken_bytes = 0
        self.is_open = True
        self._bytes_max = bytes_max
        self._refuse = refuse
        self._hasher = EntryHash(hasher)
        self._lines = bytearray(_CAPACITY_MIN)
        self._other = bytearray(_CAPACITY_MIN)

    def rekey(self, hasher: ChainHasher) -> None:
        """The next record, and all behind it, are hashed by this one. Nothing is staged now."""
        if self.record_count:
            raise WalInvariantError("the log's key is changed while records are staged under it")
        self._hasher = EntryHash(hasher)

    def append(self, sequence: int, data: bytes) -> str:
        """Stage a record, which must be the next one; return its hash.

        The data is one that a line can hold (`check_data`). Raises `WalInputError` when the batch
        is full, and what `refuse` raises.
        """
        self.append_text(sequence, data, len(data))
        return self.entry_hash.decode("ascii")

    def append_text(self, sequence: int, data: Row, size: int) -> int:
        """The same with `size` bytes of data, in C wherever they are."""
        if not self.is_open:
            self._refuse()
            raise WalInvariantError("a record is staged where none may be, and nobody says why")
        previous_hash = self.entry_hash
        if sequence != self.sequence + 1:
            raise WalInvariantError(f"record {sequence} is staged behind record {self.sequence}")
        at = self.byte_count
        end = at + linetext.line_bytes(sequence, previous_hash, size)
        if end > self._bytes_max:
            raise WalInputError(f"a batch has at most {self._bytes_max} bytes: sync first")
        if end > len(self._lines):
            self._make_room(end)
        digest = [0] * 32  # compiled: an array on the stack
        self._hasher.digest_into(previous_hash, data, 0, size, digest)
        out = self._lines
        linetext.put_line(out, at, sequence, previous_hash, digest, data, size)
        self.entry_hash = raw.bytes_at(out, end - 2 - size - 9 - 64, 64)
        self.sequence = sequence
        self.record_count += 1
        self.byte_count = end
        return 0

    def take(self) -> memoryview:
        """The lines staged, which stay as they are until the next call; staging begins anew.

        What was taken before must have been done with.
        """
        lines = self._lines
        taken = memoryview(lines)[: self.byte_count]
        self._lines = self._other
        self._other = lines if len(lines) <= _CAPACITY_KEPT_MAX else bytearray(_CAPACITY_MIN)
        self.taken_bytes += self.byte_count
        self.record_count = self.byte_count = 0
        return taken

    def _make_room(self, bytes_needed: int) -> int:
        """Another buffer for what is staged, twice as large or more."""
        larger = bytearray(max(bytes_needed, 2 * len(self._lines)))
        larger[: self.byte_count] = memoryview(self._lines)[: self.byte_count]
        self._lines = larger
        return 0
