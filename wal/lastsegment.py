"""The segment that a log ends with, as a writer finds it when it opens the log.

Owns: the look that it fits the head that the writer goes on from, and ends with a whole line. Must
not: read records, or repair anything: recovery has done both.

How it fails: `WalInputError` where the head and the files do not belong together, `WalDamage` where
the last line has no end, `OSError`. The descriptor is closed then.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from wal.chain import GENESIS, Head
from wal.errors import WalDamage, WalInputError
from wal.segment import fsync_directory, list_segments, open_segment, segment_number


@dataclass(frozen=True, slots=True)
class LastSegment:
    """The segment that a log ends with; `descriptor` is None and `number` 0 where it has none."""

    descriptor: int | None
    number: int
    size: int


def open_last(directory: Path, head: Head) -> LastSegment:
    """The segment that the log ends with, open for writing.

    Raises `WalInputError`, `WalDamage`, `OSError`.
    """
    if (head.sequence == 0) != (head.entry_hash == GENESIS):
        raise WalInputError("a head has the hash `genesis` exactly at sequence 0")
    segments = list_segments(directory, archived=head.sequence > 0)
    if not segments:
        if head.sequence != 0:
            raise WalInputError(f"the head is {head.sequence}, but {directory} has no segment")
        return LastSegment(None, 0, 0)
    if head.sequence == 0 and any(path.stat().st_size for path in segments):
        raise WalInputError(f"the head is 0, but {directory} is not empty")
    last = segments[-1]
    descriptor = open_segment(last)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            reason = "the last line has no newline"
            raise WalDamage(last.name, size, head.sequence + 1, reason)
        if not size:
            # Who created it may have died before its name was durable.
            os.fsync(descriptor)
            fsync_directory(directory)
    except (OSError, WalDamage):
        os.close(descriptor)
        raise
    return LastSegment(descriptor, segment_number(last), size)
