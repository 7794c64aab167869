"""Moves a log's oldest segments somewhere else, once a checkpoint makes a start do without them.

Owns: that move. Must not: take a segment that holds a record above the given sequence, or the last
one, ever; or change a byte. Which sequence is safe is for the caller to say: that of the oldest
checkpoint that a start may have to fall back to.

How it works: oldest first, each segment is linked (on another file system: copied and compared)
into the destination, which is fsync'd, and only then removed from the log, which is fsync'd before
the next one goes. At any instant each segment is in one place or in both, and the log has no gap;
run again after a crash it goes on. A running writer is not disturbed: it touches the last segment
alone.

How it fails: `WalError`; `WalDamage` where the segments do not follow each other by their own word.
"""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Final

from wal.errors import WalDamage, WalError, WalInputError
from wal.failpoint import reach
from wal.find_record import first_head
from wal.regularfile import open_regular, open_to_read
from wal.segment import (
    create_directory,
    forget_pages,
    fsync_directory,
    list_segments,
    open_new,
    write_all,
)

CHUNK_BYTES: Final = 1024 * 1024
COPY_SUFFIX: Final = ".copy"
# What a file system says that cannot link there: another one, none that can, or not permitted.
_NO_LINK: Final = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)


def archive_segments(directory: Path, destination: Path, up_to_sequence: int) -> list[Path]:
    """Move each segment of the log in `directory` whose records are all up to `up_to_sequence`.

    `destination` is created if it is not there (its parent must exist). A segment that is there
    already with the same bytes counts as moved; with others it is refused. Returns where the
    moved segments are now. Raises `WalError`, `WalDamage`, `WalInputError`.
    """
    segments = movable_segments(directory, up_to_sequence)
    if not segments:
        return []
    create_directory(destination)
    if destination.resolve() == directory.resolve():
        raise WalInputError("the archive is the log's own directory")
    moved = []
    try:
        for path in segments:
            target = destination / path.name
            reach("before-archive-link")
            _put(path, target)
            fsync_directory(destination)
            reach("before-archive-remove")
            os.unlink(path)
            fsync_directory(directory)
            reach("after-archive-remove")
            moved.append(target)
    except OSError as error:
        raise WalError(f"cannot archive segments of {directory}: {error}") from error
    return moved


def movable_segments(directory: Path, up_to_sequence: int) -> list[Path]:
    """The segments that `archive_segments` would move, oldest first."""
    segments = list_segments(directory, archived=True)
    movable: list[Path] = []
    previous = 0
    for path, following in pairwise(segments):
        head = first_head(following)
        if head is None:  # an empty one, which may stand before the last; or damage, not passed by
            break
        if head.sequence < previous:
            raise WalDamage(following.name, 0, previous + 1, "the segment does not follow")
        if head.sequence > up_to_sequence:
            break
        previous = head.sequence
        movable.append(path)
    return movable


def _put(path: Path, target: Path) -> None:
    """Make `target` the same file as `path`, or a durable copy of it."""
    try:
        os.link(path, target, follow_symlinks=False)
    except FileExistsError:
        if not os.path.samefile(path, target) and _digest(path) != _digest(target):
            raise WalError(f"{target} exists and holds other bytes than {path}") from None
        _sync(target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _copy(path, target)


def _copy(path: Path, target: Path) -> None:
    beside = target.with_name(target.name + COPY_SUFFIX)
    beside.unlink(missing_ok=True)
    descriptor = open_new(beside)
    try:
        with open_to_read(path, 0) as file:
            while chunk := file.read(CHUNK_BYTES):
                write_all(descriptor, chunk)
        os.fsync(descriptor)
        forget_pages(descriptor)
    finally:
        os.close(descriptor)
    if _digest(beside) != _digest(path):
        raise WalError(f"the copy {beside} is not what was written: the disk fails")
    os.rename(beside, target)


def _sync(path: Path) -> None:
    descriptor = open_regular(path)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> bytes:
    digest = sha256()
    with open_to_read(path, 0) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()
