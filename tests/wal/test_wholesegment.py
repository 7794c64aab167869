"""A segment that is written whole before it is one."""

import os
import threading
from pathlib import Path

import pytest

from wal import WalError, WholeSegment, remove_leftovers, wholesegment

UNFINISHED = "00000003.jsonl.whole"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_it_is_the_log_s_once_it_is_finished(tmp_path: Path) -> None:
    segment = WholeSegment(tmp_path, 3, b"one\ntwo\n")
    segment.finish()
    assert names(tmp_path) == ["00000003.jsonl"]
    assert (tmp_path / "00000003.jsonl").read_bytes() == b"one\ntwo\n"


def test_it_takes_the_place_of_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "00000003.jsonl").touch()
    WholeSegment(tmp_path, 3, b"one\n").finish()
    assert (tmp_path / "00000003.jsonl").read_bytes() == b"one\n"


def test_it_does_not_take_the_place_of_records(tmp_path: Path) -> None:
    (tmp_path / "00000003.jsonl").write_bytes(b"x")
    with pytest.raises(WalError, match="it is there, and holds records"):
        WholeSegment(tmp_path, 3, b"one\n").finish()
    assert names(tmp_path) == ["00000003.jsonl"]
    assert (tmp_path / "00000003.jsonl").read_bytes() == b"x"


def test_nothing_is_left_of_one_that_is_discarded(tmp_path: Path) -> None:
    WholeSegment(tmp_path, 3, b"one\n").discard()
    assert names(tmp_path) == []


def test_its_bytes_are_synced_before_it_has_its_name_and_its_name_before_it_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        done.append(f"fsync {Path(path).name}")
        fsync(descriptor)

    def noted_rename(old: Path, new: Path) -> None:
        assert old.read_bytes() == b"one\ntwo\n"
        done.append(f"rename {old.name} {new.name}")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    WholeSegment(tmp_path, 3, b"one\ntwo\n").finish()
    assert done == [
        f"fsync {UNFINISHED}",
        f"rename {UNFINISHED} 00000003.jsonl",
        f"fsync {tmp_path.name}",
    ]


def test_bytes_that_cannot_be_synced_are_no_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_descriptor: int) -> None:
        raise OSError(5, "the disk fails")

    monkeypatch.setattr(os, "fsync", fails)
    segment = WholeSegment(tmp_path, 3, b"one\n")
    with pytest.raises(WalError, match=r"00000003.jsonl: .* the disk fails"):
        segment.finish()
    assert names(tmp_path) == []


def test_what_a_crash_leaves_of_one_goes_with_the_next_start(tmp_path: Path) -> None:
    (tmp_path / UNFINISHED).write_bytes(b"on")
    assert remove_leftovers(tmp_path) == [UNFINISHED]
    assert names(tmp_path) == []


def test_what_its_thread_did_not_come_to_write_is_no_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)

    def fails(_descriptor: int, _data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(wholesegment, "write_all", fails)
    with pytest.raises(WalError, match="the thread that writes it has ended"):
        WholeSegment(tmp_path, 3, b"one\n").finish()
    assert names(tmp_path) == []
