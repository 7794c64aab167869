"""Copies the last segment of a log that was not closed cleanly onto fresh blocks of the disk.

Owns: that copy. After a failed sync the system may hold a page as clean that the disk never took:
recovery reads it well, goes on, and the next power cut shows the old bytes, in the middle of the
log. So the bytes that recovery has read are written anew and synced before anything follows them.
Must not: judge or change what stands there (the caller has folded and repaired it), or run without
the log's lock.

How it works: `NNNNNNNN.jsonl.rewrite` is written, fsync'd and read back (from the disk, as far as
the system can be told to forget a page), then renamed over the segment, and the directory fsync'd.
Before the rename the old segment is untouched; after it the new one is whole. What a crash leaves
under the temporary name is removed by `open_for_recovery`.

How it fails: `WalError`; the log is then as it was. Out of space is no reason to serve from pages
that may be lost.
"""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from wal.ahead import drop_zeros
from wal.chain import Head
from wal.entry import LINE_BYTES_MAX, parse_line
from wal.errors import WalEntryError, WalError
from wal.failpoint import reach
from wal.segment import (
    FILE_MODE,
    REWRITE_SUFFIX,
    forget_pages,
    fsync_directory,
    list_segments,
    open_new,
    write_all,
)

CHUNK_BYTES: Final = 1024 * 1024


class Rewrite(NamedTuple):
    """What was rewritten: a segment's file name and its bytes."""

    segment: str
    byte_count: int


def rewrite_tail(directory: Path, head: Head, closed_cleanly: bool) -> Rewrite | None:
    """Rewrite the last segment with records, unless the log's last session was closed cleanly.

    Zeros that were written ahead are dropped first, in either case.

    `head`: of the whole log, as the caller has just verified it; the segment must end with it.
    After a clean close the last sync had succeeded, and nothing was left in doubt: None, as for a
    log without records. The caller holds the lock. Raises `WalError`.
    """
    try:
        segments = list_segments(directory, archived=head.sequence > 0)
        if segments:
            drop_zeros(segments[-1])
        if closed_cleanly:
            return None
        for path in reversed(segments):
            if path.stat().st_size:
                return _rewrite(directory, path, head)
    except OSError as error:
        raise WalError(f"cannot rewrite the end of the log in {directory}: {error}") from error
    return None


def _rewrite(directory: Path, path: Path, head: Head) -> Rewrite:
    fresh = path.with_name(path.name + REWRITE_SUFFIX)
    reach("before-tail-copy")
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        facts = os.fstat(source)
        _check_end(source, facts.st_size, path.name, head)
        try:
            _copy(source, facts.st_size, fresh, stat.S_IMODE(facts.st_mode))
            reach("before-tail-rename")
            os.rename(fresh, path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    finally:
        os.close(source)
    reach("after-tail-rename")
    fsync_directory(directory)
    reach("after-tail-sync")
    return Rewrite(path.name, facts.st_size)


def _check_end(source: int, size: int, name: str, head: Head) -> None:
    """Check that the segment ends with the record `head`, so that nobody else has written."""
    length = min(size, LINE_BYTES_MAX)
    end = os.pread(source, min(length, CHUNK_BYTES), size - min(length, CHUNK_BYTES))
    if b"\n" not in end[:-1]:
        end = os.pread(source, length, size - length)
    line = end[end.rfind(b"\n", 0, -1) + 1 :]
    try:
        found = parse_line(line).head
    except WalEntryError as error:
        raise WalError(f"{name} does not end with a record: {error}") from None
    if found != head:
        raise WalError(f"{name} ends with record {found.sequence}, not with {head.sequence}")


def _copy(source: int, size: int, fresh: Path, mode: int) -> None:
    """Write the bytes of `source` to the new file `fresh`, durably, and check them there."""
    fresh.unlink(missing_ok=True)
    target = open_new(fresh, os.O_RDWR)
    try:
        os.fchmod(target, mode or FILE_MODE)
        copied = sha256()
        for at in range(0, size, CHUNK_BYTES):
            part = os.pread(source, CHUNK_BYTES, at)
            copied.update(part)
            write_all(target, part)
        os.fsync(target)
        # A clean page may now be dropped, so that the check reads what the disk has.
        forget_pages(target)
        found = sha256()
        for at in range(0, size, CHUNK_BYTES):
            found.update(os.pread(target, CHUNK_BYTES, at))
        if os.fstat(target).st_size != size or found.digest() != copied.digest():
            raise WalError(f"the copy {fresh.name} is not what was written: the disk fails")
    finally:
        os.close(target)
