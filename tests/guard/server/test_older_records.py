"""The check of the records that a start from a checkpoint did not read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.server.counters import Counters
from guard.server.older_records import Checked, OlderRecords, check_older
from guard_checkpoint_support import HASHER, HEADS, NEWER, OLDER, path_of, write_day
from wal import Head, WalError, archive_segments, list_segments

WRONG = Head(OLDER, "ab" * 32)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Segments end behind the records 9, 25 and 33; checkpoints are of 20 and 33."""
    return write_day(tmp_path / "log")


def check(log: Path, *heads: Head) -> Checked:
    return check_older(log, HASHER, list(heads or (HEADS[NEWER], HEADS[OLDER])), lambda _ns: None)


def test_a_whole_log_verifies_up_to_the_checkpoint(log: Path) -> None:
    assert check(log) == Checked(1, NEWER)
    assert check(log, HEADS[OLDER]) == Checked(1, OLDER)
    # What comes behind it is none of its business.
    last = list_segments(log)[-1]
    last.write_bytes(b"no record\n")
    assert check(log) == Checked(1, NEWER)


@pytest.mark.parametrize(("number", "sequence"), [(1, 3), (2, 12), (3, 30)])
def test_a_changed_record_is_named(number: int, sequence: int, log: Path) -> None:
    path = log / f"{number:08d}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    [index] = [
        at for at, line in enumerate(lines) if line.startswith(b'{"sequence":%d,' % sequence)
    ]
    lines[index] = lines[index].replace(b'"batch_first_sequence":', b'"batch_first_sequence":1')
    path.write_bytes(b"".join(lines))
    offset = sum(map(len, lines[:index]))
    reason = "entry_hash does not match the record's bytes"
    assert check(log) == Checked(
        1, sequence - 1, f"{path.name}, byte {offset}, record {sequence}: {reason}"
    )


def test_records_that_are_not_those_of_a_checkpoint_are_named(log: Path) -> None:
    for head in (WRONG, Head(NEWER, WRONG.entry_hash)):
        damage = check(log, HEADS[NEWER], head).damage
        assert damage is not None
        assert f"record {head.sequence}: the record is not the one" in damage


def test_a_log_without_its_first_segments_is_checked_from_there_on(
    log: Path, tmp_path: Path
) -> None:
    archive_segments(log, tmp_path / "archive", 9)
    assert check(log) == Checked(10, NEWER)
    archive_segments(log, tmp_path / "archive", NEWER)
    assert check(log) == Checked(NEWER + 1, NEWER)
    os.truncate(list_segments(log, archived=True)[0], 5)
    damage = check(log).damage
    assert damage is not None
    assert "the first line cannot be read" in damage


def test_segments_that_are_archived_under_its_eyes_are_no_damage(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guard.server.older_records.PIECE_BYTES", 1)
    moved: list[Path] = []

    def archive(_spent_ns: int) -> None:
        if not moved:  # the second segment goes as well, which was about to be read
            moved.extend(archive_segments(log, tmp_path / "archive", 25))

    assert check_older(log, HASHER, [HEADS[NEWER]], archive) == Checked(26, NEWER)
    assert len(moved) == 2


def test_a_segment_that_is_gone_is_not_passed_over(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guard.server.older_records.PIECE_BYTES", 1)

    def remove(_spent_ns: int) -> None:
        (log / "00000002.jsonl").unlink(missing_ok=True)

    with pytest.raises(WalError, match="cannot read"):
        check_older(log, HASHER, [HEADS[NEWER]], remove)


class Loop:
    """Runs what is to be called later until there is nothing left."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_later(self, _delay_s: float, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def run(self) -> None:
        while self.calls:
            self.calls.pop()()


def alarms_into(lines: list[str]) -> Callable[[str], None]:
    return lambda text: lines.append(f"ALARM: {text}")


def told(log: Path, heads: list[Head]) -> tuple[list[str], Counters]:
    lines: list[str] = []
    counters, loop, older = Counters(), Loop(), OlderRecords(log, HASHER)
    older.prepare()
    try:
        older.begin(heads, counters, lines.append, alarms_into(lines), loop.call_later)
        loop.run()
    finally:
        older.stop()
    return lines, counters


def test_what_the_child_finds_is_said_and_counted(log: Path) -> None:
    [line], counters = told(log, [HEADS[NEWER], HEADS[OLDER]])
    assert line.startswith(f"older records verified: 1 to {NEWER} in 0.")
    assert (counters.older_records_verified, counters.older_damage) == (NEWER, 0)
    [line], counters = told(log, [HEADS[NEWER], WRONG])
    assert line.startswith("ALARM: the older records of the log do not verify, orders go on: ")
    assert f"record {OLDER}: " in line
    assert counters.older_damage == 1


def test_where_nothing_is_older_nothing_is_said(log: Path) -> None:
    assert told(log, []) == ([], Counters())
    assert told(log, [HEADS[5]]) == ([], Counters())  # the start has read from the first segment on
    for sequence in (OLDER, NEWER):
        path_of(log, sequence).unlink()
    assert told(log, [HEADS[NEWER]]) == ([], Counters())


def test_what_could_not_be_checked_is_an_alarm_of_its_own(log: Path) -> None:
    lines: list[str] = []
    loop, older = Loop(), OlderRecords(log, HASHER)
    older.prepare()
    counters = Counters()
    older.begin([HEADS[NEWER]], counters, lines.append, alarms_into(lines), loop.call_later)
    child = older._child
    assert child is not None
    os.kill(child.pid, 9)
    shutil.rmtree(log)
    loop.run()
    [line] = lines
    assert line.startswith(("ALARM: the older records of the log were not checked: ", "older rec"))
    assert counters.older_damage == 0
