"""The heap's memory, taken before it is needed: in a process of its own, whose heap it moves."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from child_support import code
from guard.process import prefault as heap
from guard.process.huge_pages import TUNABLES, VARIABLE
from guard.process.prefault import Heap

# As a daemon does: starts, grows its heap, and lets the housekeeper's beat see it.
GROWS = """
import resource
from guard.process.prefault import Heap

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

one = Heap()
one.take()
taken = one._taken_to
before = faults()
kept = [bytearray(2**20) for _ in range(40)]  # less than is put by
inside = faults() - before
kept += [bytearray(2**20) for _ in range(60)]  # more
one.take_beside()
thread = one._thread
if thread is not None:
    thread.join()
print(taken, inside, one._taken_to)
"""


@pytest.mark.skipif(
    not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"), reason="glibc puts it by"
)
def test_what_is_put_by_is_taken_at_once_and_later_beside() -> None:
    environment = {**os.environ, VARIABLE: TUNABLES}
    done = subprocess.run(code(GROWS), env=environment, capture_output=True, text=True, check=True)
    taken, inside, taken_at_last = done.stdout.split()
    if "None" in (taken, taken_at_last):
        pytest.skip("this system takes no pages before they are touched")
    assert int(inside) < 40  # of 10,240 pages, or 20 huge ones: the odd one beside the heap
    assert int(taken_at_last) >= int(taken) + 32 * 2**20


def test_a_refusal_ends_it_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_POPULATE_WRITE", 12_345)  # no advice that any system knows
    one = Heap()
    one.take()
    assert one._taken_to is None
    one.take_beside()
    assert one._thread is None


def test_what_is_given_back_meanwhile_is_no_refusal() -> None:
    one = Heap()
    if one._taken_to is None:
        pytest.skip("no heap in sight")
    one.take()
    if one._taken_to is None:
        pytest.skip("this system takes no pages before they are touched")
    at = one._taken_to
    one._take_to(at + 2**22)  # as if the break had been there a moment ago
    assert one._taken_to == at
    one._taken_to = at + 2**30
    one.take_beside()
    assert (one._taken_to, one._thread) == (at, None)


def test_without_a_thread_it_ends_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    one = Heap()
    if one._taken_to is None:
        pytest.skip("no heap in sight")
    kept = bytearray(64 * 2**20)  # beyond what has been put by, or beside the heap
    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(heap, "_STEP_BYTES", 0)
    one.take_beside()
    assert (one._taken_to, one._thread, len(kept)) == (None, None, 64 * 2**20)


def test_a_system_without_a_heap_in_sight(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for maps in (tmp_path / "none", tmp_path / "maps"):
        monkeypatch.setattr(heap, "_MAPS", maps)
        (tmp_path / "maps").write_bytes(b"7f00-7f01 r--p 0 fd:00 7 /m\xfcller/libc.so\n")
        one = Heap()
        one.take()
        one.take_beside()
        assert (one._taken_to, one._thread) == (None, None)
