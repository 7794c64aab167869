"""Salvage: all that verifies from the beginning, and every other byte accounted for."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    LeftOut,
    LocatedEntry,
    LogWriter,
    SalvageReport,
    WalDamage,
    WalError,
    WalInputError,
    WalKeyMismatch,
    WalStartMismatch,
    backup_log,
    find_head,
    read_entries,
    salvage_log,
    segment_name,
    verify_chain,
)
from wal.copying import copy_beginning
from wal_support import DIALECT, KEY, VECTOR_KEY, fake_clock, opened, record, unpack_vector

HASHER = ChainHasher(KEY)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Records 1 and 2, 3 and 4, 5 and 6: three segments."""
    directory = tmp_path / "log"
    directory.mkdir()
    with LogWriter.open(
        directory, HASHER, EMPTY_HEAD, monotonic_ns=fake_clock(), segment_bytes_max=500
    ) as writer:
        for sequence in range(1, 7):
            data = opened(HASHER) if sequence == 1 else record("order", sequence, n=sequence)
            writer.append(sequence, data)
            writer.sync_now()
    return directory


@pytest.fixture
def entries(log: Path) -> list[LocatedEntry]:
    return list(read_entries(log, HASHER, DIALECT))


def salvage_to(log: Path, new: Path) -> None:
    salvage_log(log, new, HASHER, DIALECT)


def backup_to(log: Path, new: Path) -> None:
    backup_log(log, new)


def salvage(log: Path, start: Head | None = None) -> SalvageReport:
    """Salvage into `new`, and check that nothing old changed and every byte is accounted for."""
    new = log.parent / "new"
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in log.iterdir()}
    report = salvage_log(log, new, HASHER, DIALECT, start)
    assert before == {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in log.iterdir()
    }
    saved = {path.name: path.read_bytes() for path in new.iterdir()}
    segments = {name: text for name, (text, _) in before.items() if name.endswith(".jsonl")}
    for name, content in saved.items():
        assert segments[name].startswith(content)
    left = {part.segment: part for part in report.left_out}
    for name, content in segments.items():
        missing = len(content) - len(saved.get(name, b""))
        assert missing == (left[name].byte_count if name in left else 0)
        if name in left:
            assert left[name].offset == len(saved.get(name, b""))
    if saved:
        checked = verify_chain(new, HASHER, DIALECT, start=start)
        assert (checked.head, checked.record_count) == (report.head, report.record_count)
    assert report.byte_count == sum(map(len, saved.values()))
    return report


def test_a_whole_log(log: Path, entries: list[LocatedEntry]) -> None:
    report = salvage(log)
    assert (report.head, report.record_count) == (entries[-1].head, 6)
    assert (report.damage, report.left_out) == (None, ())


def test_damage_at_every_byte_of_a_record(log: Path, entries: list[LocatedEntry]) -> None:
    path = log / segment_name(2)
    content = path.read_bytes()
    new = log.parent / "new"
    for at in range(0, len(content), 11):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        report = salvage(log)
        damaged = entries[2] if at < entries[2].end_offset else entries[3]
        assert report.head.sequence == damaged.sequence - 1
        assert report.damage is not None
        assert report.damage.sequence == damaged.sequence
        assert report.left_out == (
            LeftOut(
                segment_name(2),
                damaged.offset,
                len(content) - damaged.offset,
                damaged.sequence,
                report.damage.reason,
            ),
            LeftOut(segment_name(3), 0, entries[5].end_offset, None, "it stands behind the damage"),
        )
        for saved in new.iterdir():
            saved.unlink()


def test_a_missing_segment(log: Path, entries: list[LocatedEntry]) -> None:
    (log / segment_name(2)).unlink()
    report = salvage(log)
    assert report.head == entries[1].head
    assert report.damage is not None
    assert str(report.damage) == (
        "00000002.jsonl, byte 0, record 3: the segment is missing, though 00000003.jsonl is there"
    )
    assert [part.segment for part in report.left_out] == [segment_name(3)]


def test_damage_in_the_first_record_leaves_nothing(log: Path) -> None:
    path = log / segment_name(1)
    path.write_bytes(b"#" + path.read_bytes()[1:])
    report = salvage(log)
    assert (report.head, report.record_count, report.byte_count) == (EMPTY_HEAD, 0, 0)
    assert [part.segment for part in report.left_out] == [segment_name(n) for n in (1, 2, 3)]
    assert list((log.parent / "new").iterdir()) == []


def test_a_torn_end_and_an_empty_segment(log: Path, entries: list[LocatedEntry]) -> None:
    path = log / segment_name(3)
    path.write_bytes(path.read_bytes()[:-5])
    report = salvage(log)
    assert report.head == entries[4].head
    assert report.left_out[0].first_sequence == 6
    for saved in (log.parent / "new").iterdir():
        saved.unlink()
    path.rename(log / segment_name(4))
    path.touch()
    assert salvage(log).head == entries[4].head


def test_from_a_checkpoints_head(log: Path, entries: list[LocatedEntry]) -> None:
    (log / segment_name(1)).unlink()
    path = log / segment_name(3)
    path.write_bytes(path.read_bytes()[:-5] + b"xxxx\n")
    with pytest.raises(WalStartMismatch):
        salvage(log, entries[0].head)
    report = salvage(log, entries[2].head)
    assert (report.head, report.record_count) == (entries[4].head, 2)
    for saved in (log.parent / "new").iterdir():
        saved.unlink()
    without = salvage(log)
    assert (without.head, without.record_count) == (EMPTY_HEAD, 0)
    assert without.damage is not None
    assert without.damage.segment == segment_name(1)


def test_one_file_of_a_foreign_log(tmp_path: Path) -> None:
    source = unpack_vector("bad_torn_tail.jsonl", tmp_path)
    new = tmp_path / "new"
    hasher = ChainHasher(VECTOR_KEY)
    with pytest.raises(WalInputError, match="lies in what is to be salvaged"):
        salvage_log(source, new, hasher, DIALECT)
    (tmp_path / "one").mkdir()
    source = source.rename(tmp_path / "one" / source.name)
    report = salvage_log(source, new, hasher, DIALECT)
    assert report.head.sequence == 119
    assert report.left_out[0].first_sequence == 120
    assert find_head(new / source.name, hasher, DIALECT) == report.head


def test_a_destination_that_is_not_new(log: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "anything").touch()
    (tmp_path / "file").touch()
    for destination in (taken, tmp_path / "file"):
        with pytest.raises(WalInputError, match="not an empty directory"):
            salvage_log(log, destination, HASHER, DIALECT)
    for destination in (log, log / "inside"):
        with pytest.raises(WalInputError, match="lies in what is to be salvaged"):
            salvage_log(log, destination, HASHER, DIALECT)
    with pytest.raises(WalError, match="its parent is no directory"):
        salvage_log(log, tmp_path / "absent" / "new", HASHER, DIALECT)
    assert os.listdir(taken) == ["anything"]


def test_another_key_saves_nothing(log: Path, tmp_path: Path) -> None:
    with pytest.raises(WalKeyMismatch):
        salvage_log(log, tmp_path / "new", ChainHasher(b"w" * 32), DIALECT)


def test_nothing_to_salvage(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(WalInputError, match="nothing to salvage"):
        salvage_log(tmp_path / "log", tmp_path / "new", HASHER, DIALECT)


def test_bytes_that_change_meanwhile(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shorten(source: Path, *_: object) -> list[LeftOut]:
        os.truncate(log / segment_name(3), 3)
        return []

    monkeypatch.setattr("wal.salvage._left_out", shorten)
    with pytest.raises(WalError, match="became shorter"):
        salvage_log(log, tmp_path / "new", HASHER, DIALECT)


def test_damage_is_what_the_reader_says(log: Path) -> None:
    path = log / segment_name(2)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(WalDamage) as caught:
        find_head(log, HASHER, DIALECT)
    report = salvage(log)
    assert report.damage is not None
    assert report.damage.args == caught.value.args


@pytest.mark.parametrize("make", [salvage_to, backup_to])
def test_a_copy_that_was_killed_has_no_name(
    log: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, Path], None]
) -> None:
    """Half a log under the final name would be one that a daemon starts on."""
    new = log.parent / "new"
    child = os.fork()
    if child == 0:
        copied: list[Path] = []

        def copy(path: Path, target: Path, *rest: Any, **named: Any) -> None:
            if len(copied) == 2:
                os._exit(7)
            copy_beginning(path, target, *rest, **named)
            copied.append(path)

        monkeypatch.setattr("wal.salvage.copy_beginning", copy)
        monkeypatch.setattr("wal.backup.copy_beginning", copy)
        make(log, new)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert not new.exists()
    left = log.parent / "new.unfinished"
    assert [path.name for path in sorted(left.iterdir())] == [segment_name(1), segment_name(2)]
    with pytest.raises(WalInputError, match=r"new\.unfinished exists: what an interrupted command"):
        make(log, new)
    shutil.rmtree(left)
    make(log, new)
    assert find_head(new, HASHER, DIALECT) == find_head(log, HASHER, DIALECT)
    assert not left.exists()


@pytest.mark.parametrize("make", [salvage_to, backup_to])
def test_a_copy_that_fails_leaves_nothing(
    log: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, Path], None]
) -> None:
    def copy(path: Path, target: Path, *rest: Any, **named: Any) -> None:
        copy_beginning(path, target, *rest, **named)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wal.salvage.copy_beginning", copy)
    monkeypatch.setattr("wal.backup.copy_beginning", copy)
    with pytest.raises(WalError, match="No space left on device"):
        make(log, log.parent / "new")
    assert list(log.parent.iterdir()) == [log]
