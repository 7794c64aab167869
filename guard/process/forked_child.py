"""A child process that works on a frozen copy of this one's memory, while this one goes on.

Owns the fork, what a child must be rid of before it works, how it is told that it may publish, and
how its word comes back. What it works on is the caller's.

How it works: `fork` copies page tables, not memory; pages are copied when either side writes. The
child has one thread, its parent's calling one, so the work must need no lock that another thread
could have held: none of logging, asyncio, ZeroMQ, of the log's writer, or of who speaks to the
operator (`guard.process.operator_lines`). Of its parent's open files it keeps two pipes, and
standard error for the C library's last words (the log's lock above all is held for as long as
anybody has it open). It is killed with its parent, and yields to it: lower priority, first to go
when memory is short. A signal that is meant for it reaches nobody else. It never returns to the
caller's code: its last act is `os._exit`.

How it fails: a fork that is refused is an `OSError`, and leaves nothing behind; whatever happens to
the child is its `Ended` without a word, an error that nobody foresaw included: the child says
nothing itself. A child that outlives its time is killed by its owner.
"""

import ctypes
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import sleep
from typing import Final, NoReturn, TypeAlias, TypeVar

from guard.process.secrecy import set_dumpable
from guard.process.signals import forget_in_child

# What a child may say, its first byte included; a pipe takes that much without a reader.
WORD_BYTES_MAX: Final = 4096
NICENESS: Final = 5  # a quarter of a core's time where orders take all of it
KILL_LOOKS: Final = 100
KILL_LOOK_S: Final = 0.005
OOM_SCORE: Final = b"500"

# Open at once around a fork: the pipes, and what the child opens before it has closed the others.
DESCRIPTORS: Final = 6

_STANDARD_ERROR: Final = 2
_FRAMES_TOLD: Final = 3  # of an error that nobody foresaw
_PR_SET_PDEATHSIG: Final = 1
_GO: Final = b"g"
_GOOD: Final = b"+"
_BAD: Final = b"-"

# Found before any fork: loading a library in a child is no work for a child.
_prctl = ctypes.CDLL(None, use_errno=True).prctl

# Waits until the parent says that the work may be published; False: it never will.
WaitForGo: TypeAlias = Callable[[], bool]

Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a child: the word of its work, or why there is none; what CPU it took."""

    word: str | None
    problem: str | None
    cpu_ns: int = field(default=0, compare=False)


class ForkedChild:
    """A child at work. All calls belong to the thread that forked it; none but `kill` waits."""

    def __init__(self, pid: int, go: int, word: int) -> None:
        """Not to be called: see `start`."""
        self.pid: Final = pid
        self._go = go
        self._word = word
        self._descriptors: tuple[int, ...] = (go, word)
        self._said = b""
        self._may_go = False

    @classmethod
    def start(
        cls,
        work: Callable[[Subject, WaitForGo], str],
        subject: Subject,
        expected_errors: tuple[type[Exception], ...],
    ) -> "ForkedChild":
        """Forks; in the child runs `work` on `subject` as it is at this instant.

        Its result, or its expected error, is the child's word. Raises OSError where the system
        refuses.
        """
        opened: list[int] = []
        parent = os.getpid()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            opened += os.pipe()
            opened += os.pipe()
            go_read, go_write, word_read, word_write = opened
            if (pid := _fork()) == 0:
                _live_as_child(
                    parent,
                    mask,
                    go_read,
                    word_write,
                    lambda wait: work(subject, wait),
                    expected_errors,
                )
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(go_read)
        os.close(word_write)
        os.set_blocking(word_read, False)
        return cls(pid, go_write, word_read)

    def let_go(self) -> None:
        """Tells the child that it may publish. A second call does nothing."""
        if self._may_go:
            return
        self._may_go = True
        try:
            os.write(self._go, _GO)
        except BrokenPipeError:
            return  # it has ended: `poll` says how

    def poll(self) -> Ended | None:
        """How it has ended; None while it is at work."""
        try:
            while piece := os.read(self._word, WORD_BYTES_MAX):
                self._said += piece
        except BlockingIOError:
            return None
        try:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:
            self._close()
            return Ended(None, "somebody else has taken its process's exit code")
        if pid == 0:
            return None  # it has said all that it will, and is about to go
        self._close()
        cpu_ns = int((usage.ru_utime + usage.ru_stime) * 1e9)
        return self._ended(os.waitstatus_to_exitcode(status), cpu_ns)

    def kill(self) -> None:
        """Ends it, whatever it does. Waits for that, but not longer than half a second: one that
        hangs in a call to a disk that hangs goes when the call returns, and does nothing more."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            for _ in range(KILL_LOOKS):
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    break
                sleep(KILL_LOOK_S)
        except (ProcessLookupError, ChildProcessError):
            return  # gone, and somebody else has taken its exit code
        finally:
            self._close()

    def _ended(self, code: int, cpu_ns: int) -> Ended:
        kind, word = self._said[:1], self._said[1:].decode(errors="replace")
        if code == 0 and kind == _GOOD:
            return Ended(word, None, cpu_ns)
        if kind == _BAD:
            return Ended(None, word, cpu_ns)
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return Ended(None, f"its process ended with {how}", cpu_ns)

    def _close(self) -> None:
        descriptors, self._descriptors = self._descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)


def _fork() -> int:
    """`os.fork`, of a process that has other threads.

    From 3.12 on Python warns then, since a lock that another thread held stays held in the child.
    What a child may do here needs none (see above); glibc makes its own allocator's good.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _live_as_child(
    parent: int,
    mask: Iterable[int],
    go: int,
    word: int,
    work: Callable[[WaitForGo], str],
    expected_errors: tuple[type[Exception], ...],
) -> NoReturn:
    code = 1
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:  # else it had died before it was to take this child along
            try:
                _forget_the_parents_affairs(mask, keep={go, word, _STANDARD_ERROR})
                said = _GOOD + work(lambda: os.read(go, 1) == _GO).encode()
                code = 0
            except expected_errors as error:
                said = _BAD + str(error).encode()
            os.write(word, said[:WORD_BYTES_MAX])
    except BaseException as error:
        os.write(word, (_BAD + _account_of(error).encode())[:WORD_BYTES_MAX])
        raise
    finally:
        os._exit(code)


def _account_of(error: BaseException) -> str:
    """What went wrong and where, in one line."""
    places = [
        f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    where = ", called by ".join(places[: -_FRAMES_TOLD - 1 : -1])
    return f"nobody foresaw {type(error).__name__}: {error}; in {where}"


def _forget_the_parents_affairs(mask: Iterable[int], keep: set[int]) -> None:
    signal.set_wakeup_fd(-1)
    forget_in_child()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # Nobody here may wait for who reads standard error, or for a lock of who writes to it.
    sys.stderr = None
    # What the child opens must not become its standard output, to which anything may be written.
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in {0, 1, *keep}:
            try:
                os.close(int(name))
            except OSError:
                continue  # the one that the listing itself was read through
    was = None
    try:
        os.nice(NICENESS)
        was = set_dumpable(1)  # else the file is root's
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(OOM_SCORE)
    except OSError:
        return  # a sandbox may forbid both: the work is the same
    finally:
        if was is not None:
            set_dumpable(was)
