"""Batches on the thread that needs no interpreter: real files, real errors, in both forms."""

import asyncio
import contextlib
import errno
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forms import FORM as WAL_FORM
from wal import EMPTY_HEAD, ChainHasher, Dialect, LogWriter, WalError, WalPoisoned, verify_chain
from wal.barethread import BareThread, Outcome
from wal.segment import list_segments

PATIENCE_S = 20.0
BLIND = Dialect(lambda data: False, lambda data: None, lambda data: False)


@pytest.fixture
def thread() -> Iterator[BareThread]:
    bare = BareThread()
    yield bare
    bare.close()


async def commit(thread: BareThread, descriptor: int, lines: bytes, offset: int = 0) -> Outcome:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Outcome] = loop.create_future()
    thread.start(descriptor, memoryview(bytearray(lines)), offset, loop, done.set_result)
    async with asyncio.timeout(PATIENCE_S):
        return await done


async def test_batches_one_after_the_other(thread: BareThread, tmp_path: Path) -> None:
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    pieces = [bytes([number]) * (1 + 70_000 * number) for number in range(20)]
    at = 0
    for piece in pieces:
        assert await commit(thread, descriptor, piece, at) == (len(piece), 0)
        at += len(piece)
    os.close(descriptor)
    assert path.read_bytes() == b"".join(pieces)


async def test_an_error_of_a_write_says_how_much_was_written(
    thread: BareThread, tmp_path: Path
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    assert await commit(thread, full, b"lines") == (0, errno.ENOSPC)
    os.close(full)
    assert await commit(thread, full, b"lines") == (0, errno.EBADF)
    # A file that takes a part of it, and no more.
    short = os.open(tmp_path / "short", os.O_CREAT | os.O_WRONLY)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        assert await commit(thread, short, bytes(6_000), 7_000) == (3_000, errno.EFBIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    os.close(short)
    # One that takes all of it cannot be synced.
    null = os.open("/dev/null", os.O_WRONLY)
    assert await commit(thread, null, b"lines") == (5, errno.EINVAL)
    os.close(null)


async def test_who_waits_is_told_at_once_and_once(thread: BareThread, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    loop = asyncio.get_running_loop()
    outcomes: list[Outcome] = []
    thread.wait()  # for nothing
    for _ in range(50):
        thread.start(descriptor, memoryview(bytearray(b"lines")), 0, loop, outcomes.append)
        assert thread.is_busy
        thread.wait()
        assert not thread.is_busy
    assert outcomes == [(5, 0)] * 50
    # The loop is told of some of them, too, and finds nothing to do.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(outcomes) == 50
    os.close(descriptor)


async def test_close_waits_and_tells(tmp_path: Path) -> None:
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    thread = BareThread()
    outcomes: list[Outcome] = []
    lines = bytearray(8_000_000)
    thread.start(descriptor, memoryview(lines), 0, asyncio.get_running_loop(), outcomes.append)
    thread.close()
    thread.close()
    assert path.stat().st_size == len(lines)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert outcomes == [(len(lines), 0)]
    os.close(descriptor)


def test_one_that_was_never_used_is_closed() -> None:
    BareThread().close()


def test_it_serves_one_loop_after_the_other(thread: BareThread, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    for _ in range(2):
        assert asyncio.run(commit(thread, descriptor, b"lines")) == (5, 0)
    os.close(descriptor)


def names() -> set[str]:
    """Of this process's threads."""
    return {thread.name for thread in threading.enumerate()}


async def test_what_keeps_a_batch_from_starting_is_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = _writer(tmp_path / "log")
    for sequence in range(1, 4):
        writer.append(sequence, b'{"n":%d}' % sequence)
    writer.sync_now()  # on no thread
    with monkeypatch.context() as patched:

        def start(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="start new thread"):
            await _append(writer, 4, 1)
    assert writer.poisoned
    with pytest.raises(WalPoisoned):
        await writer.sync()
    writer.close()
    assert verify_chain(tmp_path / "log", ChainHasher(None), BLIND).head.sequence == 3


@pytest.mark.skipif(WAL_FORM != "compiled", reason="interpreted, a writer needs no pipes")
def test_without_descriptors_no_writer_opens_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    before = os.listdir("/proc/self/fd")
    for left, what in ((0, "cannot open"), (1, "cannot open"), (2, "cannot lock the log"),
                       (3, "cannot open the log"), (5, "cannot open the log")):  # fmt: skip
        with pytest.raises(WalError, match=what), _descriptors_left(left):
            LogWriter.open(tmp_path / "log", ChainHasher(None), EMPTY_HEAD, monotonic_ns=lambda: 0)
        assert os.listdir("/proc/self/fd") == before


@contextlib.contextmanager
def _descriptors_left(count: int) -> Iterator[None]:
    """So many more may be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.open("/dev/null", os.O_RDONLY) for _ in range(count + 1)]
    for descriptor in free:
        os.close(descriptor)
    # Others may stand between the free ones.
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _writer(directory: Path) -> LogWriter:
    directory.mkdir()
    return LogWriter.open(directory, ChainHasher(None), EMPTY_HEAD, monotonic_ns=lambda: 0)


async def _append(writer: LogWriter, first: int, count: int) -> None:
    for sequence in range(first, first + count):
        writer.append(sequence, b'{"n":%d}' % sequence)
    async with asyncio.timeout(PATIENCE_S):
        await writer.sync()


async def test_a_writer_uses_it_for_every_batch_also_a_segment_s_first(tmp_path: Path) -> None:
    writer = _writer(tmp_path / "log")
    assert (writer._bare_thread is not None) is (WAL_FORM == "compiled")
    await _append(writer, 1, 3)
    expected = "wal-sync" if WAL_FORM == "compiled" else "wal-commit"
    assert {"wal-sync", "wal-commit"} & names() == {expected}
    writer.rotate()
    await _append(writer, 4, 3)
    await _append(writer, 7, 3)
    assert {"wal-sync", "wal-commit"} & names() == {expected}
    assert writer.durable_head.sequence == 9
    writer.close()
    assert [path.name for path in list_segments(tmp_path / "log")] == [
        "00000001.jsonl", "00000002.jsonl",
    ]  # fmt: skip
    assert verify_chain(tmp_path / "log", ChainHasher(None), BLIND).head == writer.durable_head


async def test_a_segment_that_cannot_be_created_is_final(tmp_path: Path) -> None:
    writer = _writer(tmp_path / "log")
    await _append(writer, 1, 3)
    foreign = tmp_path / "log" / "00000002.jsonl"
    foreign.touch()
    writer.rotate()
    with pytest.raises(WalPoisoned, match="failed in create of records 4 to 4") as caught:
        await _append(writer, 4, 1)
    assert isinstance(caught.value.__cause__, FileExistsError)
    assert writer.poisoned
    foreign.unlink()
    with pytest.raises(WalPoisoned, match="create"):
        await writer.sync()
    writer.close()
    assert verify_chain(tmp_path / "log", ChainHasher(None), BLIND).head.sequence == 3


async def test_an_error_is_final(tmp_path: Path) -> None:
    writer = _writer(tmp_path / "log")
    await _append(writer, 1, 3)
    descriptor = writer._appender._descriptor
    assert descriptor is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    os.close(full)
    with pytest.raises(WalPoisoned, match="write") as caught:
        await _append(writer, 4, 2)
    assert caught.value.first_sequence == 4
    assert writer.poisoned
    assert writer.durable_head.sequence == 3
    with pytest.raises(WalPoisoned):
        writer.append(6, b"{}")
    with pytest.raises(WalPoisoned):
        await writer.sync()
    writer.close()
    assert verify_chain(tmp_path / "log", ChainHasher(None), BLIND).head.sequence == 3


async def test_who_waits_first_is_told_before_the_call_returns(
    thread: BareThread, tmp_path: Path
) -> None:
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    loop = asyncio.get_running_loop()
    outcomes: list[Outcome] = []
    for number in range(50):
        lines = memoryview(bytearray(b"lines"))
        thread.start(descriptor, lines, 0, loop, outcomes.append, int(PATIENCE_S * 1e9))
        assert outcomes == [(5, 0)] * (number + 1)
        assert not thread.is_busy
    os.close(descriptor)
    thread.start(descriptor, lines, 0, loop, outcomes.append, int(PATIENCE_S * 1e9))
    assert outcomes[-1] == (0, errno.EBADF)
    await asyncio.sleep(0)
    assert len(outcomes) == 51


async def test_who_waits_too_briefly_is_told_later_and_once(
    thread: BareThread, tmp_path: Path
) -> None:
    """Whichever is first, the disk or the end of the wait."""
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    loop = asyncio.get_running_loop()
    outcomes: list[Outcome] = []
    lines = memoryview(bytearray(1_000_000))
    for number in range(200):
        thread.start(descriptor, lines, 0, loop, outcomes.append, 1 << number % 24)
        if number % 3 == 0:
            thread.wait()
        async with asyncio.timeout(PATIENCE_S):
            while thread.is_busy:
                await asyncio.sleep(0)
        assert outcomes == [(len(lines), 0)] * (number + 1)
    os.close(descriptor)
