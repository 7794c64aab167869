"""The same work on many stretches of a log at once, in processes of their own.

Owns: how a log is cut where lines begin, and the processes. Must not: know what the work is.

How it works: as many children as asked for are forked, each with every n-th item; what they make
comes back through pipes, in the items' order. A child that is ahead waits on its pipe, so that what
is under way is bounded. The children share nothing and only read: a fork beside other threads is
safe, since a child takes no lock that those might hold.

How it fails: `WalError` where a child ends early. Whoever stops asking for results ends the
children.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, NoReturn, TypeVar

from wal.chain import Head
from wal.entry import ENVELOPE_BYTES_MAX, LINE_BYTES_MAX, parse_opening
from wal.errors import WalError
from wal.regularfile import open_to_read

# Long enough that the seams between them cost nothing, short enough that all cores end together.
STRETCH_BYTES: Final = 8 * 1024 * 1024
JOBS_MAX: Final = 256
# Large results come through it: with the 64 KiB that it has by itself, the two ends wake each other
# so often that a megabyte takes twice the processor time of either and 2.6 times as long. It is
# what Linux allows every user (pipe(7)).
PIPE_BYTES: Final = 1024 * 1024

Item = TypeVar("Item")
Result = TypeVar("Result")


class Stretch(NamedTuple):
    """The bytes of a segment from `offset`, where a line begins, to `end`."""

    path: Path
    offset: int
    end: int


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0))


def cut_stretches(
    paths: Sequence[Path], stretch_bytes: int = STRETCH_BYTES, *, end: int | None = None
) -> list[Stretch]:
    """Every byte of these files once, in order; of the last one up to `end`. Raises `WalError`."""
    stretches = []
    for path in paths:
        try:
            with open_to_read(path, follows_links=True) as file:
                size, offset = os.fstat(file.fileno()).st_size, 0
                if end is not None and path == paths[-1]:
                    size = end
                while offset < size:
                    end = size
                    if size - offset > stretch_bytes:
                        file.seek(offset + stretch_bytes)
                        line = file.readline(LINE_BYTES_MAX + 1)
                        # A line that is too long is for who reads the stretch to complain of.
                        end = min(file.tell(), size) if line.endswith(b"\n") else size
                    stretches.append(Stretch(path, offset, end))
                    offset = end
        except OSError as error:
            raise WalError(f"cannot read {path}: {error}") from error
    return stretches


def claimed_head(stretch: Stretch) -> Head | None:
    """The head that the stretch's first line says it follows; None if it is not in our form."""
    with open_to_read(stretch.path, follows_links=True) as file:
        file.seek(stretch.offset)
        return parse_opening(file.read(ENVELOPE_BYTES_MAX))


def map_forked(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[Result]:
    """`function` of every item, in order, made by `jobs` processes. Results must pickle."""
    if not 1 <= jobs <= JOBS_MAX:
        raise ValueError(f"jobs is {jobs}; must be from 1 to {JOBS_MAX}")
    pids: list[int] = []
    pipes: list[BinaryIO] = []
    try:
        for worker in range(min(jobs, len(items))):
            ours, theirs = os.pipe()
            _widen(ours)
            pipes.append(os.fdopen(ours, "rb"))
            pid = _fork()
            if pid == 0:
                _work(function, items[worker::jobs], theirs)
            pids.append(pid)
            os.close(theirs)
        for index in range(len(items)):
            yield _result(pipes[index % jobs])
    finally:
        for pipe in pipes:
            pipe.close()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # it has ended by itself, or nobody wants the rest
            os.waitpid(pid, 0)


def _widen(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        return  # this user's pipes have had their share, or less is allowed here: slower, as good


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 on warns of threads; above is why none matters here.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _work(function: Callable[[Item], object], items: Sequence[Item], pipe: int) -> NoReturn:
    """The child's whole life."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
        gc.freeze()  # what the parent made stays shared: a collection would touch, and copy, it all
        with os.fdopen(pipe, "wb") as out:
            for item in items:
                try:
                    message: tuple[bool, object] = True, function(item)
                except BaseException:
                    message = False, traceback.format_exc()
                    raise
                finally:
                    pickle.dump(message, out, pickle.HIGHEST_PROTOCOL)
                    out.flush()
        code = 0
    finally:
        os._exit(code)


def _result(pipe: BinaryIO) -> Result:  # type: ignore[type-var]
    try:
        is_good, result = pickle.load(pipe)
    except (EOFError, pickle.UnpicklingError) as error:
        raise WalError("a process that read the log ended early") from error
    if not is_good:
        raise WalError(f"a process that read the log failed:\n{result}")
    made: Result = result
    return made
