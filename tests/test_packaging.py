"""What is built says which commit it is of, where that is known, and builds where it is not."""

import os
import pty
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from daemon_support import PATIENCE_S

CHECKOUT = Path(__file__).resolve().parent.parent
COMMIT = Path("guard", "data", "commit")

pytest.importorskip("Cython")
pytest.importorskip("setuptools")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small one of the packages, committed."""
    place = tmp_path / "checkout"
    place.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(CHECKOUT / name, place / name)
    for name in ("guard", "kernel", "wal"):
        built = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
        shutil.copytree(CHECKOUT / name, place / name, ignore=built)
    git(place, "init", "--quiet")
    git(place, "add", "--all")
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid")
    git(place, *author, "commit", "--quiet", "--message", "All of it")
    return place


def git(place: Path, *arguments: str) -> str:
    command = ("git", "-C", str(place), *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def build(place: Path, *arguments: str, path: str | None = None) -> None:
    """Runs setup.py there."""
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    subprocess.run(
        (sys.executable, "setup.py", "--quiet", *arguments),
        cwd=place,
        env=environment,
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )


def built_commit(place: Path, path: str | None = None) -> str:
    """What a build there says, "" where it says nothing."""
    build(place, "build_py", "--build-lib", "build/lib", path=path)
    file = place / "build" / "lib" / COMMIT
    return file.read_text() if file.exists() else ""


def test_a_build_of_a_checkout_says_its_commit(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "--short=12", "HEAD")
    assert built_commit(checkout) == f"{head}\n"
    with (checkout / "guard" / "clock.py").open("a") as source:
        source.write("# changed\n")
    assert built_commit(checkout) == f"{head}+\n"
    assert not (checkout / COMMIT).exists()  # the checkout stays as it is
    assert built_commit(checkout, path="/no/such/place") == ""  # not the earlier build's
    shutil.rmtree(checkout / ".git")
    assert built_commit(checkout) == ""


def test_an_sdist_brings_it_along_and_no_other_s(checkout: Path, tmp_path: Path) -> None:
    head = git(checkout, "rev-parse", "--short=12", "HEAD")
    build(checkout, "sdist", "--dist-dir", str(tmp_path / "dist"))
    (archive,) = (tmp_path / "dist").iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(checkout, filter="data")  # within another checkout, even
    (unpacked,) = checkout.glob("pretrade_guard-*")
    assert built_commit(unpacked) == f"{head}\n"
    (unpacked / COMMIT).unlink()
    assert built_commit(unpacked) == ""


SMALL = {"wal": ("entryhash", "standing")}
SESSION = """
import os, subprocess, sys

os.close(os.open(sys.argv[1], os.O_RDWR))  # as a session's leader without one: now its terminal
command = [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", "built"]
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
group = {"process_group": 0} if sys.argv[2] == "behind" else {}
sys.exit(subprocess.run(command, **quiet, **group).returncode)
"""


@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_build_under_pip_tells_its_terminal_how_far_it_is(checkout: Path, place: str) -> None:
    """pip keeps a build's output to itself. Behind: a job in the background, which says nothing."""
    setup = checkout / "setup.py"
    text, count = re.subn(
        r"COMPILED_MODULES = \{.*?^\}", f"COMPILED_MODULES = {SMALL}", setup.read_text(),
        flags=re.DOTALL | re.MULTILINE,
    )  # fmt: skip
    assert count == 1
    setup.write_text(text)
    mine, its = pty.openpty()
    process = subprocess.Popen(
        (sys.executable, "-c", SESSION, os.ttyname(its), place),
        cwd=checkout,
        env={**os.environ, "CFLAGS": "-O0"},
        start_new_session=True,
    )
    try:
        assert process.wait(PATIENCE_S) == 0
        os.write(its, b"end")
        shown = ""
        while not shown.endswith("end"):
            shown += os.read(mine, 65_536).decode()
    finally:
        process.kill()
        process.wait()
        os.close(mine)
        os.close(its)
    lines = [line for line in shown.split("\r\x1b[K") if line]
    if place == "behind":
        assert lines == ["end"]
        return
    assert lines[0] == "pretrade-guard: compiling 2 modules, once: a minute or two"
    assert lines[1:-1] == [f"pretrade-guard: compiled {at} of 2 modules" for at in (1, 2)]
    assert lines[-1] == "end"
    assert shown.endswith("\r\x1b[Kend"), "the line is gone"
