"""The one writer of a log: stages records in memory and makes batches of them durable.

Owns: the staged and the durable head, where a segment ends, the rule that a failure is final. Must
not: read clocks (a monotonic one is passed in), know what a record means, or try anything twice.

How it works (group commit): `append` puts the record's line behind those that are staged
(`staging`, which has the chain's running end). `sync` takes everything staged and has one write and
one `fdatasync` done on another thread, while the loop stages the next batch: on one that needs no
interpreter (`barethread`) where the log is compiled; there the loop itself creates a segment first,
a millisecond or two, for a thread that has to win the interpreter back at each step would take ten
and more. Else, and where a test watches, all on one that does (`commit`). `sync_now` does it on the
caller's thread, which spares the way there and back. A record is durable when `durable_head` has
reached it, not before. A batch lies whole in one segment; between two batches a segment may end:
because it is full, because `rotate` was called, or because a session begins. The next one is
created with the batch that goes into it.

How it fails: the first error of a create, a write, a sync or the look behind it (is the segment
still where readers find it?) poisons the writer. A failed `fdatasync` may have dropped the dirty
pages, so that a second one succeeds and proves nothing; hence none is tried, every later call
raises `WalPoisoned`, and recovery finds out what is on the disk.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from forms import FORM as WAL_FORM
from wal.ahead import Allowance, ZerosAhead, check_sizes, has_room, zeros_max
from wal.barethread import BareThread, Outcome
from wal.chain import ChainHasher, Head
from wal.closing_on_exit import Closing
from wal.commit import (
    LOST,
    Batch,
    CommitError,
    CommitThread,
    FileLayer,
    OsFiles,
    SegmentAppender,
    SyncStats,
    poisoned_beside,
    poisoned_by,
    poisoned_by_commit,
)
from wal.entry import check_data
from wal.errors import WalError, WalInputError, WalPoisoned, require
from wal.headfile import HeadFile, PublishedHead
from wal.lastsegment import LastSegment, open_last
from wal.lock import LogLock
from wal.segment_keys import SegmentDigest
from wal.staging import Staging

# A torn batch is judged in memory when it is repaired; this bounds that memory. Twice the bound
# of a line, so that any line fits.
BATCH_BYTES_MAX: Final = 64 * 1024 * 1024
# A start reads the last segment from its beginning, behind a checkpoint: well below a second. A log
# of 10^9 records of 1.5 kB then has 22,000 of them.
SEGMENT_BYTES_MAX: Final = 64 * 1024 * 1024


class LogWriter(Closing):
    """Appends to one log. All methods belong to one thread (the loop's); see `open`."""

    def __init__(
        self,
        appender: SegmentAppender,
        last: LastSegment,
        segment_bytes_max: int,
        ahead: Allowance,
        hasher: ChainHasher,
        head: Head,
        lock: LogLock,
        owns_lock: bool,
        monotonic_ns: Callable[[], int],
        bare_thread: BareThread | None,
    ) -> None:
        """Not to be called: see `open`."""
        self._appender = appender
        self._ahead = ZerosAhead(ahead, segment_bytes_max, appender.files, self._fail_beside)
        self._segment_number = last.number
        self._segment_bytes = last.size
        self._segment_bytes_max = segment_bytes_max
        self._rotate_next = last.number == 0
        self.staging = Staging(hasher, head, BATCH_BYTES_MAX, self._check_usable)
        self._durable_head = head
        self._lock = lock
        self._owns_lock = owns_lock
        self._monotonic_ns = monotonic_ns
        self._failure: WalPoisoned | None = None
        self._closed = False
        self._is_syncing = False
        self._under_way_bytes = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._thread = CommitThread(self._commit)
        self._bare_thread = bare_thread
        self._head_file: HeadFile | None = None
        self._durable_place = ("", 0)
        self._durable_segment = 0
        self.last_sync: SyncStats | None = None
        self.sync_count = 0
        self.segment_digest: SegmentDigest | None = None
        self.on_taken: Callable[[Batch], None] | None = None
        self.between_batches: Callable[[], None] | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        hasher: ChainHasher,
        head: Head,
        *,
        monotonic_ns: Callable[[], int],
        lock: LogLock | None = None,
        files: FileLayer | None = None,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        fresh_segment: bool = False,
        write_ahead_bytes: int = 0,
        may_write_ahead: Callable[[int], bool] = has_room,
    ) -> LogWriter:
        """Continue the log in `directory` after `head`, which the caller has verified.

        Nothing is created here: a fresh log gets its first segment with its first batch. `lock`
        is the one from `open_for_recovery`; without it the writer takes its own and releases it
        in `close`. `segment_bytes_max`: a batch that would make its segment longer begins the
        next one (a batch longer than that has a segment for itself). `fresh_segment`: the first
        batch begins a segment in any case, or is the first in an empty one. `write_ahead_bytes`: so
        many zeros are kept behind the last record (`ahead`), where `may_write_ahead` says that the
        disk has room for so many more.

        Raises `WalLocked`, `WalDamage`, `WalError`; `WalInputError` when `head` cannot be that
        of this directory.
        """
        check_sizes(segment_bytes_max, write_ahead_bytes)
        if lock is not None and not (lock.held and lock.directory == directory):
            raise WalInputError("the lock is not held, or is that of another log")
        held = LogLock.acquire(directory) if lock is None else lock
        bare_thread: BareThread | None = None
        try:
            # Interpreted it would have nothing ahead of the other.
            if WAL_FORM == "compiled":
                bare_thread = BareThread()
            last = open_last(directory, head)
        except (OSError, WalError, WalInputError) as error:
            if bare_thread is not None:
                bare_thread.close()
            if lock is None:
                held.release()
            if isinstance(error, OSError):
                raise WalError(f"cannot open the log in {directory}: {error}") from error
            raise
        appender = SegmentAppender(held, last, files or OsFiles(), zeros_max(write_ahead_bytes))
        writer = cls(
            appender,
            last,
            segment_bytes_max,
            Allowance(write_ahead_bytes, may_write_ahead),
            hasher,
            head,
            held,
            lock is None,
            monotonic_ns,
            bare_thread,
        )
        if fresh_segment:
            writer.rotate()
        return writer

    @property
    def staged_head(self) -> Head:
        """The last record given to `append`."""
        return Head(self.staging.sequence, self.staging.entry_hash.decode())

    @property
    def durable_head(self) -> Head:
        """The last record known to be on disk."""
        return self._durable_head

    @property
    def staged_count(self) -> int:
        """Records that no sync has taken yet."""
        return self.staging.record_count

    @property
    def staged_bytes(self) -> int:
        """Bytes of the records that no sync has taken yet."""
        return self.staging.byte_count

    @property
    def under_way_bytes(self) -> int:
        """Bytes of the batch that is on its way to the disk: of these, any part may be there."""
        return self._under_way_bytes

    @property
    def ahead_bytes(self) -> int:
        """Bytes of records that are not durable: staged, or on their way."""
        return self._under_way_bytes + self.staging.byte_count

    @property
    def staged_total_bytes(self) -> int:
        """Bytes of all records that were ever given to `append`."""
        return self.staging.taken_bytes + self.staging.byte_count

    @property
    def syncing(self) -> bool:
        """Whether a batch is on its way to the disk."""
        return self._is_syncing

    @property
    def poisoned(self) -> bool:
        """Whether a create, a write or a sync has failed."""
        return self._failure is not None

    @property
    def segment_number(self) -> int:
        """The segment of the batch that was taken last (counted from 1; 0: none yet)."""
        return self._segment_number

    @property
    def durable_place(self) -> tuple[int, int]:
        """The segment of the last durable record, and the byte behind it.

        (0, 0) where this writer has written none.
        """
        return self._durable_segment, self._durable_place[1]

    @property
    def segment_bytes(self) -> int:
        """How long that segment is, or will be with that batch."""
        return self._segment_bytes

    def go_on_under(self, hasher: ChainHasher) -> None:
        """Let the next record begin a segment, under another key. Nothing is staged now."""
        self.rotate()
        self.staging.rekey(hasher)

    def rotate(self) -> None:
        """Let the next batch begin a new segment (an empty one is not left behind for it).

        What is staged already is part of that batch. A second call before it changes nothing.
        """
        self._check_usable()
        self._rotate_next = self._rotate_next or self._segment_bytes > 0

    def append(self, sequence: int, data: bytes, *, is_encoded: bool = False) -> str:
        """Stage one record and return its hash. It is not durable before a sync returns.

        `sequence` must be the staged head's plus one. `is_encoded`: the data comes straight from
        a JSON encoder, so that looking through it again would find nothing. Raises
        `WalEntryError` for data that no line can hold, `WalInputError` when the batch is full,
        `WalPoisoned`; nothing is staged then.
        """
        if not is_encoded:
            self._check_usable()
            check_data(data)
        return self.staging.append(sequence, data)

    async def sync(self, sequence: int | None = None) -> Head:
        """Make everything staged before this call durable, or up to `sequence`; the durable head.

        What is appended while it runs belongs to the next batch. Concurrent callers wait for
        each other. Cancelling a caller does not undo the write. Raises `WalPoisoned`.
        """
        target = self.staging.sequence if sequence is None else sequence
        while True:
            self._check_usable()
            if self._durable_head.sequence >= target:
                return self._durable_head
            loop = asyncio.get_running_loop()
            if not self._is_syncing:
                self._start(self._take(), loop)
            waiter = loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def sync_now(self) -> Head:
        """As `sync`, but the calling thread waits for the disk; not while a `sync` is running."""
        self._check_usable()
        require(not self._is_syncing, "sync_now is called while a sync is running")
        if self.staging.record_count:
            batch = self._take()
            try:
                latency_ns = self._commit(batch)
            except BaseException as error:
                self._poison(batch, error)
                raise
            self._settle(batch, latency_ns)
            if self.between_batches is not None:
                self.between_batches()
        return self._durable_head

    def sync_within(self, loop: asyncio.AbstractEventLoop, wait_ns: int) -> bool:
        """Begins a `sync` and waits so long at most, as `sync_now` does; whether all is durable.

        If not, it goes on beside the loop, which `sync` waits for. (At once, where the batch has
        to go the way of a thread of the interpreter's own.) Raises `WalPoisoned`.
        """
        self._check_usable()
        require(not self._is_syncing, "sync_within is called while a sync is running")
        if self.staging.record_count:
            self._start(self._take(), loop, wait_ns)
            self._check_usable()
        return not self._is_syncing

    def check_standing(self) -> None:
        """See that the log is where it was: segment, directory and lock. Now and then, when idle.

        (Each sync looks at its segment by itself.) Does nothing while a sync is running. Raises
        `WalDisplaced`, after which nothing more may be answered; OSError where it cannot be found
        out.
        """
        self._check_usable()
        if not self._is_syncing:
            self._appender.check()

    def publish(self) -> None:
        """Tell other processes of the durable head (`headfile`).

        Raises `WalError` where that fails: they stop at the head that they were told of last.
        """
        self._check_usable()
        if not self._durable_place[1]:
            return
        try:
            if self._head_file is None:
                self._head_file = HeadFile(self._appender.directory)
            self._head_file.write(PublishedHead(self._durable_head, *self._durable_place))
        except OSError as error:
            raise WalError(f"readers are not told of new records: {error}") from error

    def seal(self) -> None:
        """End the running segment with its records, durably: for a clean stop, before `close`.

        Nothing is staged, and nothing is written behind it. Raises `WalPoisoned`.
        """
        self._check_usable()
        require(self.staging.record_count == 0, "the log is sealed while records are staged")
        self._ahead.end()
        self._check_usable()
        if self._ahead.file_bytes > self._segment_bytes:
            try:
                self._appender.cut_zeros(self._segment_bytes)
            except OSError as error:
                self._fail_beside("ending the segment", error)
                self._check_usable()
            self._ahead.file_bytes = self._segment_bytes

    def close(self) -> None:
        """Close the segment; a second call does nothing. Never writes.

        Records staged and not synced are dropped: nobody was told of them. Waits for a write
        that is under way.
        """
        if self._closed:
            return
        self._closed, self.staging.is_open = True, False
        self._thread.close()
        if self._bare_thread is not None:
            self._bare_thread.close()
        self._ahead.close()
        if self._head_file is not None:
            self._head_file.close()
        self._appender.close()
        if self._owns_lock:
            self._lock.release()

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure.again()
        if self._closed:
            raise WalError("the log's writer is closed")

    def _take(self) -> Batch:
        """The staged records as a batch, and its segment; staging begins anew."""
        record_count, batch_bytes = self.staging.record_count, self.staging.byte_count
        require(record_count > 0, "a batch of no records is taken")
        offset, zeros_at = self._segment_bytes, None
        begins_segment = self._rotate_next or (
            offset > 0 and offset + batch_bytes > self._segment_bytes_max
        )
        if begins_segment:
            self._ahead.end()
            zeros_at = offset if self._ahead.file_bytes > offset else None
            self._segment_number += 1
            offset = 0
        else:
            self._ahead.make_way(offset + batch_bytes)
        self._check_usable()  # what was waited for may have failed
        self._segment_bytes, self._rotate_next = offset + batch_bytes, False
        head = self.staged_head
        first_sequence = head.sequence - record_count + 1
        # Nothing before it is under way: the buffer that staging goes on with is free.
        require(first_sequence == self._durable_head.sequence + 1, "a batch leaves records out")
        lines = self.staging.take()
        require(len(lines) == batch_bytes, "a batch is not what was staged")
        self._under_way_bytes = batch_bytes
        if self.segment_digest is not None:
            self.segment_digest.take(lines, offset)
        batch = Batch(
            lines, first_sequence, head, self._segment_number, begins_segment, offset, zeros_at
        )
        if self.on_taken is not None:
            self.on_taken(batch)
        return batch

    def _start(self, batch: Batch, loop: asyncio.AbstractEventLoop, wait_ns: int = 0) -> None:
        """Has the batch committed off the loop, and waits for it so long, if that is of use.

        What keeps it from starting is as final.
        """
        self._is_syncing = True
        bare_thread, started_ns = self._bare_thread, self._monotonic_ns()
        try:
            descriptor = None if bare_thread is None else self._bare_descriptor(batch)
            if bare_thread is None or descriptor is None:
                self._thread.start(batch, loop, self._land)
            else:
                landed = functools.partial(self._land_bare, batch, started_ns)
                bare_thread.start(descriptor, batch.lines, batch.offset, loop, landed, wait_ns)
        except BaseException as error:
            self._is_syncing = False
            self._poison(batch, error)
            raise
        if self.between_batches is not None:
            self.between_batches()

    def _bare_descriptor(self, batch: Batch) -> int | None:
        try:
            return self._appender.bare_descriptor(batch)
        except CommitError as error:
            raise poisoned_by_commit(batch, error) from error.__cause__

    def _land_bare(self, batch: Batch, started_ns: int, outcome: Outcome) -> None:
        """As `_land`, of a batch that `_bare_thread` has written."""
        written, number = outcome
        if number == 0:
            try:
                self._appender.check_written(batch)
            except CommitError as error:
                self._land(batch, poisoned_by_commit(batch, error))
            else:
                self._land(batch, self._monotonic_ns() - started_ns)
            return
        stage = "fdatasync" if written == batch.batch_bytes else "write"
        cause = OSError(number, os.strerror(number))
        self._land(batch, poisoned_by(batch, stage, written, cause))

    def _commit(self, batch: Batch) -> int:
        """Write and sync one batch; return the nanoseconds taken. Touches no state of the loop."""
        started_ns = self._monotonic_ns()
        try:
            self._appender.commit(batch)
        except CommitError as error:
            raise poisoned_by_commit(batch, error) from error.__cause__
        return self._monotonic_ns() - started_ns

    def _land(self, batch: Batch, result: int | WalPoisoned | None) -> None:
        """On the loop: how a batch has fared on the thread. None: the thread itself has failed."""
        require(self._is_syncing, "a batch lands that was not under way")
        self._is_syncing = False
        if isinstance(result, int):
            self._settle(batch, result)
        else:
            self._fail(result or poisoned_by(batch, "write", 0, LOST))
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            # It looks at the state, which tells a failure. A caller may have been cancelled.
            if not waiter.done():
                waiter.set_result(None)

    def _settle(self, batch: Batch, latency_ns: int) -> None:
        require(batch.head.sequence > self._durable_head.sequence, "a batch is settled twice")
        self._durable_head = batch.head
        self._under_way_bytes = 0
        self.last_sync = SyncStats(batch.record_count, batch.batch_bytes, latency_ns)
        self.sync_count += 1
        name, end_offset = self._durable_place[0], batch.end_offset
        if batch.segment_number != self._durable_segment:
            self._durable_segment = batch.segment_number
            segment = self._appender.path_of(batch.segment_number)
            name = segment.name
            self._ahead.begin(segment, end_offset)
        self._durable_place = (name, end_offset)
        self._ahead.advance(end_offset)

    def _poison(self, batch: Batch, error: BaseException) -> None:
        if not isinstance(error, WalPoisoned):
            error = poisoned_by(batch, "write", 0, error)
        self._fail(error)

    def _fail(self, failure: WalPoisoned) -> None:
        self._failure, self.staging.is_open = failure, False

    def _fail_beside(self, stage: str, error: Exception) -> None:
        """Something beside a batch failed, behind the durable head: as final as in a batch."""
        self._fail(poisoned_beside(self._durable_head, stage, error))
