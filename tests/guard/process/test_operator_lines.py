"""Lines for the operator: written whole and in order, never waited for, never an error."""

import fcntl
import os
import resource
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guard.process.line_forms import ALARM, INFO, line_of
from guard.process.operator_lines import LINE_BYTES_MAX, Voice

PATIENCE_S = 20.0
NOON_NS = 1_796_126_400_000_000_000  # 2026-12-01T12:00:00Z
COUNTED = "before this one could not be said here"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Closed at the end; a test that closes an end puts something else there."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def voice(descriptor: int, lines_waiting_max: int = 1_000) -> Voice:
    return Voice(descriptor, lambda: NOON_NS, lines_waiting_max)


def settle(speaking: Voice) -> None:
    assert speaking.fence().wait(PATIENCE_S)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def fill(descriptor: int) -> int:
    """Writes until no byte more goes through; how many did."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    os.set_blocking(descriptor, False)
    count = 0
    try:
        while True:
            count += os.write(descriptor, b"x" * (1 if count >= 2**16 else 2**16))
    except BlockingIOError:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return count


def test_a_line_has_a_time_a_level_and_no_second_line() -> None:
    assert line_of(NOON_NS + 1_999_999, ALARM, "a\nb\x1b[2Jé\udcff") == (
        b"2026-12-01T12:00:00.001Z ALARM: a\\nb\\x1b[2J\xc3\xa9\\udcff\n"
    )
    assert line_of(0, INFO, "") == b"1970-01-01T00:00:00.000Z INFO: \n"


def test_lines_come_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "said"
    with path.open("wb") as file:
        speaking = voice(file.fileno())
        for number in range(100):
            speaking.put(b"%d\n" % number)
        speaking.put(b"y" * 2 * LINE_BYTES_MAX + b"\n")
        settle(speaking)
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[:100] == [b"%d\n" % number for number in range(100)]
    assert (len(lines[100]), lines[100][-6:]) == (LINE_BYTES_MAX, b"y ...\n")
    assert (len(lines), speaking.lines_not_said) == (101, 0)


def test_a_pipe_that_nobody_empties_holds_nobody_up(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    filled = fill(write_end)
    flags = fcntl.fcntl(write_end, fcntl.F_GETFL)
    speaking = voice(write_end, lines_waiting_max=3)
    started = time.monotonic()
    speaking.put(b"1\n")
    wait_for(lambda: speaking._queue.qsize() == 0)  # the thread has it, and waits
    for number in range(2, 10):
        speaking.put(b"%d\n" % number)
    assert time.monotonic() - started < PATIENCE_S / 2
    assert speaking.lines_not_said == 5
    # Who shares the pipe with us is not made to fail.
    assert fcntl.fcntl(write_end, fcntl.F_GETFL) == flags
    assert not speaking.fence().wait(0.01)
    while filled > 0:
        filled -= len(os.read(read_end, filled))
    settle(speaking)
    count = f"2026-12-01T12:00:00.000Z ALARM: 5 lines {COUNTED}: nobody read them"
    assert os.read(read_end, 2**16).decode().splitlines() == ["1", count, "2", "3", "4"]


def test_a_pipe_that_nobody_reads_any_more(pipe: tuple[int, int], tmp_path: Path) -> None:
    read_end, write_end = pipe
    with (tmp_path / "later").open("w+b") as later:
        os.dup2(later.fileno(), read_end)  # the pipe's end is closed
        speaking = voice(write_end)
        speaking.put(b"lost\n")
        speaking.retry()
        settle(speaking)
        assert speaking.lines_not_said == 1
        os.dup2(later.fileno(), write_end)
        speaking.put(b"there\n")
        speaking.retry()
        settle(speaking)
        later.seek(0)
        assert later.read().decode().splitlines() == [
            f"2026-12-01T12:00:00.000Z ALARM: 1 line {COUNTED}: Broken pipe",
            "there",
        ]


def test_the_count_is_said_without_a_further_line(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full, (tmp_path / "later").open("w+b") as later:
        speaking = voice(full.fileno())
        speaking.put(b"lost\n")
        speaking.put(b"lost\n")
        settle(speaking)
        speaking.retry()
        settle(speaking)
        assert speaking.lines_not_said == 2
        os.dup2(later.fileno(), full.fileno())
        speaking.retry()
        settle(speaking)
        speaking.retry()
        settle(speaking)
        later.seek(0)
        (line,) = later.read().decode().splitlines()
    assert line.endswith(f"ALARM: 2 lines {COUNTED}: No space left on device")


def test_a_line_that_was_cut_in_the_middle_does_not_swallow_the_next(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "said"
    with path.open("wb") as file:
        speaking = voice(file.fileno())
        resource.setrlimit(resource.RLIMIT_FSIZE, (9, hard))
        try:
            speaking.put(b"half of it\n")
            settle(speaking)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        speaking.put(b"next\n")
        settle(speaking)
    count = f"2026-12-01T12:00:00.000Z ALARM: 1 line {COUNTED}: File too large"
    assert path.read_text().splitlines() == ["half of i", count, "next"]


def test_a_descriptor_that_others_have_made_nonblocking(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    filled = fill(write_end)
    os.set_blocking(write_end, False)
    speaking = voice(write_end)
    speaking.put(b"waits\n")
    assert not speaking.fence().wait(0.05)
    while filled > 0:
        filled -= len(os.read(read_end, filled))
    settle(speaking)
    assert os.read(read_end, 100) == b"waits\n"
    assert speaking.lines_not_said == 0


def test_without_a_descriptor_it_is_counted() -> None:
    speaking = Voice(-1)
    speaking.put(b"to nobody\n")
    settle(speaking)
    assert speaking.lines_not_said == 1


def test_where_nothing_was_said_there_is_nothing_to_wait_for() -> None:
    before = threading.active_count()
    assert voice(1).fence().is_set()
    assert threading.active_count() == before


def test_a_stream_s_reader_gets_lines_at_once() -> None:
    """As the journal does: a stream socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        speaking = voice(ours.fileno())
        speaking.put(b"one\n")
        assert select.select([theirs], [], [], PATIENCE_S)[0]
        assert theirs.recv(100) == b"one\n"
        settle(speaking)
