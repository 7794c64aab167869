"""A new directory of copied files, whole or not there: what `backup` and `salvage` are made of.

Owns: the beginning of a file in a new file, and the name under which a directory is filled. It
gets its own name once all of it is durable: on half a log under its final name a daemon starts.

How it fails: `OSError`, of which a file that is no regular one is a kind; `WalError` where the file
became shorter meanwhile; `WalInputError` where an interrupted copy is left. Nothing stands under
the new directory's name then.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wal.errors import WalError, WalInputError
from wal.regularfile import open_to_read
from wal.segment import DIRECTORY_MODE, fsync_directory, open_new, write_all

CHUNK_BYTES: Final = 1024 * 1024
UNFINISHED_SUFFIX: Final = ".unfinished"


@contextmanager
def filled_directory(destination: Path) -> Iterator[Path]:
    """A new directory, which becomes `destination` behind the block.

    That is not there, or an empty directory. Where the block raises, nothing is left; a process
    that was killed in it leaves the directory under its other name. Raises `OSError`,
    `WalInputError`.
    """
    final = destination.resolve()
    filled = final.with_name(final.name + UNFINISHED_SUFFIX)
    try:
        os.mkdir(filled, DIRECTORY_MODE)
    except FileExistsError:
        raise WalInputError(
            f"{filled} exists: what an interrupted command has left, or one that runs now; "
            "remove it if none does"
        ) from None
    try:
        yield filled
        fsync_directory(filled)
        os.rename(filled, final)
        fsync_directory(final.parent)
    except BaseException:
        shutil.rmtree(filled, ignore_errors=True)
        raise


def copy_beginning(
    path: Path, target: Path, byte_count: int, *, follows_links: bool = False
) -> None:
    """Copies so many bytes of `path` into the new file `target`, durably."""
    descriptor = open_new(target)
    try:
        with open_to_read(path, 0, follows_links=follows_links) as file:
            left = byte_count
            while left > 0:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise WalError(f"{path.name} became shorter while it was read")
                write_all(descriptor, chunk)
                left -= len(chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
