"""What `guard/PROTOCOL.md` 11 tells the writer of a client, tried with libzmq on a real daemon."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from daemon_support import Daemon, Site, config_text
from protocol_client import PATIENCE_MS, PING, ProtocolClient, decode_any, fill, order, status

pytestmark = pytest.mark.slow

Connect = Callable[..., "zmq.Socket[bytes]"]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes connected sockets; `options` by their names."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []

    def make(kind: int, endpoint: str, **options: int) -> "zmq.Socket[bytes]":
        made = context.socket(kind)
        sockets.append(made)
        for name, value in {"LINGER": 0, "RCVTIMEO": PATIENCE_MS, **options}.items():
            made.setsockopt(getattr(zmq, name), value)
        made.connect(endpoint)
        return made

    yield make
    for each in sockets:
        each.close(linger=0)
    context.term()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Site(tmp_path).running() as daemon:
        yield daemon


def _known_place(tmp_path: Path) -> tuple[Site, str]:
    """A site whose daemon does not run yet, and where it will listen."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    return Site(tmp_path, config_text().replace("tcp://127.0.0.1:*", endpoint)), endpoint


def test_what_waits_in_a_socket_is_delivered_however_late(tmp_path: Path, connect: Connect) -> None:
    site, endpoint = _known_place(tmp_path)
    late = connect(zmq.DEALER, endpoint)
    late.send(msgspec.json.encode(order("LATE")))
    gone = connect(zmq.DEALER, endpoint)
    gone.send(msgspec.json.encode(order("GONE")))
    gone.close(linger=0)
    never = connect(zmq.DEALER, endpoint, IMMEDIATE=1, SNDTIMEO=50)
    with pytest.raises(zmq.Again):
        never.send(msgspec.json.encode(order("NEVER")))
    full = connect(zmq.DEALER, endpoint, SNDTIMEO=50)
    for _ in range(1_000):
        full.send(msgspec.json.encode(PING))
    with pytest.raises(zmq.Again):
        full.send(msgspec.json.encode(PING))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert msgspec.json.decode(late.recv())["type"] == "admit"
        for _ in range(1_000):
            assert msgspec.json.decode(full.recv())["type"] == "pong"
        states = [client.ask(status(name))["state"] for name in ("LATE", "GONE", "NEVER")]
        assert states == ["open", "unknown", "unknown"]
        # A connection that breaks is made again by the library; what is sent then goes over it.
        assert daemon.stop() == 0
    late.send(msgspec.json.encode(status("LATE")))
    with site.running():
        assert msgspec.json.decode(late.recv())["state"] == "open"


def test_a_req_without_its_reply(daemon: Daemon, connect: Connect) -> None:
    """It is stuck, unless it is relaxed; the request that it leaves behind is decided."""
    stuck = connect(zmq.REQ, daemon.endpoint)
    stuck.send(msgspec.json.encode(order("STUCK")))
    with pytest.raises(zmq.ZMQError) as refused:
        stuck.send(msgspec.json.encode(PING))
    assert refused.value.errno == zmq.EFSM
    relaxed = connect(zmq.REQ, daemon.endpoint, REQ_RELAXED=1, REQ_CORRELATE=1)
    relaxed.send(msgspec.json.encode(order("LEFT", request_id=1)))
    with ProtocolClient(daemon.endpoint) as client:
        while client.ask(status("LEFT"))["state"] == "unknown":
            pass  # until it is decided
        relaxed.send(msgspec.json.encode({**PING, "request_id": 2}))
        assert msgspec.json.decode(relaxed.recv())["request_id"] == 2
        assert client.ask(status("STUCK"))["state"] == "open"


@pytest.mark.parametrize("before", [b" ", b"\n", b"\t", b"\xef\xbb\xbf"])
def test_nothing_stands_before_the_first_brace(daemon: Daemon, before: bytes) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        client.send_body(before + b'{"type":"ping","request_id":1}')
        body = client.receive_body()
    assert body[:1] not in (b"{", b"[")
    error = decode_any(body)
    assert (error["code"], "request_id" in error) == ("malformed", False)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_where_null_means_absent(daemon: Daemon, encoding: str) -> None:
    with ProtocolClient(daemon.endpoint, encoding=encoding) as client:
        for name in ("currency", "sent_at_ns", "request_id"):
            first = client.ask(order(f"A-{name}", quantity=1, **{name: None}))
            again = client.ask(order(f"A-{name}", quantity=1))
            assert (first["type"], again["repeat"]) == ("admit", True)
        for name in ("price", "executed_at_ns"):
            first = client.ask(fill("A-currency", f"F-{name}", quantity=1, **{name: None}))
            again = client.ask(fill("A-currency", f"F-{name}", quantity=1))
            assert (first["type"], again["repeat"]) == ("filled", True)
        refused: dict[str, Any] = {"quantity": None, "order_type": None, "allow_substitute": None}
        for name, value in refused.items():
            error = client.ask(order("B-1", **{name: value}))
            assert (error["code"], error["field"]) == ("invalid_field", name)


def test_a_time_in_force_frees_nothing(daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        for word in ("ioc", "fok"):
            held = client.ask(order(word, quantity=10, time_in_force=word))["notional_microcents"]
            client.ask(fill(word, "F-1", quantity=4))
            told = client.ask(status(word))
            assert (told["state"], told["open_quantity"]) == ("open", 6)
            assert told["hold_microcents"] == held * 6 // 10


def test_the_budget_gate_is_the_orders_own_ceiling(daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        own = client.ask(order("A-1", max_fee_microcents=1))
        assert (own["stage"], own["reason"]) == ("kernel", "budget_constraint")
        assert own["detail"]["budget"] == 2
        desks = client.ask(order("A-2", desk="desk-beta", quantity=2_632))
        assert (desks["stage"], desks["reason"]) == ("ledger", "insufficient")
