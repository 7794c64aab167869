"""Rotation: where a segment ends, who creates the next one and when, and what a failure leaves."""

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import wal.segment
from forms import FORM as WAL_FORM
from wal import (
    EMPTY_HEAD,
    SEGMENT_BYTES_MAX,
    ChainHasher,
    Head,
    LogWriter,
    WalDamage,
    WalInputError,
    WalPoisoned,
    apply_repair,
    cuts_at_end,
    find_head,
    list_segments,
    open_for_recovery,
    plan_repair,
    read_entries,
    segment_name,
    verify_chain,
)
from wal_support import (
    DIALECT,
    KEY,
    REPAIR_REMEDY,
    ScriptedFiles,
    fake_clock,
    opened,
    record,
    small_batches,
    write_log,
)

HASHER = ChainHasher(KEY)


def open_writer(directory: Path, head: Head = EMPTY_HEAD, **options: Any) -> LogWriter:
    return LogWriter.open(directory, HASHER, head, monotonic_ns=fake_clock(), **options)


def put(writer: LogWriter, *datas: bytes) -> Head:
    """One batch, synced."""
    for data in datas:
        writer.append(writer.staged_head.sequence + 1, data)
    return writer.sync_now()


def sequences(directory: Path) -> dict[int, list[int]]:
    """The sequences in each segment, verified."""
    found: dict[int, list[int]] = {
        int(path.name[:8]): [] for path in list_segments(directory, archived=True)
    }
    for entry in read_entries(directory, HASHER, DIALECT):
        found[int(entry.segment[:8])].append(entry.sequence)
    return found


def test_a_segment_ends_before_the_batch_that_would_make_it_too_long(tmp_path: Path) -> None:
    with open_writer(tmp_path, segment_bytes_max=700) as writer:
        put(writer, opened(HASHER))
        sizes = [os.path.getsize(tmp_path / segment_name(1))]
        for sequence in range(2, 7):
            put(writer, record("order", sequence, text="x" * 100))
            assert writer.segment_number == len(list_segments(tmp_path))
        big = [record("order", 7, text="y" * 400) for _ in range(3)]
        put(writer, *big)
        put(writer, record("order", 10))
    assert sequences(tmp_path) == {1: [1, 2], 2: [3, 4], 3: [5, 6], 4: [7, 8, 9], 5: [10]}
    sizes = [path.stat().st_size for path in list_segments(tmp_path)]
    assert [size <= 700 for size in sizes] == [True, True, True, False, True]


def test_a_segment_may_be_filled_to_the_last_byte(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    write_log(whole, HASHER, small_batches(HASHER))
    size = (whole / segment_name(1)).stat().st_size
    for bytes_max, count in ((size, 1), (size - 1, 2), (1, 3)):
        directory = tmp_path / str(bytes_max)
        directory.mkdir()
        with open_writer(directory, segment_bytes_max=bytes_max) as writer:
            for batch in small_batches(HASHER):
                put(writer, *batch)
        assert len(list_segments(directory)) == count
        joined = b"".join(path.read_bytes() for path in list_segments(directory))
        assert joined == (whole / segment_name(1)).read_bytes()
    with pytest.raises(WalInputError, match="holds no record"):
        open_writer(whole, segment_bytes_max=0)
    assert SEGMENT_BYTES_MAX == 64 * 1024 * 1024


def test_on_demand_the_next_batch_begins_a_segment_and_what_was_staged_goes_with_it(
    tmp_path: Path,
) -> None:
    with open_writer(tmp_path) as writer:
        writer.rotate()
        assert writer.segment_number == 0
        put(writer, opened(HASHER))
        writer.append(2, record("order", 2))
        writer.rotate()
        writer.rotate()
        writer.append(3, record("order", 2))
        assert len(list_segments(tmp_path)) == 1, "nothing is created before the batch"
        put(writer)
        put(writer, record("order", 4))
        writer.rotate()
    # A rotation that no batch followed leaves nothing.
    assert sequences(tmp_path) == {1: [1], 2: [2, 3, 4]}


def test_each_session_begins_a_segment(tmp_path: Path) -> None:
    head = EMPTY_HEAD
    for session in range(3):
        with open_writer(tmp_path, head, fresh_segment=True) as writer:
            assert len(list_segments(tmp_path)) == session, "an idle session leaves nothing"
            data = record("session_started", head.sequence + 1) if session else opened(HASHER)
            put(writer, data)
            head = put(writer, record("session_closed", head.sequence + 2))
        open_writer(tmp_path, head, fresh_segment=True).close()
    assert sequences(tmp_path) == {1: [1, 2], 2: [3, 4], 3: [5, 6]}


def test_an_empty_last_segment_is_used(tmp_path: Path) -> None:
    head = write_log(tmp_path, HASHER, small_batches(HASHER))
    (tmp_path / segment_name(2)).touch()
    with open_writer(tmp_path, head, fresh_segment=True) as writer:
        put(writer, record("order", 6))
    assert sequences(tmp_path) == {1: [1, 2, 3, 4, 5], 2: [6]}


@pytest.mark.parametrize("is_watched", [True, False])
async def test_a_new_file_is_durable_first_whoever_creates_it(
    is_watched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's own thread does, where it has the interpreter for the rest anyway."""
    calls: list[str] = []
    threads: set[int] = set()

    def noted(name: str, real: object) -> object:
        def call(*arguments: object, **options: object) -> object:
            if name == "open" and not str(arguments[0]).endswith(".jsonl"):
                return real(*arguments, **options)  # type: ignore[operator]
            threads.add(threading.get_ident())
            target = arguments[0]
            if isinstance(target, int):
                target = os.readlink(f"/proc/self/fd/{target}")
            calls.append(f"{name} {os.path.basename(str(target))}")
            return real(*arguments, **options)  # type: ignore[operator]

        return call

    is_bare = WAL_FORM == "compiled" and not is_watched
    with open_writer(tmp_path, files=ScriptedFiles() if is_watched else None) as writer:
        writer.append(1, opened(HASHER))
        await writer.sync()
        for name in ("open", "fsync", "fdatasync", "write", "pwrite"):
            monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
        writer.rotate()
        writer.append(2, record("order", 2))
        await writer.sync()
        monkeypatch.undo()
    second = segment_name(2)
    assert calls[:3] == [f"open {second}", f"fsync {second}", f"fsync {tmp_path.name}"]
    # The bare thread's calls are not Python's; it is told of its batch through a pipe.
    last = [call.partition(":")[0] for call in calls[3:]]
    assert last == (["write pipe"] if is_bare else [f"pwrite {second}", f"fdatasync {second}"])
    assert len(threads) == 1
    assert (threading.get_ident() in threads) is is_bare


async def test_batches_gather_while_a_segment_is_created(tmp_path: Path) -> None:
    with open_writer(tmp_path, segment_bytes_max=1) as writer:

        async def append_and_wait() -> None:
            for _ in range(20):
                sequence = writer.staged_head.sequence + 1
                writer.append(sequence, b'{"n":%d}' % sequence)
                await writer.sync()

        await asyncio.gather(*(append_and_wait() for _ in range(5)))
        batches = writer.sync_count
    found = sequences(tmp_path)
    assert [n for segment in found.values() for n in segment] == list(range(1, 101))
    assert len(found) == batches < 100
    assert all(found.values())


@pytest.mark.parametrize("call", ["open", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_segment_that_cannot_be_created_is_a_failure_for_good(
    call: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_writer(tmp_path) as writer:
        durable = put(writer, opened(HASHER))
        writer.rotate()
        writer.append(2, record("order", 2))

        def fail(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(WalPoisoned) as caught:
                writer.sync_now()
        assert (caught.value.stage, caught.value.bytes_written) == ("create", 0)
        assert caught.value.durable_sequence == 1
        with pytest.raises(WalPoisoned):
            writer.rotate()
        with pytest.raises(WalPoisoned):
            writer.sync_now()
    with open_for_recovery(tmp_path) as lock:
        assert plan_repair(tmp_path, HASHER, DIALECT) is None
        assert find_head(tmp_path, HASHER, DIALECT) == durable
        with open_writer(tmp_path, durable, lock=lock, fresh_segment=True) as writer:
            put(writer, record("order", 2))
    assert sequences(tmp_path) == {1: [1], 2: [2]}


def test_a_segment_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    with open_writer(tmp_path) as writer:
        put(writer, opened(HASHER))
        (tmp_path / segment_name(2)).write_bytes(b"somebody else's")
        writer.rotate()
        writer.append(2, record("order", 2))
        with pytest.raises(WalPoisoned, match="exists"):
            writer.sync_now()
    assert (tmp_path / segment_name(2)).read_bytes() == b"somebody else's"


def closed_log(directory: Path) -> tuple[Head, bytes]:
    """A log that was closed, and the lines of the session that would come next."""
    head = write_log(directory, HASHER, [[opened(HASHER)], [record("session_closed", 2)]])
    with open_writer(directory, head, fresh_segment=True) as writer:
        put(writer, record("session_started", 3), record("order", 3, text="z" * 600))
    second = directory / segment_name(2)
    content = second.read_bytes()
    second.unlink()
    return head, content


def test_a_torn_first_batch_after_a_clean_stop_is_cut_at_every_byte(tmp_path: Path) -> None:
    head, content = closed_log(tmp_path)
    first_end = content.index(b"\n") + 1
    for size in range(1, len(content)):
        (tmp_path / segment_name(2)).write_bytes(content[:size])
        cut = plan_repair(tmp_path, HASHER, DIALECT)
        if size == first_end:
            assert cut is None
            continue
        assert cut is not None
        kept = first_end if size > first_end else 0
        assert (cut.segment, cut.offset, cut.bytes_cut) == (segment_name(2), kept, size - kept)
        (tmp_path / apply_repair(tmp_path, cut)).unlink()
        assert find_head(tmp_path, HASHER, DIALECT).sequence == head.sequence + (kept > 0)
        assert verify_chain(tmp_path, HASHER, DIALECT).closed_cleanly == (kept == 0)


def test_a_lost_first_sector_after_a_clean_stop_is_cut(tmp_path: Path) -> None:
    head, content = closed_log(tmp_path)
    (tmp_path / segment_name(2)).write_bytes(bytes(512) + content[512:])
    cut = plan_repair(tmp_path, HASHER, DIALECT)
    assert cut is not None
    assert (cut.offset, cut.bytes_cut) == (0, len(content))
    apply_repair(tmp_path, cut)
    assert find_head(tmp_path, HASHER, DIALECT) == head
    # What a start that then failed did not log, the next one does.
    assert [each.copy_name for each in cuts_at_end(tmp_path, head)] == [cut.copy_name]


def test_bytes_behind_a_clean_stop_in_its_own_segment_are_damage(tmp_path: Path) -> None:
    _, content = closed_log(tmp_path)
    first = tmp_path / segment_name(1)
    first.write_bytes(first.read_bytes() + content[:100])
    with pytest.raises(WalDamage) as caught:
        plan_repair(tmp_path, HASHER, DIALECT)
    assert "the session before it was closed in good order" in caught.value.reason
    assert caught.value.reason.endswith(REPAIR_REMEDY)
    (tmp_path / segment_name(2)).touch()
    with pytest.raises(WalDamage, match="it is not in the last segment"):
        plan_repair(tmp_path, HASHER, DIALECT)


def test_wrong_bytes_in_a_fresh_segment_are_damage(tmp_path: Path) -> None:
    _, content = closed_log(tmp_path)
    for at in range(0, len(content), 7):
        wrong = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        (tmp_path / segment_name(2)).write_bytes(wrong)
        with pytest.raises(WalDamage):
            plan_repair(tmp_path, HASHER, DIALECT)


def test_a_record_behind_a_hole_cannot_be_of_another_segments_batch(tmp_path: Path) -> None:
    """By its own word it is of batch 2, which ended in the segment before: sectors were lost."""
    with open_writer(tmp_path) as writer:
        put(writer, opened(HASHER))
        put(writer, record("order", 2))
        writer.rotate()
        put(writer, record("order", 2, text="x" * 1500), record("order", 2))
    second = tmp_path / segment_name(2)
    second.write_bytes(bytes(512) + second.read_bytes()[512:])
    with pytest.raises(WalDamage, match="names a batch that is none"):
        plan_repair(tmp_path, HASHER, DIALECT)


def test_every_cut_that_was_not_logged_is_found(tmp_path: Path) -> None:
    """A torn segment cut, a fresh one begun and torn as well, before any cut could be logged."""
    head = write_log(tmp_path, HASHER, small_batches(HASHER))
    first, second = tmp_path / segment_name(1), tmp_path / segment_name(2)
    first.write_bytes(first.read_bytes() + b'{"sequence":6,')
    for path in (first, second):
        if path is second:
            path.write_bytes(b'{"sequ')
        cut = plan_repair(tmp_path, HASHER, DIALECT)
        assert cut is not None
        apply_repair(tmp_path, cut)
    cuts = cuts_at_end(tmp_path, head)
    assert [(cut.segment, cut.bytes_cut) for cut in cuts] == [
        (segment_name(1), 14),
        (segment_name(2), 6),
    ]
    with open_writer(tmp_path, head, fresh_segment=True) as writer:
        after = put(writer, record("session_started", 6))
    assert cuts_at_end(tmp_path, after) == []


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_missing_segment_is_refused_by_the_chain(missing: int, tmp_path: Path) -> None:
    with open_writer(tmp_path, segment_bytes_max=1) as writer:
        for batch in [*small_batches(HASHER), [record("order", 6)]]:
            put(writer, *batch)
    (tmp_path / segment_name(missing)).unlink()
    for check in (find_head, plan_repair):
        with pytest.raises(WalDamage) as caught:
            check(tmp_path, HASHER, DIALECT)
        assert caught.value.segment == segment_name(missing)
    # Renumbered, so that no number is missing, the chain does not hold.
    for number in range(missing + 1, 5):
        (tmp_path / segment_name(number)).rename(tmp_path / segment_name(number - 1))
    for check in (find_head, plan_repair):
        with pytest.raises(WalDamage, match="the record says that it is"):
            check(tmp_path, HASHER, DIALECT)


def test_a_write_that_fails_in_a_new_segment(tmp_path: Path) -> None:
    files = ScriptedFiles(failing_sync=2)
    with open_writer(tmp_path, files=files, fresh_segment=True) as writer:
        durable = put(writer, opened(HASHER))
        writer.rotate()
        writer.append(2, record("order", 2))
        with pytest.raises(WalPoisoned, match="fdatasync"):
            writer.sync_now()
    assert writer.durable_head == durable
    assert files.calls_after_failure == 0


def join_forgetting() -> None:
    """Waits until every full segment, those of earlier tests included, was given back."""
    for thread in threading.enumerate():
        if thread.name == "wal-forget":
            thread.join()


def test_a_full_segment_is_given_back_to_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[int, int, int]] = []
    join_forgetting()
    monkeypatch.setattr(wal.segment, "FORGET_BYTES", 1_000)
    monkeypatch.setattr(os, "posix_fadvise", lambda *call: done.append(call[1:]))
    with open_writer(tmp_path) as writer:
        put(writer, opened(HASHER), record("a", 2, text="a" * 3_500))
        assert not done
        open_before = len(os.listdir("/proc/self/fd"))
        writer.rotate()
        put(writer, record("b", 3))
        join_forgetting()
        size = list_segments(tmp_path)[0].stat().st_size
        assert [at for at, _, _ in done] == list(range(0, size, 1_000))
        assert sum(count for _, count, _ in done) == size
        assert {advice for _, _, advice in done} == {os.POSIX_FADV_DONTNEED}
        assert len(os.listdir("/proc/self/fd")) == open_before
    assert sequences(tmp_path) == {1: [1, 2], 2: [3]}


def test_where_no_thread_can_be_had_a_full_segment_is_only_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    join_forgetting()
    with open_writer(tmp_path) as writer:
        put(writer, opened(HASHER))
        monkeypatch.setattr(threading.Thread, "start", start)
        open_before = len(os.listdir("/proc/self/fd"))
        writer.rotate()
        assert put(writer, record("b", 2)).sequence == 2
        assert len(os.listdir("/proc/self/fd")) == open_before
    assert sequences(tmp_path) == {1: [1], 2: [2]}
