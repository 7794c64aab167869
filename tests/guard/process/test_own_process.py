"""A process of ours is the installation of its starter, wherever and however that was started.

The working directories and PYTHONPATHs here hold packages of our names, and modules of the standard
library's and of other libraries, which leave a mark and fail when they are imported.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon_support import Site
from guard import __version__
from guard.process import installation, own_process
from guard.process.installation import PACKAGES, described, identity
from patience_support import PATIENCE_S
from protocol_client import STATS, ProtocolClient

# A process of ours, started by one of ours: says where its packages are and what it was given.
CHILD = """
import sys
import guard, kernel, wal, msgspec
print(guard.__file__, kernel.__file__, wal.__file__, msgspec.__file__, *sys.argv[1:])
"""
STARTER = """
import subprocess, sys
from guard.process import own_process
sys.exit(subprocess.run(own_process.command(sys.argv[1], "a b", "c")).returncode)
"""
OURS = ("forms", "guard", "kernel", "wal")
DECOYS = (*OURS, "msgspec", "zmq", "uvloop", "runpy", "socket", "pathlib")


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """A folder of packages that are not ours."""
    folder = tmp_path / "decoys"
    for name in DECOYS:
        (folder / name).mkdir(parents=True)
        mark = f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r})\nraise SystemExit(99)\n"
        (folder / name / "__init__.py").write_text(mark)
    return folder


def installed_command() -> Path:
    """The console script of this very environment."""
    script = Path(sys.executable).with_name("pretrade-guard")
    assert script.is_file(), f"{script}: is not installed"
    return script


def copy_packages(place: Path) -> Path:
    """The packages as sources, as in a checkout in which nothing was built."""
    for name in OURS:
        unbuilt = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "commit")
        shutil.copytree(PACKAGES / name, place / name, ignore=unbuilt)
    return place


def run(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """To its end."""
    return subprocess.run(
        arguments,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def start_child(
    tmp_path: Path, *interpreter: str, cwd: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """What a child of a starter under that interpreter says."""
    child, starter = tmp_path / "child.py", tmp_path / "starter.py"
    child.write_text(CHILD)
    starter.write_text(STARTER)
    return run(sys.executable, *interpreter, str(starter), str(child), cwd=cwd, **environment)


def said_of(packages: Path) -> str:
    import msgspec

    ours = (str(packages / name / "__init__.py") for name in ("guard", "kernel", "wal"))
    return " ".join((*ours, str(msgspec.__file__), "a b", "c")) + "\n"


@pytest.mark.parametrize("is_safe", ["", "1"])
def test_the_working_directory_does_not_matter(tmp_path: Path, decoys: Path, is_safe: str) -> None:
    done = start_child(tmp_path, cwd=decoys, PYTHONPATH=str(PACKAGES), PYTHONSAFEPATH=is_safe)
    assert (done.stdout, done.stderr, done.returncode) == (said_of(PACKAGES), "", 0)
    assert not (tmp_path / "imported").exists()


def test_nor_does_a_path_that_the_starter_passed_over(tmp_path: Path, decoys: Path) -> None:
    """Isolated, the starter does not look at PYTHONPATH: nor may its child."""
    done = start_child(tmp_path, "-E", cwd=decoys, PYTHONPATH=str(decoys))
    assert (done.stdout, done.stderr, done.returncode) == (said_of(PACKAGES), "", 0)
    assert not (tmp_path / "imported").exists()


def test_a_checkout_on_the_path_starts_itself(tmp_path: Path, decoys: Path) -> None:
    """Before the installation, as PYTHONPATH stands."""
    checkout = copy_packages(tmp_path / "checkout")
    done = start_child(tmp_path, cwd=decoys, PYTHONPATH=str(checkout))
    assert (done.stdout, done.stderr, done.returncode) == (said_of(checkout), "", 0)


def test_a_path_that_changed_behind_the_starter_s_imports(tmp_path: Path, decoys: Path) -> None:
    program = tmp_path / "starter.py"
    program.write_text(f"import sys, guard\nsys.path.insert(0, {str(decoys)!r})\n" + STARTER)
    (tmp_path / "child.py").write_text("import guard, kernel, wal; print(guard.__file__)")
    for name in set(DECOYS) - set(OURS):
        shutil.rmtree(decoys / name)  # these would be the starter's own, too
    done = run(sys.executable, str(program), str(tmp_path / "child.py"), cwd=decoys)
    assert (done.stdout, done.stderr) == (f"{PACKAGES}/guard/__init__.py\n", "")


CHANGES = """
import pathlib, subprocess, sys
from guard.process import own_process
source = pathlib.Path({file!r})
source.write_text(source.read_text().replace({old!r}, {new!r}))
sys.exit(subprocess.run(own_process.command("guard.cli", "--version")).returncode)
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (f'"{__version__}"', '"9.9.9"', "it is 9.9.9, interpreted"),
        ("\n__version__", '\nGUARD_FORM = "compiled"\n__version__', "compiled, in "),
    ],
)
def test_an_installation_that_was_exchanged_is_refused(
    tmp_path: Path, old: str, new: str, found: str
) -> None:
    checkout = copy_packages(tmp_path / "checkout")
    starter = tmp_path / "starter.py"
    starter.write_text(
        CHANGES.format(file=str(checkout / "guard" / "__init__.py"), old=old, new=new)
    )
    done = run(sys.executable, str(starter), cwd=tmp_path, PYTHONPATH=str(checkout))
    assert (done.returncode, done.stdout) == (1, "")
    assert "refuses to run as a process of another installation than its starter's" in done.stderr
    assert found in done.stderr
    assert f"what started it is {__version__}, interpreted" in done.stderr


def test_an_installation_that_has_gone_is_refused(tmp_path: Path) -> None:
    line = own_process.command("guard.cli", "--version", packages=tmp_path)
    done = run(*line, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"there is no package guard in {tmp_path} any more" in done.stderr


def test_what_an_installation_says_of_itself() -> None:
    assert identity().startswith(f"{__version__}")
    assert identity().endswith(f"in {PACKAGES}")
    parts = dict.fromkeys(("kernel", "log", "order_path"), "compiled")
    whole = {"version": "1.2.3", "commit": "0123456789ab+"} | parts
    assert described(whole) == "1.2.3, commit 0123456789ab+, all compiled"
    assert described(parts | {"version": "1.2.3", "order_path": "interpreted"}) == (
        "1.2.3, kernel compiled, log compiled, order path interpreted"
    )
    assert described({}) == "an unknown version, all of unknown form"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("demo",),
        ("bench", "--in-flight", "2", "--seconds", "0.2", "--warm-up-s", "0.1", "--rounds", "1"),
    ],
)
def test_the_installed_command_in_such_a_folder(
    tmp_path: Path, decoys: Path, arguments: tuple[str, ...]
) -> None:
    done = run(str(installed_command()), *arguments, cwd=decoys)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "imported").exists()
    if arguments == ("demo",):
        shown = f"The daemon says that it is {described(installation.build())}, in {PACKAGES}."
        assert shown in " ".join(done.stdout.split())
    else:
        form = installation.build()["order_path"]
        assert f"guard form: {form}\n" in done.stdout


def test_a_daemon_says_what_it_runs_and_why_it_is_slower(tmp_path: Path) -> None:
    parts = ("kernel", "log", "order_path")
    listed = "interpreted: kernel, log, order path"
    checkout = copy_packages(tmp_path / "checkout")
    site = Site(tmp_path)
    for packages, pure, why in (
        (checkout, "", f"in {checkout} it was not built, or not whole"),
        (PACKAGES, "1", "PRETRADE_GUARD_PURE=1 asks for it"),
    ):
        daemon = own_process.start(
            *("guard.cli", *site.run_arguments()),
            packages=packages,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PRETRADE_GUARD_PURE": pure},
        )
        try:
            ready = own_process.first_line(daemon, PATIENCE_S) or ""
            with ProtocolClient(ready.split("orders ")[1].split(",")[0]) as client:
                told = client.ask(STATS)["build"]
        finally:
            daemon.terminate()
            _, said = daemon.communicate(timeout=PATIENCE_S)
        assert told.pop("version") == __version__
        assert told.pop("commit", "") == ("" if packages is checkout else installation.COMMIT)
        assert told == dict.fromkeys(parts, "interpreted")
        assert said.decode().endswith(f"Z INFO: {listed} ({why}); the same answers, slower\n")


def test_a_daemon_of_the_tests_is_what_the_tests_import(
    tmp_path: Path, decoys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(decoys)
    with Site(tmp_path).running() as daemon:
        assert daemon.stop() == 0
    assert not (tmp_path / "imported").exists()
