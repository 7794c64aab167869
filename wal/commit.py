"""The writer's hand: brings one batch to the disk, in the segment where it belongs.

Owns: the open segment's descriptor, and the order of a commit. Must not: be used by two threads at
once, know what is staged or durable (`writer` does), or try anything twice.

How it works: a batch that begins a segment first has it created: file and directory are fsync'd
before anything is written, so that no synced batch can stand in a file whose name is lost. Then one
write (more only where the system takes less than it was given) and one `fdatasync`.

How it fails: with `CommitError`, naming the stage; the writer makes it final.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple, Protocol

from wal.chain import Head
from wal.failpoint import reach
from wal.segment import create_segment


class FileLayer(Protocol):
    """The two calls that touch an open segment, so that tests can make them fail."""

    def write(self, descriptor: int, data: memoryview, /) -> int:
        """As `os.write`: how many bytes went through, possibly fewer than given."""

    def fdatasync(self, descriptor: int, /) -> None:
        """As `os.fdatasync`."""


class OsFiles:
    """The operating system's own calls."""

    def write(self, descriptor: int, data: memoryview, /) -> int:
        return os.write(descriptor, data)

    def fdatasync(self, descriptor: int, /) -> None:
        os.fdatasync(descriptor)


class Batch(NamedTuple):
    """Records that become durable together, in segment `segment_number`.

    `begins_segment`: that segment is to be created for them.
    """

    lines: list[bytes]
    batch_bytes: int
    first_sequence: int
    head: Head
    segment_number: int
    begins_segment: bool


class CommitError(Exception):
    """A commit failed in `stage` (`create`, `write`, `fdatasync`), `bytes_written` handed over."""

    def __init__(self, stage: str, bytes_written: int) -> None:
        super().__init__(stage, bytes_written)
        self.stage = stage
        self.bytes_written = bytes_written


class SegmentAppender:
    """The segment that is open for appending, if one is."""

    def __init__(self, directory: Path, descriptor: int | None, files: FileLayer) -> None:
        """`descriptor`: of the last segment; None where the first batch begins a new one."""
        self._directory = directory
        self._descriptor = descriptor
        self._files = files

    def commit(self, batch: Batch) -> None:
        """Write and sync one batch. Raises `CommitError` from whatever failed."""
        stage, written = "create", 0
        try:
            if batch.begins_segment:
                self._begin(batch.segment_number)
            descriptor = self._descriptor
            assert descriptor is not None
            stage = "write"
            view = memoryview(b"".join(batch.lines))
            assert len(view) == batch.batch_bytes
            reach("before-write")
            while written < len(view):
                count = self._files.write(descriptor, view[written:])
                if not 0 < count <= len(view) - written:
                    raise OSError(errno.EIO, f"write reported {count} bytes")
                written += count
            reach("after-write")
            stage = "fdatasync"
            reach("before-sync")
            self._files.fdatasync(descriptor)
            reach("after-sync")
        except BaseException as error:
            raise CommitError(stage, written) from error

    def close(self) -> None:
        """Close the segment; a second call does nothing. Never writes."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _begin(self, number: int) -> None:
        descriptor = create_segment(self._directory, number)
        # Everything in the old one is synced: that had to be before this batch was taken up.
        self.close()
        self._descriptor = descriptor
