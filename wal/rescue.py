"""Keeps the bytes of a segment that was deleted under its writer, which still has it open.

Owns that copy, `NNNNNNNN.jsonl.removed`. The system frees a deleted file when the last process that
has it open closes it: then every record in it is gone that anybody was answered for. Must not: put
the copy in the segment's place, which is for a person to do who knows why it was deleted, or take
any name that is there.

How it fails: not; None says that nothing could be kept, for the disk is full or the directory gone.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from wal.segment import fsync_directory, open_new, write_all

SUFFIX: Final = ".removed"
COPIES_MAX: Final = 100  # of one segment; far above what anyone can mean
CHUNK_BYTES: Final = 1024 * 1024


def keep_removed(descriptor: int, path: Path) -> Path | None:
    """Copy what `descriptor` is open on beside `path`, durably; where the copy is."""
    try:
        copy, target = _open_free(path)
    except OSError:
        return None
    try:
        try:
            at = 0
            while part := os.pread(descriptor, CHUNK_BYTES, at):
                write_all(target, part)
                at += len(part)
            os.fsync(target)
        finally:
            os.close(target)
        fsync_directory(path.parent)
    except OSError:
        copy.unlink(missing_ok=True)  # half a copy would be taken for a whole one
        return None
    return copy


def _open_free(path: Path) -> tuple[Path, int]:
    """A new file beside the segment. Raises OSError."""
    for number in range(1, COPIES_MAX + 1):
        name = f"{path.name}{SUFFIX}" if number == 1 else f"{path.name}{SUFFIX}-{number}"
        copy = path.with_name(name)
        try:
            return copy, open_new(copy)
        except FileExistsError:
            continue
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
