"""Names and creation of segments, and the first step of a start."""

import os
from pathlib import Path

import pytest

from wal import (
    LogLock,
    WalDamage,
    WalError,
    WalInputError,
    WalLocked,
    create_directory,
    list_segments,
    open_for_recovery,
    segment_name,
)
from wal.segment import create_segment


def test_names() -> None:
    assert segment_name(1) == "00000001.jsonl"
    assert segment_name(99_999_999) == "99999999.jsonl"
    for number in (0, -1, 100_000_000):
        with pytest.raises(WalInputError, match=f"number: {number} is not allowed; .* 1 to 99999"):
            segment_name(number)


def test_listing_is_in_order_and_ignores_other_files(tmp_path: Path) -> None:
    assert list_segments(tmp_path) == []
    names = ["00000002.jsonl", "00000001.jsonl", "00000003.jsonl"]
    others = ["lock", "00000001.jsonl.cut-3-77", "4.jsonl", "export.jsonl", "000000001.jsonl"]
    for name in names + others:
        (tmp_path / name).touch()
    assert list_segments(tmp_path) == [tmp_path / name for name in sorted(names)]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [([2], "00000001.jsonl"), ([1, 3], "00000002.jsonl"), ([0, 1], "00000001.jsonl")],
)
def test_a_gap_is_damage(tmp_path: Path, numbers: list[int], missing: str) -> None:
    for number in numbers:
        (tmp_path / f"{number:08d}.jsonl").touch()
    with pytest.raises(WalDamage, match="is missing") as caught:
        list_segments(tmp_path)
    assert caught.value.segment == missing


def test_a_log_may_begin_later_where_its_beginning_was_archived(tmp_path: Path) -> None:
    for number in (7, 8):
        (tmp_path / segment_name(number)).touch()
    with pytest.raises(WalDamage, match="is read from a checkpoint on"):
        list_segments(tmp_path)
    listed = list_segments(tmp_path, archived=True)
    assert [path.name for path in listed] == ["00000007.jsonl", "00000008.jsonl"]
    open_for_recovery(tmp_path).release()
    (tmp_path / segment_name(10)).touch()
    with pytest.raises(WalDamage, match=r"^00000009\.jsonl.*is missing, though 00000010"):
        list_segments(tmp_path, archived=True)


def test_recovery_removes_what_a_crash_left_half_done_and_nothing_else(tmp_path: Path) -> None:
    left = ["00000003.jsonl.rewrite", f"checkpoint-{7:020d}.new", "checkpoints.json.new"]
    kept = [
        "00000001.jsonl",
        "00000001.jsonl.cut-3-77",
        f"checkpoint-{7:020d}.ckpt",
        "checkpoints.json",
        "checkpoint-7.new",
        "notes.new",
    ]
    for name in left + kept:
        (tmp_path / name).write_bytes(b"x\n")
    open_for_recovery(tmp_path).release()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "lock"])


def test_a_segment_is_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "00000001.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WalDamage, match="not a regular file"):
        list_segments(tmp_path)


def test_listing_says_why_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(WalError, match="cannot list"):
        list_segments(tmp_path / "absent")


def test_creating_never_takes_what_is_there(tmp_path: Path) -> None:
    descriptor = create_segment(tmp_path, 1)
    os.write(descriptor, b"x")
    os.close(descriptor)
    with pytest.raises(FileExistsError):
        create_segment(tmp_path, 1)
    assert (tmp_path / "00000001.jsonl").read_bytes() == b"x"
    assert (tmp_path / "00000001.jsonl").stat().st_mode & 0o007 == 0


def test_create_directory(tmp_path: Path) -> None:
    create_directory(tmp_path / "log")
    create_directory(tmp_path / "log")
    assert list_segments(tmp_path / "log") == []
    with pytest.raises(WalError, match="cannot create"):
        create_directory(tmp_path / "absent" / "log")


def test_recovery_locks_and_syncs_first(tmp_path: Path) -> None:
    (tmp_path / "00000001.jsonl").write_bytes(b"anything: nothing is read\n")
    with open_for_recovery(tmp_path) as lock:
        assert lock.directory == tmp_path
        with pytest.raises(WalLocked):
            open_for_recovery(tmp_path)


def test_recovery_syncs_every_segment_then_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        (tmp_path / segment_name(number)).touch()
    synced: list[str] = []
    monkeypatch.setattr("wal.recover.fsync_file", lambda path: synced.append(path.name))
    monkeypatch.setattr("wal.recover.fsync_directory", lambda path: synced.append(str(path)))
    open_for_recovery(tmp_path).release()
    assert synced == ["00000001.jsonl", "00000002.jsonl", str(tmp_path)]


def test_recovery_stops_where_a_sync_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("wal.recover.fsync_directory", fail)
    with pytest.raises(WalError, match=r"cannot make .* durable"):
        open_for_recovery(tmp_path)
    LogLock.acquire(tmp_path).release()


def test_recovery_gives_the_lock_back_when_a_segment_is_missing(tmp_path: Path) -> None:
    for name in ("00000002.jsonl", "00000004.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(WalDamage, match=r"00000003\.jsonl.*missing"):
        open_for_recovery(tmp_path)
    LogLock.acquire(tmp_path).release()
