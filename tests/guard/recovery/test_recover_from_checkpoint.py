"""Starts from a checkpoint: the newest good one, else the one before, else the log; one state."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.engine.events import LossAccepted
from guard.recovery.checkpoint_payload import encode_state, state_digest_hex
from guard.recovery.losses import KnownLoss
from guard.recovery.recover import Recovered, recover_log
from guard.recovery.start_options import OptionNeededError
from guard_checkpoint_support import (
    DAY,
    DIGEST_HEX,
    HASHER,
    HEADS,
    NEWER,
    OLDER,
    RECORDS,
    checkpoint,
    flip,
    listed,
    path_of,
    write_day,
    write_segments,
)
from guard_support import describe, fold, settled
from wal import (
    Anchor,
    WalDamage,
    WalKeyMismatch,
    anchor_of,
    archive_segments,
    list_segments,
    write_checkpoint,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_day(tmp_path / "log")


def start(directory: Path, anchor: Anchor | None = None, *, accept_loss: bool = False) -> Recovered:
    recovered = recover_log(directory, HASHER, anchor, accept_loss=accept_loss)
    assert recovered.settle() == []
    recovered.lock.release()
    return recovered


def check(recovered: Recovered, sequence: int | None) -> None:
    """The whole day's state, from the checkpoint of that record."""
    found = recovered.checkpoint
    assert (None if found is None else found.sequence) == sequence
    assert recovered.head == HEADS[-1]
    assert state_digest_hex(recovered.engine.state) == DIGEST_HEX
    assert describe(recovered.engine.state) == describe(DAY.state)


def test_a_start_begins_with_the_newest(log: Path) -> None:
    for path in list_segments(log)[:2]:
        path.write_bytes(b"never read\n")
    recovered = start(log)
    check(recovered, NEWER)
    assert recovered.alarms == []
    assert listed(log) == [NEWER, OLDER]


def test_a_checkpoint_of_the_last_record_leaves_nothing_to_fold(log: Path) -> None:
    checkpoint(log, len(RECORDS))
    recovered = start(log)
    check(recovered, len(RECORDS))
    assert recovered.engine.next_sequence == len(RECORDS) + 1


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (flip, "the bytes of .* are not those that were listed"),
    (lambda path: flip(path, 0), "the bytes of .* are not those that were listed"),
    (lambda path: flip(path, path.stat().st_size - 1), "are not those that were listed"),
    (shorten, "the file has [0-9]+ bytes, not [0-9]+"),
    (lengthen, "the file has [0-9]+ bytes, not [0-9]+"),
    (Path.unlink, "the file is missing"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_a_damaged_one_falls_back_to_the_one_before(
    damage: Callable[[Path], None], words: str, log: Path
) -> None:
    damage(path_of(log, NEWER))
    recovered = start(log)
    check(recovered, OLDER)
    (alarm,) = recovered.alarms
    assert alarm.startswith(f"{path_of(log, NEWER).name} is not used: ")

    assert re.search(words, alarm), alarm
    # Said once: what was of no use is gone, the next start has nothing to say.
    assert (listed(log), path_of(log, NEWER).exists()) == ([OLDER], False)
    again = start(log)
    check(again, OLDER)
    assert again.alarms == []


@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_both_damaged_fall_back_to_the_log_alone(
    damage: Callable[[Path], None], words: str, log: Path
) -> None:
    damage(path_of(log, NEWER))
    damage(path_of(log, OLDER))
    recovered = start(log)
    check(recovered, None)
    assert len(recovered.alarms) == 2
    assert listed(log) == []


def test_a_damaged_manifest_falls_back_to_the_log_alone(log: Path) -> None:
    flip(log / "checkpoints.json", 0)
    recovered = start(log)
    check(recovered, None)
    assert all("the manifest" in alarm for alarm in recovered.alarms)
    assert listed(log) == []
    assert not path_of(log, NEWER).exists()


def test_one_listed_under_another_key_is_not_used(log: Path) -> None:
    manifest = json.loads((log / "checkpoints.json").read_text())
    manifest["checkpoints"][0]["mac"] = "00" * 32
    text = json.dumps(manifest, separators=(",", ":"))
    (log / "checkpoints.json").write_text(text + "\n")
    recovered = start(log)
    check(recovered, OLDER)
    assert recovered.alarms == [
        f"{path_of(log, NEWER).name} is not used: its entry in the manifest was not made with "
        "this log's key"
    ]


def test_one_that_a_crash_left_unlisted_is_not_used(log: Path) -> None:
    shutil.copy(path_of(log, NEWER), path_of(log, 40))
    check(recovered := start(log), NEWER)
    assert recovered.alarms == [
        f"{path_of(log, 40).name} is not used: the manifest does not list it"
    ]
    assert not path_of(log, 40).exists()


def test_a_payload_that_is_no_state_is_not_used(log: Path) -> None:
    pieces = iter([b"pretrade-guard.state.v0\0", b"from another version"])
    write_checkpoint(log, HEADS[40], "ab" * 32, pieces, HASHER)
    check(recovered := start(log), NEWER)
    (alarm,) = recovered.alarms
    assert alarm.endswith("it does not begin as a state of this version of the guard does")


def test_a_state_of_another_record_is_not_used(log: Path) -> None:
    state = fold(RECORDS[:39]).state
    write_checkpoint(log, HEADS[40], state_digest_hex(state), encode_state(state), HASHER)
    check(recovered := start(log), NEWER)
    assert recovered.alarms[0].endswith("it is the state before record 40")


def contents(log: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in log.iterdir() if path.name != "lock"}


def put_back(log: Path) -> None:
    """The log of some time ago: its end is a clean one, its newest checkpoint knows better."""
    write_segments(log, (9, 25), RECORDS[:30])
    for count in (OLDER, NEWER):
        checkpoint(log, count)


@pytest.mark.parametrize("spoil", [lambda path: None, flip, Path.unlink], ids=["", "bad", "gone"])
def test_a_log_that_ends_before_a_checkpoint_is_refused(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    """Also where nothing but the entry in the manifest is left to know it."""
    log = tmp_path / "log"
    put_back(log)
    spoil(path_of(log, NEWER))
    before = contents(log)
    for _ in range(2):
        with pytest.raises(KnownLoss, match=rf"the log ends before record {NEWER}.*--accept-loss"):
            start(log)
    assert contents(log) == before
    for _ in range(2):  # a start that fails before it has recorded the loss leaves it to be known
        recovered = recover_log(log, HASHER, accept_loss=True)
        recovered.lock.release()
        assert contents(log) == before
    recovered = start(log, accept_loss=True)
    assert recovered.checkpoint is not None
    assert (recovered.checkpoint.sequence, recovered.head) == (OLDER, HEADS[30])
    assert state_digest_hex(recovered.engine.state) == state_digest_hex(fold(RECORDS[:30]).state)
    assert recovered.losses == [LossAccepted("checkpoints.json", *HEADS[NEWER])]
    assert any("a loss was accepted" in alarm for alarm in recovered.alarms)
    assert listed(log) == [OLDER]
    is_set_aside = (log / f"{path_of(log, NEWER).name}.unused").exists()
    assert is_set_aside == (spoil is not Path.unlink)
    assert start(log).alarms == []
    with pytest.raises(OptionNeededError, match="start without the option"):
        start(log, accept_loss=True)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_log_with_another_record_in_a_checkpoints_place_is_refused(
    is_damaged: bool, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    other = [RECORDS[0].replace(b"0123456789abcdef", b"fedcba9876543210"), *RECORDS[1:]]
    write_segments(log, (9, 25), settled(other))
    for count in (OLDER, NEWER):
        checkpoint(log, count)
        if is_damaged:
            flip(path_of(log, count))
    before = contents(log)
    with pytest.raises(KnownLoss, match="is not the one that") as caught:
        start(log)
    assert caught.value.sequence == NEWER
    assert contents(log) == before
    recovered = start(log, accept_loss=True)
    assert recovered.checkpoint is None
    assert recovered.engine.state.log_id.startswith("fedcba")
    assert [loss.sequence for loss in recovered.losses] == [NEWER, OLDER]
    assert start(log).alarms == []


def test_an_end_that_is_torn_before_a_checkpoint_can_be_accepted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write_segments(log, (9, 25), RECORDS[:34])
    for count in (OLDER, NEWER):
        checkpoint(log, count)
    last = list_segments(log)[-1]
    lines = last.read_bytes().splitlines(keepends=True)
    os.truncate(last, sum(map(len, lines[:-2])) + 10)  # record 33 is torn
    recovered = start(log, accept_loss=True)
    assert (recovered.head, recovered.checkpoint) == (HEADS[32], recovered.checkpoint)
    assert [loss.sequence for loss in recovered.losses] == [NEWER]
    assert [cut.first_sequence_lost for cut in recovered.cuts] == [NEWER]
    assert start(log).checkpoint is not None


def test_what_is_no_torn_end_cannot_be_accepted(log: Path) -> None:
    last = list_segments(log)[-1]
    changed = last.read_bytes().replace(b'"desk', b'"desc', 1)
    last.write_bytes(changed)
    with pytest.raises(WalDamage):
        start(log, accept_loss=True)
    assert last.read_bytes() == changed


@pytest.mark.parametrize("cut_to", [30, 25, 9])
def test_a_log_behind_its_anchor_is_a_known_loss(cut_to: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    write_segments(log, (9, 25), RECORDS[:cut_to])
    anchor = anchor_of(HEADS[34], keyed=True)
    with pytest.raises(KnownLoss, match=r"ends before its anchor.*--accept-loss"):
        start(log, anchor)
    recovered = start(log, anchor, accept_loss=True)
    assert recovered.head == HEADS[cut_to]
    assert recovered.losses == [LossAccepted("the anchor", *HEADS[34])]
    with pytest.raises(WalKeyMismatch):  # of another kind of log: no loss of this one
        start(log, anchor_of(HEADS[34], keyed=False), accept_loss=True)


def test_of_a_log_that_is_gone_no_loss_can_be_accepted(log: Path) -> None:
    for path in list_segments(log):
        path.unlink()
    for accepts in (False, True):
        with pytest.raises(WalDamage):
            start(log, accept_loss=accepts)
    with pytest.raises(OptionNeededError, match="what is left of one"):
        recover_log(log, HASHER, new_log=True)


def unreadable(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("00000001.jsonl"))


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [unreadable, a_directory, lambda path: (path.unlink(), os.mkfifo(path))]
)
def test_one_that_is_no_file_is_passed_over(spoil: Callable[[Path], None], log: Path) -> None:
    spoil(path_of(log, NEWER))
    recovered = start(log)
    check(recovered, OLDER)
    assert recovered.alarms == [f"{path_of(log, NEWER).name} is not used: it is no regular file"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EMFILE])
@pytest.mark.parametrize("call", ["open", "read"])
def test_one_that_cannot_be_read_is_passed_over_and_kept(
    number: int, call: str, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be whole, and read by the next start."""
    newest, real = path_of(log, NEWER), {"open": os.open, "read": os.read}
    inode = newest.stat().st_ino

    def failing(first: object, *rest: object, **named: object) -> object:
        is_meant = (
            str(first) == str(newest)
            if call == "open"
            else isinstance(first, int) and os.fstat(first).st_ino == inode
        )
        if is_meant:
            raise OSError(number, os.strerror(number))
        return real[call](first, *rest, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing)
        recovered = start(log)
    check(recovered, OLDER)
    (alarm,) = recovered.alarms
    assert alarm.startswith(f"{newest.name} is not used: cannot {call} ")
    assert os.strerror(number) in alarm
    assert listed(log) == [NEWER, OLDER]
    check(start(log), NEWER)


def test_a_torn_end_behind_a_checkpoint_is_cut(log: Path) -> None:
    last = list_segments(log)[-1]
    os.truncate(last, last.stat().st_size - 10)
    recovered = start(log)
    assert recovered.checkpoint is not None
    assert recovered.checkpoint.sequence == NEWER
    assert [cut.first_sequence_lost for cut in recovered.cuts] == [len(RECORDS)]
    assert recovered.head == HEADS[-2]
    assert describe(recovered.engine.state) == describe(fold(RECORDS[:-1]).state)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_no_record_that_a_checkpoint_names_is_cut(is_damaged: bool, tmp_path: Path) -> None:
    """It had been durable; also where the file itself is of no use any more."""
    log = tmp_path / "log"
    write_segments(log, (9, 25), RECORDS[:34])
    checkpoint(log, OLDER)
    checkpoint(log, NEWER)
    last = list_segments(log)[-1]
    lines = last.read_bytes().splitlines(keepends=True)
    os.truncate(last, sum(map(len, lines[:-2])) + 10)  # record 33 is torn
    if is_damaged:
        flip(path_of(log, NEWER))
    before = last.read_bytes()
    for _ in range(2):
        with pytest.raises(KnownLoss, match=r"a checkpoint protects 33.*--accept-loss"):
            recover_log(log, HASHER)
    assert last.read_bytes() == before
    assert listed(log) == [NEWER, OLDER]


def test_a_start_without_the_first_segments(log: Path, tmp_path: Path) -> None:
    """Archived up to the older one: either checkpoint leads to the state, the log alone cannot."""
    moved = archive_segments(log, tmp_path / "archive", OLDER)
    assert [path.name for path in moved] == ["00000001.jsonl"]
    check(start(log), NEWER)
    flip(path_of(log, NEWER))
    check(start(log), OLDER)
    flip(path_of(log, OLDER))
    with pytest.raises(WalDamage, match="is read from a checkpoint on"):
        recover_log(log, HASHER)
    for path in moved:
        shutil.copy(path, log)
    check(start(log), None)


def test_a_log_that_has_lost_all_its_segments_is_no_fresh_one(log: Path) -> None:
    for path in list_segments(log):
        path.unlink()
    with pytest.raises(WalDamage, match="the log has no segment"):
        recover_log(log, HASHER)


def test_no_space_for_the_manifest_is_an_alarm(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(path_of(log, NEWER))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wal.checkpoint.write_manifest", full)
    check(recovered := start(log), OLDER)
    assert recovered.alarms[1].startswith("cannot write checkpoints.json: ")
