"""The durable head of a running log, told to other processes through a small file.

Owns: the file `head` beside the segments, its one line, and whether it can be believed: only while
its writer lives, and then it is never ahead of the disk. Must not: be needed by a start, which
finds the head in the log itself.

How it works: the writer overwrites the same bytes in place, without a sync, behind each batch: one
call of the system. The line has a fixed length and ends with a checksum, so that who reads it in
the middle of such a write sees that, and reads it again. The writer holds a lock on the file that
ends with it, and that a reader can ask about without taking it (the log's own lock cannot be asked
so: a reader that tried it would be in the way of a start).

How it fails: `OSError` for the writer: what the file said before still holds, and readers stop
there. A reader gets None where nobody writes the log: it is then read to its end.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from wal.chain import Head
from wal.segment import FILE_MODE

HEAD_NAME: Final = "head"
LINE_BYTES: Final = 256
_CHECKSUM_BYTES: Final = 9  # eight hexadecimal digits and the newline
_ATTEMPTS_MAX: Final = 100
_FLOCK: Final = struct.Struct("hhqqi4x")  # fcntl(2): type, whence, start, length, process


class PublishedHead(NamedTuple):
    """The last durable record, and the place behind it: byte `end_offset` of file `segment`."""

    head: Head
    segment: str
    end_offset: int


class HeadFile:
    """The writer's side."""

    def __init__(self, directory: Path) -> None:
        """Creates the file, or takes it over. Raises `OSError`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(directory / HEAD_NAME, flags, FILE_MODE)
        self._is_open = True
        try:
            os.ftruncate(self._descriptor, 0)  # what it said was another writer's
            lock = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, lock)
        except OSError:
            self.close()
            raise

    def write(self, published: PublishedHead) -> None:
        """Tells it. Raises `OSError`."""
        line = encode_head(published)
        if os.pwrite(self._descriptor, line, 0) != len(line):
            raise OSError(errno.EIO, "the head was written in part")

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)


def encode_head(published: PublishedHead) -> bytes:
    """The file's line."""
    head, segment, end_offset = published
    text = (
        b'{"sequence":%d,"entry_hash":"%b","segment":"%b","end_offset":%d}'
        % (head.sequence, head.entry_hash.encode(), segment.encode(), end_offset)
    ).ljust(LINE_BYTES - _CHECKSUM_BYTES)
    return b"%b%08x\n" % (text, zlib.crc32(text))


def decode_head(line: bytes) -> PublishedHead | None:
    """What the line says; None where it is not whole."""
    text, checksum = line[:-_CHECKSUM_BYTES], line[-_CHECKSUM_BYTES:]
    if len(line) != LINE_BYTES or checksum != b"%08x\n" % zlib.crc32(text):
        return None
    told = json.loads(text)
    head = Head(told["sequence"], told["entry_hash"])
    return PublishedHead(head, told["segment"], told["end_offset"])


def read_published_head(directory: Path) -> PublishedHead | None:
    """How far the log in `directory` is durable, as its running writer says.

    None where nobody writes it, or the writer has said nothing yet. Raises `OSError`, also where
    there is a writer and what it says cannot be read: the log is then not to be read to its end.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(directory / HEAD_NAME, flags)
    except FileNotFoundError:
        return None
    try:
        for _ in range(_ATTEMPTS_MAX):
            if not _is_locked(descriptor):
                return None
            line = os.pread(descriptor, LINE_BYTES + 1, 0)
            published = decode_head(line)
            if published is not None or not line:
                return published
            os.sched_yield()  # for the writer to end its line
    finally:
        os.close(descriptor)
    raise OSError(errno.EBADMSG, f"a writer lives, and {HEAD_NAME} is not what it writes")


def _is_locked(descriptor: int) -> bool:
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    told = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
    return bool(_FLOCK.unpack(told)[0] != fcntl.F_UNLCK)
