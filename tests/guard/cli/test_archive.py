"""`archive`, and `verify` and `replay` of what it leaves."""

import json
import shutil
from pathlib import Path

import pytest

from guard.cli import main
from guard.recovery.archived_start import find_archivable, find_beginning
from guard.replay.replay import replay_log
from guard_checkpoint_support import (
    HASHER,
    HEADS,
    NEWER,
    OLDER,
    RECORDS,
    checkpoint,
    flip,
    path_of,
    write_day,
    write_segments,
)
from guard_support import KEY, describe, fold
from wal import CheckpointDamage, WalError, list_segments


@pytest.fixture
def log(tmp_path: Path) -> Path:
    key = tmp_path / "key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    return write_day(tmp_path / "log")


def run(log: Path, command: str, *arguments: str) -> int:
    return main([command, str(log), *arguments, "--key-file", str(log.parent / "key")])


def names(directory: Path) -> list[str]:
    return [path.name for path in list_segments(directory, archived=True)]


def test_a_salvage_needs_what_was_archived(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, "archive", str(tmp_path / "old")) == 0
    assert run(log, "salvage", str(tmp_path / "new")) == 2
    assert "has no 00000001.jsonl, with which a salvage begins: " in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    shutil.copy(tmp_path / "old" / "00000001.jsonl", log)
    (log / "00000003.jsonl").unlink()
    assert run(log, "salvage", str(tmp_path / "new")) == 0
    assert names(tmp_path / "new") == ["00000001.jsonl", "00000002.jsonl"]
    shown = capsys.readouterr().out
    assert "record None" not in shown
    assert "left out: 00000004.jsonl, from byte 0, " in shown


def test_what_the_oldest_checkpoint_stands_for_is_moved(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in list_segments(log)}
    assert run(log, "archive", str(tmp_path / "old")) == 0
    assert names(tmp_path / "old") == ["00000001.jsonl"]
    assert names(log) == ["00000002.jsonl", "00000003.jsonl", "00000004.jsonl"]
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == str(tmp_path / "old" / "00000001.jsonl")
    assert f"1 segment moved to {tmp_path / 'old'}; the log is read from the" in shown[1]
    assert f"checkpoint of record {OLDER} on" in shown[1]
    assert run(log, "archive", str(tmp_path / "old")) == 0
    assert "nothing to move" in capsys.readouterr().out
    for path in (tmp_path / "old").iterdir():
        assert path.read_bytes() == before[path.name]


def test_verify_and_replay_begin_with_the_oldest_checkpoint(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, "archive", str(tmp_path / "old")) == 0
    for command, done in (("verify", "verified"), ("replay", "replayed")):
        capsys.readouterr()
        assert run(log, command) == 0
        assert capsys.readouterr().out.startswith(
            f"{log}: {done} from record {OLDER + 1} on, since what stands before it is archived; "
            "every record is as it was written\n"
        )
    assert run(log, "verify", "--json") == 0
    verified = json.loads(capsys.readouterr().out)
    assert verified["checkpoint_sequence"] == OLDER
    assert verified["records"] == len(RECORDS) - OLDER
    assert (verified["head_sequence"], verified["head_hash"]) == HEADS[-1]
    assert run(log, "replay", "--json") == 0
    replayed = json.loads(capsys.readouterr().out)
    assert replayed["records"] == len(RECORDS) - OLDER
    assert replayed["head_hash"] == HEADS[-1].entry_hash
    report = replay_log(log, HASHER, beginning=find_beginning(log, HASHER))
    assert describe(report.engine.state) == describe(fold(RECORDS).state)


def test_damage_behind_the_checkpoint_is_found(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, "archive", str(tmp_path / "old")) == 0
    flip(list_segments(log, archived=True)[-1], 300)
    for command in ("verify", "replay"):
        capsys.readouterr()
        assert run(log, command) == 1
        assert "DAMAGED: segment 00000004.jsonl" in capsys.readouterr().out


def test_the_archive_and_the_log_are_the_whole_log_again(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, "archive", str(tmp_path / "old")) == 0
    for path in (tmp_path / "old").iterdir():
        shutil.copy(path, log)
    capsys.readouterr()
    assert run(log, "verify", "--json") == 0
    assert json.loads(capsys.readouterr().out)["records"] == len(RECORDS)


def test_without_any_checkpoint_of_use_the_missing_segment_is_named(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, "archive", str(tmp_path / "old")) == 0
    for path in log.glob("checkpoint*"):
        path.unlink()
    assert find_beginning(log, HASHER) is None
    capsys.readouterr()
    assert run(log, "verify") == 1
    assert "is read from a checkpoint on" in capsys.readouterr().out


@pytest.mark.parametrize("up_to", ["0", "-1", str(OLDER + 1)])
def test_no_further_than_the_oldest_checkpoint(
    up_to: str, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, "archive", str(tmp_path / "old"), f"--up-to={up_to}") == 2
    assert f"--up-to: {up_to} is not allowed; allowed: 1 to {OLDER}" in capsys.readouterr().err
    assert not (tmp_path / "old").exists()


def test_not_further_than_asked(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, "archive", str(tmp_path / "old"), "--up-to", "8") == 0
    assert "nothing to move" in capsys.readouterr().out
    assert run(log, "archive", str(tmp_path / "old"), "--up-to", "9") == 0
    assert names(tmp_path / "old") == ["00000001.jsonl"]


def test_nothing_moves_while_a_checkpoint_is_of_no_use(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(path_of(log, NEWER))
    assert run(log, "archive", str(tmp_path / "old")) == 1
    assert "nothing is archived while checkpoint-" in capsys.readouterr().err
    assert not (tmp_path / "old").exists()


def test_nothing_moves_without_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    write_segments(log, (9, 25), RECORDS)
    assert run(log, "archive", str(tmp_path / "old")) == 1
    assert "has no checkpoint" in capsys.readouterr().err


def test_nothing_moves_where_the_log_does_not_hold_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    write_segments(log, (9,), RECORDS[:15])
    checkpoint(log, OLDER)
    assert run(log, "archive", str(tmp_path / "old")) == 1
    assert "the log ends before record 20" in capsys.readouterr().out
    assert names(log) == ["00000001.jsonl", "00000002.jsonl"]


def test_wrong_use(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log / "none", "archive", str(tmp_path / "old")) == 2
    (log / "file").touch()
    assert main(["archive", str(log / "file"), "x", "--key-file", str(tmp_path / "key")]) == 2
    assert "is no directory of a log" in capsys.readouterr().err
    assert run(log, "archive", str(log)) == 2
    assert "is the log's own directory, or in it" in capsys.readouterr().err
    assert len(names(log)) == 4


def test_a_start_and_the_tools_agree_on_what_is_of_use(log: Path) -> None:
    assert find_archivable(log, HASHER).sequence == OLDER
    assert find_beginning(log, HASHER) is None
    assert find_beginning(list_segments(log)[0], HASHER) is None
    flip(path_of(log, OLDER))
    with pytest.raises(WalError, match="of no use"):
        find_archivable(log, HASHER)
    list_segments(log)[0].unlink()
    beginning = find_beginning(log, HASHER)
    assert beginning is not None
    with pytest.raises(CheckpointDamage):
        replay_log(log, HASHER, beginning=beginning)
