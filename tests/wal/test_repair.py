"""Repair: the plan, what forbids it, the copy that is kept, and a crash in the middle of it."""

import os
from pathlib import Path

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Cut,
    WalDamage,
    WalError,
    WalKeyMismatch,
    apply_repair,
    find_head,
    plan_repair,
)
from wal_support import (
    DIALECT,
    LOG_HASHER,
    REPAIR_REMEDY,
    SECTOR,
    SEGMENT,
    VECTOR_KEY,
    WIDE_BATCHES,
    Log,
    opened,
    record,
    sector_in,
    small_batches,
    unpack_vector,
    wide,
    zeroed,
)

HASHER = LOG_HASHER


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log", WIDE_BATCHES)


def test_an_intact_log_needs_none(log: Log, tmp_path: Path) -> None:
    assert log.plan() is None
    assert log.plan(protected_sequence=9) is None
    (tmp_path / "empty").mkdir()
    assert plan_repair(tmp_path / "empty", HASHER, DIALECT) is None


def test_a_cut_at_every_byte(tmp_path: Path) -> None:
    log = Log(tmp_path, small_batches(HASHER))
    for size in range(len(log.content) + 1):
        log.put(log.content[:size])
        if size in log.starts:
            assert log.plan() is None
            continue
        whole = sum(start <= size for start in log.starts) - 1
        assert log.repaired_to(whole).reason == "the last line is unfinished"


def test_a_whole_record_without_its_newline_is_torn(log: Log) -> None:
    log.put(log.content[:-1])
    assert log.plan() == Cut(
        SEGMENT,
        log.start(9),
        9,
        len(log.content) - log.start(9) - 1,
        "the last line is unfinished",
        f"{SEGMENT}.cut-9-{log.start(9)}",
    )
    log.repaired_to(8)


def test_a_first_batch_that_is_torn_leaves_an_empty_log(tmp_path: Path) -> None:
    log = Log(tmp_path, [[opened(HASHER)]])
    log.put(log.content[:-5])
    log.repaired_to(0)
    log.put(bytes(len(log.content)))
    log.is_whole_up_to(0)
    assert find_head(tmp_path, HASHER, DIALECT) == EMPTY_HEAD


def test_protected_records_are_never_cut(log: Log) -> None:
    log.put(log.content[:-10])
    assert log.refused(protected_sequence=9).reason == (
        "the last line has no newline; not a torn end that may be cut: "
        f"an anchor or a checkpoint protects 9; {REPAIR_REMEDY}"
    )
    log.refused(protected_sequence=2**63)
    assert log.plan(protected_sequence=8) is not None
    log.repaired_to(8)


def closing(batch: int) -> bytes:
    return record("session_closed", batch)


@pytest.mark.parametrize("tail", [b'{"sequence":5,', b"\x00" * 900 + b"}", b"garbage"])
def test_nothing_is_cut_after_a_clean_close(tail: bytes, tmp_path: Path) -> None:
    log = Log(tmp_path, [[opened(HASHER)], [wide(2), wide(2)], [closing(4)]])
    log.put(log.content + tail)
    assert "the session before it was closed in good order" in log.refused().reason


def test_zeros_behind_a_clean_close_are_no_damage(tmp_path: Path) -> None:
    log = Log(tmp_path, [[opened(HASHER)], [wide(2), wide(2)], [closing(4)]])
    log.put(log.content + bytes(900))
    log.is_whole_up_to(4)


def test_a_batch_that_closes_the_session_is_not_cut_before_its_end(tmp_path: Path) -> None:
    log = Log(tmp_path, [[opened(HASHER)], [wide(2), wide(2), closing(2)]])
    hole = sector_in(log.start(2), len(log.content))
    log.put(zeroed(log.content, (hole, hole + SECTOR)))
    assert "the session was closed in good order" in log.refused().reason


def test_a_close_that_is_itself_unfinished_is_cut(tmp_path: Path) -> None:
    log = Log(tmp_path, [[opened(HASHER)], [wide(2), wide(2)], [closing(4)]])
    for size in (len(log.content) - 1, log.start(4) + 1):
        log.put(log.content[:size])
        log.repaired_to(3)


def test_damage_in_a_segment_that_is_not_the_last(log: Log) -> None:
    (log.directory / "00000002.jsonl").touch()
    log.put(log.content[:-10])
    assert "it is not in the last segment" in log.refused().reason


def test_a_torn_batch_in_the_last_of_two_segments(log: Log) -> None:
    second = log.directory / "00000002.jsonl"
    second.write_bytes(log.content[log.start(4) : -10])
    log.put(log.content[: log.start(4)])
    cut = log.plan()
    assert cut is not None
    offset = log.start(9) - log.start(4)
    assert (cut.segment, cut.offset, cut.first_sequence_lost) == ("00000002.jsonl", offset, 9)
    assert apply_repair(log.directory, cut).name == f"00000002.jsonl.cut-9-{offset}"
    assert log.path.read_bytes() == log.content[: log.start(4)]
    assert second.read_bytes() == log.content[log.start(4) : log.start(9)]


def test_a_missing_segment_is_no_torn_end(log: Log) -> None:
    (log.directory / "00000003.jsonl").touch()
    with pytest.raises(WalDamage, match=r"00000002\.jsonl.*is missing"):
        log.plan()


def test_a_wrong_key_is_no_torn_end(log: Log) -> None:
    log.put(log.content[:-10])
    for hasher in (ChainHasher(None), ChainHasher(b"w" * 32)):
        with pytest.raises(WalKeyMismatch):
            plan_repair(log.directory, hasher, DIALECT)


def test_a_tail_longer_than_any_batch(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.put(log.content[:-1] + bytes(9000))
    left = len(log.content) - 1 - log.start(9)
    log.put(log.content[:-1])
    monkeypatch.setattr("wal.repair.BATCH_BYTES_MAX", left)
    log.repaired_to(8)
    log.put(log.content[:-1])
    monkeypatch.setattr("wal.repair.BATCH_BYTES_MAX", left - 1)
    assert f"more than {left - 1} bytes, a batch's most, follow it" in log.refused().reason


def test_a_foreign_log_with_a_torn_line(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    unpack_vector("bad_torn_tail.jsonl", directory).rename(directory / SEGMENT)
    content = (directory / SEGMENT).read_bytes()
    cut = plan_repair(directory, ChainHasher(VECTOR_KEY), DIALECT)
    assert cut is not None
    assert (cut.offset, cut.first_sequence_lost) == (163187, 120)
    assert cut.bytes_cut == len(content) - 163187


def test_an_older_copy_is_never_overwritten(log: Log) -> None:
    name = f"{SEGMENT}.cut-9-{log.start(9)}"
    for number, size in ((1, 10), (2, 20), (3, 30)):
        log.put(log.content[:-size])
        cut = log.plan()
        assert cut is not None
        expected = name if number == 1 else f"{name}-{number}"
        assert cut.copy_name == expected
        apply_repair(log.directory, cut)
    for number, size in ((1, 10), (2, 20), (3, 30)):
        copy = log.directory / (name if number == 1 else f"{name}-{number}")
        assert copy.read_bytes() == log.content[log.start(9) : -size]


def test_too_many_copies(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wal.repair.COPIES_MAX", 1)
    log.put(log.content[:-10])
    (log.directory / f"{SEGMENT}.cut-9-{log.start(9)}").touch()
    with pytest.raises(WalError, match="already holds 1 copies"):
        log.plan()


@pytest.mark.parametrize("call", ["ftruncate", "fsync", "pread"])
def test_an_interrupted_repair_ends_the_same(
    call: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.put(log.content[:-10])
    cut = log.plan()
    assert cut is not None

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(f"wal.repair.os.{call}", fail)
        with pytest.raises(WalError, match="cannot repair"):
            apply_repair(log.directory, cut)
    assert log.path.read_bytes() == log.content[:-10]
    assert log.plan() == cut
    log.repaired_to(8)


def test_half_a_copy_from_a_crash_is_kept_and_not_used(log: Log) -> None:
    log.put(log.content[:-10])
    name = f"{SEGMENT}.cut-9-{log.start(9)}"
    (log.directory / name).write_bytes(b"half")
    cut = log.plan()
    assert cut is not None
    assert cut.copy_name == f"{name}-2"
    apply_repair(log.directory, cut)
    assert (log.directory / name).read_bytes() == b"half"


def test_a_plan_that_is_out_of_date(log: Log) -> None:
    log.put(log.content[:-10])
    cut = log.plan()
    assert cut is not None
    log.put(log.content[:-11])
    with pytest.raises(WalError, match="has changed since the repair was planned"):
        apply_repair(log.directory, cut)
    log.put(log.content[:-10])
    (log.directory / cut.copy_name).write_bytes(b"other")
    with pytest.raises(WalError, match="holds other bytes"):
        apply_repair(log.directory, cut)
    assert log.path.read_bytes() == log.content[:-10]


def test_the_copy_is_durable_before_the_cut(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_fsync, real_truncate = os.fsync, os.ftruncate

    def fsync(descriptor: int) -> None:
        calls.append("fsync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        real_fsync(descriptor)

    def ftruncate(descriptor: int, size: int) -> None:
        calls.append("cut")
        real_truncate(descriptor, size)

    log.put(log.content[:-10])
    cut = log.plan()
    assert cut is not None
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "ftruncate", ftruncate)
    apply_repair(log.directory, cut)
    assert calls == [
        f"fsync {cut.copy_name}",
        "fsync log",
        "cut",
        f"fsync {SEGMENT}",
        "fsync log",
    ]
