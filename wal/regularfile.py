"""Opens regular files, and nothing else that may stand under a file's name.

Owns: that opening. A FIFO under the name of a checkpoint, an anchor, a segment or a key would hang
whoever opens it until somebody writes to it; a directory, a device or a socket is no file of
record either. Must not: know what is in the file.

How it works: the open itself never waits (`O_NONBLOCK`), what was opened is asked for its kind, and
only then read. Links are followed where a person named the file, and never in a log's directory.

How it fails: `OSError`, with words that say what is in the way; nothing was read then.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

READ_BYTES: Final = 1024 * 1024  # one read of a file that is taken whole
# What is said of a name under which no regular file stands, and of a link that is not followed.
NOT_REGULAR: Final = (errno.EINVAL, errno.EISDIR, errno.ELOOP)
_PIPE_PREFIX: Final = "pipe:"  # of what /proc names a pipe that has no name in any directory


def open_regular(path: Path, access: int = os.O_RDONLY, *, follows_links: bool = False) -> int:
    """The descriptor of the regular file `path`, which must exist. Raises `OSError`."""
    descriptor = _open_at_once(path, access, follows_links)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _not_regular(path, mode)
    os.set_blocking(descriptor, True)
    return descriptor


def open_to_read(path: Path, buffering: int = -1, *, follows_links: bool = False) -> BinaryIO:
    """The regular file `path`, open as `open(path, "rb", buffering)` has it. Raises `OSError`."""
    return os.fdopen(open_regular(path, follows_links=follows_links), "rb", buffering)


def read_regular(
    path: Path, bytes_max: int, *, follows_links: bool = False, takes_streams: bool = False
) -> bytes:
    """The bytes of the regular file `path`, at most `bytes_max` and one more. Raises `OSError`.

    One more tells that it has too many. `takes_streams`: also a device, and what a shell gives a
    command to read from another (`<(...)`, /dev/stdin), which has a writer, and no name under which
    it could lie in wait.
    """
    descriptor = _open_at_once(path, os.O_RDONLY, follows_links)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not (takes_streams and _is_stream(descriptor, mode)):
            raise _not_regular(path, mode)
        os.set_blocking(descriptor, True)
        parts: list[bytes] = []
        left = bytes_max + 1
        while left and (part := os.read(descriptor, min(left, READ_BYTES))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _open_at_once(path: Path, access: int, follows_links: bool) -> int:
    flags = access | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return os.open(path, flags if follows_links else flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP and not follows_links:
            raise OSError(errno.ELOOP, "is a symbolic link", str(path)) from error
        if error.errno in (errno.ENXIO, errno.EISDIR):  # a socket; a directory, to be written
            raise _not_regular(path, stat.S_IFDIR if error.errno == errno.EISDIR else 0) from error
        raise


def _is_stream(descriptor: int, mode: int) -> bool:
    """Whether it is a device, or a pipe without a name."""
    return stat.S_ISCHR(mode) or (
        stat.S_ISFIFO(mode) and os.readlink(f"/proc/self/fd/{descriptor}").startswith(_PIPE_PREFIX)
    )


def _not_regular(path: Path, mode: int) -> OSError:
    if stat.S_ISDIR(mode):
        return OSError(errno.EISDIR, "Is a directory, which is no regular file", str(path))
    return OSError(errno.EINVAL, "is no regular file", str(path))
