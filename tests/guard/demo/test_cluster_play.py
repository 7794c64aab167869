"""`demo --cluster`: it goes on behind what is killed, proves it, and leaves nothing behind."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from cluster_support import needs_postgres
from daemon_support import command
from guard.cli import demo as demo_command
from guard.cli import main
from guard.demo import postgres
from guard.process import own_process
from patience_support import PATIENCE_S

pytestmark = pytest.mark.slow

DEMO_PATIENCE_S = 400.0


def left_behind() -> set[Path]:
    """Directories of such demos."""
    return set(Path(tempfile.gettempdir()).glob("guard-demo-*"))


@pytest.mark.cluster
@needs_postgres
def test_a_guard_and_a_database_are_killed_and_every_answer_stands() -> None:
    before = left_behind()
    done = command("demo", "--cluster", patience_s=DEMO_PATIENCE_S)
    assert done.returncode == 0, done
    said = " ".join(done.stdout.split())
    assert "no request waited longer than " in said
    assert "stands in the log that is left" in said
    assert "replay all 12,206 decisions made again from the log alone" in said
    assert "epoch 2 of log demo has begun" in done.stderr
    assert left_behind() == before


@pytest.mark.cluster
@needs_postgres
def test_interrupted_it_leaves_neither_servers_nor_files() -> None:
    before = left_behind()
    process = subprocess.Popen(
        own_process.command("guard.cli", "demo", "--cluster"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert b"a log on three PostgreSQL servers" in process.stdout.readline()
        (directory,) = left_behind() - before
        servers = [
            int((directory / name / "data" / "postmaster.pid").read_text().split()[0])
            for name in postgres.NAMES
        ]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
    finally:
        process.kill()
        process.communicate()
    assert left_behind() == before
    for pid in servers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("missing", "words"),
    [("asyncpg", "needs the extra cluster"), ("", "needs PostgreSQL's server")],
)
def test_what_it_lacks_is_named(
    missing: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_command, "find_spec", lambda name: None if name == missing else name)
    monkeypatch.setattr(postgres, "BINARIES", None)
    assert main(["demo", "--cluster"]) == 2
    assert f"--cluster: {words}" in capsys.readouterr().err


def test_it_keeps_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--cluster", "--keep", str(tmp_path / "kept")]) == 2
    assert "--cluster: allowed only without --keep" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()
