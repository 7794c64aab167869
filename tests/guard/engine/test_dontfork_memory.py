"""Memory that a forked child does not get: what it is, and that a child is stopped at it."""

import mmap
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.engine import dontfork_memory as unforked
from guard.engine.row_map import NO_ROW, RowMap
from guard.process.forked_child import ForkedChild

LARGE = unforked.UNFORKED_BYTES_MIN

pytestmark = pytest.mark.skipif(
    not hasattr(mmap, "MADV_DONTFORK"), reason="the system cannot keep memory from a child"
)


def ended(work: Callable[[], object]) -> int:
    """The wait status of a forked child that calls `work` and leaves."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("byte_count", [0, 8, LARGE - 8, LARGE, 3 * LARGE + 8])
def test_it_is_zero_and_can_be_written(byte_count: int) -> None:
    memory = unforked.zeros(byte_count)
    assert memory.nbytes == byte_count
    assert not any(memory)
    numbers = memory.cast("Q")
    if len(numbers):
        numbers[-1] = 2**64 - 1
        assert bytes(memory[-8:]) == b"\xff" * 8


def test_all_of_it_is_resident_at_once() -> None:
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    before = resident_bytes()
    memory = unforked.zeros(32 * LARGE)
    assert resident_bytes() - before >= memory.nbytes - LARGE


def test_a_child_that_reads_it_is_ended_and_its_parent_keeps_it() -> None:
    memory = unforked.zeros(LARGE)
    memory[0] = 7
    # Without a core dump, and without a word from whoever watches for crashes.
    assert ended(lambda: (signal.signal(signal.SIGSEGV, signal.SIG_DFL), memory[0])) == (
        -signal.SIGSEGV
    )
    assert memory[0] == 7


def test_a_child_can_dump_a_map_whose_index_it_lacks() -> None:
    packed = RowMap(1)
    packed.reserve(LARGE // 8)
    for number in range(100):
        packed.add(b"%d" % number, b"payload", (number,))
    whole = b"".join(packed.dump())

    def work(subject: RowMap, _: object) -> str:
        return str(b"".join(subject.dump()) == whole)

    child = ForkedChild.start(work, packed, ())
    child.let_go()
    while (end := child.poll()) is None:
        pass
    assert end.word == "True"
    assert packed.find(b"99") != NO_ROW
    packed.add(b"100", b"", (0,))
    assert packed.find(b"100") != NO_ROW
