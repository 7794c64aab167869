"""What is built says which commit it is of, where that is known, and builds where it is not."""

import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from forms.modules import SHARED_MODULE

CHECKOUT = Path(__file__).resolve().parent.parent
COMMIT = Path("guard", "data", "commit")

pytest.importorskip("Cython")
pytest.importorskip("setuptools")
# Of a build beside other work, or of what else runs here.
PATIENCE_S = 180.0
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
    for name in ("forms", "guard", "kernel", "wal"):
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


def compile_only(checkout: Path, modules: dict[str, tuple[str, ...]]) -> None:
    listed = checkout / "forms" / "modules.py"
    listed.write_text(f"COMPILED_MODULES = {modules}\nSHARED_MODULE = {SHARED_MODULE!r}\n")


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
    compile_only(checkout, SMALL)
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
    # The two, and what they share.
    assert lines[0] == "pretrade-guard: compiling 3 modules, once: a minute or two"
    assert lines[1:-1] == [f"pretrade-guard: compiled {at} of 3 modules" for at in (1, 2, 3)]
    assert lines[-1] == "end"
    assert shown.endswith("\r\x1b[Kend"), "the line is gone"


NO_HEADERS = """
import runpy, sys
import setuptools
from distutils import sysconfig
sysconfig.get_python_inc = lambda *_, **__: "/no/headers"
sys.argv = ["setup.py", "--quiet", "build_ext", "--inplace"]
runpy.run_path("setup.py", run_name="__main__")
"""


def compiled(checkout: Path) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in (checkout / "wal").glob("*.so"))


def build_extensions(checkout: Path, *command: str, **environment: str) -> CompletedProcess[str]:
    compile_only(checkout, SMALL)
    return subprocess.run(
        (sys.executable, *(command or ("setup.py", "--quiet", "build_ext", "--inplace"))),
        cwd=checkout,
        env={**os.environ, "CFLAGS": "-O0", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_what_can_be_compiled_is(checkout: Path) -> None:
    done = build_extensions(checkout)
    assert (done.returncode, compiled(checkout)) == (0, list(SMALL["wal"]))


@pytest.mark.parametrize("compiler", ["/nonexistent", "no-such-compiler -m64"])
def test_without_a_compiler_nothing_is_compiled(checkout: Path, compiler: str) -> None:
    done = build_extensions(checkout, CC=compiler)
    assert (done.returncode, compiled(checkout)) == (0, [])
    command = compiler.split()[0]
    assert f"there is no C compiler {command}: nothing is compiled; all runs int" in done.stderr
    assert list((checkout / "wal").glob("*.c")) == []


def test_a_compiler_without_python_s_headers_counts_as_none(checkout: Path) -> None:
    done = build_extensions(checkout, "-c", NO_HEADERS)
    assert (done.returncode, compiled(checkout)) == (0, [])
    assert re.search("there is no Python.h in .*/no/headers: nothing is compiled", done.stderr)


def test_a_compiler_that_fails_fails_the_build(checkout: Path) -> None:
    done = build_extensions(checkout, CC="false")
    assert done.returncode != 0
    assert "command 'false' failed with exit code 1" in done.stderr.replace("/usr/bin/", "")
    assert compiled(checkout) == []


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_source_that_does_not_compile_fails_the_build(checkout: Path) -> None:
    with (checkout / "wal" / "standing.pxd").open("a") as types:
        types.write("cdef no_such_type broken\n")
    done = build_extensions(checkout)
    assert done.returncode != 0
    assert "no_such_type" in done.stderr + done.stdout


@pytest.mark.long
@pytest.mark.parametrize("is_compiled", [False, True], ids=["plain", "compiled"])
def test_a_wheel_that_is_built_again_is_the_same_to_the_byte(
    checkout: Path, tmp_path: Path, is_compiled: bool
) -> None:
    """Elsewhere, at another time: who has the source can see that a wheel is of it."""
    if is_compiled and shutil.which("cc") is None:
        pytest.skip("no C compiler")
    commit_time = git(checkout, "log", "-1", "--format=%ct")
    elsewhere = tmp_path / "quite" / "elsewhere"
    elsewhere.mkdir(parents=True)
    git(elsewhere, "clone", "--quiet", str(checkout), str(elsewhere / "a-clone"))
    wheels = []
    for place in (checkout, elsewhere / "a-clone"):
        environment = {**os.environ, "SOURCE_DATE_EPOCH": commit_time}
        if not is_compiled:
            environment["CC"] = "/nonexistent"
        line = (sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir", "dist")
        subprocess.run(line, cwd=place, env=environment, check=True, capture_output=True)
        wheels += place.glob("dist/*.whl")
    first, second = wheels
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_what_a_wheel_brings_along_is_written_beside_it(tmp_path: Path) -> None:
    wheel = tmp_path / "pretrade_guard-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"not looked into")
    requirements = CHECKOUT / "requirements.txt"
    line = (sys.executable, str(CHECKOUT / ".ci" / "sbom.py"), str(requirements), str(wheel))
    texts = set()
    for _ in range(2):
        done = subprocess.run(line, check=True, capture_output=True, text=True)
        place = Path(done.stdout.strip())
        texts.add(place.read_bytes())
    assert place == tmp_path / "pretrade_guard-0.1.0-py3-none-any.cdx.json"
    assert len(texts) == 1
    document = json.loads(texts.pop())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    subject = document["metadata"]["component"]
    digest = hashlib.sha256(b"not looked into").hexdigest()
    assert subject["purl"] == "pkg:pypi/pretrade-guard@0.1.0"
    assert subject["hashes"] == [{"alg": "SHA-256", "content": digest}]
    told = {each["name"] for each in document["components"]}
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==", requirements.read_text(), re.MULTILINE)
    assert told == set(pinned)
    assert {"cryptography", "msgspec", "pyzmq", "uvloop"} <= told
    every = re.findall(r"--hash=sha256:([0-9a-f]{64})", requirements.read_text())
    shown = [
        one["hashes"][0]["content"]
        for each in document["components"]
        for one in each["externalReferences"]
    ]
    assert shown == every
