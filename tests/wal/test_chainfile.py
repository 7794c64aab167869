"""A chain in one file: the reader takes it, and nothing is overwritten."""

from pathlib import Path

import pytest

from wal import ChainFile, ChainHasher, WalEntryError, find_head, read_entries
from wal.chainfile import PIECE_BYTES
from wal_support import DIALECT, KEY, opened


@pytest.mark.parametrize("key", [None, KEY])
def test_what_is_written_is_read_back(key: bytes | None, tmp_path: Path) -> None:
    hasher = ChainHasher(key)
    records = [opened(hasher), b"1", b'{"long":"%b"}' % (b"a" * PIECE_BYTES), b"[]", b'"end"']
    path = tmp_path / "file"
    with ChainFile(path, hasher) as file:
        assert file.head.sequence == 0
        for data in records:
            file.append(data)
        head = file.finish()
    assert head == file.head == find_head(path, hasher, DIALECT)
    assert [entry.data for entry in read_entries(path, hasher, DIALECT)] == records


def test_data_that_no_line_can_hold_changes_nothing(tmp_path: Path) -> None:
    with ChainFile(tmp_path / "file", ChainHasher(None)) as file:
        file.append(b"1")
        head = file.head
        for data in (b"", b"{", b"1\n", b" 1", b"\xff"):
            with pytest.raises(WalEntryError):
                file.append(data)
        assert file.finish() == head
    assert (tmp_path / "file").read_bytes().count(b"\n") == 1


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        ChainFile(path, ChainHasher(None))
    assert path.read_bytes() == b"mine"
