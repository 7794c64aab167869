"""What is no regular file under a name of ours: no command waits for it, and `run` says what it is.

A FIFO that nobody writes to would hang whoever opens it; a link beside the anchor once had the log
overwritten.
"""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon_support import KEY, Daemon, Site, command, config_text
from protocol_client import ProtocolClient, order, status
from wal import ChainHasher, read_checkpoints

pytestmark = pytest.mark.slow

HASHER = ChainHasher(KEY)
ANCHORED = "checkpoint_every_records = 0\n"


def anchored(root: Path, mode: str = "periodic") -> str:
    lines = f'anchor_file = "anchor.json"\nanchor_mode = "{mode}"\n'
    return config_text(log=f"{ANCHORED}{lines}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A log with two checkpoints, two segments behind the first, and an anchor."""
    root = tmp_path_factory.mktemp("made")
    site = Site(root, anchored(root))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for count in (1, 2):
            client.ask(order(f"A-{count}", quantity=1))
            take_checkpoint(daemon, count)
        assert daemon.stop() == 0
    return site


def take_checkpoint(daemon: Daemon, count: int) -> None:
    daemon.signal(signal.SIGUSR2)
    while daemon.stderr.count("checkpoint of record") < count:
        assert daemon.process.poll() is None, daemon.stderr


@pytest.fixture
def site(made: Site, tmp_path: Path) -> Site:
    """A copy of it, to spoil."""
    site = Site(tmp_path, anchored(tmp_path))
    shutil.copytree(made.log, site.log)
    shutil.copy(made.root / "anchor.json", tmp_path / "anchor.json")
    return site


def newest_checkpoint(site: Site) -> Path:
    return read_checkpoints(site.log, HASHER)[0].path


def as_fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)


# What stands in its place, and with which exit code and words a start then refuses.
REFUSED: dict[str, tuple[Callable[[Site], Path], int, str]] = {
    "segment": (
        lambda site: site.segment,
        1,
        "00000001.jsonl, byte 0, record 1: the segment is not",
    ),
    "lock": (lambda site: site.log / "lock", 1, "lock"),
    "anchor": (lambda site: site.root / "anchor.json", 1, "is no regular file"),
    "key": (lambda site: site.key_file, 2, "is no regular file"),
    "configuration": (lambda site: site.config, 2, "is no regular file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_start_refuses_a_pipe(name: str, site: Site) -> None:
    place, code, words = REFUSED[name]
    as_fifo(place(site))
    done = site.refused(new_log=False)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def link_elsewhere(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [as_fifo, link_elsewhere, as_directory])
def test_a_start_passes_over_a_checkpoint_that_is_no_file(
    spoil: Callable[[Path], None], site: Site
) -> None:
    newest = newest_checkpoint(site)
    spoil(newest)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert f"ALARM: {newest.name} is not used: it is no regular file" in daemon.stderr
        assert client.ask(status("A-2"))["state"] == "open"
        assert daemon.stop() == 0


def test_a_start_passes_over_a_manifest_that_is_no_file(site: Site) -> None:
    as_fifo(site.log / "checkpoints.json")
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert "the manifest is damaged: it is no regular file" in daemon.stderr
        assert client.ask(status("A-2"))["state"] == "open"
        assert daemon.stop() == 0


TOOLS: dict[str, tuple[str, ...]] = {
    "verify": (),
    "replay": (),
    "archive": ("DEST",),
    "salvage": ("DEST",),
    "export": ("--decisions", "DEST"),
}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("what", ["segment", "checkpoint", "manifest", "key", "log itself"])
def test_a_tool_does_not_wait(tool: str, what: str, site: Site) -> None:
    log = site.log
    places = {
        "segment": site.segments[-1],
        "checkpoint": newest_checkpoint(site),
        "manifest": site.log / "checkpoints.json",
        "key": site.key_file,
        "log itself": site.root / "fifo",
    }
    as_fifo(places[what])
    if what == "log itself":
        log = places[what]
    arguments = [str(site.root / "out.jsonl") if each == "DEST" else each for each in TOOLS[tool]]
    done = command(tool, str(log), *arguments, "--key-file", str(site.key_file))
    # Where the tool has no need of it, there is nothing to complain of.
    assert done.returncode in (0, 1, 2), done
    assert "Traceback" not in done.stderr
    if what in ("key", "log itself"):
        assert (done.returncode, "regular file" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("option", ["--policy", "--limits", "--anchor", "--checkpoint"])
def test_a_replay_does_not_wait(option: str, site: Site) -> None:
    as_fifo(site.root / "fifo")
    done = command(
        *("replay", str(site.log), "--key-file", str(site.key_file)),
        *(option, str(site.root / "fifo")),
    )
    assert done.returncode == 2, done


def test_what_another_command_writes_can_be_checked(site: Site) -> None:
    text = site.config.read_text()
    done = command("check-config", "--config", "/dev/stdin", stdin=text)
    assert (done.returncode, done.stderr) == (0, ""), done
    done = command(*site.run_arguments()[:1], "--config", "/dev/stdin", stdin=text)
    assert (done.returncode, "is no regular file" in done.stderr) == (2, True), done


def test_a_link_beside_the_anchor_is_not_written_through(site: Site) -> None:
    """It once led into the live segment, which the anchor then overwrote."""
    site.configure(anchored(site.root, "synchronous"))
    (site.root / "anchor.json.new").symlink_to(site.segment)
    before = site.segment.read_bytes()
    done = site.refused()
    assert done.returncode == 1
    assert "anchor.json.new" in done.stderr
    assert "no unfinished file of this user's" in done.stderr
    assert site.segment.read_bytes() == before
    (site.root / "anchor.json.new").unlink()
    (site.root / "anchor.json.new").write_bytes(b"left by a crash")
    with site.running() as daemon:
        assert daemon.stop() == 0
    assert not (site.root / "anchor.json.new").exists()
