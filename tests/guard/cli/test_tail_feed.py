"""`tail --feed`: a subscriber of its own process, which is stopped, and whose daemon is."""

import signal
import subprocess
import time
from pathlib import Path

from daemon_support import OPENING_RECORDS, Daemon, Site, command
from feed_support import config_with_feed
from guard.process import own_process
from patience_support import PATIENCE_S
from protocol_client import ProtocolClient, order

ORDERS = 1_200  # 2 MB: more than the sockets between them hold


def ask(daemon: Daemon, prefix: str, count: int) -> None:
    with ProtocolClient(daemon.endpoint, encoding="msgpack") as client:
        for first in range(0, count, 100):
            client.ask([order(f"{prefix}-{first + index}", quantity=1) for index in range(100)])


def log_of(site: Site) -> bytes:
    return b"".join(path.read_bytes().rstrip(b"\0") for path in site.segments)


def wait_for(file: Path, whole: bytes) -> None:
    """Until the file has as many bytes."""
    end = time.monotonic() + PATIENCE_S
    while file.stat().st_size < len(whole):
        assert time.monotonic() < end, f"{file.stat().st_size} of {len(whole)} bytes came"
        time.sleep(0.01)
    assert file.read_bytes() == whole


def test_who_was_stopped_and_whose_daemon_was_ends_with_exactly_the_log(tmp_path: Path) -> None:
    site = Site(tmp_path, config_with_feed())
    got = tmp_path / "got"
    arguments = ("tail", "--feed", f"ipc://{tmp_path}/feed", "--from", "start")
    with site.running() as daemon, got.open("wb") as file:
        tail = subprocess.Popen(
            own_process.command("guard.cli", *arguments, "--key-file", str(site.key_file)),
            stdout=file,
        )
        try:
            wait_for(got, log_of(site))
            tail.send_signal(signal.SIGSTOP)
            ask(daemon, "A", ORDERS)
            assert got.stat().st_size < len(log_of(site))
            tail.send_signal(signal.SIGCONT)
            wait_for(got, log_of(site))
            assert daemon.stop() == 0
            with site.running() as again:
                ask(again, "B", 100)
                wait_for(got, log_of(site))
        finally:
            tail.kill()
            tail.wait(PATIENCE_S)


def test_columns_filters_and_nonsense(tmp_path: Path) -> None:
    site = Site(tmp_path, config_with_feed())
    feed = ("tail", "--feed", f"ipc://{tmp_path}/feed")
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        shown = command(*feed, "--no-follow", "--from", "start", "--columns").stdout.splitlines()
        assert len(shown) == OPENING_RECORDS + 1
        assert "desk-alpha/A-1: buy 100 AAPL at 190.00 to venue" in shown[OPENING_RECORDS]
        done = command(*feed, "--no-follow", "--from", "15:00")
        assert (done.returncode, "'15:00' is not allowed with" in done.stderr) == (2, True)
        done = command(*feed, "--no-follow", "--from", "99")
        assert (done.returncode, "after_sequence: 98 is not allowed" in done.stderr) == (2, True)
