"""Zeros ahead of the records: where they stand, who waits for them, which files have none."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    LogWriter,
    WalInputError,
    WalPoisoned,
    find_head,
    list_segments,
    rewrite_tail,
    segment_name,
)
from wal.ahead import PIECE_BYTES, WRITE_AHEAD_BYTES_MAX, drop_zeros, segment_end
from wal_support import DIALECT, KEY, SEGMENT, ScriptedFiles, fake_clock, opened, record

HASHER = ChainHasher(KEY)
PATIENCE_S = 20.0


def open_writer(directory: Path, **options: object) -> LogWriter:
    settings: dict[str, Any] = {"monotonic_ns": fake_clock(), **options}
    return LogWriter.open(directory, HASHER, EMPTY_HEAD, **settings)


def put(writer: LogWriter, size: int = 10) -> int:
    """One more record, durable; where it ends in its segment."""
    sequence = writer.staged_head.sequence + 1
    data = opened(HASHER) if sequence == 1 else record("order", sequence, text="x" * size)
    writer.append(sequence, data)
    writer.sync_now()
    return sequence


def zeros_of(path: Path) -> int:
    return path.stat().st_size - segment_end(path)


async def wait_for_zeros(path: Path, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while zeros_of(path) < count:
            await asyncio.sleep(0.001)


async def test_so_many_zeros_stand_ahead(tmp_path: Path) -> None:
    path = tmp_path / SEGMENT
    with open_writer(tmp_path, write_ahead_bytes=3 * PIECE_BYTES) as writer:
        put(writer)
        await wait_for_zeros(path, 3 * PIECE_BYTES)
        size = path.stat().st_size
        assert size % PIECE_BYTES == 0  # whole pieces, so that their ends are those of pages
        content = path.read_bytes()
        put(writer)
        assert path.stat().st_size == size  # written over, not appended
        assert path.read_bytes().startswith(content.rstrip(b"\0"))
        put(writer, PIECE_BYTES)
        await wait_for_zeros(path, 3 * PIECE_BYTES)
        assert find_head(tmp_path, HASHER, DIALECT) == writer.durable_head
        writer.seal()
        assert zeros_of(path) == 0
        assert find_head(tmp_path, HASHER, DIALECT) == writer.durable_head
        put(writer)  # a sealed one is appended to
    assert find_head(tmp_path, HASHER, DIALECT).sequence == 4


async def test_a_batch_longer_than_the_zeros(tmp_path: Path) -> None:
    with open_writer(tmp_path, write_ahead_bytes=PIECE_BYTES) as writer:
        for _ in range(20):
            put(writer)  # a piece is under way
            put(writer, 3 * PIECE_BYTES)
            await asyncio.sleep(0)
        put(writer)
        head = writer.durable_head
        assert find_head(tmp_path, HASHER, DIALECT) == head
        await wait_for_zeros(tmp_path / SEGMENT, PIECE_BYTES)
    assert find_head(tmp_path, HASHER, DIALECT) == head


async def test_long_batches_that_outrun_the_zeros_do_not_wait_for_more(tmp_path: Path) -> None:
    path, asked = tmp_path / SEGMENT, list[int]()

    def may_write_ahead(byte_count: int) -> bool:
        asked.append(byte_count)
        return True

    options = {"write_ahead_bytes": 2 * PIECE_BYTES, "may_write_ahead": may_write_ahead}
    with open_writer(tmp_path, **options) as writer:
        put(writer)
        await wait_for_zeros(path, 2 * PIECE_BYTES)
        put(writer, PIECE_BYTES // 2)  # it has more zeros behind it than it is long
        await wait_for_zeros(path, 2 * PIECE_BYTES)
        before = len(asked)
        for _ in range(3):
            put(writer, 4 * PIECE_BYTES)
            assert zeros_of(path) == 0
        assert len(asked) == before
        put(writer)  # a short one: they come again
        await wait_for_zeros(path, 2 * PIECE_BYTES)
        assert len(asked) > before
        assert find_head(tmp_path, HASHER, DIALECT) == writer.durable_head


async def test_batches_off_the_loop_beside_pieces(tmp_path: Path) -> None:
    with open_writer(
        tmp_path, write_ahead_bytes=PIECE_BYTES, segment_bytes_max=8 * PIECE_BYTES
    ) as writer:
        for number in range(200):
            sequence = writer.staged_head.sequence + 1
            data = opened(HASHER) if sequence == 1 else record("order", sequence, text="x" * 30_000)
            writer.append(sequence, data)
            await writer.sync()
            if number % 7 == 0:
                await asyncio.sleep(0.002)
        writer.seal()
        head = writer.durable_head
    assert find_head(tmp_path, HASHER, DIALECT) == head
    assert len(list_segments(tmp_path)) > 2
    assert {zeros_of(path) for path in list_segments(tmp_path)} == {0}


async def test_a_segment_that_another_one_follows_has_none(tmp_path: Path) -> None:
    with open_writer(tmp_path, write_ahead_bytes=PIECE_BYTES) as writer:
        put(writer)
        await wait_for_zeros(tmp_path / SEGMENT, PIECE_BYTES)
        writer.rotate()
        put(writer)
        assert zeros_of(tmp_path / SEGMENT) == 0
        await wait_for_zeros(tmp_path / segment_name(2), PIECE_BYTES)
        head = writer.durable_head
    assert find_head(tmp_path, HASHER, DIALECT) == head


async def test_they_never_reach_beyond_the_bound_of_a_segment(tmp_path: Path) -> None:
    path = tmp_path / SEGMENT
    with open_writer(
        tmp_path, write_ahead_bytes=4 * PIECE_BYTES, segment_bytes_max=PIECE_BYTES + 1000
    ) as writer:
        put(writer)
        async with asyncio.timeout(PATIENCE_S):
            while path.stat().st_size < PIECE_BYTES + 1000:
                await asyncio.sleep(0.001)
        put(writer)
        assert path.stat().st_size == PIECE_BYTES + 1000


def test_none_are_written_where_nobody_asked(tmp_path: Path) -> None:
    with open_writer(tmp_path, files=ScriptedFiles()) as writer:
        put(writer)
    assert zeros_of(tmp_path / SEGMENT) == 0


def test_the_disk_is_not_taken_where_it_may_not_be(tmp_path: Path) -> None:
    asked: list[int] = []

    def may_take(byte_count: int) -> bool:
        asked.append(byte_count)
        return len(asked) > 2

    with open_writer(
        tmp_path, files=ScriptedFiles(), write_ahead_bytes=1000, may_write_ahead=may_take
    ) as writer:
        put(writer)
        put(writer)
        assert zeros_of(tmp_path / SEGMENT) == 0
        put(writer)
        assert zeros_of(tmp_path / SEGMENT) >= 1000
    assert len(asked) == 3
    assert max(asked) <= PIECE_BYTES


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_for_zeros_is_no_failure(number: int, tmp_path: Path) -> None:
    class NoRoom(ScriptedFiles):
        def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
            if not data[0]:
                raise OSError(number, os.strerror(number))
            return super().write(descriptor, data, offset)

    with open_writer(tmp_path, files=NoRoom(), write_ahead_bytes=1000) as writer:
        for _ in range(3):
            put(writer)
        head = writer.durable_head
    assert zeros_of(tmp_path / SEGMENT) == 0
    assert find_head(tmp_path, HASHER, DIALECT) == head


@pytest.mark.parametrize("failing_sync", [2, 3])
def test_an_error_of_their_sync_is_final(failing_sync: int, tmp_path: Path) -> None:
    """Each piece is synced by itself, behind the first batch."""
    files = ScriptedFiles(failing_sync=failing_sync)
    writer = open_writer(tmp_path, files=files, write_ahead_bytes=PIECE_BYTES + 1000)
    with writer:
        for _ in range(3):
            if not writer.poisoned:
                put(writer)
        assert writer.poisoned
        with pytest.raises(WalPoisoned, match="fdatasync of zeros"):
            writer.sync_now()
        with pytest.raises(WalPoisoned):
            writer.seal()
    assert files.calls_after_failure == 0
    assert find_head(tmp_path, HASHER, DIALECT) == writer.durable_head


async def test_an_error_on_their_thread_is_final(tmp_path: Path) -> None:
    path = tmp_path / SEGMENT
    with open_writer(tmp_path, write_ahead_bytes=PIECE_BYTES) as writer:
        put(writer)
        await wait_for_zeros(path, PIECE_BYTES)
        writer._ahead.settle()
        # Their own descriptor is closed behind their back.
        mine = {
            int(name)
            for name in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{name}")
            and os.readlink(f"/proc/self/fd/{name}") == str(path)
        }
        for descriptor in sorted(mine)[1:]:
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, descriptor, inheritable=False)
            os.close(null)
        for _ in range(2):
            put(writer, PIECE_BYTES * 5 // 8)
        async with asyncio.timeout(PATIENCE_S):
            while not writer.poisoned:
                await asyncio.sleep(0.001)
        with pytest.raises(WalPoisoned, match=r"in write of zeros, durable up to 3: "):
            await writer.sync()


def test_what_is_asked_for_is_bounded(tmp_path: Path) -> None:
    for wrong in (-1, WRITE_AHEAD_BYTES_MAX + 1):
        with pytest.raises(WalInputError, match=f"write_ahead_bytes is {wrong}; must be from 0"):
            open_writer(tmp_path, write_ahead_bytes=wrong)


def test_a_start_drops_them(tmp_path: Path) -> None:
    path = tmp_path / SEGMENT
    with open_writer(tmp_path, files=ScriptedFiles(), write_ahead_bytes=1000) as writer:
        put(writer)
        put(writer)
        head = writer.durable_head
    content = path.read_bytes()
    assert zeros_of(path) > 0
    assert rewrite_tail(tmp_path, head, HASHER, DIALECT) is not None
    assert path.read_bytes() == content.rstrip(b"\0")
    assert drop_zeros(path) == 0
    # An empty segment of zeros alone is an empty one.
    (tmp_path / segment_name(2)).write_bytes(bytes(3000))
    assert find_head(tmp_path, HASHER, DIALECT) == head
    rewrite_tail(tmp_path, head, HASHER, DIALECT)
    assert (tmp_path / segment_name(2)).read_bytes() == b""
    assert find_head(tmp_path, HASHER, DIALECT) == Head(2, head.entry_hash)
