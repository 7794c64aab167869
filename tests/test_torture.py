"""The torture harness in short, and the items of its list that need no harness: one daemon each,
whose disk hangs, whose client does not read, whose clock jumps.

The long forms are commands: `tests/torture/README.md`.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from daemon_support import OPENING_RECORDS, Site, config_text, event_of
from guard.process import own_process
from guard.server.pipeline import GATHERED_MESSAGES_MAX
from guard.server.policy import CLIENT_BACKLOG_BYTES_MAX
from patience_support import PATIENCE_S
from protocol_client import PING, STATS, ProtocolClient, cancel, fill, order, status
from stall_support import ShimSite, build_shim

pytestmark = pytest.mark.slow

TORTURE = Path(__file__).resolve().parent / "torture"
COMMAND_PATIENCE_S = 120.0
EVERY_GUARD_REACHES = (
    *("decide.before", "decide.after", "append.after", "apply.after"),
    *("sync.before", "before-write", "after-write", "before-sync", "after-sync", "sync.after"),
    "reply.after",
)
UNREAD_ORDERS = 100_000
# Measured: 150 MiB, of which about two thirds are the orders themselves.
UNREAD_GROWTH_BYTES_MAX = 300 * 1024 * 1024
# As many queries as would have the daemon hold 170 MB for one client, and what it may grow by: the
# bound, the queries themselves (30 MB, read ahead), and what the daemon needs besides.
UNREAD_QUERIES, UNREAD_QUERIES_GROWTH_BYTES_MAX = 800, CLIENT_BACKLOG_BYTES_MAX + 48 * 2**20
UNREAD_OPTIONS = {zmq.RCVHWM: 1, zmq.RCVBUF: 4_096, zmq.SNDHWM: 0, zmq.LINGER: 0}
OPENING_DESK_RECORDS = OPENING_RECORDS - 1  # with one desk
HOUR_S, DAY_S = 3_600, 86_400


def torture(script: str, *arguments: str) -> str:
    """What the command says; it must say that every promise was kept."""
    done = subprocess.run(
        own_process.command(str(TORTURE / script), *arguments),
        capture_output=True,
        text=True,
        timeout=COMMAND_PATIENCE_S,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every promise was kept" in done.stdout
    return done.stdout


def test_killed_at_named_places() -> None:
    said = torture("run.py", "--runs", "12", "--seconds", "15", "--points", *EVERY_GUARD_REACHES)
    assert "from outside" in said


def test_killed_at_random_moments() -> None:
    torture("hard_stop.py", "--minutes", "0.06")


def test_killed_while_duties_fail() -> None:
    settings = 'anchor_file = "{root}/anchor"\ncheckpoint_interval_s = 1'
    torture(
        "hard_stop.py",
        *("--minutes", "0.06", "--duties-fail", "0.5", "--log-settings", settings),
    )


@pytest.fixture
def site(tmp_path: Path) -> ShimSite:
    shim = build_shim(tmp_path)
    if shim is None:
        pytest.skip("no C compiler to build the shim with")
    return ShimSite(tmp_path, shim)


def test_the_same_order_twice_before_the_first_is_durable(site: ShimSite) -> None:
    """Twice on one connection, once on another, and in the other encoding: one record."""
    with (
        site.running(environment=site.environment) as daemon,
        ProtocolClient(daemon.endpoint) as client,
        ProtocolClient(daemon.endpoint, encoding="msgpack") as other,
    ):
        assert client.ask(PING)["head_sequence"] == OPENING_RECORDS
        assert other.ask(PING)["head_sequence"] == OPENING_RECORDS
        site.hang_file.touch()
        client.send(order("A-1"))
        client.send([order("A-1"), order("A-1", quantity=101)])
        other.send(order("A-1"))
        assert other.socket.poll(100) == 0
        assert client.socket.poll(0) == 0
        site.hang_file.unlink()
        answers = [client.receive(), *client.receive(), other.receive()]
        reused = answers.pop(2)
        first = next(answer for answer in answers if not answer["repeat"])
        assert first["type"] == "admit"
        assert [answer["repeat"] for answer in answers].count(False) == 1
        assert all({**answer, "repeat": False} == first for answer in answers)
        assert (reused["reason"], reused["field"]) == ("client_order_id_reused", "quantity")
        held = client.ask(status("A-1"))
        assert held["hold_microcents"] == first["notional_microcents"]
        assert daemon.stop() == 0
    assert site.events().count("order") == 1
    site.replay()


@contextmanager
def unread_socket(endpoint: str) -> Iterator["zmq.Socket[bytes]"]:
    """A client that sends as much as it likes and reads nothing, so that TCP holds replies back."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    for option, value in UNREAD_OPTIONS.items():
        socket.setsockopt(option, value)
    socket.connect(endpoint)
    try:
        yield socket
    finally:
        socket.close(linger=0)
        context.term()


def until_known(client: ProtocolClient, name: str, desk: str = "desk-alpha") -> None:
    """Waits until the guard has decided the order `name`."""
    deadline = time.monotonic() + COMMAND_PATIENCE_S
    while client.ask(status(name, desk))["state"] == "unknown":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_hundred_thousand_orders_and_nobody_reads_the_replies(tmp_path: Path) -> None:
    # No checkpoints: their records would be counted.
    log = "checkpoint_every_records = 0\ncheckpoint_at_stop = false"
    desks = {"desk-alpha": ("90000000000.00", "none")}
    site = Site(tmp_path, config_text(desks=desks, log=log))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        before = daemon.resident_bytes()
        with unread_socket(daemon.endpoint) as silent:
            for number in range(UNREAD_ORDERS):
                silent.send(msgspec.msgpack.encode(order(f"U-{number}", quantity=1)))
                if number % 10_000 == 0:
                    assert client.ask(PING)["type"] == "pong", "others are served meanwhile"
            until_known(client, f"U-{UNREAD_ORDERS - 1}")
            growth_bytes = daemon.resident_bytes() - before
            print(f"grown by {growth_bytes / 2**20:.0f} MiB with {UNREAD_ORDERS} orders unread")
            assert growth_bytes < UNREAD_GROWTH_BYTES_MAX
            counted = client.ask(STATS)["counters"]
            assert counted["records"] >= UNREAD_ORDERS
            # Some 280 bytes each: they fit into what one client may hold.
            assert counted["replies_dropped_slow"] == 0
            assert 0 < counted["backlog_bytes"] <= CLIENT_BACKLOG_BYTES_MAX
            assert counted["gathered_messages_max"] <= GATHERED_MESSAGES_MAX
            for start in range(0, UNREAD_ORDERS, 250):
                names = [f"U-{number}" for number in range(start, start + 250)]
                for name, reply in zip(names, client.ask([*map(status, names)]), strict=True):
                    assert reply["state"] == "open", name
                    assert reply["answer"]["client_order_id"] == name
        assert client.ask(order("U-0", quantity=1))["repeat"] is True
        assert daemon.stop() == 0
    assert site.verify()["head_sequence"] == OPENING_DESK_RECORDS + UNREAD_ORDERS + 1


def test_long_replies_and_nobody_reads_them(tmp_path: Path) -> None:
    """Bounded in bytes; others are served; who reads again gets answers, to the lost ones too."""
    desk, longest = "d" * 32, "L" * 64
    log = "checkpoint_every_records = 0\ncheckpoint_at_stop = false"
    site = Site(tmp_path, config_text(desks={desk: ("90000000000.00", "none")}, log=log))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order(longest, desk=desk))["type"] == "admit"
        queries = msgspec.json.encode([status(longest, desk)] * 256)
        assert len(client.ask_body(queries)) == 256
        before = daemon.resident_bytes()
        with unread_socket(daemon.endpoint) as silent:
            for number in range(UNREAD_QUERIES):
                silent.send(queries)
                if number % 50 == 0:
                    assert client.ask(PING)["type"] == "pong", "others are served meanwhile"
            lost = [order(f"L-{number}", desk=desk, quantity=1) for number in range(256)]
            silent.send(msgspec.json.encode(lost))
            silent.send(msgspec.json.encode(order("S-1", desk=desk, quantity=1)))
            until_known(client, "S-1", desk)
            growth_bytes = daemon.resident_bytes() - before
            counted = client.ask(STATS)["counters"]
            print(f"grown by {growth_bytes / 2**20:.0f} MiB, {counted}")
            assert growth_bytes < UNREAD_QUERIES_GROWTH_BYTES_MAX
            assert counted["backlog_bytes"] > 0.9 * CLIENT_BACKLOG_BYTES_MAX
            assert counted["backlog_bytes"] <= CLIENT_BACKLOG_BYTES_MAX
            dropped = counted["replies_dropped_slow"]
            assert UNREAD_QUERIES // 4 < dropped < UNREAD_QUERIES
            # It reads again: what was held, in order, the short reply behind the lost one last.
            silent.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1_000))
            for _ in range(UNREAD_QUERIES + 1 - dropped):
                assert len(msgspec.json.decode(silent.recv())) == 256
            assert msgspec.json.decode(silent.recv())["client_order_id"] == "S-1"
            silent.send(msgspec.json.encode(lost))
            body = silent.recv()
            answers = msgspec.json.decode(body)
            assert [answer["client_order_id"] for answer in answers] == [
                each["client_order_id"] for each in lost
            ]
            assert {(answer["type"], answer["repeat"]) for answer in answers} == {("admit", True)}
            counted = client.ask(STATS)["counters"]
            assert counted["replies_dropped_slow"] == dropped
            assert counted["backlog_bytes"] in (0, len(body)), "the last one may not be told yet"
        assert daemon.stop() == 0
    assert site.verify()["head_sequence"] == OPENING_DESK_RECORDS + 1 + 256 + 1 + 1


def test_the_clock_jumps_back_and_forth(site: ShimSite) -> None:
    """Within a session and between sessions: the log's times never run backwards."""
    firsts: dict[str, Any] = {}
    jumps = (0, -HOUR_S, HOUR_S, -40 * DAY_S, 2 * DAY_S, 0, DAY_S)
    for session in range(3):
        site.jump(jumps[-1 - session])
        with site.running(environment=site.environment) as daemon:
            with ProtocolClient(daemon.endpoint) as client:
                for name, first in firsts.items():
                    assert client.ask(order(name)) == {**first, "repeat": True}
                for at, seconds in enumerate(jumps):
                    site.jump(seconds)
                    name = f"J-{session}-{at}"
                    firsts[name] = client.ask(order(name))
                    assert firsts[name]["type"] == "admit"
                # Its time stays where it was furthest: what was sent long before is refused.
                late = client.ask(order("S-1", sent_at_ns=time.time_ns() - 40 * DAY_S * 10**9))
                assert late["reason"] == "stale_order"
            if session == 1:
                daemon.kill()
            else:
                assert daemon.stop() == 0
    times = [event_of(record)["received_at_ns"] for record in site.records()]
    assert times == sorted(times)
    assert times[-1] - times[0] > DAY_S * 10**9, "the clock did jump"
    site.replay()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "log"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True, capture_output=True)


def test_a_real_disk_that_is_full(small_disk: Path, tmp_path: Path) -> None:
    """The daemon ends; all that it answered is there once the disk has room again."""
    site = Site(tmp_path, config_text(log="disk_reserve_bytes = 0"))
    answers: dict[str, Any] = {}
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.socket.set(zmq.RCVTIMEO, 10)
        for number in range(100_000):
            # Fills go on where a low disk has halted entries.
            client.send([order(f"D-{number}"), fill(f"D-{number}", "F-1", quantity=1)])
            while not client.socket.poll(10) and daemon.process.poll() is None:
                pass
            if not client.socket.poll(0):
                break
            answers[f"D-{number}"] = client.receive()[0]
        assert daemon.wait() == 1
    assert "No space left" in daemon.stderr
    assert "Traceback" not in daemon.stderr
    remount = ["mount", "-o", "remount,size=64m", str(small_disk)]
    subprocess.run(remount, check=True, capture_output=True)
    assert answers
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for name, first in answers.items():
            assert client.ask(order(name)) == {**first, "repeat": True}
        assert client.ask(cancel("D-0"))["type"] == "released"
        assert daemon.stop() == 0
    site.replay()
