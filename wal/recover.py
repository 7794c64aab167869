"""The first step of every start: nobody else writes, and what will be read is on the disk.

Owns: the order of that step. After a crash of the process (not of the machine) the last batch may
stand in memory only; recovery would read it, trust it, and lose it with the next power cut. So
every segment and the directory are fsync'd before the first read. An error of such a sync is a
`WalError`: what is read afterwards would prove nothing. Temporary files that a crash left are
removed. Must not: read, repair, or create; nor ask where the log begins, which the reader does.
"""

from __future__ import annotations

from pathlib import Path

from wal.errors import WalError
from wal.lock import LogLock
from wal.segment import fsync_directory, fsync_file, list_segments, remove_leftovers


def open_for_recovery(directory: Path) -> LogLock:
    """Lock the log in `directory`, make it durable as it stands, and return the lock.

    Raises `WalLocked`, `WalDamage` (a gap between the segments), `WalError`.
    """
    lock = LogLock.acquire(directory)
    try:
        remove_leftovers(directory)
        for path in list_segments(directory, archived=True):
            fsync_file(path)
        fsync_directory(directory)
    except OSError as error:
        lock.release()
        raise WalError(f"cannot make {directory} durable before reading: {error}") from error
    except WalError:
        lock.release()
        raise
    return lock
