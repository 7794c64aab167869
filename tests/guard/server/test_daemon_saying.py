"""Whoever reads, or does not read, what a real daemon says: orders are answered all the same."""

import contextlib
import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_support import KEY, OPENING_RECORDS, Daemon, Site, config_text
from guard.process import own_process
from patience_support import PATIENCE_S
from protocol_client import STATS, ProtocolClient, order

pytestmark = [pytest.mark.slow, pytest.mark.long]

ANSWER_S = 5.0  # far above what an order takes, far below what a hang does
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def fill(descriptor: int) -> None:
    """Writes until no byte more goes through; the descriptor is as it was then."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"x" * 4_096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"x")
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def gone() -> tuple[int, list[int]]:
    """A pipe whose reader is gone; what is to be closed at the end."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end, [write_end]


def full_device() -> tuple[int, list[int]]:
    device = os.open("/dev/full", os.O_WRONLY)
    return device, [device]


def full_pipe() -> tuple[int, list[int]]:
    """A pipe that nobody reads, and that takes no byte more."""
    read_end, write_end = os.pipe()
    fill(write_end)
    return write_end, [write_end, read_end]


def full_socket() -> tuple[int, list[int]]:
    """As the journal's, when the journal stands still."""
    ours, theirs = socket.socketpair()
    fill(ours.fileno())
    return ours.fileno(), [ours.detach(), theirs.detach()]


KINDS = [gone, full_device, full_pipe, full_socket]
Make = Callable[[], tuple[int, list[int]]]


@pytest.fixture(params=KINDS, ids=lambda make: make.__name__)
def unread(request: pytest.FixtureRequest) -> Iterator[int]:
    """Where nothing can be said."""
    make: Make = request.param
    descriptor, opened = make()
    yield descriptor
    for each in opened:
        os.close(each)


def wait_for(condition: Callable[[], Any], daemon: Daemon) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        assert daemon.process.poll() is None, daemon.process.returncode
        time.sleep(0.01)


def ask(client: ProtocolClient, request: Any) -> Any:
    began = time.monotonic()
    answer = client.ask(request)
    assert time.monotonic() - began < ANSWER_S
    return answer


def take_checkpoint(site: Site, daemon: Daemon) -> None:
    """Asks for one and waits until it is recorded."""
    before = site.events().count("checkpoint")
    daemon.signal(signal.SIGUSR2)
    wait_for(lambda: site.events().count("checkpoint") > before, daemon)


def test_orders_are_answered_whatever_becomes_of_standard_error(
    tmp_path: Path, unread: int
) -> None:
    """Checkpoints finish, anchors fail, a signal is told: each says a line."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    log = f'anchor_file = "{elsewhere / "anchor.json"}"\ncheckpoint_every_records = 0'
    site = Site(tmp_path, config_text(log=log))
    flags = fcntl.fcntl(unread, fcntl.F_GETFL)
    with site.running(stderr=unread) as daemon, ProtocolClient(daemon.endpoint) as client:
        elsewhere.rename(tmp_path / "away")
        for number in range(2):
            ask(client, order(f"A-{number}"))
            take_checkpoint(site, daemon)
            daemon.signal(signal.SIGALRM)
        wait_for(lambda: ask(client, STATS)["counters"]["duty_failures"] > 0, daemon)
        assert ask(client, order("B-1"))["type"] == "admit"
        if not select.select([], [unread], [], 0)[1]:
            assert ask(client, STATS)["counters"]["lines_not_said"] == 0  # they wait
        else:
            wait_for(lambda: ask(client, STATS)["counters"]["lines_not_said"] >= 4, daemon)
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < ANSWER_S
    assert fcntl.fcntl(unread, fcntl.F_GETFL) == flags
    assert site.events()[-1] == "session_closed"


def test_what_could_not_be_said_is_counted_and_told_later(tmp_path: Path) -> None:
    site = Site(tmp_path, config_text(log="checkpoint_every_records = 0"))
    with (tmp_path / "heard").open("w+b") as heard:
        limit = (400, resource.RLIM_INFINITY)  # above the file `head`
        with (
            site.running(stderr=heard.fileno()) as daemon,
            ProtocolClient(daemon.endpoint) as client,
        ):
            os.write(heard.fileno(), b"x" * 399 + b"\n")
            # A file that may not grow, as on a device that is full; the log's may not, either.
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, limit)
            for _ in range(3):
                daemon.signal(signal.SIGALRM)
                time.sleep(0.05)  # signals of one number that are pending are one
            wait_for(lambda: ask(client, STATS)["counters"]["lines_not_said"] == 3, daemon)
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (limit[1], resource.RLIM_INFINITY))
            wait_for(lambda: b"could not be said" in Path(heard.name).read_bytes(), daemon)
            assert daemon.stop() == 0
        (line,) = Path(heard.name).read_text().splitlines()[1:]
    assert re.fullmatch(
        rf"{TIME} ALARM: 3 lines before this one could not be said here: File too large", line
    )


def test_the_ready_line_is_no_condition(tmp_path: Path, unread: int) -> None:
    """Nobody reads it; the service manager is told otherwise."""
    bound = str(tmp_path / "notify")
    endpoint = f"ipc://{tmp_path}/orders"
    site = Site(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(bound)
        manager.settimeout(PATIENCE_S)
        environment = {"NOTIFY_SOCKET": bound}
        with site.started_only(
            "--orders", endpoint, environment=environment, stdout=unread
        ) as daemon:
            assert manager.recv(4_096).startswith(b"READY=1")
            with ProtocolClient(endpoint) as client:
                assert ask(client, order("A-1"))["type"] == "admit"
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < ANSWER_S
            assert daemon.stderr == ""


def test_a_start_that_is_refused_keeps_its_exit_code(tmp_path: Path, unread: int) -> None:
    site = Site(tmp_path)
    done = subprocess.run(
        own_process.command("guard.cli", *site.run_arguments("--resume-desk", "x")),  # no --why
        stdout=subprocess.PIPE,
        stderr=unread,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")


def test_an_end_that_nobody_can_be_told_of_keeps_its_exit_code(tmp_path: Path, unread: int) -> None:
    site = Site(tmp_path)
    with site.running(stderr=unread) as daemon, ProtocolClient(daemon.endpoint) as client:
        _end_by_its_log(daemon, client)
        assert daemon.wait() == 1


def test_the_last_sentence_has_a_time(tmp_path: Path) -> None:
    site = Site(tmp_path)
    read_end, write_end = os.pipe()
    with site.running(stderr=write_end) as daemon, ProtocolClient(daemon.endpoint) as client:
        os.close(write_end)
        _end_by_its_log(daemon, client)
        assert daemon.wait() == 1
    with open(read_end, "rb") as reader:
        heard = reader.read().decode()
    said = rf"{TIME} ALARM: the service has ended, nothing more is answered: the log failed in "
    assert re.fullmatch(said + ".*File too large\n", heard)


def _end_by_its_log(daemon: Daemon, client: ProtocolClient) -> None:
    """Its log may not grow any more."""
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    client.send(order("A-1"))


def test_standard_error_is_read_late(tmp_path: Path) -> None:
    """The reader of a full pipe comes back: it is told everything, in order."""
    read_end, write_end = os.pipe()
    fill(write_end)
    site = Site(tmp_path, config_text(log="checkpoint_every_records = 0"))
    with site.running(stderr=write_end) as daemon, ProtocolClient(daemon.endpoint) as client:
        os.close(write_end)
        for number in range(3):
            ask(client, order(f"A-{number}"))
            take_checkpoint(site, daemon)
        heard: list[bytes] = []

        def read() -> None:
            while part := os.read(read_end, 65_536):
                heard.append(part)

        reader = threading.Thread(target=read)
        reader.start()
        assert daemon.stop() == 0
        reader.join(PATIENCE_S)
    os.close(read_end)
    lines = b"".join(heard).lstrip(b"x").decode().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(rf"{TIME} INFO: checkpoint of record \d+: .*", line)


def test_each_line_is_one_json_object_where_that_is_asked_for(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running("--log-format", "json") as daemon:
        ready = json.loads(daemon.ready_line)
        assert (ready["level"], ready["event"]) == ("info", "ready")
        assert ready["fields"]["head_sequence"] == OPENING_RECORDS
        asked = {"type": "halt", "scope": "firm", "action_id": "h", "why": 'a "loop"'}
        with ProtocolClient(f"ipc://{site.log}.admin") as admin:
            admin.ask(asked)
        site.configure("[")
        daemon.signal(signal.SIGHUP)
        daemon.signal(signal.SIGALRM)
        wait_for(lambda: "configuration_refused" in daemon.stderr, daemon)
        assert daemon.stop() == 0
        last = json.loads(daemon.last_words())
    said = {line["event"]: line for line in map(json.loads, daemon.stderr.splitlines())}
    acted = said["operator_action"]
    assert acted["fields"]["wal_sequence"] == OPENING_RECORDS + 1
    assert (acted["fields"]["action"], acted["fields"]["why"]) == ("halt", 'a "loop"')
    assert said["configuration_refused"]["level"] == "alarm"
    assert said["signal"]["message"].startswith("SIGALRM: ")
    assert (last["event"], last["fields"]["records"]) == ("stopped", 1)
    refused = site.refused("--log-format", "json")
    fatal = json.loads(refused.stderr.splitlines()[-1])
    assert (refused.returncode, fatal["level"], fatal["event"]) == (2, "fatal", "refused")
    assert str(site.config) in fatal["message"]
    assert KEY.hex() not in daemon.stderr
