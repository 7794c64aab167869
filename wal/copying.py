"""The beginning of a file in a new file beside others: what `backup` and `salvage` are made of.

How it fails: `OSError`, of which a file that is no regular one is a kind; `WalError` where the file
became shorter meanwhile. What was copied by then is left.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from wal.errors import WalError
from wal.regularfile import open_to_read
from wal.segment import open_new, write_all

CHUNK_BYTES: Final = 1024 * 1024


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
