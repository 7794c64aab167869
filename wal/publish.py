"""Replaces a file by a new one, whole and durable, in one step.

Owns: that step, for every file that must never be seen half written: anchors, manifests,
checkpoints, keys, reports. Must not: know what is in them, or which may be replaced.

How it works: `NAME.new` is created (`O_EXCL`, `O_NOFOLLOW`: never a file or a link that somebody
has put there), written and fsync'd, and takes the place of `NAME`; the directory is fsync'd. What a
crash left under the temporary name is a plain file of this user's and is removed; anything else in
its place is not touched, and refused.

How it fails: `OSError`. The temporary file is removed, what stood under the name is as it was; or,
where the last sync alone failed, it is the new one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wal.failpoint import reach
from wal.segment import FILE_MODE, fsync_directory, open_new, write_all

NEW_SUFFIX: Final = ".new"


def publish_file(
    path: Path, data: bytes, *, mode: int = FILE_MODE, may_replace: bool = True
) -> None:
    """Make `data` what stands under `path`. Raises `OSError`.

    `mode`: less the umask. Without `may_replace`, FileExistsError for whatever stands there.
    """
    with replacing(path, path.with_name(path.name + NEW_SUFFIX), mode, may_replace) as descriptor:
        write_all(descriptor, data)


@contextmanager
def replacing(
    path: Path,
    beside: Path,
    mode: int = FILE_MODE,
    may_replace: bool = True,
    place: str | None = None,
) -> Iterator[int]:
    """The descriptor of the new file, `beside`, that takes the place of `path` at the end.

    `place`: what its failpoints are called after. Raises `OSError`, and what comes out of the
    block; the new file is then gone.
    """
    _remove_stale(beside)
    descriptor = open_new(beside, mode=mode)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if place is not None:
            reach(f"before-{place}-rename")
        if may_replace:
            os.rename(beside, path)
        else:
            os.link(beside, path, follow_symlinks=False)
            os.unlink(beside)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if place is not None:
        reach(f"after-{place}-rename")
    fsync_directory(path.parent)


def _remove_stale(beside: Path) -> None:
    try:
        facts = os.lstat(beside)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
        raise FileExistsError(
            errno.EEXIST, "is in the way, and is no unfinished file of this user's", str(beside)
        )
    os.unlink(beside)
