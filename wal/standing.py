# cython: annotation_typing=False
"""Whether the segment that is being written is still the one that readers find by its path.

Owns that one look, which is taken before each write, and behind each sync before anybody is told of
it: who deletes, renames, cuts or replaces a segment that a writer has open takes every later record
from whoever reads the log, and nothing else would notice before the next start. Must not: look at
the directory or the lock (`wal.lock` does), or at what stands in the segment.

How it works: one `lstat` of the path, a microsecond beside a sync. The same device and inode (as
long as the descriptor is open, nobody else gets that number) and exactly as many bytes as were
written (and at most so many zeros ahead of the next): nothing has happened.

How it fails: `WalDisplaced`, in words; of a segment that was deleted a copy is kept (`wal.rescue`).
Where the path cannot be looked at (no permission for the directory, say), the open file alone is
asked: its links and its size.
"""

from __future__ import annotations

import os
from pathlib import Path

from wal import diskcalls
from wal.errors import WalDisplaced
from wal.rescue import keep_removed


class Standing:
    """The segment that is open for appending."""

    def __init__(self) -> None:
        """None is."""
        self._descriptor = -1
        self._path = b""
        self._device = self._inode = 0

    def watch(self, descriptor: int, path: str) -> None:
        """From now on it is this one. Raises OSError."""
        facts = os.fstat(descriptor)
        self._descriptor, self._path = descriptor, os.fsencode(path)
        self._device, self._inode = facts.st_dev, facts.st_ino

    def check(self, size: int, size_max: int) -> None:
        """See that the path leads to the segment, and that it has from `size` to `size_max` bytes.

        Raises `WalDisplaced`.
        """
        if not diskcalls.stands(self._path, self._device, self._inode, size, size_max):
            self._explain(size, size_max)

    def _explain(self, size: int, size_max: int) -> None:
        """What has happened. Returns where nothing has, as far as can be told."""
        name = os.fsdecode(self._path)
        held = os.fstat(self._descriptor)
        if not size <= held.st_size <= size_max:
            raise size_displaced(name, held.st_size, size)
        if held.st_nlink == 0:
            copy = keep_removed(self._descriptor, Path(name))
            kept = "" if copy is None else f"; its {size} bytes are kept in {copy.name}"
            raise WalDisplaced(f"{name} was removed while it was being written{kept}")
        try:
            found = os.lstat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            raise WalDisplaced(
                f"{name} was renamed, or its directory moved, while it was being written: put it "
                "back before the next start"
            ) from None
        except OSError:
            return  # whether it is there nobody can tell; that it has its bytes and a name, we saw
        if (found.st_dev, found.st_ino) != (self._device, self._inode):
            raise WalDisplaced(
                f"another file stands in the place of {name}, which was being written"
            )


def size_displaced(name: str, found_bytes: int, written_bytes: int) -> WalDisplaced:
    """The error of a segment whose size is another than it should be."""
    return WalDisplaced(
        f"{name} has {found_bytes} bytes, where {written_bytes} were written: it was cut, or "
        "somebody else has written to it"
    )
