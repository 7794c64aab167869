"""The right to write a log, with second processes that really are some: what is held cannot be
removed, and what was removed or replaced is seen."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import wal
from wal import (
    EMPTY_HEAD,
    ChainHasher,
    LogLock,
    LogWriter,
    WalDisplaced,
    WalError,
    WalLocked,
    open_for_recovery,
)
from wal_support import SEGMENT, fake_clock

PACKAGES = Path(wal.__file__).resolve().parent.parent
HOLDER = """
import sys
from pathlib import Path
from wal import LogLock
lock = LogLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
OPENER = """
import sys
from pathlib import Path
from wal import LogLock, WalLocked
try:
    LogLock.acquire(Path(sys.argv[1]))
except WalLocked as locked:
    print(locked.holder_pid)
else:
    print("acquired")
"""
# What software that knows the file `lock` alone does.
OLD_OPENER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1] + "/lock", os.O_RDWR | os.O_CREAT)
try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("refused")
else:
    print("acquired")
"""
OLD_HOLDER = OLD_OPENER + "\nsys.stdout.flush(); sys.stdin.read()"


def start(script: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", script, str(directory)],
        env={**os.environ, "PYTHONPATH": str(PACKAGES)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run(script: str, directory: Path) -> str:
    """What the script prints, once it has ended."""
    process = start(script, directory)
    return process.communicate(timeout=30)[0].strip()


@contextmanager
def holding(script: str, directory: Path, word: str) -> Iterator[subprocess.Popen[str]]:
    """The script at work in a process of its own, once it has said the word."""
    holder = start(script, directory)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == f"{word}\n"
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def test_second_opener_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with holding(HOLDER, tmp_path, "held") as holder:
        with pytest.raises(WalLocked) as caught:
            LogLock.acquire(tmp_path)
        assert caught.value.holder_pid == holder.pid
        assert str(caught.value) == f"{tmp_path / 'lock'} is held by process {holder.pid}"
    # A holder that dies at any instant leaves no lock behind.
    with LogLock.acquire(tmp_path) as lock:
        assert lock.held
        assert run(OPENER, tmp_path) == f"{os.getpid()}"
    assert not lock.held
    assert run(OPENER, tmp_path) == "acquired"


def test_the_lock_excludes_within_a_process_too(tmp_path: Path) -> None:
    lock = LogLock.acquire(tmp_path)
    with pytest.raises(WalLocked):
        LogLock.acquire(tmp_path)
    lock.release()
    lock.release()
    LogLock.acquire(tmp_path).release()


def test_holder_unknown(tmp_path: Path) -> None:
    with LogLock.acquire(tmp_path):
        (tmp_path / "lock").write_bytes(b"who knows")
        with pytest.raises(WalLocked, match="held by another process") as caught:
            LogLock.acquire(tmp_path)
    assert caught.value.holder_pid is None


def test_no_directory_no_lock(tmp_path: Path) -> None:
    with pytest.raises(WalError, match="cannot open"):
        LogLock.acquire(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(WalError, match="cannot open"):
        LogLock.acquire(tmp_path / "file")


def test_a_lock_file_that_was_removed_lets_nobody_in(tmp_path: Path) -> None:
    """It let a second writer in, and one of the two lost its records."""
    with holding(HOLDER, tmp_path, "held"):
        (tmp_path / "lock").unlink()
        with pytest.raises(WalLocked, match=f"^{tmp_path} is held by another process$"):
            LogLock.acquire(tmp_path)
        assert not (tmp_path / "lock").exists()
        (tmp_path / "lock").touch()
        with pytest.raises(WalLocked):
            open_for_recovery(tmp_path)
    open_for_recovery(tmp_path).release()


def test_two_paths_lead_to_one_lock(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    (tmp_path / "link").symlink_to(log)
    with holding(HOLDER, tmp_path / "link", "held"):
        (log / "lock").unlink()
        with pytest.raises(WalLocked):
            LogLock.acquire(log)


def test_a_bind_mount_leads_to_the_same_lock(tmp_path: Path) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    log.mkdir()
    other.mkdir()
    mount = ["mount", "--bind", str(log), str(other)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount here")
    try:
        with holding(HOLDER, other, "held"):
            (log / "lock").unlink()
            with pytest.raises(WalLocked):
                LogLock.acquire(log)
    finally:
        subprocess.run(["umount", str(other)], check=True)


def test_older_software_is_excluded_and_excludes(tmp_path: Path) -> None:
    with LogLock.acquire(tmp_path):
        assert run(OLD_OPENER, tmp_path) == "refused"
    with holding(OLD_HOLDER, tmp_path, "acquired"), pytest.raises(WalLocked):
        LogLock.acquire(tmp_path)
    LogLock.acquire(tmp_path).release()


def test_files_moved_from_under_a_writer_are_not_taken_up(tmp_path: Path) -> None:
    """Neither directory nor lock are those that it holds: the segment is."""
    log, other = tmp_path / "log", tmp_path / "other"
    log.mkdir()
    other.mkdir()
    with LogWriter.open(log, ChainHasher(None), EMPTY_HEAD, monotonic_ns=fake_clock()) as writer:
        writer.append(1, b"{}")
        writer.sync_now()
        (log / SEGMENT).rename(other / SEGMENT)
        with pytest.raises(WalLocked, match=SEGMENT):
            LogLock.acquire(other)
    LogLock.acquire(other).release()


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("what", ["lock", "directory"])
def test_what_is_locked_and_is_gone_is_seen(what: str, replaced: bool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    with LogLock.acquire(log) as lock:
        lock.check()
        if what == "lock":
            (log / "lock").rename(log / "old")
            if replaced:
                (log / "lock").touch()
        else:
            log.rename(tmp_path / "old")
            if replaced:
                log.mkdir()
                (log / "lock").touch()
        words = "another file stands in the place of" if replaced else "was removed or renamed"
        with pytest.raises(WalDisplaced, match=words):
            lock.check()


def test_a_lock_that_cannot_be_looked_at_is_no_lock_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with LogLock.acquire(tmp_path) as lock:
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", refuse)
            with pytest.raises(PermissionError):
                lock.check()
        lock.check()


def test_a_lock_removed_while_it_is_taken_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def remove_behind(path: Path, *arguments: int) -> int:
        descriptor = real(path, *arguments)
        if str(path).endswith("/lock"):
            os.unlink(path)
        return descriptor

    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", remove_behind)
        with pytest.raises(WalDisplaced):
            LogLock.acquire(tmp_path)
    assert os.listdir("/proc/self/fd") == before
    LogLock.acquire(tmp_path).release()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_full_disk_does_not_keep_a_lock_from_being_taken(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text is for a message alone; it began with a truncation, behind which nothing fitted."""
    (tmp_path / "lock").write_bytes(b"123456789\n")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail)
        if code == errno.EIO:
            with pytest.raises(WalError, match="cannot lock the log"):
                LogLock.acquire(tmp_path)
            return
        LogLock.acquire(tmp_path).release()
    LogLock.acquire(tmp_path).release()
    assert (tmp_path / "lock").read_bytes() == b"%d\n" % os.getpid()


def test_what_is_no_segment_holds_nobody_up(tmp_path: Path) -> None:
    """It is refused when the segments are listed."""
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("elsewhere", path)):
        make(tmp_path / SEGMENT)
        LogLock.acquire(tmp_path).release()
        (tmp_path / SEGMENT).rename(tmp_path / f"{SEGMENT}.{make}".replace("/", ""))
