"""How much a disk still takes, and how to say that it takes no more.

Owns the question and the errors that mean it. Must not: decide what is to be done then.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from wal.errors import WalError

# No space, no quota left, or the file as long as the process may write one (RLIMIT_FSIZE).
OUT_OF_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

BOUNDLESS: Final = 2**62


def free_bytes(descriptor: int) -> int:
    """What an unprivileged process may still write to the disk of an open file or directory.

    A user's quota is not in it. A file system that names no size has no bound. Raises OSError.
    """
    status = os.fstatvfs(descriptor)
    if status.f_blocks == 0:
        return BOUNDLESS
    return status.f_bavail * status.f_frsize


def space_error(what: str, bytes_needed: int, descriptor: int, error: OSError) -> WalError:
    """The error of what could not be done; where space is short, with how much it takes.

    `descriptor`: open on that disk.
    """
    if error.errno not in OUT_OF_SPACE:
        return WalError(f"cannot {what}: {error}")
    try:
        free = f"{free_bytes(descriptor)} are free"
    except OSError:
        free = "how much is free cannot be found out"
    return WalError(f"cannot {what}: {error.strerror}: it needs {bytes_needed} bytes, {free}")
