"""Only regular files are opened, and what is in their place never makes anybody wait."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wal import open_regular, open_to_read, read_regular

CONTENT = b"0123456789"


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def as_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(CONTENT)
    path.symlink_to(target)


NO_FILES: list[tuple[Callable[[Path], None], str]] = [
    (as_fifo, "is no regular file"),
    (as_socket, "is no regular file"),
    (Path.mkdir, "is no regular file"),
    (as_link, "is a symbolic link"),
]


@pytest.mark.parametrize(
    ("make", "words"), NO_FILES, ids=lambda value: getattr(value, "__name__", "")
)
@pytest.mark.parametrize("access", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY])
def test_what_is_no_regular_file_is_refused_at_once(
    make: Callable[[Path], None], words: str, access: int, tmp_path: Path
) -> None:
    make(tmp_path / "name")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=words):
        open_regular(tmp_path / "name", access)
    with pytest.raises(OSError, match=words):
        read_regular(tmp_path / "name", 10)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_that_a_person_named_is_followed(tmp_path: Path) -> None:
    as_link(tmp_path / "name")
    assert read_regular(tmp_path / "name", 10, follows_links=True) == CONTENT
    with open_to_read(tmp_path / "name", 0, follows_links=True) as file:
        assert file.read() == CONTENT
        assert os.get_blocking(file.fileno())


def test_one_byte_more_than_allowed_is_read_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(CONTENT)
    assert read_regular(tmp_path / "name", 3) == CONTENT[:4]
    assert read_regular(tmp_path / "name", 10) == CONTENT
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 10)


READ = """
import sys
from pathlib import Path
from wal import read_regular
path = Path(sys.argv[1])
print(read_regular(path, 10, follows_links=True, takes_streams=sys.argv[2] == "takes"))
"""


@pytest.mark.parametrize(("takes", "code"), [("takes", 0), ("not", 1)])
def test_a_pipe_between_two_commands(takes: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ, "/dev/stdin", takes],
        input=CONTENT,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout == b"b'0123456789'\n") == (code, code == 0), done.stderr


def test_a_named_pipe_is_none_of_those(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "name")
    with pytest.raises(OSError, match="is no regular file"):
        read_regular(tmp_path / "name", 10, takes_streams=True)
