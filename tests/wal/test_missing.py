"""What of a log's sealed files is gone, and what `archive` may have taken."""

from pathlib import Path

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    LogWriter,
    WalError,
    archive_segments,
    find_missing,
    segment_name,
    write_checkpoint,
)
from wal_support import KEY, fake_clock, opened, record

HASHER = ChainHasher(KEY)


@pytest.fixture
def heads(tmp_path: Path) -> list[Head]:
    """Of five segments with a record each."""
    with LogWriter.open(
        tmp_path, HASHER, EMPTY_HEAD, monotonic_ns=fake_clock(), segment_bytes_max=1
    ) as writer:
        heads = []
        for data in (opened(HASHER), *(record("order", n) for n in range(2, 6))):
            writer.append(writer.staged_head.sequence + 1, data)
            heads.append(writer.sync_now())
    return heads


def checkpoint(log: Path, head: Head) -> None:
    write_checkpoint(log, head, "ab" * 32, iter([b"%d" % head.sequence]), HASHER)


def test_nothing_is(heads: list[Head], tmp_path: Path) -> None:
    assert find_missing(tmp_path, HASHER, False) == []
    checkpoint(tmp_path, heads[1])
    checkpoint(tmp_path, heads[3])
    assert find_missing(tmp_path, HASHER, True) == []
    archive_segments(tmp_path, tmp_path / "old", 2)
    assert not (tmp_path / segment_name(2)).exists()
    assert find_missing(tmp_path, HASHER, True) == []


def test_segments(heads: list[Head], tmp_path: Path) -> None:
    assert heads
    for number in (2, 4):
        (tmp_path / segment_name(number)).unlink()
    gap = "00000002.jsonl: the file is missing (2 segments are)"
    assert find_missing(tmp_path, HASHER, False) == [gap]
    (tmp_path / segment_name(1)).unlink()
    assert find_missing(tmp_path, HASHER, False) == [
        "00000004.jsonl: the file is missing (1 segments are)",
        "00000002.jsonl and older: the files are missing, and the oldest checkpoint stands for "
        "records up to 0 alone",
    ]
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    assert find_missing(tmp_path, HASHER, False) == ["the directory holds no segment"]


def test_more_than_an_archive_takes(heads: list[Head], tmp_path: Path) -> None:
    checkpoint(tmp_path, heads[1])
    for number in (1, 2):
        (tmp_path / segment_name(number)).unlink()
    assert find_missing(tmp_path, HASHER, True) == []
    (tmp_path / segment_name(3)).unlink()
    (text,) = find_missing(tmp_path, HASHER, True)
    assert text.startswith("00000003.jsonl and older: the files are missing, and the oldest ")
    assert text.endswith("up to 2 alone")


def test_checkpoints_and_their_manifest(heads: list[Head], tmp_path: Path) -> None:
    checkpoint(tmp_path, heads[1])
    checkpoint(tmp_path, heads[3])
    newest = tmp_path / f"checkpoint-{4:020d}.ckpt"
    content = newest.read_bytes()
    newest.unlink()
    assert find_missing(tmp_path, HASHER, True) == [f"{newest.name}: the file is missing"]
    newest.write_bytes(content + b"more")
    assert find_missing(tmp_path, HASHER, True) == [f"{newest.name}: the file has 5 bytes, not 1"]
    newest.write_bytes(content)
    (tmp_path / "checkpoints.json").unlink()
    assert find_missing(tmp_path, HASHER, True) == ["checkpoints.json: the file is missing"]
    # One that is being made is not listed yet: nothing is missing before there ever was one.
    assert find_missing(tmp_path, HASHER, False) == []


def test_what_cannot_be_found_out(tmp_path: Path) -> None:
    with pytest.raises(WalError, match="cannot list"):
        find_missing(tmp_path / "absent", HASHER, False)
