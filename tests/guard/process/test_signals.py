"""Signals to real daemons: what stops them, what asks for work, and that nothing else ends them."""

import re
import signal
import time
from pathlib import Path

import pytest

from daemon_support import OPENING_RECORDS, Daemon, Site, config_text
from guard.process.signals import StopAsked, no_harm
from patience_support import PATIENCE_S
from protocol_client import PING, ProtocolClient, order

pytestmark = pytest.mark.slow

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGXCPU)
# By default they end or suspend a process. (By number: real-time ones.)
TOLD = (
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGPOLL,
    signal.SIGPWR,
    signal.SIGSTKFLT,
    signal.SIGTSTP,
    signal.SIGRTMIN,
    40,
    signal.SIGRTMAX,
)
UNTOLD = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD)
READ_AGAIN = "SIGHUP: the configuration was read again: no record"
READ_LATER = "SIGHUP: the configuration is read again as soon as orders are served"


def wait_until_said(daemon: Daemon, text: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while text not in daemon.stderr:
        assert time.monotonic() < deadline, daemon.stderr
        assert daemon.process.poll() is None, daemon.process.returncode
        time.sleep(0.005)


def state_of(daemon: Daemon) -> str:
    return Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_hangup_reads_a_file_that_says_the_same(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        deadline = time.monotonic() + PATIENCE_S
        while len(before := site.records()) < OPENING_RECORDS + 1:  # the head is told behind it
            assert time.monotonic() < deadline
        daemon.signal(signal.SIGHUP)
        wait_until_said(daemon, READ_AGAIN)
        assert client.ask(PING)["head_sequence"] == OPENING_RECORDS + 1
        assert site.records() == before
        assert re.fullmatch(rf"\S+Z INFO: {READ_AGAIN}", daemon.stderr.splitlines()[-1])
        assert daemon.stop() == 0
    assert site.events()[-1] == "session_closed"


def test_no_other_signal_ends_or_suspends_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for number in (*UNTOLD, *TOLD):
            daemon.signal(number)
            if number in TOLD:
                wait_until_said(daemon, no_harm(number))
            assert client.ask(PING)["type"] == "pong"
            assert state_of(daemon) in "RS"
        told = re.findall(r"^\S+Z INFO: (?:SIG|signal )\w+: ", daemon.stderr, re.MULTILINE)
        assert len(told) == len(TOLD)
        assert daemon.stop() == 0
    assert site.events()[-1] == "session_closed"


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_in_good_order_however_often_it_is_asked_for(
    tmp_path: Path, number: signal.Signals
) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        while daemon.process.poll() is None:  # to its very end
            daemon.signal(number)
            daemon.signal(signal.SIGHUP)
        assert daemon.wait() == 0, daemon.stderr
        assert "Traceback" not in daemon.stderr
        assert daemon.last_words().startswith("pretrade-guard stopped: ")
    assert site.events()[-1] == "session_closed"


def test_a_starter_that_ignores_its_children_s_ends(tmp_path: Path) -> None:
    """It leaves that to whoever it starts, and then no child has an exit code."""
    site = Site(tmp_path, config_text(log="checkpoint_every_records = 0"))

    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with site.running(before_exec=ignore) as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        daemon.signal(signal.SIGUSR2)
        wait_until_said(daemon, "INFO: checkpoint of record")
        daemon.signal(signal.SIGHUP)
        wait_until_said(daemon, READ_AGAIN)
        assert daemon.stop() == 0
        assert "ALARM" not in daemon.stderr


def has_handlers(daemon: Daemon) -> bool:
    """Is SIGTERM caught by now?"""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def started_to_its_handlers(daemon: Daemon) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not has_handlers(daemon):
        assert time.monotonic() < deadline, daemon.stderr


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """It takes a moment to read."""
    site = Site(tmp_path_factory.mktemp("long"), config_text(log="checkpoint_at_stop = false"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for first in range(0, 40_000, 250):
            client.ask([order(f"A-{first + number}", quantity=1) for number in range(250)])
        assert daemon.stop() == 0
    return site


def written(site: Site) -> bytes:
    """All that stands in its segments, without the zeros ahead."""
    return b"".join(path.read_bytes().rstrip(b"\0") for path in site.segments)


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_before_it_serves(long_log: Site, number: signal.Signals) -> None:
    before = written(long_log)
    with long_log.started_only() as daemon:
        started_to_its_handlers(daemon)
        daemon.signal(signal.SIGHUP)
        wait_until_said(daemon, READ_LATER)
        daemon.signal(number)
        daemon.signal(number)
        assert daemon.wait() == 128 + number == StopAsked(number).exit_code
        name = signal.Signals(number).name
        *_, last = daemon.stderr.splitlines()
        stopped = f"stopped by {name} before it was ready; nothing was answered"
        assert last == f"pretrade-guard: {stopped}"
        assert daemon.last_words() == ""
    # As a kill there: a session that was just being opened may have begun a segment.
    after = written(long_log)
    assert after.startswith(before)
    assert b'"event":"order"' not in after[len(before) :]


@pytest.mark.long
def test_a_stop_at_any_moment_of_a_start(long_log: Site) -> None:
    """Recovery, opening the log, binding: none leaves anything that the next start minds."""
    codes = set()
    delay_s = 0.0
    while 0 not in codes and delay_s < PATIENCE_S:
        with long_log.started_only() as daemon:
            started_to_its_handlers(daemon)
            time.sleep(delay_s)
            daemon.signal(signal.SIGTERM)
            codes.add(daemon.wait())
            assert "Traceback" not in daemon.stderr
        delay_s += 0.2
    assert codes == {0, 143}
    assert long_log.verify()["closed_cleanly"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM])
def test_what_asks_for_work_before_it_serves_ends_nothing(
    long_log: Site, number: signal.Signals
) -> None:
    with long_log.started_only() as daemon:
        started_to_its_handlers(daemon)
        daemon.signal(number)
        daemon.wait_until_ready()
        nothing = "nothing is served yet; nothing is done"
        said = no_harm(number) if number == signal.SIGALRM else f"{number.name}: {nothing}"
        assert said in daemon.stderr
        assert daemon.stop() == 0
