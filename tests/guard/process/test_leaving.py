"""What `demo` and `bench` leave behind, however they end; and what closed descriptors do to them.

Each command is a process of its own, with a mark in its environment that its children inherit: what
still runs with that mark when it has ended was left behind.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import child_support
from daemon_support import Site
from guard.process import leaving, own_process
from patience_support import PATIENCE_S
from protocol_client import ProtocolClient, order

pytestmark = [pytest.mark.slow, pytest.mark.long]

MARK = "PRETRADE_GUARD_TEST_MARK"
BENCH = ("bench", "--in-flight", "4", "--processes", "2", "--rounds", "1", "--warm-up-s", "0.1")
COMMANDS = (("demo",), (*BENCH, "--seconds", "0.2"))


class Run:
    """A command under way, whose temporary files go into a directory of their own."""

    def __init__(self, root: Path, *arguments: str, redirect: Callable[[], object] | None = None):
        self.place = root / "tmp"
        self.place.mkdir()
        self.mark = secrets.token_hex(8)
        self._stdout, self._stderr = root / "stdout", root / "stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                own_process.command("guard.cli", *arguments),
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, "TMPDIR": str(self.place), MARK: self.mark},
                preexec_fn=lambda: _begin(redirect),
            )

    def wait(self) -> int:
        """Its exit code; nothing of it may be left."""
        code = self.process.wait(PATIENCE_S)
        assert list(self.place.iterdir()) == []
        assert self.others() == []
        return code

    def others(self) -> list[int]:
        """The processes that it has started and that still run."""
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != self.process.pid:
                try:
                    is_marked = self.mark.encode() in (process / "environ").read_bytes()
                    state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:  # it has just ended, or is another user's
                    continue
                if is_marked and state not in "ZX":
                    found.append(int(process.name))
        return found

    def until(self, condition: Callable[[], object]) -> None:
        """Waits for what it does."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < deadline, "it does not come so far"
            time.sleep(0.002)

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()


def _begin(redirect: Callable[[], object] | None) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    if redirect is not None:
        redirect()


def _said(number: int) -> str:
    said = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    return f"pretrade-guard: {said}\n"


def _is_playing(run: Run) -> bool:
    return "real daemon serves" in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, lambda run: list(run.place.iterdir())),  # the first that could be left
        (signal.SIGTERM, Run.others),  # the daemon is being started
        (signal.SIGTERM, _is_playing),
        (signal.SIGINT, _is_playing),
        (signal.SIGHUP, _is_playing),
    ],
)
def test_a_demo_that_is_ended_leaves_nothing(
    tmp_path: Path, number: int, moment: Callable[[Run], object]
) -> None:
    run = Run(tmp_path, "demo")
    run.until(lambda: moment(run))
    run.process.send_signal(number)
    assert run.wait() == 128 + number
    assert run.stderr == _said(number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "processes"),  # the first is the daemon, the others give the load
    [(signal.SIGTERM, 0), (signal.SIGTERM, 1), (signal.SIGTERM, 3), (signal.SIGHUP, 3)],
)
def test_a_bench_that_is_ended_leaves_nothing(tmp_path: Path, number: int, processes: int) -> None:
    run = Run(tmp_path, *BENCH, "--seconds", "60")
    run.until(lambda: list(run.place.iterdir()) and len(run.others()) >= processes)
    run.process.send_signal(number)
    assert run.wait() == 128 + number
    assert run.stderr.endswith(_said(number))
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_a_second_signal_does_not_hurry_the_way_out(tmp_path: Path) -> None:
    run = Run(tmp_path, "demo")
    run.until(lambda: _is_playing(run))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        run.process.send_signal(number)
    code = run.wait()
    # Once the first has been served, the last may end what is ending anyway.
    assert code in {143, 130, -signal.SIGTERM, -signal.SIGINT}


@pytest.mark.slow
def test_a_demo_under_nohup_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path, "demo", redirect=lambda: _ignore(signal.SIGHUP))
    run.until(lambda: _is_playing(run))
    run.process.send_signal(signal.SIGHUP)
    assert run.wait() == 0
    assert "decisions made again" in run.stdout


def _ignore(number: int) -> None:
    signal.signal(number, signal.SIG_IGN)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=["demo", "bench"])
def test_an_output_that_nobody_reads(tmp_path: Path, command: tuple[str, ...]) -> None:
    """As with `| head -1`, whose end is not waited for here: it has ended from the start."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    run = Run(tmp_path, *command, redirect=lambda: os.dup2(write_end, 1))
    os.close(write_end)
    assert run.wait() == 141
    assert "Traceback" not in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=["demo", "bench"])
def test_an_output_that_takes_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    run = Run(tmp_path, *command, redirect=lambda: os.dup2(full, 1))
    os.close(full)
    assert run.wait() == 1
    assert run.stderr.endswith("pretrade-guard: [Errno 28] No space left on device\n")


CLOSED = [(1,), (0,), (2,), (0, 1, 2)]
NAMED = {0: "<&-", 1: ">&-", 2: "2>&-"}
IDS = ["".join(NAMED[number] for number in closed) for closed in CLOSED]


def _close(closed: tuple[int, ...]) -> None:
    for number in closed:
        os.close(number)


@pytest.mark.parametrize("closed", CLOSED, ids=IDS)
@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=["demo", "bench"])
def test_closed_descriptors_are_as_dev_null(
    tmp_path: Path, command: tuple[str, ...], closed: tuple[int, ...]
) -> None:
    run = Run(tmp_path, *command, redirect=lambda: _close(closed))
    assert run.wait() == 0
    assert (run.stdout == "") is (1 in closed)


@pytest.mark.parametrize("closed", CLOSED, ids=IDS)
def test_a_daemon_and_the_tools_with_closed_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: tuple[int, ...]
) -> None:
    """No file or socket takes the numbers of the closed ones."""
    site = Site(tmp_path)
    with site.running() as daemon:
        assert daemon.stop() == 0
    (tmp_path / "run").mkdir()
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.settimeout(PATIENCE_S)
    manager.bind(str(tmp_path / "manager"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "manager"))
    run = Run(tmp_path / "run", *site.run_arguments(), redirect=lambda: _close(closed))
    monkeypatch.delenv("NOTIFY_SOCKET")
    run.until(lambda: len(site.segments) == 2)
    standard = [Path(f"/proc/{run.process.pid}/fd/{number}") for number in range(3)]
    run.until(lambda: all(os.path.lexists(path) for path in standard))
    for number, path in enumerate(standard):
        assert (os.readlink(path) == os.devnull) is (number in closed or number == 0), number
    with manager:
        assert manager.recv(100).startswith(b"READY=1")
        run.process.send_signal(signal.SIGTERM)
        assert run.wait() == 0
    for tool in ("verify", "replay"):
        (tmp_path / tool).mkdir()
        tried = (tool, str(site.log), "--key-file", str(site.key_file))
        assert Run(tmp_path / tool, *tried, redirect=lambda: _close(closed)).wait() == 0
        (tmp_path / f"{tool}-none").mkdir()
        failing = (tool, str(site.log / "none"))
        assert Run(tmp_path / f"{tool}-none", *failing, redirect=lambda: _close(closed)).wait() == 2


EXPORT = """
import signal, sys
from guard.audit import export
write_parts = export._write_parts
def end(*arguments):
    parts = write_parts(*arguments)
    signal.raise_signal(signal.{name})
    return parts
export._write_parts = end
from guard.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_an_export_that_is_ended_leaves_nothing(tmp_path: Path, name: str, code: int) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        assert daemon.stop() == 0
    place = tmp_path / "out"
    place.mkdir()
    given = (str(site.log), "--key-file", str(site.key_file), "--decisions", str(place / "d.jsonl"))
    command = child_support.code(EXPORT.format(name=name), "export", *given)
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr.decode()) == (code, f"pretrade-guard: ended by {name}\n")
    assert list(place.iterdir()) == []


def test_without_a_command_nothing_is_kept_or_heeded(tmp_path: Path) -> None:
    """As where the parts are used from a program that goes on."""
    before = signal.getsignal(signal.SIGTERM)
    with leaving.temporary_directory("t-", tmp_path) as directory, leaving.held():
        process = leaving.start_process([sys.executable, "-c", ""])
        assert directory.parent == tmp_path
    assert process.wait(PATIENCE_S) == 0
    assert not directory.exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_that_fails_leaves_nothing(tmp_path: Path) -> None:
    started = []

    @leaving.nothing_behind(heeds_signals=False)
    def fail() -> None:
        with leaving.temporary_directory("t-", tmp_path):
            sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
            started.append(leaving.start_process(sleeps))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [process.returncode for process in started] == [-signal.SIGKILL]
    assert list(tmp_path.iterdir()) == []


def test_a_signal_under_a_hold_counts_behind_it() -> None:
    done = []

    @leaving.nothing_behind(heeds_signals=True)
    def work() -> None:
        with leaving.held():
            with leaving.held():
                signal.raise_signal(signal.SIGTERM)
                done.append("inner")
            done.append("outer")
        done.append("never")

    with pytest.raises(leaving.Ended, match="SIGTERM"):
        work()
    assert done == ["inner", "outer"]
