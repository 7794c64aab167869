"""Real daemons whose log is taken from under them: nothing more is answered, exit 1, a clear word;
and second daemons, which never get in."""

import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon_support import OPENING_RECORDS, Daemon, Site, command, config_text
from patience_support import PATIENCE_S
from protocol_client import ProtocolClient, order, status

pytestmark = [pytest.mark.slow, pytest.mark.long]

SILENCE_MS = 100


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def daemon(site: Site) -> Iterator[Daemon]:
    with site.running() as daemon:
        yield daemon


def delete_segment(site: Site) -> None:
    site.segment.unlink()


def rename_segment(site: Site) -> None:
    site.segment.rename(site.log / "00000001.jsonl.1")


def copy_truncate_segment(site: Site) -> None:
    shutil.copy(site.segment, site.log / "00000001.jsonl.1")
    os.truncate(site.segment, 0)


def replace_segment(site: Site) -> None:
    shutil.copy(site.segment, site.root / "copy")
    (site.root / "copy").replace(site.segment)


def delete_directory(site: Site) -> None:
    shutil.rmtree(site.log)


def move_directory(site: Site) -> None:
    site.log.rename(site.root / "moved")


def replace_directory(site: Site) -> None:
    site.log.rename(site.root / "moved")
    shutil.copytree(site.root / "moved", site.log)


HARM = [
    delete_segment,
    rename_segment,
    copy_truncate_segment,
    replace_segment,
    delete_directory,
    move_directory,
    replace_directory,
]
harm = pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)


def ended_unanswered(daemon: Daemon, client: ProtocolClient) -> str:
    """It ends by itself, with exit code 1 and no further answer; what it said."""
    assert daemon.wait() == 1
    assert client.socket.poll(SILENCE_MS) == 0, "an answer from a log that is gone"
    assert "Traceback" not in daemon.stderr
    return daemon.stderr


@harm
@pytest.mark.parametrize("count", [1, 2_000])
def test_no_order_is_admitted_into_a_log_that_is_gone(
    site: Site, daemon: Daemon, harm: Callable[[Site], None], count: int
) -> None:
    """They were, and the stop exited with 0: at one in flight, and under load, off the loop."""
    with ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        harm(site)
        for number in range(count):
            client.send(order(f"B-{number}"))
        assert str(site.segment) in ended_unanswered(daemon, client)


@harm
def test_an_idle_daemon_sees_it_within_seconds(
    site: Site, daemon: Daemon, harm: Callable[[Site], None]
) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        harm(site)
        ended_unanswered(daemon, client)


@harm
def test_a_stop_does_not_say_that_all_is_well(
    site: Site, daemon: Daemon, harm: Callable[[Site], None]
) -> None:
    harm(site)
    assert daemon.stop() == 1
    assert str(site.log) in daemon.stderr


def test_a_lock_that_was_removed_lets_no_second_daemon_in(site: Site, daemon: Daemon) -> None:
    """Both served, one of them lost its orders, and `verify` found nothing."""
    daemon.signal(signal.SIGSTOP)  # else it would have seen it, and ended, before the other starts
    (site.log / "lock").unlink()
    second = site.refused()
    assert (second.returncode, second.stdout) == (1, "")
    assert "is held by" in second.stderr
    daemon.signal(signal.SIGCONT)
    with ProtocolClient(daemon.endpoint) as client:
        text = ended_unanswered(daemon, client)
    assert f"{site.log / 'lock'}: the log's lock was removed or renamed" in text
    with site.running() as third:
        assert third.stop() == 0
    site.replay()


def test_a_second_daemon_by_another_path(site: Site, daemon: Daemon) -> None:
    daemon.signal(signal.SIGSTOP)
    (site.log / "lock").unlink()
    other = Site(site.root)
    other.log = site.root / "link"
    other.log.symlink_to(site.log)
    second = other.refused()
    assert (second.returncode, second.stdout) == (1, "")
    assert "is held by" in second.stderr


def test_a_log_that_was_renamed_back_has_every_answered_order(site: Site, daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        answers = [client.ask(order(f"A-{number}")) for number in range(5)]
        rename_segment(site)
        client.send(order("B-1"))
        assert "was renamed" in ended_unanswered(daemon, client)
    (site.log / "00000001.jsonl.1").rename(site.segment)
    with site.running() as again, ProtocolClient(again.endpoint) as client:
        for number, answer in enumerate(answers):
            assert client.ask(order(f"A-{number}")) == {**answer, "repeat": True}
        assert (
            client.ask(status("B-1"))["state"] == "unknown"
        )  # nobody was told; it was not written
        assert again.stop() == 0
    assert site.verify()["head_sequence"] > OPENING_RECORDS
    site.replay()


def test_a_log_whose_segment_was_deleted_has_every_answered_order(
    site: Site, daemon: Daemon
) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        answers = [client.ask(order(f"A-{number}")) for number in range(5)]
        delete_segment(site)
        client.send(order("B-1"))
        assert "are kept in 00000001.jsonl.removed" in ended_unanswered(daemon, client)
    (site.log / "00000001.jsonl.removed").rename(site.segment)
    with site.running() as again, ProtocolClient(again.endpoint) as client:
        for number, answer in enumerate(answers):
            assert client.ask(order(f"A-{number}")) == {**answer, "repeat": True}
        assert again.stop() == 0
    site.replay()


def test_a_directory_without_permissions_for_a_while_is_no_directory_that_is_gone(
    tmp_path: Path,
) -> None:
    """Housekeeping ended for ever, in silence, at one look that failed."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    if os.access(closed, os.R_OK | os.X_OK):
        pytest.skip("root needs no permissions")
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        site.log.chmod(0)
        try:
            assert client.ask(order("A-1"))["type"] == "admit"
            said(daemon, "cannot be looked after")
        finally:
            site.log.chmod(0o750)
        assert client.ask(order("A-2"))["type"] == "admit"
        assert daemon.stop() == 0
    site.replay()


@pytest.mark.parametrize("what", ["segment", "checkpoint", "manifest", "first"])
def test_sealed_files_that_vanish_are_an_alarm(tmp_path: Path, what: str) -> None:
    """A person must know before the next start, which would be refused, or worse."""
    site = Site(tmp_path, config_text(log="checkpoint_every_records = 0"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for number in range(3):
            client.ask([order(f"A-{number}-{k}", quantity=1, price=1) for k in range(50)])
            if number == 1:
                daemon.signal(signal.SIGUSR2)
                said(daemon, "checkpoint of record")
            begin_segment(site, daemon, client)
        names = {
            "segment": "00000002.jsonl",
            "checkpoint": next(site.log.glob("*.ckpt")).name,
            "manifest": "checkpoints.json",
            "first": "jsonl and older: the files are missing",
        }
        if what == "first":  # more than `archive` would have taken
            for path in site.segments[:-1]:
                path.unlink()
        else:
            (site.log / names[what]).unlink()
        said(daemon, "ALARM: the log's directory has lost files: ")
        assert names[what] in daemon.stderr
        assert client.ask(order("A-9"))["type"] == "admit"
        assert daemon.stop() == 0


def test_archived_segments_are_no_alarm(tmp_path: Path) -> None:
    site = Site(tmp_path, config_text(log="checkpoint_every_records = 0"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for number in range(3):
            client.ask([order(f"A-{number}-{k}", quantity=1, price=1) for k in range(50)])
            daemon.signal(signal.SIGUSR2)
            said(daemon, "checkpoint of record", number + 1)
        done = command(
            "archive", str(site.log), str(tmp_path / "old"), "--key-file", str(site.key_file)
        )
        assert done.returncode == 0, done.stderr
        assert not (site.log / "00000001.jsonl").exists()
        # The same look that finds this finds whatever else is missing.
        newest = max(site.log.glob("*.ckpt"))
        newest.unlink()
        said(daemon, f"lost files: {newest.name}")
        assert daemon.stderr.count("lost files") == 1
        assert daemon.stop() == 0


def test_a_key_file_that_is_replaced_is_an_alarm(site: Site, daemon: Daemon) -> None:
    """The log goes on under the key that was read; the next start would not read it."""
    site.key_file.rename(site.root / "old")
    site.key_file.write_bytes(bytes(32))
    said(daemon, f"ALARM: the key file {site.key_file} was removed, replaced or changed")
    with ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
    (site.root / "old").replace(site.key_file)
    assert daemon.stop() == 0
    site.replay()


def begin_segment(site: Site, daemon: Daemon, client: ProtocolClient) -> None:
    """A signal is taken between two requests: asks until it was."""
    before = len(site.segments)
    daemon.signal(signal.SIGUSR1)
    for number in itertools.count():
        client.ask(order(f"C-{before}-{number}", quantity=1, price=1))
        if len(site.segments) > before:
            return
        assert number < 10_000


def said(daemon: Daemon, text: str, count: int = 1) -> None:
    """Waits until it has said so."""
    deadline = time.monotonic() + PATIENCE_S
    while daemon.stderr.count(text) < count:
        assert time.monotonic() < deadline, daemon.stderr
        assert daemon.process.poll() is None, daemon.stderr
        time.sleep(0.01)
