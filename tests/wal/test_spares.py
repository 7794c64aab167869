"""Descriptors that are held ready."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wal import EMPTY_HEAD, ChainHasher, LogWriter, Spares

HASHER = ChainHasher(bytes(range(32)))


@contextmanager
def all_used_up() -> Iterator[list[int]]:
    """No descriptor is left; yields those that were taken for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 4, hard))
    try:
        use_up(taken)
        yield taken
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


def use_up(taken: list[int]) -> None:
    while True:
        try:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return


def opened() -> int:
    return len(os.listdir("/proc/self/fd")) - 1


def test_they_are_there_when_nothing_else_is() -> None:
    before = opened()
    spares = Spares(3)
    assert (opened(), spares.are_there) == (before + 3, True)
    with all_used_up():
        with spares.lent():
            files = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
            with pytest.raises(OSError, match="Too many open files"):
                os.open(os.devnull, os.O_RDONLY)
        assert not spares.are_there
        for file in files:
            os.close(file)
        spares.take()
        assert spares.are_there
    spares.give_up()
    assert (opened(), spares.are_there) == (before, False)


def test_a_next_segment_begins_whatever_else_is_open(tmp_path: Path) -> None:
    """Again and again: what a rotation leaves is taken by others at once."""
    with LogWriter.open(tmp_path, HASHER, EMPTY_HEAD, monotonic_ns=lambda: 0) as writer:
        writer.append(1, b'{"event":"x"}')
        writer.sync_now()
        with all_used_up() as taken:
            for sequence in range(2, 11):
                writer.append(sequence, b'{"event":"x"}')
                writer.rotate()
                writer.sync_now()
                use_up(taken)
    assert len(list(tmp_path.glob("*.jsonl"))) == 10
