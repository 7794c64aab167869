"""A forked child: its word, its end, and that it holds on to nothing of its parent's."""

import contextlib
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from child_support import code
from guard.process.descriptors import open_count
from guard.process.forked_child import NICENESS, WORD_BYTES_MAX, Ended, ForkedChild, WaitForGo
from wal import LogLock, WalLocked

PATIENCE_S = 20.0
ERRORS = (ValueError, OSError)


@pytest.fixture
def children() -> Iterator[list[ForkedChild]]:
    """Whatever a test forks, ended at the latest with it."""
    started: list[ForkedChild] = []
    yield started
    for child in started:
        try:
            child.kill()
        except (ProcessLookupError, ChildProcessError, OSError):
            continue  # it has ended, as it was to


def ended(child: ForkedChild) -> Ended:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = child.poll()
        if found is not None:
            return found
        assert time.monotonic() < deadline, "the child does not end"
        time.sleep(0.002)


def start(children: list[ForkedChild], work: Callable[[WaitForGo], str]) -> ForkedChild:
    children.append(ForkedChild.start(lambda _, wait_for_go: work(wait_for_go), None, ERRORS))
    return children[-1]


def hang(_wait_for_go: WaitForGo) -> str:
    time.sleep(PATIENCE_S)
    return "woke up"


def test_its_word_comes_back(children: list[ForkedChild]) -> None:
    child = start(children, lambda wait_for_go: f"done: {wait_for_go()}")
    assert child.poll() is None
    child.let_go()
    child.let_go()
    assert ended(child) == Ended("done: True", None)


def test_it_works_on_the_memory_as_it_was(children: list[ForkedChild]) -> None:
    memory = ["before"]

    def work(subject: list[str], wait_for_go: WaitForGo) -> str:
        assert wait_for_go()
        assert subject is memory
        subject.append("of the child")
        return json.dumps(memory)

    child = ForkedChild.start(work, memory, ERRORS)
    children.append(child)
    memory.append("after")
    child.let_go()
    assert ended(child) == Ended('["before", "of the child"]', None)
    assert memory == ["before", "after"]


def test_an_expected_error_is_its_word(children: list[ForkedChild]) -> None:
    def work(_wait_for_go: WaitForGo) -> str:
        raise ValueError("no space left")

    assert ended(start(children, work)) == Ended(None, "no space left")


def test_a_long_word_is_cut(children: list[ForkedChild]) -> None:
    found = ended(start(children, lambda _: "x" * 2 * WORD_BYTES_MAX))
    assert found == Ended("x" * (WORD_BYTES_MAX - 1), None)


def test_an_error_that_nobody_expects_is_its_word(
    children: list[ForkedChild], capfd: pytest.CaptureFixture[str]
) -> None:
    """The child itself says nothing: standard error may be a full pipe that nobody reads."""

    def work(_wait_for_go: WaitForGo) -> str:
        raise KeyError("a bug")

    found = ended(start(children, work))
    assert found.word is None
    assert found.problem is not None
    assert found.problem.startswith("nobody foresaw KeyError: 'a bug'; in work (")
    assert found.problem.count("\n") == 0
    assert capfd.readouterr().err == ""


def test_whoever_speaks_to_the_operator_is_not_needed_in_it(children: list[ForkedChild]) -> None:
    """A thread of the parent's may hold any lock at that moment, and is not there in the child."""

    class Locked(io.StringIO):
        def write(self, _text: str) -> int:
            time.sleep(PATIENCE_S)
            return 0

    def work(_wait_for_go: WaitForGo) -> str:
        warnings.warn("a warning goes to standard error", stacklevel=1)
        return f"{sys.stderr}"

    with contextlib.redirect_stderr(Locked()), warnings.catch_warnings():
        warnings.simplefilter("always")
        child = start(children, work)
    assert ended(child) == Ended("None", None)


def test_one_whose_exit_nobody_knows(children: list[ForkedChild]) -> None:
    """As where the system reaps children itself, since SIGCHLD is ignored."""
    child = start(children, lambda _: "done")
    assert os.waitpid(child.pid, 0)[1] == 0
    assert ended(child) == Ended(None, "somebody else has taken its process's exit code")
    other = start(children, hang)
    os.kill(other.pid, signal.SIGKILL)
    os.waitpid(other.pid, 0)
    opened = open_count()
    other.kill()
    assert open_count() == opened - 2


def test_a_fork_without_descriptors_leaves_none_behind(children: list[ForkedChild]) -> None:
    opened = open_count()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    spare = os.open(os.devnull, os.O_RDONLY)
    fillers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(highest, spare) + 8, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.open(os.devnull, os.O_RDONLY))
        os.close(fillers.pop())
        os.close(fillers.pop())
        os.close(fillers.pop())  # enough for one pipe, not for two
        with pytest.raises(OSError, match="Too many open files"):
            start(children, hang)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in (spare, *fillers):
            os.close(filler)
    assert open_count() == opened


def test_a_signal_that_is_meant_for_the_child_reaches_nobody_else(
    children: list[ForkedChild],
) -> None:
    """The parent's loop is woken through a socket that the child has, too."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno())
        handlers = {number: signal.signal(number, lambda *_: None) for number in _TOLD}
        try:
            for number in _TOLD:
                child = start(children, hang)
                os.kill(child.pid, number)
                if number == signal.SIGHUP:
                    wait_until_settled(child)
                    os.kill(child.pid, signal.SIGTERM)
                name = signal.SIGTERM.name if number == signal.SIGHUP else number.name
                assert ended(child) == Ended(None, f"its process ended with signal {name}")
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        with pytest.raises(BlockingIOError):
            ours.recv(1)


_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_child_has_no_word(number: signal.Signals, children: list[ForkedChild]) -> None:
    child = start(children, hang)
    wait_until_settled(child)
    os.kill(child.pid, number)
    assert ended(child) == Ended(None, f"its process ended with signal {number.name}")


def wait_until_settled(child: ForkedChild) -> None:
    """Until it has closed what is not its own, and is at work."""
    deadline = time.monotonic() + PATIENCE_S
    while os.getpriority(os.PRIO_PROCESS, child.pid) != min(
        os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, 19
    ):
        assert time.monotonic() < deadline, "the child does not settle"
        time.sleep(0.002)


def test_a_kill_is_an_end(children: list[ForkedChild]) -> None:
    child = start(children, hang)
    child.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_the_end_of_its_parent_s_interest_is_no_go(children: list[ForkedChild]) -> None:
    """Where the parent ends without a word, the read that waits for it does too."""
    child = start(children, lambda wait_for_go: f"go: {wait_for_go()}")
    os.dup2(os.open(os.devnull, os.O_WRONLY), child._go)
    assert ended(child) == Ended("go: False", None)


def test_it_keeps_its_pipes_and_standard_error_alone(children: list[ForkedChild]) -> None:
    def work(_wait_for_go: WaitForGo) -> str:
        names = sorted(os.listdir("/proc/self/fd"), key=int)
        places = {name: Path(f"/proc/self/fd/{name}") for name in names}
        return json.dumps([str(at.readlink()) for at in places.values() if at.is_symlink()])

    found = ended(start(children, work))
    assert found.word is not None
    targets = json.loads(found.word)
    assert targets[:2] == [os.devnull, os.devnull]
    kinds = [target.partition(":")[0] for target in targets[2:]]
    assert kinds.count("pipe") >= 2
    assert len(kinds) == 3


def test_it_does_not_hold_the_log_s_lock(tmp_path: Path, children: list[ForkedChild]) -> None:
    lock = LogLock.acquire(tmp_path)
    child = start(children, hang)
    wait_until_settled(child)
    with pytest.raises(WalLocked):
        LogLock.acquire(tmp_path)
    lock.release()
    LogLock.acquire(tmp_path).release()
    assert child.poll() is None


def test_a_thread_that_is_at_work_is_no_hindrance(children: list[ForkedChild]) -> None:
    """As the log's writer is at any moment. From Python 3.12 on a fork then warns."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert ended(start(children, lambda _: "well")) == Ended("well", None)
    finally:
        done.set()
        thread.join()


PARENT = """
import os, sys, time
from guard.process.descriptors import open_count
from guard.process.forked_child import ForkedChild

def work(subject, wait_for_go):
    time.sleep(600)
    return ""

print(ForkedChild.start(work, None, ()).pid, flush=True)
time.sleep(600)
"""


def test_it_is_killed_with_its_parent() -> None:
    parent = subprocess.Popen(code(PARENT), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + PATIENCE_S
    while os.getpriority(os.PRIO_PROCESS, child) == os.getpriority(os.PRIO_PROCESS, parent.pid):
        assert time.monotonic() < deadline, "the child does not settle"
    parent.kill()
    parent.wait(PATIENCE_S)
    parent.stdout.close()
    while is_running(child):
        assert time.monotonic() < deadline, "the child outlives its parent"
        time.sleep(0.002)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
