"""What has just become durable, read out of the system's memory: all of it, or not at all."""

from pathlib import Path

import pytest

from guard.clock import monotonic_ns
from guard.feed.files import read_page
from guard.feed.newest import NEWEST_BYTES_MAX, NewestLines
from guard.feed.page import Place
from guard.feed.recent import PAGE_BYTES
from wal import EMPTY_HEAD, ChainHasher, LogWriter, create_directory


class Log:
    """A log that is written, and who reads its newest lines."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "log"
        create_directory(self.directory)
        self.writer = LogWriter.open(
            self.directory, ChainHasher(None), EMPTY_HEAD, monotonic_ns=monotonic_ns,
            write_ahead_bytes=65_536,
        )  # fmt: skip
        self.newest = NewestLines(self.directory)
        self.place = Place(EMPTY_HEAD, 1, 0)

    def write(self, *datas: bytes) -> None:
        for data in datas:
            self.writer.append(self.writer.staged_head.sequence + 1, data)
        self.writer.sync_now()

    def read(self) -> bytes | None:
        """What was written since the last call."""
        end = Place(self.writer.durable_head, *self.writer.durable_place)
        found = b""
        while self.place.sequence < end.sequence:
            page = self.newest.page(self.place, end)
            if page is None:
                self.place = end
                return None
            assert page.begin.head == self.place.head
            lines = page.lines if page.is_read else self.newest.lines_of(page)
            assert lines is not None
            assert len(lines) == page.size
            found, self.place = found + lines, page.end
        assert self.place == end
        return found


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_every_byte_over_batches_zeros_and_segments(log: Log) -> None:
    found, by_memory = b"", 0
    for number in range(6):
        log.write(b"1", b"2")
        if number % 2:
            log.writer.rotate()  # whose pages the system is told to forget, at some time
        begin = log.place
        log.write(b"3")
        part = log.read()
        by_memory += part is not None
        if part is None:
            page = read_page(log.directory, begin, log.place, PAGE_BYTES)
            part = page.lines
            if page.end.sequence < log.place.sequence:
                part += read_page(log.directory, page.end, log.place, PAGE_BYTES).lines
        found += part
    log.writer.seal()
    assert found == b"".join(path.read_bytes() for path in sorted(log.directory.glob("*.jsonl")))
    assert log.read() == b""
    log.newest.close()
    log.newest.close()
    if by_memory == 0:
        pytest.skip("the file system here does not say what it has in memory")


def test_too_much_at_once_or_not_there_is_left_to_who_reads_files(log: Log) -> None:
    text = b'"%b"' % (b"x" * 300_000)
    log.write(text, text)
    assert log.read() in (None, (log.directory / "00000001.jsonl").read_bytes().rstrip(b"\0"))
    before = log.place
    log.write(*4 * [text])  # in parts
    assert 4 * len(text) > NEWEST_BYTES_MAX
    whole = (log.directory / "00000001.jsonl").read_bytes().rstrip(b"\0")
    assert log.read() in (None, whole[before.offset :])
    log.write(b'"%b"' % (b"x" * NEWEST_BYTES_MAX))  # a line that is no part
    assert log.read() is None
    log.writer.rotate()
    log.write(b"1")
    log.read()
    log.newest.close()
    log.write(b"2")
    [*_, last] = sorted(log.directory.glob("*.jsonl"))
    last.rename(log.directory / "elsewhere")
    assert log.read() is None
