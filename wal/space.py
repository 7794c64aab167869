"""How much a disk still takes, and how to say that it takes no more.

Owns the question and the errors that mean it. Must not: decide what is to be done then.
"""

from __future__ import annotations

import errno
import os
from typing import Final

# No space, no quota left, or the file as long as the process may write one (RLIMIT_FSIZE).
OUT_OF_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def free_bytes(descriptor: int) -> int:
    """What an unprivileged process may still write to the disk of an open file or directory.

    A user's quota is not in it. Raises OSError.
    """
    status = os.fstatvfs(descriptor)
    return status.f_bavail * status.f_frsize
