"""What clients have not fetched: bounded in bytes, for each and for all; compiled."""

import errno
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import zmq

from child_support import code
from guard import router as guard_router
from guard.gateway import ROUTER_FORM, SEND_QUEUE_MESSAGES, Gateway, RouterFrames
from guard.router import BACKLOG_BYTES_MAX, CLIENT_BACKLOG_BYTES_MAX, REPLY_BYTES_UNCOUNTED_MAX
from protocol_client import PATIENCE_MS, ProtocolClient
from router_support import ADDRESSES, Libzmq, compiled_only, source_form

COUNTED_BYTES = REPLY_BYTES_UNCOUNTED_MAX + 1
CLIENT_BYTES_MAX, ALL_BYTES_MAX = 10 * COUNTED_BYTES, 25 * COUNTED_BYTES
Connect: TypeAlias = Callable[[RouterFrames, bytes], "zmq.Socket[bytes]"]


@pytest.fixture
def sockets() -> Iterator[Callable[[int], "zmq.Socket[bytes]"]]:
    """Makes sockets of one context, and closes them."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    opened: list[zmq.Socket[bytes]] = []

    def make(kind: int) -> "zmq.Socket[bytes]":
        socket = context.socket(kind)
        socket.set(zmq.SNDHWM, 0)
        socket.set(zmq.RCVHWM, 0)
        socket.set(zmq.RCVTIMEO, PATIENCE_MS)
        opened.append(socket)
        return socket

    yield make
    for socket in opened:
        socket.close(linger=0)
    context.term()


@pytest.fixture
def router(sockets: Callable[[int], "zmq.Socket[bytes]"]) -> "zmq.Socket[bytes]":
    socket = sockets(zmq.ROUTER)
    socket.set(zmq.ROUTER_MANDATORY, 1)
    socket.bind("inproc://orders")
    return socket


@pytest.fixture
def frames(router: "zmq.Socket[bytes]") -> RouterFrames:
    return RouterFrames(router, ADDRESSES, CLIENT_BYTES_MAX, ALL_BYTES_MAX)


@pytest.fixture
def connect(sockets: Callable[[int], "zmq.Socket[bytes]"]) -> Connect:
    """Connects a client under a name, and has the router hear of it."""

    def connected(frames: RouterFrames, name: bytes) -> "zmq.Socket[bytes]":
        socket = sockets(zmq.DEALER)
        socket.set(zmq.ROUTING_ID, name)
        socket.connect("inproc://orders")
        socket.send(b"hello")
        received = frames.receive()
        assert received is not None
        assert received[0] == name
        return socket

    return connected


def until_held(frames: RouterFrames, count: int) -> None:
    """A frame's end is told on another thread, in its own time.

    A connection's end takes this thread, too, as every look at the socket's events gives it.
    """
    deadline = time.monotonic() + PATIENCE_MS / 1_000
    while frames.backlog_bytes != count:
        assert time.monotonic() < deadline, (frames.backlog_bytes, count)
        frames.has_input()
        time.sleep(0.0005)


def dropped(frames: RouterFrames) -> tuple[int, int]:
    return frames.replies_dropped_slow, frames.replies_dropped_gone


def test_the_bounds() -> None:
    """As `guard/PROTOCOL.md`, 10, has them."""
    assert (CLIENT_BACKLOG_BYTES_MAX, BACKLOG_BYTES_MAX) == (67_108_864, 268_435_456)
    assert REPLY_BYTES_UNCOUNTED_MAX == 1_024
    assert (16_384 if ROUTER_FORM == "compiled" else 2_048) == SEND_QUEUE_MESSAGES


def test_interpreted_nothing_is_counted(router: "zmq.Socket[bytes]", connect: Connect) -> None:
    frames = source_form()(router, ADDRESSES, CLIENT_BYTES_MAX, ALL_BYTES_MAX)
    peer = connect(frames, b"peer")
    bodies = [bytes([number]) * COUNTED_BYTES for number in range(50)]
    frames.send_all([(b"peer", True, body) for body in bodies], bytes)
    assert (dropped(frames), frames.backlog_bytes) == ((0, 0), 0)
    assert [peer.recv_multipart() for _ in bodies] == [[b"", body] for body in bodies]


@compiled_only
@pytest.mark.parametrize("has_delimiter", [False, True])
def test_a_client_that_does_not_read_holds_what_its_bound_says(
    frames: RouterFrames, connect: Connect, has_delimiter: bool
) -> None:
    peer = connect(frames, b"peer")
    before = [b""] if has_delimiter else []
    bodies = [bytes([number]) * COUNTED_BYTES for number in range(10)]
    for body in bodies:
        frames.send(b"peer", has_delimiter, body)
    assert frames.backlog_bytes == CLIENT_BYTES_MAX
    # Full to the byte: nothing more that is counted, by either way in; what is not counted passes.
    late = b"x" * COUNTED_BYTES
    frames.send(b"peer", has_delimiter, late)
    frames.send_all([(b"peer", has_delimiter, late), (b"peer", has_delimiter, 7)], lambda _: late)
    frames.send(b"peer", has_delimiter, late[1:])
    assert dropped(frames) == (3, 0)
    # The dropped ones leave no half message, and what was fetched makes room.
    for body in [*bodies, late[1:]]:
        assert peer.recv_multipart() == [*before, body]
    until_held(frames, 0)
    for body in bodies:
        frames.send(b"peer", has_delimiter, body)
    assert [peer.recv_multipart() for _ in bodies] == [[*before, body] for body in bodies]
    assert dropped(frames) == (3, 0)


@compiled_only
def test_one_reply_longer_than_the_bound_is_dropped(frames: RouterFrames, connect: Connect) -> None:
    peer = connect(frames, b"peer")
    frames.send(b"peer", False, b"a" * (CLIENT_BYTES_MAX + 1))
    assert (dropped(frames), frames.backlog_bytes) == ((1, 0), 0)
    frames.send(b"peer", False, b"b" * CLIENT_BYTES_MAX)
    assert peer.recv() == b"b" * CLIENT_BYTES_MAX
    assert dropped(frames) == (1, 0)


@compiled_only
def test_who_does_not_read_leaves_room_for_others(frames: RouterFrames, connect: Connect) -> None:
    """However many they are: each holds the same, and as much is left."""
    names = [b"%d" % number for number in range(12)]
    silent = [connect(frames, name) for name in names]
    reader = connect(frames, b"reader")
    body = b"x" * COUNTED_BYTES
    for _ in range(30):
        for name in names:
            frames.send(name, False, body)
        # A share of 25 bodies among 12 who hold theirs, and one more.
        assert frames.backlog_bytes <= 24 * COUNTED_BYTES
        before = dropped(frames)
        held = frames.backlog_bytes
        frames.send(b"reader", False, body)
        assert reader.recv() == body
        until_held(frames, held)
        assert dropped(frames) == before
    shares = []
    for socket in silent:
        shares.append(0)
        while socket.poll(0):
            assert socket.recv() == body
            shares[-1] += 1
    assert shares == [2] * 12
    until_held(frames, 0)


@compiled_only
def test_against_a_model(frames: RouterFrames, connect: Connect) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    names = [b"%d" % number for number in range(4)]
    sockets = {name: connect(frames, name) for name in names}
    waiting: dict[bytes, list[bytes]] = {name: [] for name in names}
    drops = 0

    def counted(*of: bytes) -> int:
        sizes = [len(body) for name in of for body in waiting[name]]
        return sum(size for size in sizes if size > REPLY_BYTES_UNCOUNTED_MAX)

    for number in range(600):
        name = chance.choice(names)
        if chance.random() < 0.6:
            size = chance.choice([3, 1_024, 1_025, chance.randrange(3, CLIENT_BYTES_MAX)])
            body = b"%3d" % number + bytes(size - 3)
            bound_bytes = min(CLIENT_BYTES_MAX, ALL_BYTES_MAX - counted(*names))
            if size > REPLY_BYTES_UNCOUNTED_MAX and counted(name) + size > bound_bytes:
                drops += 1
            else:
                waiting[name].append(body)
            frames.send(name, False, body)
        elif waiting[name]:
            assert sockets[name].recv() == waiting[name].pop(0)
        until_held(frames, counted(*names))
        assert dropped(frames) == (drops, 0)
    assert drops > 10


@compiled_only
def test_who_holds_nothing_is_forgotten(
    frames: RouterFrames, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_max = guard_router.TALLIES_KEPT
    peer = connect(frames, b"peer")
    body = b"x" * COUNTED_BYTES
    for _ in range(10):
        frames.send(b"peer", False, body)
    for number in range(5 * kept_max):
        frames.send(b"nobody %d" % number, False, body)
        assert frames.clients_remembered <= kept_max
    until_held(frames, CLIENT_BYTES_MAX)
    assert dropped(frames) == (0, 5 * kept_max)
    # Who holds something is not.
    frames.send(b"peer", False, body)
    assert dropped(frames) == (1, 5 * kept_max)
    assert [peer.recv() for _ in range(10)] == [body] * 10
    until_held(frames, 0)


@compiled_only
def test_what_is_under_way_outlives_the_router() -> None:
    """Frames that libzmq still holds when the object is gone; freed memory is overwritten here."""
    done = subprocess.run(
        code(
            "import gc, zmq\n"
            "from guard.gateway import RouterFrames\n"
            "from guard.rawzmq import function_addresses\n"
            "context = zmq.Context()\n"
            "router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)\n"
            "dealer.setsockopt(zmq.ROUTING_ID, b'peer')\n"
            "router.bind('inproc://orders')\n"
            "dealer.connect('inproc://orders')\n"
            "dealer.send(b'hello')\n"
            "frames = RouterFrames(router, function_addresses())\n"
            "assert frames.receive()[0] == b'peer'\n"
            "for number in range(100):\n"
            "    frames.send(b'peer', False, b'%9d' % number * 1_000)\n"
            "held = frames.backlog_bytes\n"
            "taken = [dealer.recv() for _ in range(50)]\n"
            "frames.close()\n"
            "del frames, router\n"
            "gc.collect()\n"
            "taken += [dealer.recv() for _ in range(50)]\n"
            "assert taken == [b'%9d' % number * 1_000 for number in range(100)]\n"
            "dealer.close()\n"
            "context.term()\n"
            "print(held)\n",
            flags=("-W", "error"),
        ),
        env={"MALLOC_PERTURB_": "165"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "900000\n"


@compiled_only
def test_over_tcp_everything_comes_back() -> None:
    """libzmq's thread takes off what this one adds: a client that reads loses nothing."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    gateway = Gateway(context, "tcp://127.0.0.1:*")
    try:
        with ProtocolClient(gateway.endpoint) as client:
            client.send_frames(b"hello")
            while (received := gateway.receive()) is None:
                time.sleep(0.0005)
            bodies = [b"%4d" % number + bytes(50_000) for number in range(100)]
            for _ in range(10):
                for body in bodies:
                    gateway.send(received[0], True, body)
                for body in bodies:
                    assert client.receive_frames() == [b"", body]
            until_held(gateway, 0)
            # And of a client that goes, when its connection is closed.
            for body in bodies:
                gateway.send(received[0], True, body)
        until_held(gateway, 0)
        assert gateway.replies_dropped_slow == 0
    finally:
        gateway.close()
        context.term()


@compiled_only
@pytest.mark.parametrize(
    ("name", "results", "counts"),
    [
        ("zmq_msg_send", [0, errno.EAGAIN], (1, 0)),
        ("zmq_msg_send", [0, errno.EHOSTUNREACH], (0, 1)),
        ("zmq_msg_send", [0, errno.EINTR, errno.EINTR, errno.EAGAIN], (1, 0)),
        ("zmq_msg_send", [0, int(zmq.ETERM)], None),
        ("zmq_msg_init_data", [errno.ENOMEM], None),
    ],
)
def test_a_frame_that_was_not_taken_is_not_counted(
    router: "zmq.Socket[bytes]",
    connect: Connect,
    name: str,
    results: list[int],
    counts: tuple[int, int] | None,
) -> None:
    libzmq = Libzmq()
    frames = RouterFrames(router, libzmq.addresses, CLIENT_BYTES_MAX, ALL_BYTES_MAX)
    connect(frames, b"peer")
    libzmq.errors[name] = results
    if counts is None:
        with pytest.raises((zmq.ZMQError, MemoryError)):
            frames.send(b"peer", False, b"x" * COUNTED_BYTES)
        assert dropped(frames) == (0, 0)
    else:
        frames.send(b"peer", False, b"x" * COUNTED_BYTES)
        assert dropped(frames) == counts
    assert results == []
    assert (frames.backlog_bytes, libzmq.open_messages) == (0, 0)


@compiled_only
def test_an_interrupted_frame_is_counted_once(
    router: "zmq.Socket[bytes]", connect: Connect
) -> None:
    libzmq = Libzmq()
    frames = RouterFrames(router, libzmq.addresses, CLIENT_BYTES_MAX, ALL_BYTES_MAX)
    peer = connect(frames, b"peer")
    libzmq.errors["zmq_msg_send"] = [0, errno.EINTR, errno.EINTR]
    frames.send(b"peer", False, b"x" * COUNTED_BYTES)
    assert (frames.backlog_bytes, libzmq.open_messages) == (COUNTED_BYTES, 0)
    assert peer.recv() == b"x" * COUNTED_BYTES
    assert frames.backlog_bytes == 0
