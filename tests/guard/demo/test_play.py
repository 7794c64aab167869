"""`demo --keep`: what is left is whole, and the commands that it prints go on from there."""

import os
import pty
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

import child_support
from daemon_support import Daemon, command
from guard.process import own_process
from patience_support import PATIENCE_S

pytestmark = pytest.mark.slow

README = Path(__file__).resolve().parents[3] / "README.md"
DEMO_PATIENCE_S = 300.0  # interpreted, on a machine that has other things to do


def test_what_is_kept_is_whole_and_the_printed_commands_go_on_from_there(tmp_path: Path) -> None:
    place = tmp_path / "first day's"
    done = command("demo", "--keep", str(place), patience_s=DEMO_PATIENCE_S)
    assert done.returncode == 0, done
    # All that its daemon may have to say: of the slower form, and of a place too deep for a socket.
    said_beside = ("INFO: interpreted: ", "ALARM: admin endpoint ")
    assert all(any(each in line for each in said_beside) for line in done.stderr.splitlines())
    assert {path.name for path in place.iterdir()} == {"log", "log.key", "demo.toml", "day.html"}
    assert place.stat().st_mode & 0o077 == 0
    assert (place / "day.html").stat().st_mode & 0o077 == 0
    assert "<html" in (place / "day.html").read_text()
    assert "playing recorded" not in done.stdout, "no terminal, no progress"
    assert ".demo-" not in done.stdout

    verify, replay, run = (line[2:] for line in done.stdout.splitlines() if line[:2] == "  ")
    assert "verified, every record is as it was written" in pasted(verify)
    explained = pasted(replay)
    order = shlex.split(replay)[-1]
    assert order in explained
    # As it stands it serves at a fixed port, which another test may have.
    assert "started and stopped: log" in pasted(f"{run} --orders 'tcp://127.0.0.1:*' --then-stop")

    config = str(place / "demo.toml")
    daemon = Daemon(
        ["run", "--config", config, "--orders", "tcp://127.0.0.1:*"], tmp_path / "stderr"
    )
    try:
        daemon.wait_until_ready()
        said = run_readme_lines(daemon.endpoint)
        assert said[0].startswith("Admit(client_order_id='B-1', wal_sequence=")
        assert said[1].startswith("Released(desk='desk-alpha', client_order_id='B-1', ")
        assert daemon.stop() == 0
    finally:
        daemon.kill()

    again = command("demo", "--keep", str(place))
    assert again.returncode == 2
    assert again.stderr == (
        f"pretrade-guard: --keep {place}: is not empty; allowed: a directory that is empty, or "
        "a new one\n"
    )


def run_readme_lines(endpoint: str) -> list[str]:
    """What the README's lines of Python print when they talk to the demo's guard."""
    block = README.read_text().split("```python\n")[1].split("```")[0]
    assert "tcp://127.0.0.1:7001" in block
    program = block.replace("tcp://127.0.0.1:7001", endpoint)
    done = subprocess.run(
        child_support.code(program), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def pasted(line: str) -> str:
    """What a shell says to a line of the demo's; it must be good."""
    done = subprocess.run(
        line, shell=True, capture_output=True, text=True, timeout=DEMO_PATIENCE_S, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


def test_a_file_under_that_name_is_refused_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        done = command("demo", "--keep", str(tmp_path / name))
        assert done.returncode == 2
        assert f"--keep {tmp_path / name}: is no directory; allowed: " in done.stderr
    assert file.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("is_there", [False, True])
def test_on_a_terminal_it_tells_what_takes_a_while_and_interrupted_keeps_nothing(
    tmp_path: Path, is_there: bool
) -> None:
    place = tmp_path / "kept"
    if is_there:
        place.mkdir()
    mine, its = pty.openpty()
    arguments = own_process.command("guard.cli", "demo", "--keep", str(place))
    process = subprocess.Popen(
        arguments, stdout=its, stderr=its, env={**os.environ, "TERM": "xterm"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    os.close(its)
    try:
        said = read_until(mine, b"playing recorded BTC-USD flow")
        assert b"starting the daemon" in said
        process.send_signal(signal.SIGINT)
        read_until(mine, b"interrupted")
        assert process.wait(PATIENCE_S) == 130
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(mine)
    assert list(tmp_path.iterdir()) == ([place] if is_there else [])
    assert not is_there or list(place.iterdir()) == []


def read_until(terminal: int, words: bytes) -> bytes:
    """What a terminal shows up to these words."""
    said = b""
    deadline = time.monotonic() + PATIENCE_S
    while words not in said:
        assert time.monotonic() < deadline, said
        said += os.read(terminal, 65_536)
    return said
