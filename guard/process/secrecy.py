"""What a process that holds keys keeps from others: core dumps, its memory, what /proc says of it.

Owns two settings of the process, made before a key is read: no core, and not dumpable, so that
nobody but root attaches to it, reads its memory or its environment, also under the same user.
What it forks (checkpoints) has them, too. Who debugs it says so: `PRETRADE_GUARD_DUMPABLE=1`.

How it fails: where the system refuses, it stays as it was: a key in a core is then the operator's
to prevent (`LimitCORE=0`).
"""

import contextlib
import ctypes
import os
import resource
from typing import Final

VARIABLE: Final = "PRETRADE_GUARD_DUMPABLE"
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
# Found before any fork: loading a library in a child is no work for a child.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def keep_secret() -> None:
    """From now on, unless somebody debugs it."""
    if os.environ.get(VARIABLE) == "1":
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    set_dumpable(0)


def set_dumpable(how: int) -> int:
    """Whether others may look into the process: 1 for yes, 0 for no; as it was before."""
    before: int = _prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)
    _prctl(_PR_SET_DUMPABLE, how, 0, 0, 0)
    return before
