"""A fresh chain in one new file, for records that leave the log (an export).

Owns: the writing of such a file, from record 1 on, its fsync, and that its owner alone may read it.
Must not: overwrite anything, or know why these records and no others. The log itself is `writer`'s:
nothing here is group commit.

How it works: lines are gathered and written in large pieces; `finish` makes them durable. How it
fails: `WalEntryError` for data that no line can hold, `OSError` for what the system refuses; the
unfinished file is then the caller's to remove.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from wal.chain import EMPTY_HEAD, ChainHasher, Head
from wal.closing_on_exit import Closing
from wal.entry import check_data, encode_line
from wal.segment import PRIVATE_FILE_MODE, open_new, write_all

PIECE_BYTES: Final = 1024 * 1024


class ChainFile(Closing):
    """Writes a chain under one key, or under none, to a file that did not exist."""

    def __init__(self, path: Path, hasher: ChainHasher) -> None:
        """Create the file. Raises `OSError`, FileExistsError where there is one."""
        self._hasher = hasher
        self._head = EMPTY_HEAD
        self._lines: list[bytes] = []
        self._line_bytes = 0
        self._descriptor: int | None = open_new(path, mode=PRIVATE_FILE_MODE)

    @property
    def head(self) -> Head:
        """The last record so far."""
        return self._head

    def append(self, data: bytes) -> None:
        """Add a record with this data. Raises `WalEntryError`, `OSError`."""
        check_data(data)
        sequence, previous_hash = self._head.sequence + 1, self._head.entry_hash
        entry_hash = self._hasher.entry_hash(previous_hash, data)
        line = encode_line(sequence, previous_hash, entry_hash, data)
        self._head = Head(sequence, entry_hash)
        self._lines.append(line)
        self._line_bytes += len(line)
        if self._line_bytes >= PIECE_BYTES:
            self._write()

    def finish(self) -> Head:
        """Write what is left, make the file durable and close it; its head. Raises `OSError`."""
        assert self._descriptor is not None
        self._write()
        os.fsync(self._descriptor)
        self.close()
        return self._head

    def close(self) -> None:
        """Close the file as it is; a second call does nothing."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _write(self) -> None:
        assert self._descriptor is not None
        write_all(self._descriptor, b"".join(self._lines))
        self._lines.clear()
        self._line_bytes = 0
