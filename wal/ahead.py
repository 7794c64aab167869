"""Zeros behind the last record of the running segment, on the disk before a batch needs the space.

Owns: those zeros, from the end of the records to the end of the file; when more of them are
written; that a segment loses them before another one follows it. Must not: write where a record
stands or may be on its way, or make a batch wait where it need not.

How it works: a write that makes a file longer costs two writes of the disk, the bytes and the
file's new length; over zeros that are in the file already it costs one. So a thread of its own
writes zeros in pieces, up to so many bytes ahead of the records and never beyond a segment's bound,
and syncs each, on a descriptor of its own: the system tells an error of a file once for each
descriptor that was opened, and the batches' must hear of theirs. A batch that would reach beyond
the zeros waits for the piece that is under way, if one is, and makes the file longer itself; where
long batches outrun the zeros none are written, until there are shorter ones. With a test's files,
or where a test stops the process at named places, pieces are written at once, on the caller's
thread.

How it fails: where there is no room for zeros (ENOSPC and its like), or no descriptor, the rest of
the segment does without. Any other error is told, and is as final as a batch's.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from wal.barethread import BareThread, Outcome
from wal.commit import FileLayer, OsFiles
from wal.errors import WalInputError
from wal.failpoint import is_armed, reach
from wal.regularfile import open_regular
from wal.segment import shorten
from wal.standing import size_displaced

# A batch that comes while a piece is being written waits for its copying, some 0.1 ms, and shares
# the disk with its sync: 0.3 to 0.5 ms on a virtual disk.
PIECE_BYTES: Final = 256 * 1024
PAGE_BYTES: Final = 4096  # pieces end where the system's pages do
# What a repair by any earlier version may still look at: 64 MiB from where a torn batch begins.
WRITE_AHEAD_BYTES_MAX: Final = 32 * 1024 * 1024

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Failed = Callable[[str, Exception], None]


class Allowance(NamedTuple):
    """How many zeros are kept ahead of the records, and who says whether the disk has room."""

    bytes: int
    may_take: Callable[[int], bool]


def has_room(_byte_count: int) -> bool:
    """Of a disk that nobody looks at."""
    return True


class ZerosAhead:
    """The zeros of one writer's running segment. All calls belong to the writer's thread."""

    def __init__(
        self,
        allowance: Allowance,
        segment_bytes_max: int,
        files: FileLayer,
        on_failure: Failed,
    ) -> None:
        """`allowance`: of 0 bytes, there are none. `on_failure`: told the stage and the error."""
        ahead_bytes, self._may_take = allowance
        self._ahead_bytes = ahead_bytes
        self._segment_bytes_max = segment_bytes_max
        self._files = files
        self._on_failure = on_failure
        self._piece_bytes = min(PIECE_BYTES, -(-ahead_bytes // PAGE_BYTES) * PAGE_BYTES)
        self._zeros = memoryview(bytes(self._piece_bytes))
        self._thread: BareThread | None = None
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._piece_at = 0  # where the piece that is under way begins
        self._end_offset = 0  # of the durable records
        self._batch_bytes = 0  # of the last of them that became durable together
        self._has_room = True
        self._is_settling = False
        self.file_bytes = 0  # of the running segment, as far as pieces have landed

    def begin(self, path: Path, file_bytes: int) -> None:
        """From now on `path` is the running segment, which is so long."""
        if path == self._path:
            return
        self.end()
        self._path, self.file_bytes = path, file_bytes
        self._end_offset = file_bytes
        self._has_room = self._ahead_bytes > 0
        if not self._has_room:
            return
        try:
            self._thread = self._thread or BareThread("wal-zeros")
            # The writer's, locked and all. At its end, wherever that is: a file that was cut would
            # else have its size again, and a hole where records stood.
            self._descriptor = open_regular(path, os.O_RDWR | os.O_APPEND)
        except OSError:
            self._has_room = False  # out of descriptors: this segment does without

    def end(self) -> None:
        """There is no running segment. Waits for a piece that is under way."""
        self.settle()
        self._path = None
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def make_way(self, end_offset: int) -> None:
        """A batch is about to be written up to `end_offset`: nothing else may be writing there."""
        if end_offset > self.file_bytes:
            self.settle()

    def settle(self) -> None:
        """Waits for the piece that is under way, if one is; none follows it."""
        if self._thread is not None:
            self._is_settling = True
            try:
                self._thread.wait()
            finally:
                self._is_settling = False

    def advance(self, end_offset: int) -> None:
        """The records end at `end_offset`, durably: has more zeros written where they are due."""
        if end_offset > self._end_offset:
            self._batch_bytes = end_offset - self._end_offset
        self._end_offset, self.file_bytes = end_offset, max(self.file_bytes, end_offset)
        if not self._is_due():
            return
        at = self.file_bytes
        size = min(self._piece_bytes - at % self._piece_bytes, self._segment_bytes_max - at)
        if not self._may_take(size):
            return
        if type(self._files) is not OsFiles or is_armed():
            self._write_here(at, size)
            if self._has_room:
                self.advance(end_offset)
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # nobody is there to be told: the next batch makes the file longer itself
        assert self._thread is not None
        assert self._descriptor is not None
        self._piece_at = at
        self._thread.start(
            self._descriptor, self._zeros[:size], at, loop,
            lambda outcome: self._land(outcome, size),
        )  # fmt: skip

    def close(self) -> None:
        """Ends the thread; a second call does nothing. Writes nothing more."""
        self._has_room = False
        self.end()
        if self._thread is not None:
            self._thread.close()

    def _is_due(self) -> bool:
        left_bytes = self.file_bytes - self._end_offset
        return (
            self._descriptor is not None
            and self._has_room
            and not self._is_settling
            and left_bytes < self._ahead_bytes
            # Batches that are longer than a piece and reach beyond the zeros are faster than these:
            # each would wait for one. They make the file longer themselves until there are shorter.
            and (left_bytes >= self._batch_bytes or self._batch_bytes < self._piece_bytes)
            and self.file_bytes < self._segment_bytes_max
            and self._thread is not None
            and not self._thread.is_busy
        )

    def _land(self, outcome: Outcome, size: int) -> None:
        written, number = outcome
        self.file_bytes = max(self.file_bytes, self._piece_at + written)
        if number:
            stage = "write" if written < size else "fdatasync"
            self._fail(stage, OSError(number, os.strerror(number)))
        elif self._has_its_size(self._piece_at + size):
            self.advance(self._end_offset)

    def _has_its_size(self, expected_bytes: int) -> bool:
        """Whether the segment reaches as far as the piece that has landed."""
        if self._descriptor is None:
            return True  # another segment is begun
        found_bytes = os.fstat(self._descriptor).st_size
        if found_bytes < expected_bytes:
            self._fail("check", size_displaced(str(self._path), found_bytes, expected_bytes))
        return found_bytes >= expected_bytes

    def _write_here(self, at: int, size: int) -> None:
        """As the thread does it, for who must see each call where it happens."""
        assert self._descriptor is not None
        stage, written = "write", 0
        try:
            reach("before-ahead-write")
            while written < size:
                rest = self._zeros[written:size]
                count = self._files.write(self._descriptor, rest, at + written)
                if not 0 < count <= len(rest):
                    raise OSError(errno.EIO, f"write reported {count} bytes")
                written += count
            reach("before-ahead-sync")
            stage = "fdatasync"
            self._files.fdatasync(self._descriptor)
            reach("after-ahead-sync")
        except OSError as error:
            self._fail(stage, error)
        finally:
            self.file_bytes = max(self.file_bytes, at + written)

    def _fail(self, stage: str, error: Exception) -> None:
        self._has_room = False
        if stage != "write" or not isinstance(error, OSError) or error.errno not in _NO_ROOM:
            self._on_failure(f"{stage} of zeros", error)


def zeros_max(ahead_bytes: int) -> int:
    """How many zeros may ever stand behind the records, where so many are asked for."""
    return ahead_bytes + PIECE_BYTES if ahead_bytes else 0


def data_end(descriptor: int, size: int) -> int:
    """Where the zeros begin with which a file of `size` bytes ends; `size` where it has none.

    Reads from its end. Raises `OSError`.
    """
    end = size
    while end > 0:
        start = max(0, end - PIECE_BYTES)
        data = os.pread(descriptor, end - start, start).rstrip(b"\0")
        if data:
            return start + len(data)
        end = start
    return 0


def records_end(descriptor: int) -> int:
    """The same of a segment, where the zeros stand behind a whole line; else its size.

    Raises `OSError`.
    """
    size = os.fstat(descriptor).st_size
    end = data_end(descriptor, size)
    is_line_end = end == 0 or os.pread(descriptor, 1, end - 1) == b"\n"
    return end if is_line_end else size


def segment_end(path: Path) -> int:
    """The same of a segment by its path. Raises `OSError`."""
    descriptor = open_regular(path)
    try:
        return records_end(descriptor)
    finally:
        os.close(descriptor)


def drop_zeros(path: Path) -> int:
    """Ends a segment where its records do, durably; how many bytes of zeros went.

    The caller holds the log's lock. Raises `OSError`.
    """
    descriptor = open_regular(path, os.O_RDWR)
    try:
        size, end = os.fstat(descriptor).st_size, records_end(descriptor)
        if end < size:
            shorten(descriptor, end)
        return size - end
    finally:
        os.close(descriptor)


def check_sizes(segment_bytes_max: int, write_ahead_bytes: int) -> None:
    """What a writer was told of the sizes of its segments. Raises `WalInputError`."""
    if segment_bytes_max < 1:
        raise WalInputError(f"a segment of at most {segment_bytes_max} bytes holds no record")
    if not 0 <= write_ahead_bytes <= WRITE_AHEAD_BYTES_MAX:
        raise WalInputError(
            f"write_ahead_bytes is {write_ahead_bytes}; must be from 0 to {WRITE_AHEAD_BYTES_MAX}"
        )
