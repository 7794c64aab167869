"""The calls of every batch: one write and one `fdatasync`, for a thread that does nothing else, and
a look at the file behind them.

Owns the calls and what is said of how they went. Compiled, `wal.barethread` and `wal.standing` take
the same functions from `diskcalls.pxd` beside this file: there the thread holds the interpreter at
no time, so that it neither waits for a loop that is busy deciding nor makes it wait. Must not: try
anything twice, or know what it writes.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from threading import Condition

# What a job's two threads know of it. Whoever is told through the pipe has said so before.
IDLE, UNDER_WAY, TOLD_BY_PIPE, DONE = 0, 1, 2, 3


@dataclass(slots=True)
class Job:
    """What both threads share; a byte through either pipe, or `state`, hands it over."""

    go_descriptor: int
    done_descriptor: int
    descriptor: int = -1
    lines: memoryview = field(default_factory=lambda: memoryview(b""))
    offset: int = 0
    written: int = 0
    error_number: int = 0  # 0: the lines are on the disk
    state: int = IDLE
    changed: Condition = field(default_factory=Condition)


def new_job(go_descriptor: int, done_descriptor: int) -> Job:
    """A job with nothing to do. It is to be freed."""
    return Job(go_descriptor, done_descriptor)


def free_job(job: Job) -> None:
    """Gives its memory back."""
    job.lines = memoryview(b"")


def give(job: Job, descriptor: int, lines: memoryview, offset: int, is_told_by_pipe: bool) -> None:
    """Says what is next, and where in the file. The lines must stay where they are until then.

    Its end is told by the pipe, or `is_done_within` is asked for it, once.
    """
    job.descriptor, job.lines, job.offset = descriptor, lines, offset
    job.state = TOLD_BY_PIPE if is_told_by_pipe else UNDER_WAY


def is_done_within(job: Job, timeout_ns: int) -> bool:
    """Waits so long; whether the job is done. If not, and only then, the pipe will tell of it.

    That costs less than the pipe: there is nothing to be read, and no turn of a loop to wait for.
    """
    with job.changed:
        job.changed.wait_for(lambda: job.state == DONE, timeout_ns / 1e9)
        if job.state == DONE:
            job.state = IDLE
            return True
        job.state = TOLD_BY_PIPE
        return False


def serve(job: Job) -> None:
    """Does what is given, each time that a byte comes, until the pipe is closed."""
    while os.read(job.go_descriptor, 1):
        job.written = job.error_number = 0
        try:
            while job.written < len(job.lines):
                rest = job.lines[job.written :]
                count = os.pwrite(job.descriptor, rest, job.offset + job.written)
                if count == 0:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                job.written += count
            os.fdatasync(job.descriptor)
        except OSError as error:
            job.error_number = error.errno or errno.EIO
        with job.changed:
            is_told_by_pipe, job.state = job.state == TOLD_BY_PIPE, DONE
            job.changed.notify()
        if is_told_by_pipe:
            os.write(job.done_descriptor, b".")


def stands(path: bytes, device: int, inode: int, size: int, size_max: int) -> bool:
    """Whether the path leads to that very file, no link to it, of `size` to `size_max` bytes."""
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return size <= facts.st_size <= size_max and (facts.st_ino, facts.st_dev) == (inode, device)
