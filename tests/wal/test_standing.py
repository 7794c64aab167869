"""A segment that is deleted, renamed, cut or replaced under its writer: seen behind the next sync,
before anybody is told of it."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    LogWriter,
    WalDisplaced,
    WalPoisoned,
    segment_name,
    verify_chain,
)
from wal.standing import Standing
from wal_support import DIALECT, SEGMENT, GatedFiles, fake_clock

HASHER = ChainHasher(None)


def open_log(log: Path, **options: object) -> LogWriter:
    log.mkdir()
    writer = LogWriter.open(
        log,
        HASHER,
        EMPTY_HEAD,
        monotonic_ns=fake_clock(),
        **options,  # type: ignore[arg-type]
    )
    writer.append(1, b'{"n":1}')
    writer.sync_now()
    return writer


def remove(path: Path) -> None:
    path.unlink()


def rename(path: Path) -> None:
    path.rename(path.with_suffix(".1"))


def replace(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def link(path: Path) -> None:
    path.rename(path.with_suffix(".1"))
    path.symlink_to(path.with_suffix(".1"))


def cut(path: Path) -> None:
    os.truncate(path, 0)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


def remove_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


def rename_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def replace_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    shutil.copytree(path.parent.with_name("moved"), path.parent)


HARM: dict[Callable[[Path], None], str] = {
    remove: "was removed while",
    rename: "was renamed, or its directory moved",
    replace: "was removed while",
    link: "another file stands in the place",
    cut: "it was cut, or",
    lengthen: "somebody else has written to it",
    remove_directory: "was removed while",
    rename_directory: "was renamed, or its directory moved",
    replace_directory: "another file stands in the place",
}
harm = pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)


@harm
def test_behind_a_sync_here(harm: Callable[[Path], None], tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as writer:
        harm(tmp_path / "log" / SEGMENT)
        writer.append(2, b'{"n":2}')
        with pytest.raises(WalPoisoned, match=HARM[harm]) as caught:
            writer.sync_now()
        assert (caught.value.stage, writer.durable_head.sequence) == ("check", 1)
        assert isinstance(caught.value.__cause__, WalDisplaced)
        with pytest.raises(WalPoisoned):
            writer.append(3, b"{}")


@pytest.mark.parametrize("gated", [False, True])
@harm
async def test_behind_a_sync_on_a_thread(
    harm: Callable[[Path], None], gated: bool, tmp_path: Path
) -> None:
    files = GatedFiles() if gated else None
    if files is not None:
        for _ in range(2):
            files.let_go.release()
    with open_log(tmp_path / "log", files=files) as writer:
        harm(tmp_path / "log" / SEGMENT)
        writer.append(2, b'{"n":2}')
        with pytest.raises(WalPoisoned, match=HARM[harm]) as caught:
            await writer.sync()
        assert (caught.value.stage, writer.durable_head.sequence) == ("check", 1)
        assert isinstance(caught.value.__cause__, WalDisplaced)


@harm
def test_between_syncs(harm: Callable[[Path], None], tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as writer:
        writer.check_standing()
        harm(tmp_path / "log" / SEGMENT)
        with pytest.raises(WalDisplaced, match=HARM[harm]):
            writer.check_standing()


@pytest.mark.parametrize("harm", [remove, replace], ids=lambda harm: harm.__name__)
def test_a_deleted_segment_s_bytes_are_kept(harm: Callable[[Path], None], tmp_path: Path) -> None:
    """The system frees them when the writer's descriptor is closed, answered records and all."""
    path = tmp_path / "log" / SEGMENT
    kept = path.with_name(f"{SEGMENT}.removed-2")
    with open_log(tmp_path / "log") as writer:
        path.with_name(f"{SEGMENT}.removed").write_bytes(b"another's")
        content = path.read_bytes()
        harm(path)
        writer.append(2, b'{"n":2}')
        with pytest.raises(WalPoisoned, match=f"bytes are kept in {kept.name}"):
            writer.sync_now()
    assert kept.read_bytes().startswith(content)
    kept.replace(path)
    assert verify_chain(tmp_path / "log", HASHER, DIALECT).head.sequence == 1  # what was told


def test_where_nothing_can_be_kept_that_is_not_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_log(tmp_path / "log") as writer:
        remove(tmp_path / "log" / SEGMENT)
        with monkeypatch.context() as patch:
            patch.setattr("wal.rescue.write_all", refuse)
            with pytest.raises(WalDisplaced, match=r"was removed while it was being written$"):
                writer.check_standing()
        assert [path.name for path in (tmp_path / "log").iterdir()] == ["lock"]


def test_the_lock_between_syncs(tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as writer:
        (tmp_path / "log" / "lock").unlink()
        with pytest.raises(WalDisplaced, match="the log's lock was removed or renamed"):
            writer.check_standing()


def test_while_a_sync_is_running_nothing_is_said(tmp_path: Path) -> None:
    """How long the segment is by then nobody knows."""
    with open_log(tmp_path / "log") as writer:
        cut(tmp_path / "log" / SEGMENT)
        writer._is_syncing = True
        writer.check_standing()
        writer._is_syncing = False


@pytest.mark.parametrize("is_here", [True, False])
async def test_no_segment_is_begun_in_another_directory(is_here: bool, tmp_path: Path) -> None:
    """The log's was moved and another one stands in its place when the segment is full."""
    log = tmp_path / "log"
    with open_log(log) as writer:
        log.rename(tmp_path / "moved")
        log.mkdir()
        writer.rotate()
        writer.append(2, b'{"n":2}')
        words = "another file stands in the place of the log's directory"
        if is_here:
            with pytest.raises(WalPoisoned, match=words):
                writer.sync_now()
        else:
            with pytest.raises(WalPoisoned, match=words):
                await writer.sync()
        assert (log / segment_name(2)).read_bytes() == b""
    assert not (tmp_path / "moved" / segment_name(2)).exists()


def test_segment_after_segment(tmp_path: Path) -> None:
    with open_log(tmp_path / "log", segment_bytes_max=1) as writer:
        for sequence in range(2, 6):
            writer.append(sequence, b"{}")
            writer.sync_now()
            writer.check_standing()
        (tmp_path / "log" / segment_name(2)).unlink()  # a sealed one: not the writer's business
        writer.check_standing()
        remove(tmp_path / "log" / segment_name(5))
        with pytest.raises(WalDisplaced):
            writer.check_standing()


def test_a_log_that_goes_on_in_its_last_segment(tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as writer:
        head = writer.durable_head
    with LogWriter.open(tmp_path / "log", HASHER, head, monotonic_ns=fake_clock()) as writer:
        writer.check_standing()
        writer.append(2, b"{}")
        writer.sync_now()
        cut(tmp_path / "log" / SEGMENT)
        writer.append(3, b"{}")
        with pytest.raises(WalPoisoned, match="it was cut"):
            writer.sync_now()


def test_a_path_that_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without permissions for a second is no segment that is gone."""
    path = tmp_path / SEGMENT
    path.write_bytes(b"12345")
    descriptor = os.open(path, os.O_RDWR)
    standing = Standing()
    standing.watch(descriptor, str(path))

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    try:
        path.rename(tmp_path / "elsewhere")
        with monkeypatch.context() as patch:
            patch.setattr(os, "lstat", refuse)
            standing.check(5, 5)
            with pytest.raises(WalDisplaced, match="has 5 bytes, where 6 were written"):
                standing.check(6, 6)
        with pytest.raises(WalDisplaced, match="was renamed"):
            standing.check(5, 5)
    finally:
        os.close(descriptor)
