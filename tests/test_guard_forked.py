"""A forked child: its word, its end, and that it holds on to nothing of its parent's."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from child_support import code
from guard.forked import NICENESS, WORD_BYTES_MAX, Ended, ForkedChild, WaitForGo
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


def test_an_error_that_nobody_expects_is_said_on_standard_error(
    children: list[ForkedChild], capfd: pytest.CaptureFixture[str]
) -> None:
    def work(_wait_for_go: WaitForGo) -> str:
        raise KeyError("a bug")

    assert ended(start(children, work)) == Ended(None, "its process ended with exit code 1")
    assert "KeyError: 'a bug'" in capfd.readouterr().err


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
from guard.forked import ForkedChild

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
