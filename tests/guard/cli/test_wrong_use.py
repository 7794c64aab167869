"""Wrong use is not damage: it is told as what it is, and ends with exit code 2."""

import json
import os
import shutil
from pathlib import Path

import pytest

from guard.cli import main
from guard.cli.permission import denial_words
from guard.recovery.recover import recover_log
from guard_checkpoint_support import HASHER, HEADS, write_day
from guard_support import KEY
from wal import (
    ChainHasher,
    Head,
    WalAnchorMismatch,
    WalError,
    WalKeyMismatch,
    find_head,
    list_segments,
    verify_chain,
)
from wal.anchor import anchor_of
from wal_support import DIALECT

NO_KEY = "the log is keyed and no key was given"
OTHER_KEY = "the key is not the one that the log was written with"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    for name, key in (("key", KEY), ("wrong", bytes(32))):
        (tmp_path / name).write_bytes(key)
        (tmp_path / name).chmod(0o600)
    return write_day(tmp_path / "log")


@pytest.fixture
def archived(log: Path) -> Path:
    assert run(log, "archive", str(log.parent / "old")) == 0
    return log


def run(log: Path, command: str, *arguments: str, key: str = "key") -> int:
    keyed = ["--key-file", str(log.parent / key)] if key else []
    return main([command, str(log), *arguments, *keyed])


COMMANDS = [
    ("verify",),
    ("replay",),
    ("archive", "DEST"),
    ("backup", "DEST"),
    ("export", "--decisions", "DEST"),
    ("tail", "--no-follow"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_another_key_than_that_of_a_log_whose_beginning_is_archived(
    archived: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    destination = archived.parent / "new"
    arguments = [str(destination) if each == "DEST" else each for each in command]
    assert run(archived, *arguments, key="wrong") == 2
    said = capsys.readouterr()
    assert OTHER_KEY in said.err
    assert "DAMAGED" not in said.out
    assert not destination.exists()
    if command[0] in ("verify", "replay", "archive", "export"):  # the others need no key
        assert run(archived, *arguments, key="") == 2
        assert NO_KEY in capsys.readouterr().err


def test_a_key_for_an_unkeyed_log_whose_beginning_is_archived(
    archived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # What verifies without a key is an unkeyed log's.
    unkeyed = ChainHasher(None)
    previous = "genesis"
    lines = []
    for sequence in (1, 2, 3):
        data = json.dumps({"n": sequence}, separators=(",", ":"))
        entry_hash = unkeyed.entry_hash(previous, data.encode())
        lines.append(
            f'{{"sequence":{sequence},"previous_hash":"{previous}",'
            f'"entry_hash":"{entry_hash}","data":{data}}}\n'
        )
        previous = entry_hash
    directory = archived.parent / "unkeyed"
    directory.mkdir()
    (directory / "00000002.jsonl").write_text("".join(lines[1:]))
    assert run(directory, "verify") == 2
    assert "a key was given but the log is unkeyed" in capsys.readouterr().err


@pytest.mark.parametrize("key", [None, bytes(32)])
def test_a_start_with_another_key_on_such_a_log(archived: Path, key: bytes | None) -> None:
    with pytest.raises(WalKeyMismatch):
        recover_log(archived, ChainHasher(key))
    assert recover_log(archived, HASHER).head == HEADS[-1]


def test_two_damaged_records_are_no_other_key(
    archived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of two that verifies tells that the key is right, wherever the log begins."""
    path = list_segments(archived, archived=True)[0]
    content = bytearray(path.read_bytes())
    at = content.index(b"received_at_ns")
    content[at] ^= 1
    path.write_bytes(bytes(content))
    shutil.copy(archived / "checkpoints.json", archived.parent)
    (archived / "checkpoints.json").unlink()
    assert run(archived, "verify") == 1
    assert "DAMAGED" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["verify", "replay", "salvage"])
def test_a_file_that_is_no_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    new = [str(tmp_path / "new")] if command == "salvage" else []
    for text in ("root:x:0:0:root:/root:/bin/bash\n", "{}\n", "no newline", 100_000 * "\x01"):
        (tmp_path / "passwd").write_text(text)
        assert main([command, str(tmp_path / "passwd"), *new]) == 2
        said = capsys.readouterr()
        assert "is no log: nothing at its beginning is a record" in said.err
        assert said.out == ""
    assert not (tmp_path / "new").exists()


def test_a_damaged_log_in_one_file_is_none_of_that(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = list_segments(log)[0].read_bytes()
    for damaged in (b"#" + content[1:], bytes(300) + content[300:]):
        (tmp_path / "one.jsonl").write_bytes(damaged)
        assert run(tmp_path / "one.jsonl", "verify") == 1
        assert "DAMAGED" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["verify", "replay"])
def test_a_later_segment_by_itself(
    log: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    segment = list_segments(log)[1]
    assert main([command, str(segment), "--key-file", str(log.parent / "key")]) == 2
    said = capsys.readouterr().err
    assert "is a later segment, which begins with record 10; give the log's directory" in said


def test_where_an_archive_cannot_go(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for destination, why in (
        (tmp_path / "file", "is no directory"),
        (tmp_path / "file" / "below", "is no directory"),
        (tmp_path / "none" / "below", "none is no directory"),
        (log, "is the log's own directory, or in it"),
        (log / "inside", "is the log's own directory, or in it"),
    ):
        before = sorted(os.listdir(log))
        assert run(log, "archive", str(destination)) == 2
        assert why in capsys.readouterr().err
        assert sorted(os.listdir(log)) == before
    assert run(log, "archive", str(tmp_path / "old")) == 0
    assert run(log, "archive", str(tmp_path / "file")) == 2  # where nothing is to be moved, too


def test_nothing_to_archive_is_said_as_that(
    archived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(archived, "archive", str(archived.parent / "other")) == 0
    said = capsys.readouterr().out
    assert "nothing to move: no segment but the last ends at or before record 20" in said
    assert "moved" not in said
    assert not (archived.parent / "other").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_anchor_that_one_file_does_not_hold_names_that_file(
    log: Path, tmp_path: Path, jobs: int
) -> None:
    one = tmp_path / "day.jsonl"
    shutil.copy(list_segments(log)[0], one)
    head = find_head(one, HASHER, DIALECT)
    later = Head(head.sequence + 5, head.entry_hash)
    other = Head(head.sequence, "ab" * 32)
    for anchor, kind in (
        (anchor_of(later, keyed=True), WalAnchorMismatch),
        (anchor_of(other, keyed=True), WalAnchorMismatch),
        (anchor_of(Head(0, "ab" * 32), keyed=True), WalAnchorMismatch),
        (anchor_of(head, keyed=False), WalKeyMismatch),
    ):
        with pytest.raises(kind) as found:
            verify_chain(one, HASHER, DIALECT, anchor, jobs=jobs)
        assert found.value.segment == "day.jsonl"


def test_a_denied_permission_names_user_place_mode_and_owner(tmp_path: Path) -> None:
    place = tmp_path / "closed"
    place.mkdir(0o700)
    denied = PermissionError(13, "Permission denied", str(place))
    wrapped = WalError("cannot list it")
    wrapped.__cause__ = denied
    for error in (denied, wrapped):
        words = denial_words(error)
        assert f", whom {place} does not let in: mode 0700, owner " in words
        assert f"({os.geteuid()})" in words
    absent = PermissionError(13, "Permission denied", str(place / "none"))
    assert f"whom {place} does not let in" in denial_words(absent)
    for other in (OSError(5, "Input/output error", str(place)), ValueError("x")):
        assert denial_words(other) == ""
    assert denial_words(PermissionError(13, "Permission denied")) == ""
    assert denial_words(PermissionError(13, "Permission denied", "/none/none/none")) == ""
