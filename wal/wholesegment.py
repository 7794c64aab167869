"""A segment that is written whole before it is one: for who copies many batches of a log at once.

Owns: the file under its unfinished name, and the step that makes it the log's next segment, durable
all of it. Must not: look at the lines, or choose their segment (the caller holds the log's lock).

How it works: batches that are written one behind the other need a sync each, since a repair knows a
torn end by it. A file that no reader looks at needs none of that: a thread writes and syncs it
while the caller looks the lines over, and only then it gets its segment's name. So a crash leaves
the log without that segment, or with all of it; the unfinished file goes with the next start.

How it fails: `WalError` for whatever the system refuses; the log is as it was then, unless the
directory's own sync failed: what stands there then is whole, and whether it stays is not known.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from threading import Thread

from wal.errors import WalError
from wal.segment import fsync_directory, open_new, segment_name, write_all

UNFINISHED_SUFFIX = ".whole"


class WholeSegment:
    """The next segment of the log in `directory`. `finish` or `discard` ends it."""

    def __init__(self, directory: Path, number: int, lines: bytes) -> None:
        """Begins to write. The segment `number` is not there, or is empty."""
        self._directory = directory
        self._path = directory / segment_name(number)
        self._unfinished = self._path.with_name(self._path.name + UNFINISHED_SUFFIX)
        self._lines = lines
        self._error: OSError | None = OSError(errno.EIO, "the thread that writes it has ended")
        self._thread = Thread(target=self._write, name="whole-segment", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Makes it the log's, durably. Raises `WalError`."""
        self._thread.join()
        try:
            if self._error is not None:
                raise self._error
            if self._path.exists() and self._path.stat().st_size:
                raise FileExistsError(errno.EEXIST, "it is there, and holds records")
            os.rename(self._unfinished, self._path)
            fsync_directory(self._directory)
        except OSError as error:
            with suppress(OSError):  # else the next start removes it
                self._unfinished.unlink(missing_ok=True)
            raise WalError(f"cannot write {self._path}: {error}") from error

    def discard(self) -> None:
        """Leaves nothing of it. Raises `WalError`."""
        self._thread.join()
        try:
            self._unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise WalError(f"cannot remove {self._unfinished}: {error}") from error

    def _write(self) -> None:
        try:
            descriptor = open_new(self._unfinished)
            try:
                write_all(descriptor, self._lines)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._error = None
        except OSError as error:
            self._error = error
