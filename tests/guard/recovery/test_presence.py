"""Whether a log is there, and whether one may begin."""

from pathlib import Path

import pytest

from guard.recovery.presence import check_presence
from guard.recovery.recover import recover_log
from guard.recovery.start_options import OptionNeededError
from guard_checkpoint_support import HASHER, RECORDS, write_day
from guard_support import KEY, write_log
from wal import EMPTY_HEAD, ChainHasher, WalDamage, WalKeyMismatch

SEGMENT = "00000001.jsonl"
OPENING = 7


def begin(directory: Path) -> list[bytes]:
    """Begins a log there; the bytes of what was set aside."""
    recovered = recover_log(directory, HASHER, new_log=True)
    recovered.lock.release()
    assert recovered.head == EMPTY_HEAD
    return [(directory / cut.copy_name).read_bytes() for cut in recovered.cuts]


def test_nothing_is_made_where_a_log_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for directory, words in (
        (tmp_path / "none", "is no directory"),
        (tmp_path / "none" / "below", "is no directory"),
        (file, "is no directory"),
        (tmp_path, "holds no log"),
    ):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(OptionNeededError, match=f"{words}, and a log is expected there"):
            recover_log(directory, HASHER)
        assert sorted(tmp_path.iterdir()) == before


def test_a_log_at_the_old_place_is_named(tmp_path: Path) -> None:
    write_log(tmp_path, RECORDS)
    with pytest.raises(OptionNeededError, match=f"one stands in {tmp_path}: a path in"):
        check_presence(tmp_path / "none", tmp_path)
    with pytest.raises(OptionNeededError, match="expected there; mount"):
        check_presence(tmp_path / "none", tmp_path / "neither")
    check_presence(tmp_path, tmp_path / "neither")


@pytest.mark.parametrize("count", range(OPENING))
def test_a_first_batch_that_is_not_whole_is_no_log(count: int, tmp_path: Path) -> None:
    write_log(tmp_path, RECORDS[:count])
    (tmp_path / SEGMENT).touch()
    content = (tmp_path / SEGMENT).read_bytes()
    with pytest.raises(OptionNeededError, match="--new-log sets them aside"):
        recover_log(tmp_path, HASHER)
    assert (tmp_path / SEGMENT).read_bytes() == content
    assert begin(tmp_path) == ([content] if content else [])
    assert begin(tmp_path) == []  # nothing was begun meanwhile


@pytest.mark.parametrize("count", [OPENING, OPENING + 1, len(RECORDS)])
def test_a_whole_one_is(count: int, tmp_path: Path) -> None:
    write_log(tmp_path, RECORDS[:count])
    with pytest.raises(OptionNeededError, match="there is a log"):
        begin(tmp_path)
    recover_log(tmp_path, HASHER).lock.release()


def test_a_log_of_an_earlier_version_is_there_with_its_first_record(tmp_path: Path) -> None:
    old = RECORDS[0].replace(b',"opening_records":7', b"")
    write_log(tmp_path, [old, RECORDS[1]])
    with pytest.raises(OptionNeededError, match="there is a log"):
        begin(tmp_path)
    recovered = recover_log(tmp_path, HASHER)
    recovered.lock.release()
    assert recovered.head.sequence == 2


def test_what_a_first_record_says_does_not_unmake_a_log(tmp_path: Path) -> None:
    """A record of a later batch shows that the first one was durable, whatever it is said to be."""
    lying = RECORDS[0].replace(b'"opening_records":7', b'"opening_records":700')
    later = RECORDS[7].replace(b'"batch_first_sequence":1,', b'"batch_first_sequence":8,')
    assert b'"batch_first_sequence":8,' in later
    write_log(tmp_path, [lying, *RECORDS[1:7], later])
    with pytest.raises(OptionNeededError, match="there is a log"):
        begin(tmp_path)


def test_where_anything_else_of_a_log_stands_none_begins(tmp_path: Path) -> None:
    log = write_day(tmp_path / "log")
    for path in log.glob("*.jsonl"):
        path.unlink()
    with pytest.raises(OptionNeededError, match="what is left of one"):
        begin(log)
    other = tmp_path / "other"
    other.mkdir()
    write_log(other, RECORDS[: OPENING - 1])
    (other / SEGMENT).rename(other / "00000002.jsonl")
    with pytest.raises((OptionNeededError, WalDamage)):
        begin(other)


def test_neither_damage_nor_another_key_is_a_beginning(tmp_path: Path) -> None:
    write_log(tmp_path, RECORDS[:3])
    path = tmp_path / SEGMENT
    content = path.read_bytes()
    with pytest.raises(WalKeyMismatch):
        recover_log(tmp_path, ChainHasher(KEY[::-1]), new_log=True)
    path.write_bytes(content.replace(b'"USD"', b'"USX"'))
    with pytest.raises(WalDamage):
        begin(tmp_path)
    assert not list(tmp_path.glob("*.cut-*"))
