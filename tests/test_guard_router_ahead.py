"""What clients have sent and nobody has decided: read ahead, in rotation, bounded; both forms."""

import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from guard.gateway import Gateway, RouterFrames
from guard.router import (
    AHEAD_BYTES_MAX,
    CLIENT_AHEAD_BYTES_MAX,
    CLIENT_AHEAD_BYTES_SURE,
    FRAMES_SKIPPED_MAX,
    MESSAGE_BYTES,
)
from protocol_client import PATIENCE_MS, ProtocolClient
from router_support import ADDRESSES, compiled_only, source_form

CLIENT_BYTES_MAX = 2 * CLIENT_AHEAD_BYTES_SURE
ALL_BYTES_MAX = 6 * CLIENT_AHEAD_BYTES_SURE
BODY = bytes(100 * 1024 - MESSAGE_BYTES)  # so many of them fill a client's bound:
FULL = CLIENT_BYTES_MAX // (len(BODY) + MESSAGE_BYTES)
# As many as are certainly beyond the bound of a connection, whatever has been decided meanwhile.
FLOOD_BODY = bytes(200_000)
FLOOD_MESSAGES_MAX = 20 * CLIENT_AHEAD_BYTES_MAX // len(FLOOD_BODY)
Connect = Callable[[bytes], "zmq.Socket[bytes]"]


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.term()


@pytest.fixture(params=["as it runs", "source"])
def frames(
    request: pytest.FixtureRequest, context: "zmq.Context[zmq.Socket[bytes]]"
) -> Iterator[RouterFrames]:
    router = context.socket(zmq.ROUTER)
    router.set(zmq.RCVHWM, 0)
    router.bind("inproc://orders")
    form = RouterFrames if request.param == "as it runs" else source_form()
    bounds = {"client_ahead_bytes_max": CLIENT_BYTES_MAX, "ahead_bytes_max": ALL_BYTES_MAX}
    with closing(form(router, ADDRESSES, **bounds)) as frames:
        yield frames


@pytest.fixture
def connect(context: "zmq.Context[zmq.Socket[bytes]]") -> Iterator[Connect]:
    opened = []

    def connected(name: bytes) -> "zmq.Socket[bytes]":
        dealer = context.socket(zmq.DEALER)
        dealer.set(zmq.ROUTING_ID, name)
        dealer.set(zmq.SNDHWM, 0)
        dealer.connect("inproc://orders")
        opened.append(dealer)
        return dealer

    yield connected
    for dealer in opened:
        dealer.close(linger=0)


def test_the_bounds() -> None:
    """As `guard/PROTOCOL.md`, 10, has them."""
    assert (CLIENT_AHEAD_BYTES_MAX, AHEAD_BYTES_MAX) == (67_108_864, 268_435_456)
    assert (CLIENT_AHEAD_BYTES_SURE, MESSAGE_BYTES) == (524_288, 256)


def test_what_is_read_ahead_comes_in_order_and_in_rotation(
    frames: RouterFrames, connect: Connect
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    names = [b"%d" % number for number in range(4)]
    sockets = {name: connect(name) for name in names}
    sent: dict[bytes, list[bytes]] = {name: [] for name in names}
    got: dict[bytes, list[bytes]] = {name: [] for name in names}

    def receive() -> bool:
        received = frames.receive()
        if received is None:
            return False
        assert received[2] is not None
        got[received[0]].append(received[2])
        return True

    for number in range(1_000):
        action = chance.random()
        if action < 0.6:
            name = chance.choice(names)
            sent[name].append(b"%d" % number)
            sockets[name].send(b"%d" % number)
        elif action < 0.8:
            frames.read_ahead(chance.randrange(1, 5))
        else:
            receive()
    assert frames.read_ahead(1_000) is False
    heads = [receive() and len(got[name]) for name in names]
    assert all(heads)
    assert frames.has_input() is True
    while receive():
        pass
    assert got == sent
    assert (frames.ahead_bytes, frames.floods_dropped, frames.has_input()) == (0, 0, False)


def test_one_who_sends_more_than_others_does_not_make_them_wait(
    frames: RouterFrames, connect: Connect
) -> None:
    much, little = connect(b"much"), connect(b"little")
    for _ in range(5):
        much.send(b"much")
    frames.read_ahead(10)
    little.send(b"little")
    frames.read_ahead(10)
    bodies = [frames.receive() for _ in range(6)]
    assert [body is not None and body[2] for body in bodies[:2]] == [b"much", b"little"]


def test_what_does_not_fit_is_dropped_counted_and_nobody_else_s(
    frames: RouterFrames, connect: Connect
) -> None:
    flooding, other = connect(b"flooding"), connect(b"other")
    for _ in range(FULL + 3):
        flooding.send(BODY)
    flooding.send(b"short")
    other.send(BODY)
    frames.read_ahead(100)
    # Nothing more of who is over the bound, shorter or not: what is decided is a beginning.
    assert (frames.floods_dropped, frames.floods_disconnected) == (4, 0), "inproc is no connection"
    assert frames.ahead_bytes == (FULL + 1) * (len(BODY) + MESSAGE_BYTES)
    received = [frames.receive() for _ in range(FULL + 2)]
    assert [each is None for each in received] == [False] * (FULL + 1) + [True]
    flooding.send(b"again")
    frames.read_ahead(100)
    assert frames.receive() == (b"flooding", False, b"again", 1)
    assert (frames.ahead_bytes, frames.floods_dropped) == (0, 4)


def test_the_longest_message_of_others_always_fits(frames: RouterFrames, connect: Connect) -> None:
    """However little is left of the bound for all."""
    for number in range(6):
        flooding = connect(b"%d" % number)
        for _ in range(FULL + 1):
            flooding.send(BODY)
        frames.read_ahead(100)
    dropped = frames.floods_dropped
    assert dropped > 0
    connect(b"other").send(bytes(CLIENT_AHEAD_BYTES_SURE - MESSAGE_BYTES))
    frames.read_ahead(100)
    assert frames.floods_dropped == dropped


@pytest.mark.parametrize("is_ahead", [False, True])
def test_a_message_of_many_frames_is_skipped_in_slices(
    frames: RouterFrames, connect: Connect, is_ahead: bool
) -> None:
    peer = connect(b"peer")
    count = 2 * FRAMES_SKIPPED_MAX + 100
    peer.send_multipart([b""] * count)
    peer.send(b"next")
    for _ in range(2):
        assert (frames.read_ahead(100) is True) if is_ahead else (frames.receive() is None)
        assert frames.is_mid_message is True
        assert frames.has_input() is True
    if is_ahead:
        assert frames.read_ahead(100) is False
    assert frames.receive() == (b"peer", True, None, count)
    assert frames.is_mid_message is False
    assert frames.receive() == (b"peer", False, b"next", 1)
    assert frames.receive() is None


@compiled_only
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_who_floods_loses_the_connection_and_nobody_else(
    context: "zmq.Context[zmq.Socket[bytes]]",
    tmp_path_factory: pytest.TempPathFactory,
    transport: str,
) -> None:
    path = tmp_path_factory.mktemp("s") / "orders"
    gateway = Gateway(context, "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{path}")
    with closing(gateway), ProtocolClient(gateway.endpoint) as good:
        good.send_frames(b"good")
        flooding = context.socket(zmq.DEALER)
        flooding.set(zmq.RECONNECT_IVL, -1)
        events = flooding.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        flooding.connect(gateway.endpoint)
        sent = 0
        while not events.poll(0):
            assert sent < FLOOD_MESSAGES_MAX, "not ended"
            if flooding.poll(0, zmq.POLLOUT):
                flooding.send(FLOOD_BODY)
                sent += 1
            gateway.read_ahead(100)
            assert gateway.ahead_bytes <= CLIENT_AHEAD_BYTES_MAX + len(FLOOD_BODY)
        assert recv_monitor_message(events)["event"] == zmq.EVENT_DISCONNECTED
        assert gateway.floods_disconnected == 1
        deadline = time.monotonic() + PATIENCE_MS / 1_000
        bodies = []
        while b"still here" not in bodies:
            assert time.monotonic() < deadline
            if not bodies or bodies[-1] == b"good":
                good.send_frames(b"still here")
            gateway.read_ahead(100)
            received = gateway.receive()
            if received is not None and received[2] != FLOOD_BODY:
                assert received[2] is not None
                bodies.append(received[2])
        flooding.disable_monitor()
        events.close(linger=0)
        flooding.close(linger=0)


def test_a_descriptor_that_is_no_connection_of_ours_is_left_alone(
    context: "zmq.Context[zmq.Socket[bytes]]", tmp_path_factory: pytest.TempPathFactory
) -> None:
    """libzmq may have closed it, and the system have given its number away."""
    gateway = Gateway(context, "tcp://127.0.0.1:*")
    path = tmp_path_factory.mktemp("s") / "file"
    with closing(gateway), path.open("wb") as file:
        before = len(os.listdir("/proc/self/fd"))
        gateway.end_connection(file.fileno())
        gateway.end_connection(1_000_000)
        ours, theirs = socket.socketpair()
        gateway.end_connection(ours.fileno())
        ours.send(b"open")
        assert theirs.recv(10) == b"open"
        ours.close()
        theirs.close()
        with socket.create_server(("127.0.0.1", 0)) as other:
            host, port = other.getsockname()
            with socket.create_connection((host, port)) as client:
                accepted, _ = other.accept()
                gateway.end_connection(accepted.fileno())
                accepted.send(b"open")
                assert client.recv(10) == b"open"
                accepted.close()
        assert len(os.listdir("/proc/self/fd")) == before
