"""A file is replaced whole or not at all, and nothing that lies in wait beside it is written to."""

import os
from pathlib import Path

import pytest

from wal import publish_file

OLD, NEW = b"old", b"something new"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "name"
    path.write_bytes(OLD)
    return path


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def test_it_replaces_and_leaves_nothing_beside(path: Path) -> None:
    inode = path.stat().st_ino
    publish_file(path, NEW)
    assert (path.read_bytes(), names(path)) == (NEW, ["name"])
    assert path.stat().st_ino != inode


def test_what_a_crash_left_is_removed(path: Path) -> None:
    beside = path.with_name("name.new")
    beside.write_bytes(b"half of something longer than the new one")
    publish_file(path, NEW)
    assert (path.read_bytes(), names(path)) == (NEW, ["name"])


def test_a_link_beside_is_neither_followed_nor_removed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"not to be touched")
    beside = path.with_name("name.new")
    beside.symlink_to(victim)
    with pytest.raises(FileExistsError, match="no unfinished file of this user's"):
        publish_file(path, NEW)
    assert (path.read_bytes(), victim.read_bytes()) == (OLD, b"not to be touched")
    assert beside.is_symlink()


def test_a_pipe_beside_makes_nobody_wait(path: Path) -> None:
    os.mkfifo(path.with_name("name.new"))
    with pytest.raises(FileExistsError):
        publish_file(path, NEW)
    assert path.read_bytes() == OLD


def test_a_link_under_the_name_itself_is_replaced(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    publish_file(link, NEW)
    assert not link.is_symlink()
    assert (link.read_bytes(), path.read_bytes()) == (NEW, OLD)


def test_what_may_not_be_replaced_is_not(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        publish_file(path, NEW, may_replace=False)
    assert (path.read_bytes(), names(path)) == (OLD, ["name"])
    publish_file(tmp_path / "fresh", NEW, may_replace=False)
    assert ((tmp_path / "fresh").read_bytes(), names(path)) == (NEW, ["fresh", "name"])
    assert (tmp_path / "fresh").stat().st_nlink == 1


def test_its_mode_is_the_one_asked_for(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        publish_file(tmp_path / "one", NEW, mode=0o600)
        publish_file(tmp_path / "two", NEW, mode=0o666)
    finally:
        os.umask(mask)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("one", "two")]
    assert modes == [0o600, 0o644]
