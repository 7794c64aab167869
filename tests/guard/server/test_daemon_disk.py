"""A daemon process whose disk fails or stalls: a small shared library stands before libc's
`fdatasync` and `statvfs` and does what a file tells it.
"""

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_support import OPENING_RECORDS, Daemon, Site, config_text, event_of
from guard.bench.frames import command, frame
from guard.bench.zmtp import connect
from guard.server.pipeline import ON_LOOP_SYNC_NS_MAX
from patience_support import PATIENCE_S
from protocol_client import PING, STATS, ProtocolClient, order, status

pytestmark = pytest.mark.slow

SILENCE_MS = 100
# While the file FAULT_FILE names exists: its first byte says what becomes of a sync.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

static char wanted(void) {
    char what = 0;
    int file = open(getenv("FAULT_FILE"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, &what, 1) != 1) what = 0;
    close(file);
    return what;
}

int fdatasync(int descriptor) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    char what = wanted();
    if (what == 'e') { errno = EIO; return -1; }
    if (what == 'n') { errno = ENOSPC; return -1; }
    while (wanted() == 's') usleep(1000);
    return real(descriptor);
}

#define STATVFS(name, kind, place) \
int name(place asked, struct kind *status) { \
    static int (*real)(place, struct kind *); \
    if (!real) real = (int (*)(place, struct kind *))dlsym(RTLD_NEXT, #name); \
    if (wanted() == 'u') { errno = EACCES; return -1; } \
    return real(asked, status); \
}
STATVFS(statvfs, statvfs, const char *)
STATVFS(statvfs64, statvfs64, const char *)
STATVFS(fstatvfs, statvfs, int)
STATVFS(fstatvfs64, statvfs64, int)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the failing disk with")
    directory = tmp_path_factory.mktemp("shim")
    source, library = directory / "shim.c", directory / "shim.so"
    source.write_text(SHIM)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    return library


class FaultySite(Site):
    """A site whose daemon's disk does as `fault` says."""

    def __init__(self, root: Path, shim: Path) -> None:
        # No zeros ahead: their sync would meet the fault before the batch's does.
        super().__init__(root, config_text(log="write_ahead_bytes = 0"))
        self.fault_file = root / "fault"
        self.environment = {"LD_PRELOAD": str(shim), "FAULT_FILE": str(self.fault_file)}

    def fault(self, what: str) -> None:
        """`e`: EIO, `n`: ENOSPC, `s`: it hangs until told otherwise, `u`: the directory may not
        be read, empty: it works."""
        fresh = self.fault_file.with_suffix(".new")
        fresh.write_text(what)
        fresh.replace(self.fault_file)


@pytest.fixture
def site(tmp_path: Path, shim: Path) -> FaultySite:
    return FaultySite(tmp_path, shim)


@pytest.fixture
def daemon(site: FaultySite) -> Iterator[Daemon]:
    with site.running(environment=site.environment) as daemon:
        yield daemon


@pytest.mark.parametrize(("what", "said"), [("e", "Input/output error"), ("n", "No space left")])
def test_a_failed_sync_ends_the_daemon_unanswered(
    site: FaultySite, daemon: Daemon, what: str, said: str
) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        site.fault(what)
        client.send([order("A-2"), order("A-3")])
        client.send(PING)
        assert daemon.wait() == 1
        assert client.socket.poll(SILENCE_MS) == 0, "an answer from a batch that is not durable"
    assert "fdatasync" in daemon.stderr
    assert said in daemon.stderr
    assert "Traceback" not in daemon.stderr
    assert "session_closed" not in site.events()
    site.fault("")
    # What the failed batch left is on this disk, as it may be: then it is part of the truth.
    with site.running() as again, ProtocolClient(again.endpoint) as client:
        started = event_of(site.records()[-1])
        assert (started["after_clean_stop"], started["recovered_sequence"]) == (
            False,
            OPENING_RECORDS + 3,
        )
        assert client.ask(status("A-1"))["state"] == "open"
        for name in ("A-2", "A-3"):
            first = client.ask(status(name))["answer"]
            assert client.ask(order(name)) == {**first, "repeat": True}
        assert again.stop() == 0
    site.replay()


def test_a_failed_sync_at_the_start_is_no_ready_line(site: FaultySite) -> None:
    site.fault("e")
    done = site.refused(environment=site.environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Input/output error" in done.stderr


def test_nothing_is_answered_while_the_disk_hangs(site: FaultySite, daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint) as client, ProtocolClient(daemon.endpoint) as other:
        assert client.ask(order("A-1"))["type"] == "admit"
        site.fault("s")
        client.send(order("A-2"))
        until_written(site, OPENING_RECORDS + 2)
        other.send(status("A-2"))
        other.send(PING)
        client.send(order("A-2"))
        assert client.socket.poll(SILENCE_MS) == 0
        assert other.socket.poll(0) == 0
        site.fault("")
        first = client.receive()
        assert client.receive() == {**first, "repeat": True}
        assert other.receive()["answer"] == first
        assert other.receive()["head_sequence"] == OPENING_RECORDS + 2
        assert daemon.stop() == 0


def test_a_stop_while_the_disk_hangs_waits_for_it(site: FaultySite, daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        site.fault("s")
        client.send(order("A-2"))
        until_written(site, OPENING_RECORDS + 2)
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            daemon.signal(number)
        assert client.socket.poll(SILENCE_MS) == 0
        assert daemon.process.poll() is None
        site.fault("")
        assert client.receive()["type"] == "admit"
        assert daemon.wait() == 0
    assert site.events()[-1] == "session_closed"


def test_a_directory_that_cannot_be_read_for_a_while_stops_nothing_for_good(
    tmp_path: Path, shim: Path
) -> None:
    """Checkpoints and the look at the disk fail meanwhile; then all of it works again."""
    site = FaultySite(tmp_path, shim)
    anchor_file = tmp_path / "anchor.json"
    log = f'anchor_file = "{anchor_file}"\ncheckpoint_every_records = 0'
    site.configure(config_text(log=log))
    with site.running(environment=site.environment) as daemon:
        with ProtocolClient(daemon.endpoint) as client:
            site.fault("u")
            until_said(daemon, "ALARM: how much is free on the log's disk cannot be found out: ")
            daemon.signal(signal.SIGUSR2)
            until_said(daemon, "ALARM: no checkpoint was taken, orders go on: ")
            assert client.ask(order("A-1"))["type"] == "admit"
            assert "Permission denied" in daemon.stderr
            site.fault("")
            until_said(daemon, "INFO: how much is free on the log's disk can be found out again")
            daemon.signal(signal.SIGUSR2)
            until_said(daemon, "INFO: checkpoint of record")
            sequence = client.ask(order("A-2"))["wal_sequence"]
            deadline = time.monotonic() + PATIENCE_S
            while json.loads(anchor_file.read_text())["sequence"] < sequence:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert daemon.stop() == 0
        assert daemon.stderr.count("ALARM") == 2
    site.replay()


def until_said(daemon: Daemon, text: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while text not in daemon.stderr:
        assert time.monotonic() < deadline, daemon.stderr
        assert daemon.process.poll() is None, daemon.stderr
        time.sleep(0.01)


def test_a_kill_while_the_disk_hangs(site: FaultySite, daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        site.fault("s")
        client.send(order("A-1"))
        until_written(site, OPENING_RECORDS + 1)
        daemon.kill()
        assert client.socket.poll(SILENCE_MS) == 0
    with site.running() as again, ProtocolClient(again.endpoint) as client:
        assert client.ask(order("A-1"))["repeat"] is True
        assert again.stop() == 0
    site.replay()


def until_written(site: Site, records: int) -> None:
    """Waits until the segment holds so many lines, whether they are synced or not."""
    deadline = time.monotonic() + PATIENCE_S
    while site.segment.read_bytes().count(b"\n") < records:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_pings_are_answered_while_the_disk_stalls(site: FaultySite, daemon: Daemon) -> None:
    """One whose order waits, and one that trades nothing; and who comes is let in."""
    endpoint = daemon.endpoint
    with connect(endpoint, PATIENCE_S) as trader, connect(endpoint, PATIENCE_S) as idle:
        for link in (trader, idle):
            _ping(link, b"before")
        orders = _order_until_quick(endpoint)
        site.fault("s")
        trader.sendall(_order("A-1"))
        # The loop would answer the first one or two of these before it waits for the disk.
        for number in range(8):
            for link in (trader, idle):
                _ping(link, b"%d" % number)
        idle.sendall(_order("A-2"))
        with connect(endpoint, PATIENCE_S) as late:
            _ping(late, b"late")
            _ping(idle, b"behind an order")
            site.fault("")
            for link in (trader, idle):
                assert b"admit" in link.recv(4_096)
    assert daemon.stop() == 0
    assert site.events().count("order") == orders + 2
    site.verify()
    site.replay()


def _order_until_quick(endpoint: str) -> int:
    """Until the last sync was so quick that the next one is waited for; how many orders."""
    with ProtocolClient(endpoint) as client:
        before = client.ask(STATS)["syncs_by_latency_ns"]
        for number in range(1_000):
            assert client.ask(order(f"Q-{number}"))["type"] == "admit"
            after = client.ask(STATS)["syncs_by_latency_ns"]
            classes = zip(before, after, strict=True)
            (bound_ns,) = [now[0] for earlier, now in classes if now[1] > earlier[1]]
            if bound_ns <= ON_LOOP_SYNC_NS_MAX:
                return number + 1
            before = after
    raise AssertionError("no quick sync in a thousand: what a disk")


def _order(name: str) -> bytes:
    return frame(json.dumps(order(name)).encode())


def _ping(link: socket.socket, context: bytes) -> None:
    """Asks for a sign of life; the next thing that comes is the answer to it."""
    link.sendall(command(b"PING", b"\0\0" + context))
    expected = command(b"PONG", context)
    received = b""
    while len(received) < len(expected):
        received += link.recv(len(expected) - len(received))
    assert received == expected
