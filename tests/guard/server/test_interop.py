"""Stock clients on a real daemon: pyzmq's libzmq, the system's by a C program, zeromq.js."""

import contextlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from daemon_support import Daemon, Site, config_text, event_of
from guard.process.descriptors import LOG_RESERVE
from guard.protocol.wire import REQUESTS_PER_MESSAGE_MAX
from guard.server.policy import MESSAGE_BYTES_MAX
from patience_support import PATIENCE_S
from protocol_client import PATIENCE_MS, PING, STATS, ProtocolClient, cancel, order, status

pytestmark = pytest.mark.slow

INTEROP = Path(__file__).resolve().parent.parent.parent / "interop"
CLIENT_PATIENCE_S = 120.0
HEARTBEATS = {
    zmq.HEARTBEAT_IVL: 10,
    zmq.HEARTBEAT_TIMEOUT: 2_000,
    zmq.HEARTBEAT_TTL: 5_000,
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    site = Site(tmp_path_factory.mktemp("site"))
    with site.running() as daemon:
        yield daemon
        assert daemon.stop() == 0
    assert daemon.stderr.count("\n") <= 1, daemon.stderr


@pytest.fixture
def sockets() -> Iterator[Callable[..., "zmq.Socket[bytes]"]]:
    """Makes connected sockets of one context, and closes them."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def make(kind: int, endpoint: str, options: dict[int, Any] | None = None) -> Any:
        socket = context.socket(kind)
        made.append(socket)
        every = {zmq.LINGER: 0, zmq.RCVTIMEO: PATIENCE_MS, zmq.SNDTIMEO: PATIENCE_MS}
        for option, value in {**every, **(options or {})}.items():
            socket.setsockopt(option, value)
        socket.connect(endpoint)
        return socket

    yield make
    for each in made:
        each.close(linger=0)
    context.term()


def pong(socket: "zmq.Socket[bytes]") -> None:
    socket.send(msgspec.json.encode(PING))
    assert msgspec.json.decode(socket.recv())["type"] == "pong"


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize(("kind", "empty"), [("DEALER", False), ("DEALER", True), ("REQ", False)])
def test_pyzmq(daemon: Daemon, kind: str, empty: bool, encoding: str) -> None:
    with ProtocolClient(daemon.endpoint, kind=kind, encoding=encoding, empty=empty) as client:
        name = f"{kind}-{encoding}-{empty}"
        assert client.ask(order(name, quantity=1))["type"] == "admit"
        replies = client.ask([status(name), cancel(name), PING] * 80)
        assert [reply["type"] for reply in replies] == ["status", "released", "pong"] * 80


@pytest.mark.parametrize("kind", ["DEALER", "REQ"])
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_network_that_carries_one_byte_at_a_time(
    daemon: Daemon, kind: str, encoding: str
) -> None:
    with (
        _single_bytes(daemon.endpoint) as endpoint,
        ProtocolClient(endpoint, kind=kind, encoding=encoding, heartbeat_ms=50) as client,
    ):
        name = f"bytes-{kind}-{encoding}"
        assert client.ask(order(name, quantity=1))["type"] == "admit"
        replies = client.ask([status(name), cancel(name), PING] * 3)
        assert [reply["type"] for reply in replies] == ["status", "released", "pong"] * 3


@contextlib.contextmanager
def _single_bytes(endpoint: str) -> Iterator[str]:
    """An endpoint that leads there; each write, both ways, is of one byte."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:

        def serve() -> None:
            near = stack.enter_context(server.accept()[0])
            far = stack.enter_context(socket.create_connection((host, int(port))))
            threads = [
                threading.Thread(target=_carry, args=ends) for ends in ((near, far), (far, near))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            serving.join(CLIENT_PATIENCE_S)
            assert not serving.is_alive()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # one of them has gone
        while byte := source.recv(1):
            sink.sendall(byte)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("kind", ["DEALER", "REQ"])
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_frame_of_four_mebibytes_is_told_and_the_client_stays(
    daemon: Daemon, sockets: Callable[..., Any], kind: str, encoding: str
) -> None:
    client = sockets(getattr(zmq, kind), daemon.endpoint)
    codec: Any = msgspec.json if encoding == "json" else msgspec.msgpack
    client.send(codec.encode(PING).ljust(MESSAGE_BYTES_MAX))
    assert codec.decode(client.recv())["code"] == "message_too_large"
    client.send(codec.encode([PING] * REQUESTS_PER_MESSAGE_MAX))
    assert len(codec.decode(client.recv())) == REQUESTS_PER_MESSAGE_MAX
    pong(client)


@pytest.mark.parametrize("relaxed", [0, 1])
@pytest.mark.parametrize("correlate", [0, 1])
def test_a_req_that_may_send_again(
    daemon: Daemon, sockets: Callable[..., Any], relaxed: int, correlate: int
) -> None:
    options = {zmq.REQ_RELAXED: relaxed, zmq.REQ_CORRELATE: correlate}
    socket = sockets(zmq.REQ, daemon.endpoint, options)
    for _ in range(20):
        pong(socket)
    if relaxed and correlate:
        # The reply to what it no longer waits for is not taken for the reply to the last one.
        for number in range(20):
            socket.send(msgspec.json.encode({**PING, "request_id": number}))
        assert msgspec.json.decode(socket.recv())["request_id"] == 19
    if correlate:
        socket.send_multipart([b"{}", b"{}"])
        assert msgspec.msgpack.decode(socket.recv())["code"] == "bad_framing"


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
def test_heartbeats_of_the_client(daemon: Daemon, sockets: Callable[..., Any], kind: int) -> None:
    socket = sockets(kind, daemon.endpoint, HEARTBEATS)
    monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
    for _ in range(5):
        pong(socket)
        time.sleep(0.1)
    assert monitor.poll(0) == 0
    socket.disable_monitor()
    monitor.close(linger=0)


def test_clients_with_heartbeats_that_are_killed(daemon: Daemon) -> None:
    """They ping as fast as they can, and go: what ended the daemon when libzmq was its door."""
    script = (
        "import sys, zmq\n"
        "socket = zmq.Context().socket(zmq.DEALER)\n"
        "socket.setsockopt(zmq.HEARTBEAT_IVL, 50)\n"
        "socket.connect(sys.argv[1])\n"
        "print('go', flush=True)\n"
        "while True:\n"
        '    socket.send(b\'{"type":"ping"}\')\n'
    )
    for _ in range(4):
        clients = [
            subprocess.Popen(
                [sys.executable, "-c", script, daemon.endpoint],
                stdout=subprocess.PIPE,
            )
            for _ in range(3)
        ]
        for client in clients:
            assert client.stdout is not None
            assert client.stdout.readline() == b"go\n"
        time.sleep(0.3)
        for client in clients:
            client.kill()
            client.wait(PATIENCE_S)
            assert client.stdout is not None
            client.stdout.close()
        with ProtocolClient(daemon.endpoint) as good:
            assert good.ask(PING)["type"] == "pong"


def test_two_sockets_under_one_routing_id(daemon: Daemon, sockets: Callable[..., Any]) -> None:
    """Each gets the replies to its own requests."""
    both = [sockets(zmq.DEALER, daemon.endpoint, {zmq.ROUTING_ID: b"trader-1"}) for _ in range(2)]
    for number in range(20):
        for index, dealer in enumerate(both):
            dealer.send(msgspec.json.encode({**PING, "request_id": f"{index}-{number}"}))
    for index, dealer in enumerate(both):
        told = [msgspec.json.decode(dealer.recv())["request_id"] for _ in range(20)]
        assert told == [f"{index}-{number}" for number in range(20)]


def test_a_client_outlives_the_daemon(tmp_path: Path, sockets: Callable[..., Any]) -> None:
    """It comes back by itself to the next one at the same place, over a unix socket too."""
    place = f"ipc://{tmp_path}/orders"
    site = Site(tmp_path, config_text())
    dealer = None
    for _ in range(3):
        with site.running("--orders", place) as daemon:
            assert daemon.endpoint == place
            dealer = dealer or sockets(zmq.DEALER, place, {zmq.RECONNECT_IVL: 20})
            pong(dealer)
            assert daemon.stop() == 0
    assert not (tmp_path / "orders").exists()


@pytest.mark.parametrize("kind", ["SUB", "PUSH", "ROUTER", "REP", "PAIR"])
def test_other_sockets_are_refused(daemon: Daemon, sockets: Callable[..., Any], kind: str) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        before = client.ask(STATS)["counters"]["gone_refused"]
        sockets(getattr(zmq, kind), daemon.endpoint)
        deadline = time.monotonic() + PATIENCE_S
        while client.ask(STATS)["counters"]["gone_refused"] == before:
            assert time.monotonic() < deadline


def test_connections_are_counted(tmp_path: Path) -> None:
    with Site(tmp_path).running() as daemon, ProtocolClient(daemon.endpoint) as client:
        with ProtocolClient(daemon.endpoint) as other:
            assert other.ask(PING)["type"] == "pong"
            counted = client.ask(STATS)["counters"]
            assert (counted["connections"], counted["connections_accepted"]) == (2, 2)
        deadline = time.monotonic() + PATIENCE_S
        while (counted := client.ask(STATS)["counters"])["gone_closed"] == 0:
            assert time.monotonic() < deadline
        assert (counted["connections"], counted["connections_half_open"]) == (1, 0)


def test_a_thousand_idle_connections(tmp_path: Path) -> None:
    """Under few descriptors: the log keeps its own, and who is in is served."""
    site = Site(tmp_path)
    few = (256, 256)
    with contextlib.ExitStack() as stack:
        running = site.running(before_exec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, few))
        daemon = stack.enter_context(running)
        client = stack.enter_context(ProtocolClient(daemon.endpoint))
        assert client.ask(order("A-1"))["type"] == "admit"
        host, port = daemon.endpoint.removeprefix("tcp://").split(":")
        for _ in range(400):
            stack.enter_context(socket.create_connection((host, int(port))))
        deadline = time.monotonic() + PATIENCE_S
        counted = client.ask(STATS)["counters"]
        while counted["connections"] + counted["connections_refused"] < 401:
            assert time.monotonic() < deadline, counted
            counted = client.ask(STATS)["counters"]
        assert 128 <= counted["connections"] <= 256 - LOG_RESERVE
        assert counted["accept_pauses"] == 0
        daemon.signal(signal.SIGUSR1)  # the next segment
        assert client.ask(cancel("A-1"))["type"] == "released"
        assert client.ask(order("A-2"))["type"] == "admit"
        assert daemon.stop() == 0
    assert "ALARM" not in daemon.stderr


def _runs(arguments: list[str]) -> None:
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=CLIENT_PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_a_c_program_on_the_systems_libzmq(daemon: Daemon, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    program = tmp_path / "client"
    source = str(INTEROP / "libzmq_client.c")
    build = [compiler, "-D_GNU_SOURCE", "-o", str(program), source, "-lzmq"]
    if subprocess.run(build, capture_output=True, check=False).returncode:
        pytest.skip("no zmq.h: Debian's package libzmq3-dev has it")
    _runs([str(program), daemon.endpoint])


def _node(script: str) -> list[str]:
    """The command of a script on zeromq.js; skips where that is not here."""
    place = INTEROP / "zeromq_js"
    node = shutil.which("node")
    if node is None or not (place / "node_modules" / "zeromq").exists():
        pytest.skip("no node, or not installed: npm install --prefix tests/interop/zeromq_js")
    return [node, str(place / script)]


def test_zeromq_js(daemon: Daemon) -> None:
    _runs([*_node("client.mjs"), daemon.endpoint])


def test_a_desk_written_from_the_page_outlives_the_guard(tmp_path: Path) -> None:
    """Its orders are each admitted once, though the guard is killed while they are under way."""
    program = _node("desk.mjs")
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    site = Site(tmp_path, config_text().replace("tcp://127.0.0.1:*", endpoint))
    with site.running() as first:
        client = subprocess.Popen(
            [*program, endpoint], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "asking\n", client.communicate()
            first.kill()
            with site.running() as second:
                said, wrong = client.communicate(timeout=CLIENT_PATIENCE_S)
                assert (client.returncode, said) == (0, "ok\n"), wrong
                assert second.stop() == 0
        finally:
            client.kill()
            client.wait()
    admitted = [
        event["order"]["client_order_id"]
        for event in map(event_of, site.records())
        if event["event"] == "order" and event["answer"]["type"] == "admit"
    ]
    assert sorted(admitted) == sorted(["A-1", *(f"K-{number}" for number in range(300))])
    assert site.replay()["ok"]
