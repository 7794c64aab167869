"""Group commit: what is written when, by whom, and what a failure does, for good."""

import asyncio
import errno
import json
import os
import threading
from pathlib import Path

import pytest

from forms import FORM as WAL_FORM
from wal import (
    BATCH_BYTES_MAX,
    EMPTY_HEAD,
    ChainHasher,
    Head,
    LogLock,
    LogWriter,
    WalDamage,
    WalEntryError,
    WalError,
    WalInputError,
    WalInvariantError,
    WalLocked,
    WalPoisoned,
    encode_line,
    find_head,
    list_segments,
    plan_repair,
    verify_chain,
)
from wal.commit import OsFiles, SegmentAppender
from wal_support import (
    DIALECT,
    KEY,
    SEGMENT,
    GatedFiles,
    ScriptedFiles,
    fake_clock,
    opened,
    record,
    small_batches,
    write_log,
)

HASHER = ChainHasher(KEY)


def new_writer(
    directory: Path, files: ScriptedFiles | GatedFiles | None = None, head: Head = EMPTY_HEAD
) -> LogWriter:
    return LogWriter.open(directory, HASHER, head, monotonic_ns=fake_clock(), files=files)


def test_a_batch_is_one_write_and_one_sync(tmp_path: Path) -> None:
    files = ScriptedFiles()
    with new_writer(tmp_path, files) as writer:
        first = opened(HASHER)
        first_hash = writer.append(1, first)
        second_hash = writer.append(2, b'{"batch":1}')
        expected = encode_line(1, "genesis", first_hash, first) + encode_line(
            2, first_hash, second_hash, b'{"batch":1}'
        )
        assert first_hash == HASHER.entry_hash("genesis", first)
        assert second_hash == HASHER.entry_hash(first_hash, b'{"batch":1}')
        assert not (tmp_path / SEGMENT).exists()
        assert (writer.staged_count, writer.staged_bytes) == (2, len(expected))
        assert (writer.staged_head, writer.durable_head) == (Head(2, second_hash), EMPTY_HEAD)
        assert writer.sync_now() == Head(2, second_hash)
        assert (files.writes, files.sync_count) == ([expected], 1)
        assert (writer.staged_count, writer.staged_bytes) == (0, 0)
        assert writer.durable_head == writer.staged_head == (2, second_hash)
        assert writer.last_sync == (2, len(expected), 1000)
        assert writer.sync_count == 1
        # Nothing staged, nothing done.
        assert writer.sync_now() == Head(2, second_hash)
        assert (len(files.writes), files.sync_count) == (1, 1)
    assert (tmp_path / SEGMENT).read_bytes() == expected
    assert find_head(tmp_path, HASHER, DIALECT) == (2, second_hash)


async def test_sync_writes_on_a_thread_of_its_own_while_the_next_batch_gathers(
    tmp_path: Path,
) -> None:
    files = GatedFiles()
    with new_writer(tmp_path, files) as writer:
        for sequence in (1, 2):
            writer.append(sequence, b'{"batch":1}')
        sync = asyncio.create_task(writer.sync())
        assert await asyncio.to_thread(files.entered.acquire, timeout=10)
        # The first batch is in the kernel and not durable; the second gathers.
        assert writer.syncing
        assert writer.durable_head == EMPTY_HEAD
        for sequence in (3, 4, 5):
            writer.append(sequence, b'{"batch":3}')
        assert writer.staged_count == 3
        late = [asyncio.create_task(writer.sync()) for _ in range(3)]
        await asyncio.sleep(0)
        assert len(files.writes) == 1
        files.let_go.release()
        assert (await sync).sequence == 2
        assert await asyncio.to_thread(files.entered.acquire, timeout=10)
        assert writer.durable_head.sequence == 2
        files.let_go.release()
        assert [(await task).sequence for task in late] == [5, 5, 5]
        assert not writer.syncing
        assert writer.last_sync is not None
        assert writer.last_sync.record_count == 3
        assert writer.sync_count == 2
        assert await writer.sync() == writer.staged_head
    assert [batch.count(b"\n") for batch in files.writes] == [2, 3]
    sequences = [json.loads(line)["sequence"] for line in b"".join(files.writes).splitlines()]
    assert sequences == [1, 2, 3, 4, 5]
    assert len(files.threads) == 1
    assert (tmp_path / SEGMENT).read_bytes() == b"".join(files.writes)
    assert find_head(tmp_path, HASHER, DIALECT).sequence == 5


async def test_a_cancelled_caller_does_not_undo_the_write(tmp_path: Path) -> None:
    files = GatedFiles()
    with new_writer(tmp_path, files) as writer:
        writer.append(1, b"{}")
        sync = asyncio.create_task(writer.sync())
        assert await asyncio.to_thread(files.entered.acquire, timeout=10)
        sync.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sync
        assert (writer.syncing, writer.poisoned) == (True, False)
        again = asyncio.create_task(writer.sync())
        files.let_go.release()
        assert (await again).sequence == 1
        assert len(files.writes) == 1


async def test_many_appenders_keep_one_order(tmp_path: Path) -> None:
    with new_writer(tmp_path) as writer:

        async def append_and_wait(count: int) -> None:
            for _ in range(count):
                sequence = writer.staged_head.sequence + 1
                entry_hash = writer.append(sequence, b'{"n":%d}' % sequence)
                durable = await writer.sync()
                assert durable.sequence >= sequence
                assert len(entry_hash) == 64

        await asyncio.gather(*(append_and_wait(20) for _ in range(10)))
        assert writer.durable_head.sequence == 200
        assert writer.sync_count < 200
    assert find_head(tmp_path, HASHER, DIALECT) == writer.durable_head


async def test_a_failure_off_the_loop_reaches_every_waiter(tmp_path: Path) -> None:
    files = GatedFiles()
    files.error = OSError(errno.EIO, "Input/output error")
    with new_writer(tmp_path, files) as writer:
        writer.append(1, b"{}")
        first = asyncio.create_task(writer.sync())
        assert await asyncio.to_thread(files.entered.acquire, timeout=10)
        writer.append(2, b"{}")
        second = asyncio.create_task(writer.sync())
        await asyncio.sleep(0)
        files.let_go.release()
        for task in (first, second):
            with pytest.raises(WalPoisoned, match="fdatasync of records 1 to 1"):
                await task
        with pytest.raises(WalPoisoned, match="records 1 to 1"):
            await writer.sync()
        assert writer.poisoned
        assert writer.durable_head == EMPTY_HEAD
        assert len(files.writes) == 1


def test_what_a_closed_loop_left_under_way_is_waited_for_and_not_believed(tmp_path: Path) -> None:
    files = GatedFiles()
    with new_writer(tmp_path, files) as writer:

        async def leave_under_way() -> None:
            writer.append(1, b"{}")
            sync = asyncio.create_task(writer.sync())
            assert await asyncio.to_thread(files.entered.acquire, timeout=10)
            sync.cancel()

        asyncio.run(leave_under_way())
        files.let_go.release()
    assert (tmp_path / SEGMENT).read_bytes() == b"".join(files.writes)
    assert len(files.writes) == 1
    assert writer.durable_head == EMPTY_HEAD


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_ends_is_a_failure(tmp_path: Path) -> None:
    def broken_clock() -> int:
        if threading.current_thread().name == "wal-commit":
            raise ValueError("no time")
        return 0

    with LogWriter.open(
        tmp_path, HASHER, EMPTY_HEAD, monotonic_ns=broken_clock, files=ScriptedFiles()
    ) as writer:
        writer.append(1, b"{}")
        with pytest.raises(WalPoisoned, match="the thread that writes has ended"):
            await writer.sync()
        assert writer.durable_head == EMPTY_HEAD


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_failed_sync_is_final(tmp_path: Path, code: int) -> None:
    files = ScriptedFiles(failing_sync=2, error=code)
    with new_writer(tmp_path, files) as writer:
        writer.append(1, opened(HASHER))
        durable = writer.sync_now()
        writer.append(2, record("order", 2))
        writer.append(3, record("order", 2))
        batch_bytes = writer.staged_bytes
        with pytest.raises(WalPoisoned) as caught:
            writer.sync_now()
        error = caught.value
        assert (error.stage, error.first_sequence, error.last_sequence) == ("fdatasync", 2, 3)
        assert (error.bytes_written, error.batch_bytes) == (batch_bytes, batch_bytes)
        assert (error.durable_sequence, error.cause) == (1, f"[Errno {code}] {os.strerror(code)}")
        assert isinstance(error.__cause__, OSError)
        assert str(error) == (
            f"the log failed in fdatasync of records 2 to 3 ({batch_bytes} of {batch_bytes} bytes "
            f"handed over; durable up to 1): [Errno {code}] {os.strerror(code)}"
        )
        assert writer.durable_head == durable
        for call in (
            lambda: writer.append(4, b"{}"),
            lambda: writer.append(4, b"{}", is_encoded=True),
            lambda: writer.staging.append(4, b"{}"),
            writer.sync_now,
        ):
            with pytest.raises(WalPoisoned) as later:
                call()
            assert str(later.value) == str(error)
            assert later.value is not error
            assert later.value.__cause__ is error.__cause__
        with pytest.raises(WalPoisoned):
            asyncio.run(writer.sync())
    assert files.calls_after_failure == 0


def test_a_short_write_at_every_byte_is_final_and_repairable(tmp_path: Path) -> None:
    batches = [[opened(HASHER)], [record("order", 2, text="é"), record("order", 2)]]
    whole = tmp_path / "whole"
    whole.mkdir()
    write_log(whole, HASHER, batches)
    content = (whole / SEGMENT).read_bytes()
    first_end = content.index(b"\n") + 1
    line_ends = [at + 1 for at, byte in enumerate(content) if byte == 0x0A]
    for capacity in range(first_end, len(content)):
        directory = tmp_path / str(capacity)
        directory.mkdir()
        files = ScriptedFiles(capacity=capacity, error=errno.ENOSPC)
        with new_writer(directory, files) as writer:
            writer.append(1, batches[0][0])
            writer.sync_now()
            for sequence in (2, 3):
                writer.append(sequence, batches[1][sequence - 2])
            with pytest.raises(WalPoisoned) as caught:
                writer.sync_now()
            with pytest.raises(WalPoisoned):
                writer.sync_now()
        assert (caught.value.stage, caught.value.bytes_written) == ("write", capacity - first_end)
        assert (files.calls_after_failure, files.sync_count) == (0, 1)
        assert (directory / SEGMENT).read_bytes() == content[:capacity]
        cut = plan_repair(directory, HASHER, DIALECT, protected_sequence=1)
        end = max(at for at in line_ends if at <= capacity)
        assert (cut.offset if cut else capacity) == end


@pytest.mark.parametrize("write_max", [1, 7, 100])
def test_short_writes_go_on_within_the_call(tmp_path: Path, write_max: int) -> None:
    files = ScriptedFiles(write_max=write_max)
    with new_writer(tmp_path, files) as writer:
        writer.append(1, b'{"batch":1}')
        writer.append(2, b'{"batch":1}')
        batch_bytes = writer.staged_bytes
        head = writer.sync_now()
    assert len(files.writes) == -(-batch_bytes // write_max)
    assert files.sync_count == 1
    assert find_head(tmp_path, HASHER, DIALECT) == head


@pytest.mark.parametrize("count", [0, -1, 10**6])
def test_a_write_that_reports_nonsense_is_a_failure(tmp_path: Path, count: int) -> None:
    class Lying(ScriptedFiles):
        def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
            return count

    with new_writer(tmp_path, Lying()) as writer:
        writer.append(1, b"{}")
        with pytest.raises(WalPoisoned, match=f"write reported {count} bytes"):
            writer.sync_now()


def test_append_refuses_before_it_stages(tmp_path: Path) -> None:
    with new_writer(tmp_path) as writer:
        writer.append(1, b"{}")
        head = writer.staged_head
        for sequence in (1, 3, 0):
            with pytest.raises(WalInvariantError, match=f"record {sequence} is staged behind re"):
                writer.append(sequence, b"{}")
        with pytest.raises(WalEntryError, match="newline"):
            writer.append(2, b'{"a":\n1}')
        with pytest.raises(WalEntryError, match="not one JSON value"):
            writer.append(2, b'{},"data":{}')
        assert (writer.staged_head, writer.staged_count) == (head, 1)


def test_a_batch_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert BATCH_BYTES_MAX == 64 * 1024 * 1024
    monkeypatch.setattr("wal.writer.BATCH_BYTES_MAX", 500)
    with new_writer(tmp_path) as writer:
        writer.append(1, b"{}")
        writer.append(2, b"{}")
        with pytest.raises(WalInputError, match="sync first"):
            writer.append(3, b"{}")
        writer.sync_now()
        writer.append(3, b"{}")
        assert writer.staged_head.sequence == 3


def test_continues_after_a_verified_head(tmp_path: Path) -> None:
    head = write_log(tmp_path, HASHER, small_batches(HASHER))
    before = (tmp_path / SEGMENT).read_bytes()
    with new_writer(tmp_path, head=head) as writer:
        assert writer.durable_head == writer.staged_head == head
        writer.append(6, record("session_closed", 6))
        writer.sync_now()
    assert (tmp_path / SEGMENT).read_bytes().startswith(before)
    report = verify_chain(tmp_path, HASHER, DIALECT)
    assert (report.record_count, report.native, report.closed_cleanly) == (6, True, True)


def test_continues_in_the_last_segment(tmp_path: Path) -> None:
    head = write_log(tmp_path, HASHER, small_batches(HASHER))
    (tmp_path / "00000002.jsonl").touch()
    with new_writer(tmp_path, head=head) as writer:
        writer.append(6, b"{}")
        writer.sync_now()
    assert (tmp_path / "00000002.jsonl").read_bytes().startswith(b'{"sequence":6,')
    assert verify_chain(tmp_path, HASHER, DIALECT).segment_count == 2


def test_a_head_that_cannot_be_the_directorys(tmp_path: Path) -> None:
    with pytest.raises(WalInputError, match="no segment"):
        new_writer(tmp_path, head=Head(3, "a" * 64))
    with pytest.raises(WalInputError, match="genesis"):
        new_writer(tmp_path, head=Head(3, "genesis"))
    head = write_log(tmp_path, HASHER, small_batches(HASHER))
    with pytest.raises(WalInputError, match="not empty"):
        new_writer(tmp_path)
    with (tmp_path / SEGMENT).open("ab") as file:
        file.write(b"{")
    with pytest.raises(WalDamage, match="no newline"):
        new_writer(tmp_path, head=head)
    LogLock.acquire(tmp_path).release()


def test_an_empty_first_segment_is_used(tmp_path: Path) -> None:
    (tmp_path / SEGMENT).touch()
    with new_writer(tmp_path) as writer:
        writer.append(1, b"{}")
        assert writer.sync_now().sequence == 1


def test_one_writer_and_its_lock(tmp_path: Path) -> None:
    with new_writer(tmp_path), pytest.raises(WalLocked):
        new_writer(tmp_path)
    with LogLock.acquire(tmp_path) as lock:
        clock = fake_clock()
        LogWriter.open(tmp_path, HASHER, EMPTY_HEAD, monotonic_ns=clock, lock=lock).close()
        assert lock.held
        with pytest.raises(WalLocked):
            new_writer(tmp_path)
    with pytest.raises(WalInputError, match="lock"):
        LogWriter.open(tmp_path, HASHER, EMPTY_HEAD, monotonic_ns=fake_clock(), lock=lock)
    with pytest.raises(WalError, match="cannot open"):
        new_writer(tmp_path / "absent")


def test_a_closed_writer_does_nothing(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    writer.append(1, b"{}")
    writer.close()
    writer.close()
    assert list_segments(tmp_path) == []
    with pytest.raises(WalError, match="closed"):
        writer.rotate()
    with pytest.raises(WalError, match="closed"):
        writer.append(2, b"{}")
    with pytest.raises(WalError, match="closed"):
        writer.sync_now()


async def test_sync_now_is_refused_while_a_sync_runs(tmp_path: Path) -> None:
    files = GatedFiles()
    with new_writer(tmp_path, files) as writer:
        writer.append(1, b"{}")
        sync = asyncio.create_task(writer.sync())
        assert await asyncio.to_thread(files.entered.acquire, timeout=10)
        with pytest.raises(WalInvariantError, match="sync_now is called while a sync is running"):
            writer.sync_now()
        files.let_go.release()
        await sync


def test_the_descriptors_are_not_inherited(tmp_path: Path) -> None:
    with new_writer(tmp_path) as writer:
        writer.append(1, b"{}")
        writer.sync_now()
        descriptors = {
            os.readlink(f"/proc/self/fd/{name}"): int(name)
            for name in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{name}")
        }
        assert not os.get_inheritable(descriptors[str(tmp_path / SEGMENT)])
        assert not os.get_inheritable(descriptors[str(tmp_path / "lock")])
        assert not os.get_inheritable(descriptors[str(tmp_path)])


async def test_a_sync_that_is_waited_for_so_long(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    files = GatedFiles()
    for name in ("gated", "quick"):
        (tmp_path / name).mkdir()
    with new_writer(tmp_path / "gated", files) as writer:
        assert writer.sync_within(loop, 1)  # nothing is staged
        writer.append(1, b"{}")
        assert not writer.sync_within(loop, 1)
        writer.append(2, b"{}")
        with pytest.raises(WalInvariantError, match="sync_within is called while a sync"):
            writer.sync_within(loop, 1)
        files.let_go.release()
        assert (await writer.sync(1)).sequence == 1, "and no further"
        assert writer.staged_count == 1
    with new_writer(tmp_path / "quick") as writer:
        for sequence in range(1, 11):
            writer.append(sequence, b"{}")
            if not writer.sync_within(loop, 10_000_000_000):
                assert WAL_FORM != "compiled"
                await writer.sync(sequence)
            assert writer.durable_head.sequence == sequence
    assert verify_chain(tmp_path / "quick", HASHER, DIALECT).head.sequence == 10


async def test_a_sync_that_fails_while_it_is_waited_for_is_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_writer(tmp_path) as writer:
        writer.append(1, b"{}")
        writer.sync_now()
        writer.append(2, b"{}")
        descriptor = os.open("/dev/full", os.O_WRONLY)
        monkeypatch.setattr(SegmentAppender, "bare_descriptor", lambda _self, _batch: descriptor)
        monkeypatch.setattr(OsFiles, "write", _no_space)

        async def sync() -> None:
            if not writer.sync_within(asyncio.get_running_loop(), 10_000_000_000):
                await writer.sync(2)

        with pytest.raises(WalPoisoned, match="No space left"):
            await sync()
        assert writer.poisoned
        assert writer.durable_head.sequence == 1
        os.close(descriptor)


def _no_space(_self: OsFiles, _descriptor: int, _data: memoryview, _offset: int) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
