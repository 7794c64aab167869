"""Archiving: whole segments, in order, never one too many, on this disk or another."""

import errno
import os
from pathlib import Path

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    LogWriter,
    WalDamage,
    WalError,
    WalInputError,
    archive_segments,
    find_head,
    list_segments,
    movable_segments,
    open_for_recovery,
    read_entries,
    segment_name,
)
from wal_support import DIALECT, KEY, fake_clock, opened, record

HASHER = ChainHasher(KEY)


def open_writer(directory: Path, head: Head = EMPTY_HEAD) -> LogWriter:
    return LogWriter.open(directory, HASHER, head, monotonic_ns=fake_clock(), segment_bytes_max=500)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Records 1 and 2, 3 and 4, 5 and 6, 7 and 8: four segments."""
    directory = tmp_path / "log"
    directory.mkdir()
    with open_writer(directory) as writer:
        for sequence in range(1, 9):
            data = opened(HASHER) if sequence == 1 else record("order", sequence, n=sequence)
            writer.append(sequence, data)
            writer.sync_now()
    assert len(list_segments(directory)) == 4
    return directory


def numbers(directory: Path) -> list[int]:
    return [int(path.name[:8]) for path in list_segments(directory, archived=True)]


def test_what_may_go(log: Path) -> None:
    going = {
        up_to: len(movable_segments(log, up_to)) for up_to in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10**9)
    }
    assert going == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3, 7: 3, 8: 3, 10**9: 3}


def test_segments_move_and_the_rest_is_read_from_the_checkpoint(log: Path, tmp_path: Path) -> None:
    entries = list(read_entries(log, HASHER, DIALECT))
    contents = {path.name: path.read_bytes() for path in list_segments(log)}
    old = tmp_path / "old"
    assert archive_segments(log, old, 1) == []
    assert not old.exists()
    assert archive_segments(log, old, 5) == [old / segment_name(1), old / segment_name(2)]
    assert (numbers(log), numbers(old)) == ([3, 4], [1, 2])
    assert find_head(log, HASHER, DIALECT, start=entries[4].head) == entries[-1].head
    assert find_head(old, HASHER, DIALECT) == entries[3].head
    assert archive_segments(log, old, 5) == []
    assert archive_segments(log, old, 8) == [old / segment_name(3)]
    assert {path.name: path.read_bytes() for path in [*old.iterdir(), log / segment_name(4)]} == (
        contents
    )


def test_beside_a_running_writer(log: Path, tmp_path: Path) -> None:
    head = find_head(log, HASHER, DIALECT)
    with open_writer(log, head) as writer:
        assert len(archive_segments(log, tmp_path / "old", 8)) == 3
        for sequence in (9, 10):
            writer.append(sequence, record("order", sequence))
            writer.sync_now()
    assert [entry.sequence for entry in read_entries(log, HASHER, DIALECT, head)] == [9, 10]


def test_never_past_an_empty_or_a_damaged_one(log: Path, tmp_path: Path) -> None:
    (log / segment_name(5)).touch()
    assert len(movable_segments(log, 8)) == 3
    path = log / segment_name(3)
    path.write_bytes(b"#" + path.read_bytes()[1:])
    assert len(movable_segments(log, 8)) == 1
    path.write_bytes((log / segment_name(1)).read_bytes())
    with pytest.raises(WalDamage, match="does not follow"):
        archive_segments(log, tmp_path / "old", 8)
    path.unlink()
    with pytest.raises(WalDamage, match="is missing"):
        archive_segments(log, tmp_path / "old", 8)


def test_what_is_there_already(log: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / segment_name(1)).write_bytes((log / segment_name(1)).read_bytes())
    (old / segment_name(2)).write_bytes(b"other bytes")
    with pytest.raises(WalError, match="exists and holds other bytes"):
        archive_segments(log, old, 8)
    assert (numbers(log), (old / segment_name(2)).read_bytes()) == ([2, 3, 4], b"other bytes")
    with pytest.raises(WalInputError, match="the log's own directory"):
        archive_segments(log, log, 8)
    with pytest.raises(WalError, match="cannot create"):
        archive_segments(log, tmp_path / "absent" / "old", 8)
    assert numbers(log) == [2, 3, 4]


def test_to_another_file_system(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Path("/dev/shm")
    contents = {path.name: path.read_bytes() for path in list_segments(log)}
    if shared.is_dir() and shared.stat().st_dev != tmp_path.stat().st_dev:
        old = shared / f"archive-{os.getpid()}-{tmp_path.name}"
    else:
        old = tmp_path / "old"
        monkeypatch.setattr("wal.archive.os.link", _another_disk)
    try:
        old.mkdir()
        (old / f"{segment_name(1)}.copy").write_bytes(b"half, from a crash")
        archive_segments(log, old, 8)
        assert {path.name: path.read_bytes() for path in old.iterdir()} == {
            name: contents[name] for name in sorted(contents)[:3]
        }
    finally:
        for path in old.iterdir():
            path.unlink()
        old.rmdir()


@pytest.mark.parametrize("call", ["link", "unlink", "fsync"])
def test_what_the_disk_refuses(
    call: str, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = list(read_entries(log, HASHER, DIALECT))
    old = tmp_path / "old"
    old.mkdir()

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(f"wal.archive.os.{call}", fail)
        with pytest.raises(WalError, match="Input/output error"):
            archive_segments(log, old, 8)
    assert numbers(log)[-1] == 4
    assert sorted({*numbers(log), *numbers(old)}) == [1, 2, 3, 4]
    open_for_recovery(log).release()
    archive_segments(log, old, 8)
    assert (numbers(log), numbers(old)) == ([4], [1, 2, 3])
    assert find_head(log, HASHER, DIALECT, start=entries[6].head) == entries[-1].head


def _another_disk(*_: object, **__: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")
