"""A log is ended behind one of its records; what goes is kept beside it."""

from pathlib import Path

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Dialect,
    Head,
    LogWriter,
    WalStartMismatch,
    read_entries,
    segment_name,
    set_aside,
)

HASHER = ChainHasher(b"k" * 32)
DIALECT = Dialect(
    is_native_head=lambda data: True,
    batch_first_sequence=lambda data: None,
    is_clean_close=lambda data: False,
)
RECORDS = 9


@pytest.fixture
def log(tmp_path: Path) -> tuple[Path, list[Head]]:
    """Nine records in three segments, and the head behind each."""
    directory = tmp_path / "log"
    directory.mkdir()
    heads = [EMPTY_HEAD]
    with LogWriter.open(directory, HASHER, EMPTY_HEAD, monotonic_ns=lambda: 0) as writer:
        for sequence in range(1, RECORDS + 1):
            writer.append(sequence, b'{"record":%d}' % sequence)
            heads.append(writer.sync_now())
            if sequence % 3 == 0:
                writer.rotate()
    assert [path.name for path in sorted(directory.glob("*.jsonl"))] == [
        segment_name(number) for number in (1, 2, 3)
    ]
    return directory, heads


def heads_of(directory: Path) -> list[Head]:
    return [entry.head for entry in read_entries(directory, HASHER, DIALECT)]


@pytest.mark.parametrize("last", range(1, RECORDS + 1))
def test_what_stands_behind_goes_and_is_kept(log: tuple[Path, list[Head]], last: int) -> None:
    directory, heads = log
    before = b"".join(path.read_bytes() for path in sorted(directory.glob("*.jsonl")))
    cuts = set_aside(directory, heads[last], "another log counts")
    assert heads_of(directory) == heads[1 : last + 1]
    left = b"".join(path.read_bytes() for path in sorted(directory.glob("*.jsonl")))
    kept = b"".join((directory / cut.copy_name).read_bytes() for cut in reversed(cuts))
    assert left + kept == before
    assert sum(cut.bytes_cut for cut in cuts) == len(kept)
    if cuts:
        assert cuts[-1].first_sequence_lost == last + 1
    with LogWriter.open(directory, HASHER, heads[last], monotonic_ns=lambda: 0) as writer:
        writer.append(last + 1, b'{"record":"another"}')
        writer.sync_now()
    assert len(heads_of(directory)) == last + 1


def test_a_second_call_changes_nothing(log: tuple[Path, list[Head]]) -> None:
    directory, heads = log
    set_aside(directory, heads[4], "another log counts")
    names = sorted(path.name for path in directory.iterdir())
    assert set_aside(directory, heads[4], "another log counts") == []
    assert sorted(path.name for path in directory.iterdir()) == names


def test_a_record_that_the_log_does_not_hold_ends_nothing(log: tuple[Path, list[Head]]) -> None:
    directory, heads = log
    for sequence in (2, 8, RECORDS + 1):
        with pytest.raises(WalStartMismatch):
            set_aside(directory, Head(sequence, heads[7].entry_hash), "another log counts")
        assert heads_of(directory) == heads[1:]
