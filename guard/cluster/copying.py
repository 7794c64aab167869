"""A local log that takes over the cluster's rows: byte for byte on the disk, and folded.

Owns that each line is what the key makes of it, follows what is there, and ends where its row says.
Must not: fold a row that is not known to be on the quorum (the caller's to know), or go on behind
an error.

How it works: the lines of a row are verified as those of a file are, and each record is applied as
recovery does it. A step of few bytes goes through the log's own writer, records that were one batch
in one write and one sync, as a repair and a start's rewrite of the last batch expect. One of many
bytes, as there are where this log is far behind, becomes a segment for itself, which is written and
synced under another name while its records are folded (`wal.wholesegment`): one sync for all of
them. When a step returns, what it has taken over is durable and folded; nobody is shown less or
more than both in between, for it does not give up its thread.

How it fails: `Diverged` where a row does not follow from what the local log holds, `ClusterError`
for a row that no guard can have written, `WalError` of the local log. Where rows do not follow,
nothing of their step is folded; behind the other errors the state may be ahead of the local log,
and is worth nothing: whoever meets them ends.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from guard import clock
from guard.cluster.errors import ClusterError, Diverged
from guard.cluster.lines import BatchRow, bad_row, check_lines, place_behind
from guard.engine.events import Outcome
from guard.record.applying import RecordFolder
from guard.record.codec import DIALECT
from guard.recovery.recover import Recovered
from kernel import InvariantError
from wal import (
    EMPTY_HEAD,
    ENVELOPE_BYTES_MAX,
    ChainHasher,
    Head,
    HeadFile,
    LogWriter,
    PublishedHead,
    Run,
    WalDamage,
    WalError,
    Walk,
    WholeSegment,
    list_segments,
    parse_opening,
    segment_name,
)

# A step of so many bytes is a segment of its own; row by row, it is some 2,500 syncs at most.
WHOLE_BYTES_MIN: Final = 4 * 1024 * 1024
# A step: nobody is answered, and no signal is heard, for the fifth of a second that it takes.
STEP_BYTES_MAX: Final = 16 * 1024 * 1024
_NOT_PROVEN: Final = "is not what the key proves"


class LocalCopy:
    """The local log of who takes over rows. Belongs to one thread; `recovered` holds the lock."""

    def __init__(
        self, directory: Path, hasher: ChainHasher, recovered: Recovered, segment_bytes_max: int
    ) -> None:
        self._directory = directory
        self._hasher = hasher
        self._recovered = recovered
        self._segment_bytes_max = segment_bytes_max
        self._folder = RecordFolder(recovered.engine, hasher.sole_key_id)
        self._head = recovered.head
        self._place = (0, 0)
        self._writer: LogWriter | None = None
        self._head_file: HeadFile | None = None

    @property
    def head(self) -> Head:
        """The last record that was taken over, and is durable here."""
        return self._head

    @property
    def place(self) -> tuple[int, int]:
        """The segment of that record, and the byte behind it; (0, 0) where nothing was taken."""
        return self._place

    def steps_of(self, rows: Sequence[BatchRow]) -> Iterator[list[BatchRow]]:
        """The rows, as `take` takes them best."""
        bytes_max = min(STEP_BYTES_MAX, self._segment_bytes_max)
        step: list[BatchRow] = []
        byte_count = 0
        for row in rows:
            if step and byte_count + len(row.lines) > bytes_max:
                yield from self._whole_or_each(step)
                step, byte_count = [], 0
            step.append(row)
            byte_count += len(row.lines)
        yield from self._whole_or_each(step)

    def take(self, rows: Sequence[BatchRow]) -> None:
        """Takes over what of the rows is not here yet. Raises Diverged, ClusterError, WalError."""
        if self._is_whole(rows):
            self._take_whole(rows)
        else:
            for row in rows:
                self._take_row(row)

    def publish(self) -> None:
        """Tells readers of the local log. Raises WalError."""
        number, end_offset = self._place
        if not number:
            return
        try:
            if self._head_file is None:
                self._head_file = HeadFile(self._directory)
            self._head_file.write(PublishedHead(self._head, segment_name(number), end_offset))
        except OSError as error:
            raise WalError(f"readers are not told of new records: {error}") from error

    def close(self) -> None:
        """Ends the segment with its records; the lock is still the caller's. Raises WalError."""
        try:
            self._end_writer()
        finally:
            if self._head_file is not None:
                self._head_file.close()

    def _whole_or_each(self, step: list[BatchRow]) -> Iterator[list[BatchRow]]:
        if self._is_whole(step):
            yield step
        else:
            yield from ([row] for row in step)

    def _is_whole(self, rows: Sequence[BatchRow]) -> bool:
        byte_count = sum(len(row.lines) for row in rows)
        return byte_count >= min(WHOLE_BYTES_MIN, self._segment_bytes_max // 2)

    def _take_row(self, row: BatchRow) -> None:
        (lines,) = self._new_lines([row])
        if not lines:
            return
        writer = self._opened_writer()
        for run in self._runs([row], lines):
            for sequence, previous_hash, data in run.records():
                event = self._read(sequence, data, previous_hash)
                if self._batch_first_of(event) == sequence and writer.staged_count:
                    writer.sync_now()
                writer.append(sequence, data, is_encoded=True)
                self._folder.apply(sequence, event)
        writer.sync_now()
        self._settle(row.head, writer.durable_place)

    def _take_whole(self, rows: Sequence[BatchRow]) -> None:
        """The rows as one segment, behind the one that the log ends with."""
        lines = b"".join(self._new_lines(rows))
        if not lines:
            return
        self._end_writer()
        number = self._next_segment()
        segment = WholeSegment(self._directory, number, lines)
        try:
            for run in self._runs(rows, lines):
                for sequence, previous_hash, data in run.records():
                    self._folder.apply(sequence, self._read(sequence, data, previous_hash))
        except BaseException:
            segment.discard()
            raise
        segment.finish()
        self._settle(rows[-1].head, (number, len(lines)))

    def _new_lines(self, rows: Sequence[BatchRow]) -> list[bytes]:
        """What of each row is not here yet. Raises Diverged, ClusterError."""
        head, news = self._head, []
        for row in rows:
            check_lines(row)
            place = place_behind(row, head)
            if place is None:
                raise self._diverged(row)
            lines = row.lines[place:]
            if lines:
                follows = parse_opening(lines[:ENVELOPE_BYTES_MAX])
                if follows != head and follows is not None and follows.sequence == head.sequence:
                    raise self._diverged(row)
                head = row.head
            news.append(lines)
        return news

    def _runs(self, rows: Sequence[BatchRow], lines: bytes) -> Iterator[Run]:
        """The records of the rows' new lines, verified. Raises ClusterError, at their end, too."""
        head = self._head
        ends = deque(row for row in rows if row.last_sequence > head.sequence)
        walk = Walk(self._hasher, DIALECT, head, True if head.sequence else None)
        try:
            for run in walk.runs_of_block(lines, self._directory, 0):
                head = run.last
                if run.block is not lines and run.block != lines[run.offset : run.end_offset]:
                    reason = "its line is in another form"
                    raise bad_row(
                        ends[0] if ends else rows[-1],
                        f"record {head.sequence} {_NOT_PROVEN}: {reason}",
                    )
                while ends and ends[0].last_sequence <= head.sequence:
                    row = ends.popleft()
                    if run.hash_of(row.last_sequence) != row.head_hash:
                        raise _ends_otherwise(row)
                yield run
        except WalDamage as error:
            row = next((row for row in rows if row.last_sequence >= error.sequence), rows[-1])
            raise bad_row(row, f"record {error.sequence} {_NOT_PROVEN}: {error.reason}") from error
        if head != rows[-1].head:
            raise _ends_otherwise(rows[-1])

    def _read(self, sequence: int, data: bytes, previous_hash: str) -> Outcome | None:
        try:
            return self._folder.read(sequence, data, previous_hash)
        except (InvariantError, ValueError, LookupError) as error:
            raise ClusterError(f"record {sequence} of the cluster's log: {error}") from error

    def _batch_first_of(self, event: Outcome | None) -> int:
        if event is None:
            return self._folder.request.batch_first_sequence
        return event.batch_first_sequence

    def _settle(self, head: Head, place: tuple[int, int]) -> None:
        self._head = self._recovered.head = head
        self._place = place

    def _opened_writer(self) -> LogWriter:
        if self._writer is None:
            self._writer = LogWriter.open(
                self._directory,
                self._hasher,
                self._head,
                monotonic_ns=clock.monotonic_ns,
                lock=self._recovered.lock,
                segment_bytes_max=self._segment_bytes_max,
                fresh_segment=True,
            )
        return self._writer

    def _end_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            # Of a row that was refused in its middle nothing is written.
            if not writer.poisoned and not writer.staged_count:
                writer.seal()
        finally:
            writer.close()

    def _next_segment(self) -> int:
        """The number of the one behind the last, which may be there and empty."""
        segments = list_segments(self._directory, archived=self._head != EMPTY_HEAD)
        if not segments:
            return 1
        last = segments[-1]
        try:
            is_empty = last.stat().st_size == 0
        except OSError as error:
            raise WalError(f"cannot look at {last}: {error}") from error
        return int(last.name[:8]) + (not is_empty)

    def _diverged(self, row: BatchRow) -> Diverged:
        return Diverged(
            f"the cluster's records {row.first_sequence} to {row.last_sequence} do not follow the "
            f"local log's record {self._head.sequence}"
        )


def _ends_otherwise(row: BatchRow) -> ClusterError:
    return ClusterError(f"the cluster's row does not end with its head {row.last_sequence}")
