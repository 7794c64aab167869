"""The orders socket alone: frames in, frames out, over real sockets."""

import select
import socket
import time
from collections.abc import Iterator

import pytest
import zmq

from guard import gateway as guard_gateway
from guard.gateway import Gateway, Received
from protocol_client import PATIENCE_MS, ProtocolClient


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.term()


@pytest.fixture
def gateway(context: "zmq.Context[zmq.Socket[bytes]]") -> Iterator[Gateway]:
    gateway = Gateway(context, "tcp://127.0.0.1:*")
    yield gateway
    gateway.close()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[ProtocolClient]:
    with ProtocolClient(gateway.endpoint) as client:
        yield client


def take(gateway: Gateway) -> Received:
    """The next message, waited for as the loop does: by the descriptor's edge."""
    while (received := gateway.receive()) is None:
        assert select.select([gateway.descriptor], [], [], PATIENCE_MS / 1_000)[0]
        gateway.has_input()
    return received


@pytest.mark.parametrize(
    ("frames", "body", "has_delimiter"),
    [
        ((b"a",), b"a", False),
        ((b"",), b"", False),
        ((b"", b"a"), b"a", True),
        ((b"", b""), b"", True),
        ((b"a", b"b"), None, False),
        ((b"a", b""), None, False),
        ((b"", b"a", b"b"), None, True),
        ((b"a", b"b", b"c"), None, False),
        ((b"",) * 1_000, None, True),
    ],
)
def test_frames(
    gateway: Gateway,
    client: ProtocolClient,
    frames: tuple[bytes, ...],
    body: bytes | None,
    has_delimiter: bool,
) -> None:
    client.send_frames(*frames)
    routing_id, *rest = take(gateway)
    assert rest == [has_delimiter, body, len(frames)]
    gateway.send(routing_id, has_delimiter, b"reply")
    assert client.receive_frames() == ([b""] if has_delimiter else []) + [b"reply"]
    assert gateway.receive() is None
    assert gateway.has_input() is False


def test_a_bad_message_leaves_the_next_one_whole(gateway: Gateway, client: ProtocolClient) -> None:
    client.send_frames(b"a", b"b", b"c", b"d")
    client.send_frames(b"", b"next")
    assert take(gateway)[2] is None
    assert take(gateway)[2] == b"next"


def test_each_client_gets_its_own_replies(gateway: Gateway) -> None:
    with ProtocolClient(gateway.endpoint) as one, ProtocolClient(gateway.endpoint) as other:
        one.send_frames(b"1")
        first, *_ = take(gateway)
        other.send_frames(b"2")
        second, *_ = take(gateway)
        assert first != second
        gateway.send(second, False, b"to 2")
        gateway.send(first, False, b"to 1")
        assert (one.receive_frames(), other.receive_frames()) == ([b"to 1"], [b"to 2"])


@pytest.mark.parametrize("has_delimiter", [False, True])
def test_a_reply_to_nobody_is_counted(
    gateway: Gateway, client: ProtocolClient, has_delimiter: bool
) -> None:
    gateway.send(b"nobody", has_delimiter, b"reply")
    assert (gateway.replies_dropped_gone, gateway.replies_dropped_slow) == (1, 0)
    # Nothing of it is left over: the next reply is whole.
    client.send_frames(b"a")
    gateway.send(*take(gateway)[:2], b"whole")
    assert client.receive_frames() == [b"whole"]


@pytest.mark.parametrize("has_delimiter", [False, True])
def test_replies_to_a_client_that_does_not_read_are_counted(
    context: "zmq.Context[zmq.Socket[bytes]]",
    monkeypatch: pytest.MonkeyPatch,
    has_delimiter: bool,
) -> None:
    monkeypatch.setitem(guard_gateway._ROUTER_OPTIONS, zmq.SNDHWM, 4)
    gateway = Gateway(context, "tcp://127.0.0.1:*")
    lazy: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = lazy.socket(zmq.DEALER)
    try:
        dealer.set(zmq.RCVHWM, 1)
        dealer.set(zmq.RCVTIMEO, PATIENCE_MS)
        dealer.set(zmq.RCVBUF, 4_096)
        dealer.connect(gateway.endpoint)
        dealer.send_multipart([b"", b"a"] if has_delimiter else [b"a"])
        routing_id, *_ = take(gateway)
        sent = 0
        while gateway.replies_dropped_slow < 10:
            gateway.send(routing_id, has_delimiter, b"%d " % sent + b"x" * 100_000)
            sent += 1
        # What did go out arrives whole and in order, the dropped ones leave no half message.
        numbers = []
        for _ in range(sent - 10):
            *before, body = dealer.recv_multipart()
            assert before == ([b""] if has_delimiter else [])
            assert len(body) > 100_000
            numbers.append(int(body.split(b" ", 1)[0]))
        assert numbers == sorted(numbers)
        assert gateway.replies_dropped_gone == 0
    finally:
        dealer.close(linger=0)
        lazy.term()
        gateway.close()


def test_a_routing_id_belongs_to_the_first_until_it_goes(
    gateway: Gateway, context: "zmq.Context[zmq.Socket[bytes]]"
) -> None:
    """A second client under it is not heard, and takes nothing over; one that comes later is."""

    def connected(body: bytes) -> "zmq.Socket[bytes]":
        dealer = context.socket(zmq.DEALER)
        dealer.set(zmq.ROUTING_ID, b"same")
        dealer.set(zmq.RCVTIMEO, PATIENCE_MS)
        dealer.connect(gateway.endpoint)
        dealer.send(body)
        return dealer

    first = connected(b"first")
    assert take(gateway)[:3] == (b"same", False, b"first")
    second = connected(b"second")
    # The wire of another one, behind it, says that the second's has been read.
    with ProtocolClient(gateway.endpoint) as other:
        other.send_frames(b"other")
        assert take(gateway)[2] == b"other"
    gateway.send(b"same", False, b"for the first")
    assert first.recv() == b"for the first"
    first.close(linger=0)
    second.close(linger=0)
    deadline = time.monotonic() + PATIENCE_MS / 1_000
    while gateway.replies_dropped_gone == 0:
        assert time.monotonic() < deadline
        gateway.has_input()
        gateway.send(b"same", False, b"is it gone?")
    third = connected(b"third")
    assert take(gateway)[:3] == (b"same", False, b"third")
    gateway.send(b"same", False, b"for the third")
    assert third.recv() == b"for the third"
    third.close(linger=0)


def test_bytes_that_are_no_zeromq_do_not_arrive(gateway: Gateway, client: ProtocolClient) -> None:
    host, port = gateway.endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_MS / 1_000) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        client.send_frames(b"a")
        assert take(gateway)[2] == b"a"
    assert gateway.receive() is None


def test_an_endpoint_in_use_raises(
    gateway: Gateway, context: "zmq.Context[zmq.Socket[bytes]]"
) -> None:
    with pytest.raises(zmq.ZMQError) as caught:
        Gateway(context, gateway.endpoint)
    assert caught.value.errno == zmq.EADDRINUSE
