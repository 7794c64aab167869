"""A log's directory out of its rows, byte for byte.

Owns how records become lines and lines segments again. The text of each record is in its row, and
its hash; the rest of a line is its number and the hash of the record before. Where the rows know in
which segment a record stood, the segments are what they were; where not (they came by a feed), a
new one begins where a guard begins one at the latest: with a session, with a key, and before a
batch that would make it longer than the bound. Zeros that were written ahead, checkpoints, the
writer's own files and segments without a record are not in it.

How it fails: `RestoreError` where a record is missing or does not follow the one before; nothing
stands under the new directory's name then.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple

from guard.archive.store import ArchivedLog, Kept
from guard.record.codec import DIALECT
from wal import (
    SEGMENT_BYTES_MAX,
    Head,
    WalInputError,
    encode_line,
    filled_directory,
    segment_name,
)

_SESSION: Final = b'{"event":"session_started",'


class RestoreError(Exception):
    """The rows are no whole log."""


class Restored(NamedTuple):
    """What was written."""

    head: Head
    record_count: int
    segment_count: int
    byte_count: int


class _Segments:
    """The files, one after the other, each synced when it is full."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = -1
        self._buffer = bytearray()
        self.number = 0
        self.byte_count = 0
        self.segment_bytes = 0

    def begin(self) -> None:
        """The next one."""
        self.close()
        self.number += 1
        path = self._directory / segment_name(self.number)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        self.segment_bytes = 0

    def write(self, line: bytes) -> None:
        self._buffer += line
        self.segment_bytes += len(line)
        self.byte_count += len(line)
        if len(self._buffer) >= 1_048_576:
            self._flush()

    def _flush(self) -> None:
        while self._buffer:
            del self._buffer[: os.write(self._descriptor, self._buffer)]

    def close(self) -> None:
        """The end of the one that is open."""
        if self._descriptor >= 0:
            self._flush()
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def abandon(self) -> None:
        """It is not to be: closed as it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


async def restore(rows: AsyncIterator[Kept], log: ArchivedLog, destination: Path) -> Restored:
    """Writes the log into a new directory. Raises RestoreError, WalInputError, OSError."""
    if log.first_sequence != 1:
        raise RestoreError(
            f"log {log.log_id} is archived from record {log.first_sequence} on: what stands before "
            "was not in the log when it was filled"
        )
    if os.path.lexists(destination):
        raise WalInputError(f"{destination} exists: a log is restored to a new directory")
    with filled_directory(destination) as filled:
        segments = _Segments(filled)
        try:
            head = await _write(rows, log, segments)
            segments.close()
        finally:
            segments.abandon()
    return Restored(head, head.sequence, segments.number, segments.byte_count)


async def _write(rows: AsyncIterator[Kept], log: ArchivedLog, segments: _Segments) -> Head:
    head, before = Head(0, log.first_previous_hash), None
    async for kept in rows:
        if kept.sequence != head.sequence + 1:
            raise RestoreError(
                f"record {head.sequence + 1} of log {log.log_id} is not there"
                f"{', nor is any before it' if head.sequence == 0 else ''}; the next one is "
                f"{kept.sequence}: days that were dropped cannot be restored"
            )
        line = encode_line(kept.sequence, head.entry_hash, kept.entry_hash, kept.data)
        if before is None or _begins_segment(kept, before, segments.segment_bytes + len(line)):
            segments.begin()
        segments.write(line)
        head, before = Head(kept.sequence, kept.entry_hash), kept
    if head != log.head:
        raise RestoreError(
            f"log {log.log_id} is archived up to record {log.head.sequence}, and its rows end with "
            f"record {head.sequence}"
        )
    return head


def _begins_segment(kept: Kept, before: Kept, byte_count: int) -> bool:
    if kept.segment is not None and before.segment is not None:
        return kept.segment != before.segment
    if kept.data.startswith(_SESSION) or DIALECT.key_change(kept.data) is not None:
        return True
    if byte_count <= SEGMENT_BYTES_MAX:
        return False
    return DIALECT.batch_first_sequence(kept.data) == kept.sequence
