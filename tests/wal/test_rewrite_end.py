"""The tail rewrite: the last batch once more in its place, the same bytes, and nothing else."""

import contextlib
import errno
import os
import subprocess
from pathlib import Path

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    LogWriter,
    Rewrite,
    WalError,
    WalPoisoned,
    apply_repair,
    failpoint,
    find_head,
    open_for_recovery,
    plan_repair,
    rewrite_tail,
    segment_name,
)
from wal_support import (
    DIALECT,
    KEY,
    SEGMENT,
    fake_clock,
    line_starts,
    opened,
    record,
    small_batches,
    write_log,
)

HASHER = ChainHasher(KEY)


@pytest.fixture
def head(tmp_path: Path) -> Head:
    return write_log(tmp_path, HASHER, small_batches(HASHER))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def rewrite(directory: Path, head: Head) -> Rewrite | None:
    return rewrite_tail(directory, head, HASHER, DIALECT)


class Writes:
    """Notes what is written in place, and syncs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[object, ...]] = []
        pwrite, fsync = os.pwrite, os.fsync

        def note_write(descriptor: int, data: bytes, offset: int) -> int:
            self.calls.append(("pwrite", offset, bytes(data)))
            return pwrite(descriptor, data, offset)

        def note_sync(descriptor: int) -> None:
            self.calls.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
            fsync(descriptor)

        monkeypatch.setattr(os, "pwrite", note_write)
        monkeypatch.setattr(os, "fsync", note_sync)


def test_the_last_batch_in_its_place(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the whole segment was copied, a full disk kept the log from being opened."""
    path = tmp_path / SEGMENT
    before, content = path.stat(), path.read_bytes()
    offset = line_starts(content)[3]  # the last batch is records 4 and 5
    writes = Writes(monkeypatch)
    assert rewrite(tmp_path, head) == (SEGMENT, offset, len(content) - offset)
    assert writes.calls == [
        ("pwrite", offset, content[offset:]),
        ("fsync", str(path)),
        ("fsync", str(tmp_path)),
    ]
    after = path.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert path.read_bytes() == content
    assert names(tmp_path) == [SEGMENT, "lock"]
    assert find_head(tmp_path, HASHER, DIALECT) == head


def test_a_log_without_records(tmp_path: Path) -> None:
    assert rewrite(tmp_path, EMPTY_HEAD) is None
    (tmp_path / SEGMENT).touch()
    assert rewrite(tmp_path, EMPTY_HEAD) is None


def test_the_last_segment_with_records_is_the_one(head: Head, tmp_path: Path) -> None:
    os.rename(tmp_path / SEGMENT, tmp_path / segment_name(4))
    (tmp_path / segment_name(5)).touch()
    rewritten = rewrite(tmp_path, head)
    assert rewritten is not None
    assert rewritten.segment == segment_name(4)


@pytest.mark.parametrize("count", [1, 2, 3, 50])
@pytest.mark.parametrize("text_bytes", [1, 70_000, 1_500_000])
def test_long_batches_and_long_lines(text_bytes: int, count: int, tmp_path: Path) -> None:
    """A line, or a batch, may be longer than the pieces in which the file is looked at."""
    count = min(count, 10_000_000 // text_bytes)
    batch = [record("order", 6, text="x" * text_bytes) for _ in range(count)]
    head = write_log(tmp_path, HASHER, [*small_batches(HASHER), batch])
    content = (tmp_path / SEGMENT).read_bytes()
    offset = line_starts(content)[5]
    assert rewrite(tmp_path, head) == (SEGMENT, offset, len(content) - offset)
    assert (tmp_path / SEGMENT).read_bytes() == content


@pytest.mark.parametrize("size", range(1024 * 1024 - 3, 1024 * 1024 + 3))
def test_a_batch_about_as_long_as_a_piece(size: int, tmp_path: Path) -> None:
    """Its beginning falls on either side of the place where a piece begins."""
    batches = small_batches(HASHER)
    bare = write_log(tmp_path, HASHER, [*batches, [record("order", 6, text="")]])
    length = (tmp_path / SEGMENT).stat().st_size - line_starts((tmp_path / SEGMENT).read_bytes())[5]
    assert bare.sequence == 6
    log = tmp_path / "log"
    log.mkdir()
    head = write_log(log, HASHER, [*batches, [record("order", 6, text="x" * (size - length))]])
    content = (log / SEGMENT).read_bytes()
    assert rewrite(log, head) == (SEGMENT, len(content) - size, size)


@pytest.mark.parametrize("batch", [None, 0, 7, 2**70, "5"])
def test_where_the_batch_is_not_told_the_segment_counts(batch: object, tmp_path: Path) -> None:
    data = b'{"kind":"order","batch":%d}' % batch if isinstance(batch, int) else b'"foreign"'
    head = write_log(tmp_path, HASHER, [*small_batches(HASHER), [data]])
    content = (tmp_path / SEGMENT).read_bytes()
    assert rewrite(tmp_path, head) == (SEGMENT, 0, len(content))
    assert (tmp_path / SEGMENT).read_bytes() == content


def test_a_batch_that_begins_in_another_segment_is_none(tmp_path: Path) -> None:
    with LogWriter.open(
        tmp_path, HASHER, EMPTY_HEAD, monotonic_ns=fake_clock(), segment_bytes_max=1
    ) as writer:
        for data in (opened(HASHER), record("order", 2), record("order", 2)):
            writer.append(writer.staged_head.sequence + 1, data)
            head = writer.sync_now()
    size = (tmp_path / segment_name(3)).stat().st_size
    assert rewrite(tmp_path, head) == (segment_name(3), 0, size)


def test_a_segment_that_does_not_end_with_the_head(head: Head, tmp_path: Path) -> None:
    path = tmp_path / SEGMENT
    content = path.read_bytes()
    for wrong in (Head(4, head.entry_hash), Head(5, "a" * 64)):
        with pytest.raises(WalError, match="ends with record 5, not with"):
            rewrite(tmp_path, wrong)
    path.write_bytes(content + b"garbage")
    with pytest.raises(WalError, match="does not end with a record"):
        rewrite(tmp_path, head)
    assert path.read_bytes() == content + b"garbage"
    assert names(tmp_path) == [SEGMENT, "lock"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["pwrite", "fsync", "pread"])
def test_what_the_disk_refuses(
    call: str, code: int, head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (tmp_path / SEGMENT).read_bytes()

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(WalError, match="cannot rewrite the end of") as caught:
            rewrite(tmp_path, head)
    if call != "pread" and code != errno.EIO:
        offset = line_starts(content)[3]
        assert f"it needs {len(content) - offset} bytes" in str(caught.value)
    assert (tmp_path / SEGMENT).read_bytes() == content
    assert names(tmp_path) == [SEGMENT, "lock"]


def test_short_writes_go_on(head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, real = (tmp_path / SEGMENT).read_bytes(), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda number, data, at: real(number, data[:7], at))
    rewritten = rewrite(tmp_path, head)
    assert rewritten is not None
    assert rewritten.byte_count == len(content) - line_starts(content)[3]
    assert (tmp_path / SEGMENT).read_bytes() == content


def test_a_disk_that_gives_back_other_bytes(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, real = (tmp_path / SEGMENT).read_bytes(), os.posix_fadvise
    at = line_starts(content)[3] + 50

    def flip(descriptor: int, offset: int, length: int, advice: int) -> None:
        os.pwrite(descriptor, b"#", at)
        real(descriptor, offset, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", flip)
    with pytest.raises(WalError, match="not what was written: the disk fails"):
        rewrite(tmp_path, head)


def test_pages_that_went_between_two_reads_are_seen(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What recovery verified was in memory alone, and memory was short before it was rewritten."""
    path = tmp_path / SEGMENT
    content = path.read_bytes()
    at = line_starts(content)[4] - 10

    def lose(reached: str) -> None:
        if reached == "before-tail-write":
            path.write_bytes(content[:at] + bytes(5) + content[at + 5 :])

    failpoint.install(lose)
    try:
        with pytest.raises(WalError, match="the end of the log is not what was read before"):
            rewrite(tmp_path, head)
    finally:
        failpoint.install(None)


@pytest.mark.parametrize("place", [place for place in failpoint.NAMES if "-tail-" in place])
def test_a_failure_at_any_step(place: str, head: Head, tmp_path: Path) -> None:
    content = (tmp_path / SEGMENT).read_bytes()

    def fail(reached: str) -> None:
        if reached == place:
            raise OSError(errno.EIO, "here")

    failpoint.install(fail)
    try:
        with pytest.raises(WalError, match="here"):
            rewrite(tmp_path, head)
    finally:
        failpoint.install(None)
    assert (tmp_path / SEGMENT).read_bytes() == content
    assert names(tmp_path) == [SEGMENT, "lock"]


def fill(writer: LogWriter) -> None:
    for sequence in range(2, 1000):
        writer.append(sequence, record("order", sequence, text="x" * 1000))
        writer.sync_now()


def test_a_full_disk(tmp_path: Path) -> None:
    """A real one, where it can be mounted: a start needs space for what it cuts, and no more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system here")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(100_000))
        with LogWriter.open(disk, HASHER, EMPTY_HEAD, monotonic_ns=fake_clock()) as writer:
            writer.append(1, opened(HASHER))
            writer.sync_now()
            with pytest.raises(WalPoisoned, match="No space left on device") as caught:
                fill(writer)
            durable = writer.durable_head
            assert caught.value.stage == "write"
            assert caught.value.durable_sequence == durable.sequence
        content = (disk / SEGMENT).read_bytes()
        with open_for_recovery(disk):
            cut = plan_repair(disk, HASHER, DIALECT, protected_sequence=durable.sequence)
            assert cut is not None
            with pytest.raises(WalError, match=f"it needs {cut.bytes_cut} bytes, 0 are free"):
                apply_repair(disk, cut)
            assert names(disk) == [SEGMENT, "ballast", "lock"]
            assert (disk / SEGMENT).read_bytes() == content
            ballast.unlink()
            cut = plan_repair(disk, HASHER, DIALECT, protected_sequence=durable.sequence)
            assert cut is not None
            apply_repair(disk, cut)
            assert find_head(disk, HASHER, DIALECT) == durable
            content = (disk / SEGMENT).read_bytes()
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            assert rewrite(disk, durable) is not None
            assert (disk / SEGMENT).read_bytes() == content
    finally:
        subprocess.run(["umount", str(disk)], check=True)
