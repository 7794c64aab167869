"""A ROUTER socket's messages, in both forms; the compiled one over a libzmq that fails as told."""

import errno
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from child_support import code
from guard import rawzmq
from guard.gateway import ROUTER_FORM, Received, RouterFrames
from protocol_client import PATIENCE_MS
from router_support import ADDRESSES, Libzmq, compiled_only, source_form


@pytest.fixture
def sockets() -> Iterator[tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"]]:
    """A bound ROUTER and a DEALER connected to it, known as `peer`."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    dealer.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
    dealer.setsockopt(zmq.ROUTING_ID, b"peer")
    router.bind("inproc://orders")
    dealer.connect("inproc://orders")
    yield router, dealer
    dealer.close(linger=0)
    router.close(linger=0)
    context.term()


@pytest.fixture(params=["as it runs", "source"])
def frames(
    request: pytest.FixtureRequest, sockets: tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"]
) -> RouterFrames:
    form = RouterFrames if request.param == "as it runs" else source_form()
    return form(sockets[0], ADDRESSES)


@pytest.fixture
def dealer(sockets: tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"]) -> "zmq.Socket[bytes]":
    return sockets[1]


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ([b"a"], (False, b"a", 1)),
        ([b""], (False, b"", 1)),
        ([b"", b"a"], (True, b"a", 2)),
        ([b"", b""], (True, b"", 2)),
        ([b"a", b""], (False, None, 2)),
        ([b"", b"a", b"b"], (True, None, 3)),
        ([b"a", b"b", b"c", b"d"], (False, None, 4)),
        ([b"\0" * 100_000], (False, b"\0" * 100_000, 1)),
        ([b"", b"\xff" * 33], (True, b"\xff" * 33, 2)),
    ],
)
def test_a_message_is_told_apart(
    frames: RouterFrames,
    dealer: "zmq.Socket[bytes]",
    sent: list[bytes],
    received: tuple[bool, bytes | None, int],
) -> None:
    dealer.send_multipart(sent)
    dealer.send(b"next")
    assert frames.has_input() is True
    assert frames.receive() == (b"peer", *received)
    assert frames.receive() == (b"peer", False, b"next", 1)
    assert frames.receive() is None
    assert frames.has_input() is False


def test_a_batch_leaves_in_order(frames: RouterFrames, dealer: "zmq.Socket[bytes]") -> None:
    events: list[Any] = []

    def encode_late(late: Any) -> bytes:
        events.append(late)
        return b"late %d" % late

    answers = [(b"peer", False, b"1"), (b"peer", True, 2), (b"peer", True, b""), (b"peer", 0, 4)]
    dealer.send(b"hello")
    frames.receive()
    frames.send_all(answers, encode_late, lambda: events.append("sent"))
    # What is known late is encoded in its turn, when everything before it has left.
    assert events == ["sent", 2, "sent", "sent", 4, "sent"]
    assert [dealer.recv_multipart() for _ in answers] == [
        [b"1"],
        [b"", b"late 2"],
        [b"", b""],
        [b"late 4"],
    ]
    assert (frames.replies_dropped_gone, frames.replies_dropped_slow) == (0, 0)


def test_who_is_gone_does_not_hold_up_the_batch(
    frames: RouterFrames, dealer: "zmq.Socket[bytes]"
) -> None:
    dealer.send(b"hello")
    frames.receive()
    nobody = (b"nobody", True, b"x")
    frames.send_all([nobody, (b"peer", False, b"1"), nobody, nobody, (b"peer", False, b"2")], bytes)
    assert [dealer.recv(), dealer.recv()] == [b"1", b"2"]
    assert (frames.replies_dropped_gone, frames.replies_dropped_slow) == (3, 0)


def test_what_is_no_reply_leaves_no_half_message(
    frames: RouterFrames, dealer: "zmq.Socket[bytes]"
) -> None:
    dealer.send(b"hello")
    frames.receive()
    bad: list[Any] = [(None, False, b"a"), (b"peer", False, None), (b"peer", True, "text")]
    for answer in bad:
        with pytest.raises((AssertionError, TypeError)):
            frames.send(*answer)
        with pytest.raises((AssertionError, TypeError)):
            frames.send_all([answer], lambda late: late)
    for short in [(b"peer", False), ()]:
        with pytest.raises(ValueError, match="unpack"):
            frames.send_all([short], bytes)  # type: ignore[list-item]
    frames.send(b"peer", False, b"whole")
    assert dealer.recv_multipart() == [b"whole"]


def test_an_error_of_the_caller_s_ends_the_batch(
    frames: RouterFrames, dealer: "zmq.Socket[bytes]"
) -> None:
    dealer.send(b"hello")
    frames.receive()

    def fail() -> None:
        raise OSError("after the first")

    with pytest.raises(OSError, match="after the first"):
        frames.send_all([(b"peer", False, b"1"), (b"peer", False, b"2")], bytes, fail)
    frames.send(b"peer", False, b"3")
    assert [dealer.recv(), dealer.recv()] == [b"1", b"3"]


def test_after_the_close_every_call_says_so(frames: RouterFrames) -> None:
    frames.close()
    calls: list[Callable[[], object]] = [
        frames.receive,
        frames.has_input,
        lambda: frames.send(b"peer", False, b"a"),
        lambda: frames.send_all([(b"peer", False, b"a")], bytes),
    ]
    for call in calls:
        with pytest.raises(zmq.ZMQError) as caught:
            call()
        assert caught.value.errno == zmq.ENOTSOCK
    assert (frames.replies_dropped_gone, frames.replies_dropped_slow) == (0, 0)


def test_signals_do_not_show(frames: RouterFrames, dealer: "zmq.Socket[bytes]") -> None:
    """Some thousand signals while messages pass: all of them arrive, once, in order."""
    count, seen = 2_000, 0

    def on_alarm(_number: int, _frame: object) -> None:
        nonlocal seen
        seen += 1

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        for number in range(count):
            dealer.send(b"%d" % number)
            received = frames.receive()
            assert received is not None
            assert received[2] == b"%d" % number
            assert not frames.has_input()
            frames.send(b"peer", True, b"%d" % number)
        assert [dealer.recv_multipart()[1] for _ in range(count)] == [
            b"%d" % number for number in range(count)
        ]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen > 0


@compiled_only
def test_an_interrupted_call_is_made_again(
    sockets: tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"],
) -> None:
    router, dealer = sockets
    libzmq = Libzmq()
    frames = RouterFrames(router, libzmq.addresses)
    for name in ("zmq_msg_recv", "zmq_msg_send", "zmq_getsockopt"):
        libzmq.errors[name] = [errno.EINTR, errno.EINTR, 0] * 2
    dealer.send_multipart([b"", b"a"])
    assert frames.has_input() is True
    assert frames.receive() == (b"peer", True, b"a", 2)
    assert frames.has_input() is False
    frames.send(b"peer", True, b"b")
    assert dealer.recv_multipart() == [b"", b"b"]
    assert libzmq.errors == {"zmq_msg_recv": [], "zmq_msg_send": [], "zmq_getsockopt": []}
    assert libzmq.open_messages == 0


@compiled_only
@pytest.mark.parametrize("good_frames", [0, 1, 2])
def test_an_error_at_any_frame_of_a_message(
    sockets: tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"], good_frames: int
) -> None:
    """An empty queue is no error, but between two frames of one message it is."""
    router, dealer = sockets
    libzmq = Libzmq()
    frames = RouterFrames(router, libzmq.addresses)
    for number in (errno.EAGAIN, int(zmq.ETERM), errno.ENOMEM):
        dealer.send_multipart([b"", b"a"])
        libzmq.errors["zmq_msg_recv"] = [0] * good_frames + [number]
        if good_frames == 0 and number == errno.EAGAIN:
            assert frames.receive() is None
        else:
            with pytest.raises(zmq.ZMQError) as caught:
                frames.receive()
            assert caught.value.errno == number
        assert libzmq.open_messages == 0
        while router.getsockopt(zmq.EVENTS) & zmq.POLLIN:  # type: ignore[operator]
            router.recv()


@compiled_only
@pytest.mark.parametrize("good_frames", [0, 1, 2])
@pytest.mark.parametrize(
    ("number", "dropped"),
    [(errno.EAGAIN, (0, 1)), (errno.EHOSTUNREACH, (1, 0)), (int(zmq.ETERM), (0, 0))],
)
def test_an_error_at_any_frame_of_a_reply(
    sockets: tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"],
    good_frames: int,
    number: int,
    dropped: tuple[int, int],
) -> None:
    libzmq = Libzmq()
    frames = RouterFrames(sockets[0], libzmq.addresses)
    libzmq.errors["zmq_msg_send"] = [0] * good_frames + [number]
    sockets[1].send(b"hello")
    frames.receive()
    answers = [(b"peer", True, b"a")]
    if any(dropped):
        frames.send_all(answers, bytes)
    else:
        with pytest.raises(zmq.ZMQError) as caught:
            frames.send_all(answers, bytes)
        assert caught.value.errno == number
    # No frame after the one that failed was tried.
    assert libzmq.errors["zmq_msg_send"] == []
    assert (frames.replies_dropped_gone, frames.replies_dropped_slow) == dropped
    assert libzmq.open_messages == 0


@compiled_only
def test_no_memory_for_a_message_is_no_dropped_reply(
    sockets: tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"],
) -> None:
    libzmq = Libzmq()
    frames = RouterFrames(sockets[0], libzmq.addresses)
    libzmq.errors["zmq_msg_init_size"] = [errno.ENOMEM]
    with pytest.raises(MemoryError):
        frames.send(b"peer", False, b"a")
    assert (frames.replies_dropped_gone, frames.replies_dropped_slow) == (0, 0)
    assert libzmq.open_messages == 0


@compiled_only
def test_an_error_of_the_state_is_raised(
    sockets: tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"],
) -> None:
    libzmq = Libzmq()
    frames = RouterFrames(sockets[0], libzmq.addresses)
    libzmq.errors["zmq_getsockopt"] = [int(zmq.ETERM)]
    with pytest.raises(zmq.ZMQError) as caught:
        frames.has_input()
    assert caught.value.errno == zmq.ETERM


def test_the_addresses_are_those_of_the_library() -> None:
    assert len(ADDRESSES) == len(rawzmq.FUNCTIONS)
    assert all(ADDRESSES)
    assert len(set(ADDRESSES)) == len(ADDRESSES)


def test_no_addresses_where_the_library_does_not_show_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(rawzmq, "FUNCTIONS", (*rawzmq.FUNCTIONS, "zmq_of_tomorrow"))
        assert rawzmq.function_addresses() == ()
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[zmq.backend.Socket.__module__], "__file__", __file__)
        assert rawzmq.function_addresses() == ()
    for version in [(4, 1, 8), (3, 2, 5), (5, 0, 0)]:
        with monkeypatch.context() as patch:
            patch.setattr(zmq, "zmq_version_info", lambda version=version: version)
            assert rawzmq.function_addresses() == ()


@pytest.mark.parametrize("is_hidden", [True, False])
def test_without_addresses_the_source_runs(is_hidden: bool) -> None:
    done = subprocess.run(
        code(
            "from guard import rawzmq\n"
            f"rawzmq.FUNCTIONS += ('zmq_of_tomorrow',) if {is_hidden} else ()\n"
            "import zmq\n"
            "from guard.gateway import ROUTER_FORM, Gateway\n"
            "context = zmq.Context()\n"
            "gateway = Gateway(context, 'inproc://orders')\n"
            "with context.socket(zmq.DEALER) as dealer:\n"
            "    dealer.connect('inproc://orders')\n"
            "    dealer.send_multipart([b'', b'order'])\n"
            "    routing_id, *rest = gateway.receive()\n"
            "    gateway.send(routing_id, True, b'reply')\n"
            "    print(ROUTER_FORM, rest, dealer.recv_multipart())\n"
            "gateway.close()\n"
            "context.term()\n",
            flags=("-W", "error"),
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    form = "interpreted" if is_hidden else ROUTER_FORM
    assert done.stdout == f"{form} [True, b'order', 2] [b'', b'reply']\n"


def test_received_is_what_the_gateway_promises(
    frames: RouterFrames, dealer: "zmq.Socket[bytes]"
) -> None:
    dealer.send(b"a")
    received: Received | None = frames.receive()
    assert received is not None
    assert [type(each) for each in received] == [bytes, bool, bytes, int]
