"""Reads a checkpoint's payload and holds it against what was listed.

Owns: the open file of one checkpoint. Must not: know what the bytes mean, or decide whether the
checkpoint is listed (`checkpoint` does). How it fails: `CheckpointDamage` at the latest with the
last piece; `CheckpointUnreadable`, which is one, where the system refuses to read.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Final

from wal.chain import hashes_equal
from wal.closing_on_exit import Closing
from wal.errors import CheckpointDamage, CheckpointUnreadable, WalInputError
from wal.manifest import CheckpointInfo
from wal.regularfile import open_regular

PIECE_BYTES: Final = 1024 * 1024  # what `finish` reads at once


class CheckpointReader(Closing):
    """Reads a payload from its beginning. Nothing that was read counts before the end has come."""

    def __init__(self, info: CheckpointInfo, descriptor: int) -> None:
        """Not to be called: see `open_checkpoint`."""
        self._name = info.path.name
        self._head = info.head
        self._descriptor: int | None = descriptor
        self._left = info.head.payload_bytes
        self._hash = sha256()
        self._checked = False

    def read(self, byte_count: int) -> bytes:
        """Up to `byte_count` (at least 1) bytes more; none after the end.

        The last bytes are given only once the whole payload was found to be the one that was
        listed. Raises `CheckpointDamage`.
        """
        if byte_count < 1 or self._descriptor is None:
            raise WalInputError(
                "a checkpoint is read in pieces of a byte or more, while it is open"
            )
        part = self._part(min(byte_count, self._left)) if self._left else b""
        if self._left and not part:
            raise CheckpointDamage(f"{self._name} ends {self._left} bytes too early")
        self._hash.update(part)
        self._left -= len(part)
        if not self._left and not self._checked:
            self._check_end()
        return part

    def finish(self) -> None:
        """Read what is left, and check. For an owner that has all it needs before the end."""
        while self.read(PIECE_BYTES):
            pass

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _part(self, byte_count: int) -> bytes:
        assert self._descriptor is not None
        try:
            return os.read(self._descriptor, byte_count)
        except OSError as error:
            message = f"cannot read {self._name}: {error.strerror}"
            raise CheckpointUnreadable(message) from error

    def _check_end(self) -> None:
        if self._part(1):
            raise CheckpointDamage(f"{self._name} is longer than {self._head.payload_bytes} bytes")
        if not hashes_equal(self._hash.hexdigest(), self._head.payload_sha256):
            raise CheckpointDamage(f"the bytes of {self._name} are not those that were listed")
        self._checked = True


def open_checkpoint(info: CheckpointInfo) -> CheckpointReader:
    """Open the payload of a checkpoint without a problem. Raises `CheckpointDamage`."""
    if info.problem is not None:
        raise CheckpointDamage(f"{info.path.name}: {info.problem}")
    try:
        descriptor = open_regular(info.path)
    except OSError as error:
        raise CheckpointUnreadable(f"cannot open {info.path}: {error.strerror}") from error
    return CheckpointReader(info, descriptor)
