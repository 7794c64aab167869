"""The writer's hand: brings one batch to the disk, in the segment where it belongs.

Owns: the open segment's descriptor, and the order of a commit. Must not: be used by two threads at
once, know what is staged or durable (`writer` does), or try anything twice.

How it works: a batch that begins a segment first has the one before it ended with its records, then
its own created: file and directory are fsync'd before anything is written, so that no synced batch
can stand in a file whose name is lost. Then one write (more only where the system takes less than
it was given) and one `fdatasync`, and a look at whether all of it stands where readers will look
for it (`standing`). A segment that is full is given back to the system, pages and all, by a thread
that then ends. The descriptors for the next one are held ready, whatever else the process opens.
`CommitThread`
is where that happens off the loop, where `barethread` will not do: one thread, one queue in, one
call of the loop out, and no task, future or executor of its own for each batch.

How it fails: with `CommitError`, naming the stage; the writer makes it final.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Final, NamedTuple, Protocol, TypeAlias

from wal.chain import Head
from wal.errors import WalPoisoned
from wal.failpoint import is_armed, reach
from wal.lastsegment import LastSegment
from wal.lock import LogLock
from wal.segment import create_segment, forget_pages, segment_name, shorten
from wal.spares import Spares
from wal.standing import Standing

# For the next segment and its directory.
DESCRIPTORS: Final = 2
# What a batch has met whose thread ended.
LOST: Final = RuntimeError("the thread that writes has ended")


class SyncStats(NamedTuple):
    """One durable batch: its size, and how long its write and its sync took together."""

    record_count: int
    batch_bytes: int
    latency_ns: int


class FileLayer(Protocol):
    """The calls that touch an open segment, so that tests can make them fail."""

    def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
        """As `os.pwrite`: how many bytes went through, possibly fewer than given.

        `data` is good during the call only.
        """

    def fdatasync(self, descriptor: int, /) -> None:
        """As `os.fdatasync`."""

    def shorten(self, descriptor: int, size: int, /) -> None:
        """Ends the file at `size`, durably."""


class OsFiles:
    """The operating system's own calls."""

    def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
        return os.pwrite(descriptor, data, offset)

    def fdatasync(self, descriptor: int, /) -> None:
        os.fdatasync(descriptor)

    def shorten(self, descriptor: int, size: int, /) -> None:
        shorten(descriptor, size)


class Batch(NamedTuple):
    """Records that become durable together, in segment `segment_number`, from byte `offset` on.

    `lines`: as they will stand in the file; another batch's once this one is done with.
    `begins_segment`: that segment is to be created for them, and `offset` is 0; `zeros_at` is then
    where the segment before it has zeros behind its records, None where it ends with them.
    """

    lines: memoryview
    first_sequence: int
    head: Head
    segment_number: int
    begins_segment: bool
    offset: int
    zeros_at: int | None = None

    @property
    def record_count(self) -> int:
        """How many records they are."""
        return self.head.sequence - self.first_sequence + 1

    @property
    def batch_bytes(self) -> int:
        """How long their lines are."""
        return len(self.lines)

    @property
    def end_offset(self) -> int:
        """Where in their segment the next record will stand."""
        return self.offset + len(self.lines)


class CommitError(Exception):
    """A commit failed in `stage` (`create`, `write`, `fdatasync`, or `check`: of what became of the
    file), `bytes_written` handed over."""

    def __init__(self, stage: str, bytes_written: int) -> None:
        super().__init__(stage, bytes_written)
        self.stage = stage
        self.bytes_written = bytes_written


def poisoned_by(batch: Batch, stage: str, written: int, error: BaseException) -> WalPoisoned:
    """What a writer is left with when `error` kept the batch from being durable."""
    poisoned = WalPoisoned(
        stage,
        batch.first_sequence,
        batch.head.sequence,
        written,
        batch.batch_bytes,
        batch.first_sequence - 1,
        str(error) or type(error).__name__,
    )
    poisoned.__cause__ = error
    return poisoned


def poisoned_by_commit(batch: Batch, error: CommitError) -> WalPoisoned:
    """The same, of a commit that failed."""
    assert error.__cause__ is not None
    return poisoned_by(batch, error.stage, error.bytes_written, error.__cause__)


def poisoned_beside(durable: Head, stage: str, error: Exception) -> WalPoisoned:
    """The same, of what failed beside a batch, behind the durable head."""
    sequence = durable.sequence
    poisoned = WalPoisoned(stage, sequence + 1, sequence, 0, 0, sequence, str(error))
    poisoned.__cause__ = error
    return poisoned


class SegmentAppender:
    """The segment that is open for appending, if one is."""

    def __init__(
        self, lock: LogLock, last: LastSegment, files: FileLayer, zeros_max: int = 0
    ) -> None:
        """`last`: where the log goes on. `zeros_max`: how many may stand behind its records."""
        self._lock = lock
        self._descriptor = last.descriptor
        self._bytes = last.size
        self._zeros_max = zeros_max
        self.files = files
        self._spares = Spares(DESCRIPTORS)
        self._standing = Standing()
        if last.descriptor is not None:
            self._standing.watch(last.descriptor, str(self.path_of(last.number)))

    def commit(self, batch: Batch) -> None:
        """Write and sync one batch. Raises `CommitError` from whatever failed."""
        stage, written = "create" if batch.begins_segment else "check", 0
        try:
            self._prepare(batch)
            descriptor = self._descriptor
            assert descriptor is not None
            stage = "write"
            view = batch.lines
            reach("before-write")
            while written < len(view):
                count = self.files.write(descriptor, view[written:], batch.offset + written)
                if not 0 < count <= len(view) - written:
                    raise OSError(errno.EIO, f"write reported {count} bytes")
                written += count
            reach("after-write")
            stage = "fdatasync"
            reach("before-sync")
            self.files.fdatasync(descriptor)
            reach("after-sync")
            stage = "check"
            self._check(written)
        except BaseException as error:
            raise CommitError(stage, written) from error

    def bare_descriptor(self, batch: Batch) -> int | None:
        """Where the batch goes, if it needs nothing more but the system's two calls; else None.

        Its segment is created, if it begins one. Raises `CommitError`.
        """
        if type(self.files) is not OsFiles or is_armed():
            return None
        try:
            self._prepare(batch)
        except BaseException as error:
            raise CommitError("create" if batch.begins_segment else "check", 0) from error
        return self._descriptor

    def check_written(self, batch: Batch) -> None:
        """What is left to be done where the descriptor was given away: it is written and synced.

        Raises `CommitError`.
        """
        try:
            self._check(batch.batch_bytes)
        except BaseException as error:
            raise CommitError("check", batch.batch_bytes) from error

    def check(self) -> None:
        """See that segment, directory and lock are where they were. Not while a batch is written.

        Raises `WalDisplaced`, OSError where that cannot be found out.
        """
        if self._descriptor is not None:
            self._standing.check(self._bytes, self._bytes + self._zeros_max)
        self._lock.check()

    @property
    def directory(self) -> Path:
        """The log's."""
        return self._lock.directory

    def path_of(self, segment_number: int) -> Path:
        """The file of that segment."""
        return self._lock.directory / segment_name(segment_number)

    def cut_zeros(self, end: int) -> None:
        """End the open segment, which has zeros there, at `end`, durably. Raises `OSError`."""
        assert self._descriptor is not None
        self.files.shorten(self._descriptor, end)

    def close(self) -> None:
        """Close the segment; a second call does nothing. Never writes."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._spares.give_up()

    def _prepare(self, batch: Batch) -> None:
        """Have the batch's segment ready to be written.

        One that was cut is seen now: a write at an offset would fill the gap with zeros, and it
        would have the size that it should.
        """
        if batch.begins_segment:
            self._begin(batch)
        else:
            self._check(0)

    def _check(self, bytes_written: int) -> None:
        self._bytes += bytes_written
        self._standing.check(self._bytes, self._bytes + self._zeros_max)

    def _begin(self, batch: Batch) -> None:
        if batch.zeros_at is not None:
            self.cut_zeros(batch.zeros_at)
        with self._spares.lent():
            descriptor = create_segment(self._lock.directory, batch.segment_number)
        # Everything in the old one is synced: that had to be before this batch was taken up.
        old, self._descriptor, self._bytes = self._descriptor, descriptor, 0
        if old is not None and not self._spares.are_there:
            os.close(old)
            self._spares.take()
        elif old is not None:
            # Milliseconds for a whole segment, which nobody has to wait for.
            try:
                Thread(target=_forget, args=(old,), name="wal-forget", daemon=True).start()
            except RuntimeError:  # no thread can be had: the system keeps the pages
                os.close(old)
        self._standing.watch(descriptor, str(self.path_of(batch.segment_number)))
        # The path may lead to another directory by now, which has got the segment then.
        self._lock.check()


def _forget(descriptor: int) -> None:
    """Closes a segment that is full; its pages are of no more use to who writes."""
    try:
        forget_pages(descriptor)
    finally:
        os.close(descriptor)


Landed: TypeAlias = Callable[[Batch, int | WalPoisoned | None], None]


class CommitThread:
    """Commits one batch after the other off the loop, and tells the loop of each."""

    def __init__(self, commit: Callable[[Batch], int]) -> None:
        """`commit`: makes a batch durable, returns the nanoseconds taken; raises `WalPoisoned`."""
        self._commit = commit
        self._queue: SimpleQueue[tuple[Batch, asyncio.AbstractEventLoop, Landed] | None]
        self._queue = SimpleQueue()
        self._thread: Thread | None = None

    def start(self, batch: Batch, loop: asyncio.AbstractEventLoop, landed: Landed) -> None:
        """Have `batch` committed; `landed` is called on `loop` with it and what `commit` gave.

        That is None where something else than `WalPoisoned` came out of it: the thread has ended.
        """
        if self._thread is None:
            thread = Thread(target=self._run, name="wal-commit")
            thread.start()
            self._thread = thread
        self._queue.put((batch, loop, landed))

    def close(self) -> None:
        """Wait until what was started is done, and end the thread; a second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            batch, loop, landed = job
            result: int | WalPoisoned | None = None
            try:
                result = self._commit(batch)
            except WalPoisoned as error:
                result = error
            finally:
                _tell(loop, landed, batch, result)


def _tell(
    loop: asyncio.AbstractEventLoop,
    landed: Landed,
    batch: Batch,
    result: int | WalPoisoned | None,
) -> None:
    try:
        loop.call_soon_threadsafe(landed, batch, result)
    except RuntimeError:
        # The loop is closed: nobody waits, nobody is told, and the next start finds out.
        if not loop.is_closed():
            raise
