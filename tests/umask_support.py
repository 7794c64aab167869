"""A process that keeps nothing from others by itself, to see what the code keeps from them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """The process's umask, meanwhile."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    """The permissions of a file or a directory."""
    return path.stat().st_mode & 0o7777
