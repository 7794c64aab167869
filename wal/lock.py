"""The right to write one log, which one process has at a time, and whether it still holds good.

Owns: the lock of a log's directory. Must not: list or read the log (`segment`, `reader`).

How it works: the directory itself is locked (`flock`), which nobody can remove and put another in
its place without its being seen; then the file `lock` in it, for software that knows that one
alone, and for the message to a second opener; and the last segment must not be locked by anybody: a
writer locks what it appends to (`open_segment`), so that a log whose files were moved from under a
running writer is not taken up by another. Two paths to one directory (a link, a bind mount) lead to
the same lock. Whoever writes asks `check` now and then: where the path leads to another directory
by now, or the file `lock` is gone, others who come by that path are no longer excluded.

How it fails: `WalLocked` for a second holder, `WalDisplaced` where the directory or its `lock` was
removed, renamed or replaced meanwhile, `WalError` for whatever the operating system refuses.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from wal.closing_on_exit import Closing
from wal.errors import WalDisplaced, WalError, WalInvariantError, WalLocked
from wal.segment import FILE_MODE, SEGMENT_NAME
from wal.space import OUT_OF_SPACE

LOCK_NAME: Final = "lock"

_PID_TEXT_MAX: Final = 32  # bytes read back from the lock file: a process id and a newline
_HELD: Final = (errno.EWOULDBLOCK, errno.EACCES)
# What says that a path leads nowhere any more. Any other error says nothing about the file.
GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)


class Identity(NamedTuple):
    """What makes two names one file, as long as somebody has it open."""

    device: int
    inode: int


def identity_of(facts: os.stat_result) -> Identity:
    """The identity in what `stat` says of a file."""
    return Identity(facts.st_dev, facts.st_ino)


class LogLock(Closing):
    """The right to write one log, held until `release` or the end of the process."""

    def __init__(self, directory: Path, directory_descriptor: int, descriptor: int) -> None:
        """Not to be called: see `acquire`."""
        self.directory: Final = directory
        self._directory_descriptor: int | None = directory_descriptor
        self._descriptor = descriptor
        self._places = (
            (directory, "directory", identity_of(os.fstat(directory_descriptor))),
            (directory / LOCK_NAME, "lock", identity_of(os.fstat(descriptor))),
        )

    @classmethod
    def acquire(cls, directory: Path) -> LogLock:
        """Take the lock of the log in `directory`, without waiting.

        Raises `WalLocked` when another holder has it, `WalDisplaced` where it is being moved,
        `WalError` when it cannot be tried.
        """
        path = directory / LOCK_NAME
        directory_descriptor = _open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _take(directory_descriptor, path if path.exists() else directory, path)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = _open(path, flags)
            try:
                _take(descriptor, path, path)
                lock = cls(directory, directory_descriptor, descriptor)
                lock.check()
                _refuse_held_segment(directory)
                _write_pid(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            os.close(directory_descriptor)
            raise WalError(f"cannot lock the log in {directory}: {error}") from error
        except BaseException:
            os.close(directory_descriptor)
            raise
        return lock

    @property
    def held(self) -> bool:
        """Whether this object still holds the lock."""
        return self._directory_descriptor is not None

    @property
    def directory_descriptor(self) -> int:
        """The directory that is locked, whatever its path leads to by now."""
        if self._directory_descriptor is None:
            raise WalInvariantError("the log's lock was released")
        return self._directory_descriptor

    def check(self) -> None:
        """See that the paths of the directory and of `lock` still lead to what is locked.

        Raises `WalDisplaced` where they do not, OSError where that cannot be found out.
        """
        for path, what, identity in self._places:
            try:
                facts = os.stat(path, follow_symlinks=what == "directory")
            except OSError as error:
                if error.errno not in GONE:
                    raise
                raise WalDisplaced(f"{path}: the log's {what} was removed or renamed") from error
            if identity_of(facts) != identity:
                raise WalDisplaced(f"{path}: another file stands in the place of the log's {what}")

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._directory_descriptor is not None:
            os.close(self._descriptor)
            os.close(self._directory_descriptor)
            self._directory_descriptor = None

    close = release


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags, FILE_MODE)
    except OSError as error:
        raise WalError(f"cannot open {path}: {error}") from error


def _take(descriptor: int, path: Path, lock: Path) -> None:
    """Locks what `descriptor` is open on. Raises `WalLocked`, OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            raise WalLocked(str(path), _pid_in(lock)) from None
        raise


def _refuse_held_segment(directory: Path) -> None:
    """Raises `WalLocked` where a writer appends to the last segment, OSError."""
    names = [name for name in os.listdir(directory) if SEGMENT_NAME.fullmatch(name)]
    if not names:
        return
    path = directory / max(names)
    # O_NONBLOCK: what is no regular file is refused later, and must not hold anybody up here.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return
        raise
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            _take(descriptor, path, directory / LOCK_NAME)
    finally:
        os.close(descriptor)


def _write_pid(descriptor: int) -> None:
    """For the message to a second opener: the lock is the flock, not this text.

    So a disk without a byte to spare is no reason not to lock. Raises OSError.
    """
    text = b"%d\n" % os.getpid()
    try:
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
    except OSError as error:
        if error.errno not in OUT_OF_SPACE:
            raise


def _pid_in(lock: Path) -> int | None:
    """The process id that the lock's holder wrote, or None where there is none to read."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            text = os.pread(descriptor, _PID_TEXT_MAX, 0).strip()
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return int(text) if text.isdigit() else None
