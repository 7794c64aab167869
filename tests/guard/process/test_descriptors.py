"""How many files and sockets a process may have, and what is kept of them for the log."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from daemon_support import PACKAGES, Daemon, Site, config_text
from guard.process.descriptors import LOG_RESERVE, connections_max, open_count
from patience_support import PATIENCE_S
from protocol_client import STATS, ProtocolClient, order

SOFT, HARD = 64, 256


def limited(soft: int, hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("soft", "hard", "most", "raised"),
    [(64, 256, 1_000, 256), (64, 256, 100, 100), (200, 256, 100, 200), (256, 256, 1_000, 256)],
)
def test_the_limit_is_raised_as_far_as_it_may_be(
    soft: int, hard: int, most: int, raised: int
) -> None:
    script = (
        "import resource; from guard.process.descriptors import raise_limit; "
        f"print(raise_limit({most}), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(PACKAGES)},
        preexec_fn=limited(soft, hard),
        check=True,
    )
    assert done.stdout.split() == [str(raised), str(raised), str(hard)]


def test_what_clients_may_take_leaves_the_log_its_reserve() -> None:
    assert connections_max(1_024, 30) == 1_024 - 30 - LOG_RESERVE
    assert connections_max(256, 30, reserve=6) == 220
    assert connections_max(62, 30) == 0
    before = open_count()
    with open(os.devnull, "rb"):
        assert open_count() == before + 1


def opened(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def wait_for(condition: Callable[[], Any], daemon: Daemon) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, daemon.stderr
        assert daemon.process.poll() is None, daemon.stderr
        time.sleep(0.01)


def spares(daemon: Daemon) -> int:
    """How many of them are held, and whatever else of it is nothing."""
    entries = [f"/proc/{daemon.pid}/fd/{name}" for name in os.listdir(f"/proc/{daemon.pid}/fd")]
    return sum(Path(entry).is_symlink() and os.readlink(entry) == os.devnull for entry in entries)


def connect_until_full(daemon: Daemon, client: ProtocolClient, idle: ExitStack) -> None:
    """Clients that connect and do nothing, one after the other, until one is refused."""
    host, _, port = daemon.endpoint.removeprefix("tcp://").rpartition(":")
    before = refused = client.ask(STATS)["counters"]["connections_refused"]
    while refused == before:
        idle.enter_context(socket.create_connection((host, int(port)), PATIENCE_S))
        refused = client.ask(STATS)["counters"]["connections_refused"]


@pytest.mark.slow
def test_the_log_has_what_it_needs_when_clients_have_taken_the_rest(tmp_path: Path) -> None:
    """The next segment, a checkpoint and the anchor, twice."""
    anchor_file = tmp_path / "anchor.json"
    log = f'anchor_file = "{anchor_file}"\ncheckpoint_every_records = 0'
    site = Site(tmp_path, config_text(log=log))

    def anchored(sequence: int) -> None:
        wait_for(lambda: json.loads(anchor_file.read_text())["sequence"] >= sequence, daemon)
        wait_for(lambda: spares(daemon) == held, daemon)

    with (
        site.running(before_exec=limited(SOFT, HARD)) as daemon,
        ProtocolClient(daemon.endpoint) as client,
        ExitStack() as idle,
    ):
        assert f"Max open files            {HARD}" in Path(f"/proc/{daemon.pid}/limits").read_text()
        held = spares(daemon)
        anchored(client.ask(order("A-0"))["wal_sequence"])
        for number in range(1, 3):
            connect_until_full(daemon, client, idle)
            segments = len(site.segments)
            daemon.signal(signal.SIGUSR1)
            wait_for(lambda before=segments: _rotated(site, client, before), daemon)
            daemon.signal(signal.SIGUSR2)
            wait_for(lambda count=number: site.events().count("checkpoint") >= count, daemon)
            anchored(client.ask(order(f"B-{number}", quantity=1))["wal_sequence"])
        assert "ALARM" not in daemon.stderr
        assert daemon.stop() == 0
    assert site.events()[-1] == "session_closed"
    assert {record["by"] for record in site.records() if "by" in record} == {_user()}
    site.verify()


_numbers = iter(range(10**6))


def _rotated(site: Site, client: ProtocolClient, before: int) -> bool:
    client.ask(order(f"R-{next(_numbers)}", quantity=1))
    return len(site.segments) > before


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.slow
def test_without_any_descriptor_for_a_while(tmp_path: Path) -> None:
    """Nothing that needs one is possible then; orders are, and afterwards all is as before."""
    anchor_file = tmp_path / "anchor.json"
    log = f'anchor_file = "{anchor_file}"\ncheckpoint_every_records = 0'
    site = Site(tmp_path, config_text(log=log))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, 20_000))
        client.ask(order("A-2"))
        wait_for(lambda: "ALARM: the anchor fails; orders go on" in daemon.stderr, daemon)
        daemon.signal(signal.SIGUSR2)
        wait_for(lambda: "cannot fork: [Errno 24] Too many open files" in daemon.stderr, daemon)
        assert client.ask(order("A-3"))["type"] == "admit"
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        wait_for(lambda: "INFO: the anchor works again" in daemon.stderr, daemon)
        daemon.signal(signal.SIGUSR2)
        wait_for(lambda: "INFO: checkpoint of record" in daemon.stderr, daemon)
        assert client.ask(order("A-4"))["type"] == "admit"
        assert daemon.stop() == 0
    assert json.loads(anchor_file.read_text())["sequence"] == len(site.records())


@pytest.mark.slow
def test_a_limit_that_leaves_no_client_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.started_only(before_exec=limited(72, 72)) as daemon:
        assert daemon.wait() == 1
        assert "the process may have 72 files and sockets open, and has " in daemon.stderr
        assert "raise the limit (ulimit -n, LimitNOFILE=)" in daemon.stderr
        assert daemon.last_words() == ""
    assert site.segments == []  # nothing is recorded of a session that cannot be
