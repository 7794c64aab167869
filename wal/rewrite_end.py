"""Puts the last batch of a log on the disk once more, at every start, where it stands.

Owns: that rewrite. After a failed sync the system may hold a page as clean that the disk never
took: recovery reads it well, goes on, and the next power cut shows the old bytes, in the middle of
the log. So the bytes that no later batch vouches for are written again and synced before anything
follows them. Must not: judge or change what stands there (the caller has folded and repaired it),
or run without the log's lock.

How it works: only the last batch can be in doubt. A batch is written when the one before it is
synced, and a session's first one when a start has done this to the end of the session before: each
record of a later batch proves every earlier one. The last record says where its batch begins; where
it does not say (foreign records), the whole of its segment counts. From there to the end of the
segment the same bytes are written over themselves, which makes their pages dirty again whatever the
system thought of them, and fsync'd. Then they are read back (from the disk, as far as the system
can be told to forget a page) and compared. No file grows, so this takes no space where files are
written in place, and as much as the batch elsewhere. A power cut leaves each sector with the old
bytes or the same ones anew: what was durable stays so, and what was not is a torn end as before.

How it fails: `WalError`; the log reads as it did. Out of space is no reason to serve from pages
that may be lost.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from wal.ahead import drop_zeros
from wal.chain import ChainHasher, Head
from wal.entry import ENVELOPE_BYTES_MAX, LINE_BYTES_MAX, Entry, parse_line, parse_opening
from wal.errors import WalDamage, WalEntryError, WalError
from wal.failpoint import reach
from wal.log_pass import Dialect, Walk
from wal.regularfile import open_regular
from wal.segment import forget_pages, fsync_directory, list_segments
from wal.space import space_error

CHUNK_BYTES: Final = 1024 * 1024


class Rewrite(NamedTuple):
    """What was written anew: a segment's file name, and its bytes from `offset` on."""

    segment: str
    offset: int
    byte_count: int


def rewrite_tail(
    directory: Path, head: Head, hasher: ChainHasher, dialect: Dialect
) -> Rewrite | None:
    """Write the last batch of the log anew; None for a log without records.

    Zeros that were written ahead are dropped first. `head`: of the whole log, as the caller has
    just verified it; the last segment with records must end with it. The caller holds the lock.
    Raises `WalError`.
    """
    try:
        segments = list_segments(directory, archived=head.sequence > 0)
        if segments:
            drop_zeros(segments[-1])
        for path in reversed(segments):
            if path.stat().st_size:
                return _rewrite(path, head, hasher, dialect)
    except OSError as error:
        raise WalError(f"cannot rewrite the end of the log in {directory}: {error}") from error
    return None


def _rewrite(path: Path, head: Head, hasher: ChainHasher, dialect: Dialect) -> Rewrite:
    # Not for appending: a system that appends whatever place is named would double the records.
    descriptor = open_regular(path, os.O_RDWR)
    try:
        size = os.fstat(descriptor).st_size
        first = dialect.batch_first_sequence(_last_entry(descriptor, size, path.name, head).data)
        offset, before = _batch_place(descriptor, size, head.sequence, first)
        reach("before-tail-write")
        try:
            written = _write_again(descriptor, offset, size)
            reach("after-tail-write")
            os.fsync(descriptor)
        except OSError as error:
            what = f"rewrite the end of {path}"
            raise space_error(what, size - offset, descriptor, error) from error
        reach("after-tail-sync")
        # A clean page may now be dropped, so that the check reads what the disk has.
        forget_pages(descriptor, offset - offset % os.sysconf("SC_PAGE_SIZE"))
        if os.fstat(descriptor).st_size != size or _digest(descriptor, offset, size) != written:
            raise WalError(f"what {path} holds is not what was written: the disk fails")
    finally:
        os.close(descriptor)
    # Its name, too: whoever made it may have died before that was durable.
    fsync_directory(path.parent)
    if before is not None:
        _check_chain(path, offset, before, head, hasher, dialect)
    return Rewrite(path.name, offset, size - offset)


def _last_entry(descriptor: int, size: int, name: str, head: Head) -> Entry:
    """The segment's last record, which must be `head`: else somebody else has written to it."""
    length = min(size, LINE_BYTES_MAX)
    end = os.pread(descriptor, min(length, CHUNK_BYTES), size - min(length, CHUNK_BYTES))
    if b"\n" not in end[:-1]:
        end = os.pread(descriptor, length, size - length)
    line = end[end.rfind(b"\n", 0, -1) + 1 :]
    try:
        found = parse_line(line)
    except WalEntryError as error:
        raise WalError(f"{name} does not end with a record: {error}") from None
    if found.head != head:
        raise WalError(f"{name} ends with record {found.sequence}, not with {head.sequence}")
    return found


def _batch_place(
    descriptor: int, size: int, last_sequence: int, first_sequence: int | None
) -> tuple[int, Head | None]:
    """Where the batch from `first_sequence` to `last_sequence`, the segment's last, begins.

    And the head that it follows. The segment's beginning, and None, where that cannot be told.
    """
    if first_sequence is None or not 0 < first_sequence <= last_sequence:
        return 0, None
    offset = _lines_back(descriptor, size, last_sequence - first_sequence + 1)
    if offset is None:
        return 0, None
    before = parse_opening(os.pread(descriptor, ENVELOPE_BYTES_MAX, offset))
    if before is None or before.sequence != first_sequence - 1:
        return 0, None
    return offset, before


def _lines_back(descriptor: int, size: int, count: int) -> int | None:
    """Where the last `count` lines begin; None where there are not so many."""
    start = size
    while start > 0:
        length = min(CHUNK_BYTES, start)
        start -= length
        chunk = os.pread(descriptor, length, start)
        # The newline before a line is the end of another; the file's last byte is the last one's.
        at = length - 1 if start + length == size else length
        while count and (at := chunk.rfind(b"\n", 0, at)) >= 0:
            count -= 1
            if not count:
                return start + at + 1
    return 0 if count == 1 else None


def _write_again(descriptor: int, offset: int, size: int) -> bytes:
    """Writes the file's own bytes over themselves; their digest."""
    digest = sha256()
    while offset < size:
        part = os.pread(descriptor, min(CHUNK_BYTES, size - offset), offset)
        written = os.pwrite(descriptor, part, offset)
        if not written:
            raise WalError("the segment became shorter while it was rewritten")
        digest.update(part[:written])
        offset += written
    return digest.digest()


def _digest(descriptor: int, offset: int, size: int) -> bytes:
    digest = sha256()
    while offset < size and (part := os.pread(descriptor, min(CHUNK_BYTES, size - offset), offset)):
        digest.update(part)
        offset += len(part)
    return digest.digest()


def _check_chain(
    path: Path, offset: int, before: Head, head: Head, hasher: ChainHasher, dialect: Dialect
) -> None:
    """See that what was read back is what the caller had verified.

    Pages that the disk never took may have gone between its reading and ours.
    """
    walk = Walk(hasher, dialect, before, None)
    try:
        for _ in walk.runs(path, offset):
            pass
    except WalDamage as damage:
        raise WalError(f"the end of the log is not what was read before: {damage}") from damage
    if walk.head != head:
        raise WalError(f"{path.name} ends with record {walk.head.sequence}, not {head.sequence}")
