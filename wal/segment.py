"""The files of a log: their names, their creation, and the fsync of a directory.

Owns: the names of the segments (`00000001.jsonl`, `00000002.jsonl`, ...) and of the temporary files
that a crash may leave. Must not: know what stands inside a segment, or who may write (`lock`).

How it works: the segments in the order of their numbers, one after the other, are one chain.
Numbers start at 1, or later once older segments were archived, and have no gaps. A segment that is
open for appending is locked (`flock`) for as long.

How it fails: `WalDamage` for a gap in the numbers, `WalError` for whatever the operating system
refuses.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from pathlib import Path
from typing import Final

from wal.errors import WalDamage, WalError, WalInputError
from wal.failpoint import reach
from wal.regularfile import open_regular

SEGMENT_NAME: Final = re.compile(r"[0-9]{8}\.jsonl")
SEGMENT_NUMBER_MAX: Final = 99_999_999  # eight digits, so that names sort as numbers do
# Risk desks read the log through a group; nobody else does.
FILE_MODE: Final = 0o640
DIRECTORY_MODE: Final = 0o750
# Of keys, and of what leaves the log for whoever asked for it (an export, a page): the owner alone.
PRIVATE_FILE_MODE: Final = 0o600
PRIVATE_DIRECTORY_MODE: Final = 0o700

# Forgotten at once: below a millisecond, in which a sync of the same file waits.
FORGET_BYTES: Final = 4 * 1024 * 1024

# Only ever half of something: the whole is renamed to its own name.
_LEFTOVER_NAME: Final = re.compile(
    r"[0-9]{8}\.jsonl\.(rewrite|whole)|checkpoint-[0-9]{20}\.new|checkpoints\.json\.new"
)
# The manifest, and what it lists or has listed.
CHECKPOINT_NAME: Final = re.compile(r"checkpoint-([0-9]{20})\.ckpt")
MANIFEST_NAME: Final = "checkpoints.json"


def segment_name(number: int) -> str:
    """The file name of segment `number`, counted from 1."""
    if not 1 <= number <= SEGMENT_NUMBER_MAX:
        raise WalInputError(f"number: {number} is not allowed; allowed: 1 to {SEGMENT_NUMBER_MAX}")
    return f"{number:08d}.jsonl"


def segment_number(path: Path) -> int:
    """The number in a segment's name."""
    return int(path.name[:8])


def list_segments(directory: Path, *, archived: bool = False) -> list[Path]:
    """The segments in order; empty for a fresh directory. Other files are not looked at.

    `archived`: the first ones may have been moved away, so that the numbers begin later than 1.
    Raises `WalDamage` when a number is missing or a segment is not a regular file, `WalError`
    when the directory cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(directory) if SEGMENT_NAME.fullmatch(name))
        first = max(int(names[0][:8]), 1) if names and archived else 1
        for number, name in enumerate(names, start=first):
            if name != segment_name(number):
                reason = f"the segment is missing, though {name} is there"
                if number == 1 and int(name[:8]) > 1:
                    reason += "; a log without its oldest segments is read from a checkpoint on"
                raise WalDamage(segment_name(number), 0, 1, reason)
            if not stat.S_ISREG(os.lstat(directory / name).st_mode):
                raise WalDamage(name, 0, 1, "the segment is not a regular file")
    except OSError as error:
        raise WalError(f"cannot list {directory}: {error}") from error
    return [directory / name for name in names]


def holds_files(directory: Path) -> bool:
    """Whether `directory` is there and holds a segment or a checkpoint. Raises `WalError`."""
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise WalError(f"cannot list {directory}: {error}") from error
    return MANIFEST_NAME in names or any(
        SEGMENT_NAME.fullmatch(name) or CHECKPOINT_NAME.fullmatch(name) for name in names
    )


def remove_leftovers(directory: Path) -> list[str]:
    """Remove the temporary files that a crash left, durably; return their names.

    The caller holds the log's lock, so that nobody is writing one. Raises `OSError`.
    """
    names = sorted(name for name in os.listdir(directory) if _LEFTOVER_NAME.fullmatch(name))
    for name in names:
        os.unlink(directory / name)
    if names:
        fsync_directory(directory)
    return names


def open_new(path: Path, access: int = os.O_WRONLY, mode: int = FILE_MODE) -> int:
    """Create the file `path`, which must not exist; its descriptor. Raises `OSError`."""
    return os.open(path, access | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`, in as many calls as the system takes for it. Raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def fsync_directory(directory: Path) -> None:
    """Make the names in `directory` durable. Raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make what the system holds of `path` durable. Raises `OSError`."""
    descriptor = open_regular(path, follows_links=True)  # a tool's own FILE may be a link
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def forget_pages(descriptor: int, start: int = 0, end: int | None = None) -> None:
    """Give back the memory that holds these bytes of a file, which are synced. Raises `OSError`.

    `end`: None for the file's. Whoever reads them later reads the disk. What is written next then
    goes into memory that is at hand: on a virtual machine, fresh memory costs several times the
    write itself.
    """
    beyond = os.fstat(descriptor).st_size if end is None else end
    for at in range(start, beyond, FORGET_BYTES):
        os.posix_fadvise(descriptor, at, min(FORGET_BYTES, beyond - at), os.POSIX_FADV_DONTNEED)


def sync_source(source: Path) -> None:
    """Make durable what a log's directory, or one file, shows to readers. Raises `WalError`.

    For who is about to vouch for what was read: it may stand in memory alone.
    """
    try:
        if source.is_dir():
            for path in list_segments(source, archived=True):
                fsync_file(path)
            fsync_directory(source)
        else:
            fsync_file(source)
    except OSError as error:
        raise WalError(f"cannot sync {source}: {error}") from error


def create_directory(directory: Path) -> None:
    """Create the log's directory, durably; its parent must exist. One that exists is kept."""
    try:
        directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        fsync_directory(directory.parent)
    except OSError as error:
        raise WalError(f"cannot create {directory}: {error}") from error


def create_segment(directory: Path, number: int) -> int:
    """Create segment `number`, empty and durable, and return its descriptor for writing.

    Raises `OSError`: FileExistsError when it is there already.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    reach("before-segment-create")
    descriptor = os.open(directory / segment_name(number), flags, FILE_MODE)
    try:
        reach("after-segment-create")
        _claim(descriptor)
        os.fsync(descriptor)
        fsync_directory(directory)
        reach("after-segment-sync")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def shorten(descriptor: int, size: int) -> None:
    """End an open segment at `size`, durably: what follows are zeros. Raises `OSError`."""
    reach("before-zeros-cut")
    os.ftruncate(descriptor, size)
    reach("after-zeros-cut")
    os.fsync(descriptor)
    reach("after-zeros-cut-sync")


def open_segment(path: Path) -> int:
    """Open an existing segment for writing and return its descriptor.

    Raises `OSError`: BlockingIOError where somebody else has it open for that.
    """
    descriptor = open_regular(path, os.O_RDWR)
    try:
        _claim(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _claim(descriptor: int) -> None:
    """Lock a segment for who appends to it: `wal.lock` refuses a log whose last one is locked."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
