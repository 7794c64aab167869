"""The tail rewrite: the last segment on fresh blocks, the same bytes, or nothing changed at all."""

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


def test_the_same_bytes_in_another_file(head: Head, tmp_path: Path) -> None:
    path = tmp_path / SEGMENT
    path.chmod(0o600)
    before, content = path.stat(), path.read_bytes()
    (tmp_path / f"{SEGMENT}.rewrite").write_bytes(b"half of an older one")
    assert rewrite_tail(tmp_path, head, closed_cleanly=False) == (SEGMENT, len(content))
    after = path.stat()
    assert (after.st_ino != before.st_ino, after.st_mode) == (True, before.st_mode)
    assert path.read_bytes() == content
    assert names(tmp_path) == [SEGMENT, "lock"]
    assert find_head(tmp_path, HASHER, DIALECT) == head


def test_nothing_to_do(head: Head, tmp_path: Path) -> None:
    before = (tmp_path / SEGMENT).stat()
    assert rewrite_tail(tmp_path, head, closed_cleanly=True) is None
    assert (tmp_path / SEGMENT).stat() == before
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    assert rewrite_tail(fresh, EMPTY_HEAD, closed_cleanly=False) is None
    (fresh / SEGMENT).touch()
    assert rewrite_tail(fresh, EMPTY_HEAD, closed_cleanly=False) is None


def test_the_last_segment_with_records_is_the_one(head: Head, tmp_path: Path) -> None:
    os.rename(tmp_path / SEGMENT, tmp_path / segment_name(4))
    (tmp_path / segment_name(5)).touch()
    rewritten = rewrite_tail(tmp_path, head, closed_cleanly=False)
    assert rewritten is not None
    assert rewritten.segment == segment_name(4)


def test_a_long_last_line(tmp_path: Path) -> None:
    batches = [*small_batches(HASHER), [b'"' + b"x" * 3_000_000 + b'"']]
    head = write_log(tmp_path, HASHER, batches)
    content = (tmp_path / SEGMENT).read_bytes()
    assert rewrite_tail(tmp_path, head, closed_cleanly=False) == (SEGMENT, len(content))
    assert (tmp_path / SEGMENT).read_bytes() == content


def test_a_segment_that_does_not_end_with_the_head(head: Head, tmp_path: Path) -> None:
    path = tmp_path / SEGMENT
    content = path.read_bytes()
    for wrong in (Head(4, head.entry_hash), Head(5, "a" * 64)):
        with pytest.raises(WalError, match="ends with record 5, not with"):
            rewrite_tail(tmp_path, wrong, closed_cleanly=False)
    path.write_bytes(content + b"garbage")
    with pytest.raises(WalError, match="does not end with a record"):
        rewrite_tail(tmp_path, head, closed_cleanly=False)
    assert path.read_bytes() == content + b"garbage"
    assert names(tmp_path) == [SEGMENT, "lock"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync", "rename", "pread"])
def test_what_the_disk_refuses(
    call: str, code: int, head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (tmp_path / SEGMENT).read_bytes()

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(WalError, match="cannot rewrite the end of the log"):
            rewrite_tail(tmp_path, head, closed_cleanly=False)
    assert (tmp_path / SEGMENT).read_bytes() == content
    assert names(tmp_path) == [SEGMENT, "lock"]


def test_a_disk_that_gives_back_other_bytes(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (tmp_path / SEGMENT).read_bytes()
    real = os.posix_fadvise

    def flip(descriptor: int, offset: int, length: int, advice: int) -> None:
        os.pwrite(descriptor, b"#", 50)
        real(descriptor, offset, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", flip)
    with pytest.raises(WalError, match="not what was written: the disk fails"):
        rewrite_tail(tmp_path, head, closed_cleanly=False)
    assert (tmp_path / SEGMENT).read_bytes() == content
    assert names(tmp_path) == [SEGMENT, "lock"]


@pytest.mark.parametrize("place", [place for place in failpoint.NAMES if "-tail-" in place])
def test_a_failure_at_any_step(place: str, head: Head, tmp_path: Path) -> None:
    content = (tmp_path / SEGMENT).read_bytes()

    def fail(reached: str) -> None:
        if reached == place:
            raise OSError(errno.EIO, "here")

    failpoint.install(fail)
    try:
        with pytest.raises(WalError, match="here"):
            rewrite_tail(tmp_path, head, closed_cleanly=False)
    finally:
        failpoint.install(None)
    assert (tmp_path / SEGMENT).read_bytes() == content
    assert names(tmp_path) == [SEGMENT, "lock"]


def fill(writer: LogWriter) -> None:
    for sequence in range(2, 1000):
        writer.append(sequence, record("order", sequence, text="x" * 1000))
        writer.sync_now()


def test_a_full_disk(tmp_path: Path) -> None:
    """A real one, where it can be mounted: a start refuses until there is space."""
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
            with pytest.raises(WalError, match="No space left on device"):
                apply_repair(disk, cut)
            assert names(disk) == [SEGMENT, "ballast", "lock"]
            assert (disk / SEGMENT).read_bytes() == content
            ballast.unlink()
            cut = plan_repair(disk, HASHER, DIALECT, protected_sequence=durable.sequence)
            assert cut is not None
            apply_repair(disk, cut)
            assert find_head(disk, HASHER, DIALECT) == durable
            content = (disk / SEGMENT).read_bytes()
            with pytest.raises(WalError, match="No space left on device"):
                rewrite_tail(disk, durable, closed_cleanly=False)
            assert (disk / SEGMENT).read_bytes() == content
            assert not list(disk.glob("*.rewrite"))
            subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
            assert rewrite_tail(disk, durable, closed_cleanly=False) is not None
            assert (disk / SEGMENT).read_bytes() == content
    finally:
        subprocess.run(["umount", str(disk)], check=True)
