"""The door over real sockets: messages in, replies out, and every way in which a peer ends."""

import contextlib
import errno
import random
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from guard.server import connection
from guard.server import listener as doors
from guard.server.commands import command, error, greeting, ping, pong
from guard.server.connection import Connection
from guard.server.endpoints import EndpointError
from guard.server.listener import REASONS
from guard.server.zmtp import Limits
from server_support import (
    EMPTY,
    HELLO,
    LIMITS,
    Door,
    Wire,
    answer,
    frame,
    open_listener,
    pump,
    ready,
    take,
)


@pytest.fixture
def door() -> Iterator[Door]:
    door = open_listener()
    yield door
    door.close()


@pytest.fixture
def wire(door: Door) -> Iterator[Wire]:
    with Wire(door) as wire:
        yield wire.connected()


@pytest.fixture
def opened() -> Iterator[Callable[..., Door]]:
    """Makes listeners, and closes them."""
    doors: list[Door] = []

    def make(**options: Any) -> Door:
        doors.append(open_listener(**options))
        return doors[-1]

    yield make
    for door in doors:
        door.close()


def gone(door: Door, why: str, count: int = 1) -> None:
    """So many have ended, for this reason alone."""
    pump(door, lambda: sum(door.gone.values()) >= count)
    assert door.gone == {why: count}
    assert door.counts()[f"gone_{why}"] == count


@pytest.mark.parametrize(
    ("frames", "envelope", "body", "count"),
    [
        ((b"a",), [], b"a", 1),
        ((b"",), [], b"", 1),
        ((b"", b"a"), [b""], b"a", 2),
        ((b"1234", b"", b"a" * 300), [b"1234", b""], b"a" * 300, 3),
        ((b"a", b"b"), [], None, 2),
        ((b"", b"a", b"b"), [b""], None, 3),
        ((b"",) * 1_000, [b""], None, 1_000),
        ((b"{" * 262_144,), [], b"{" * 262_144, 1),
        ((b"{" * 262_145,), [], b"{", -262_145),
        ((b"", b"\x81" * 4_194_304), [b""], b"\x81", -4_194_304),
    ],
)
def test_messages_and_their_replies(
    door: Door,
    wire: Wire,
    frames: tuple[bytes, ...],
    envelope: list[bytes],
    body: bytes | None,
    count: int,
) -> None:
    data = b"".join(frame(each, 1) for each in frames[:-1]) + frame(frames[-1])
    for number in range(2):
        wire.send(data)
        received = take(door)
        assert received[2:] == (body, count)
        reply = b"reply %d" % number + b"x" * 600 * number
        answer(door, received, reply)
        before = b"".join(frame(each, 1) for each in envelope)
        wire.until(before + frame(reply))
    assert door.receive() is None
    assert not door.has_input()


def test_one_byte_at_a_time(door: Door) -> None:
    with Wire(door, b"") as wire:
        data = HELLO + frame(b"", 1) + frame(b"x" * 300) + frame(b"1234", 1) + EMPTY + frame(b"y")
        for at in range(len(data)):
            wire.send(data[at : at + 1])
            door.turn()
        first, second = take(door), take(door)
        assert (first[1:], second[1:]) == (
            (EMPTY, b"x" * 300, 2),
            (b"\x01\x041234" + EMPTY, b"y", 3),
        )


def test_a_body_read_into_its_place_is_taken_once(door: Door, wire: Wire) -> None:
    """What the last read brought is not seen again where the next one brings nothing."""
    body = b"x" * 200_000
    wire.send(frame(body))
    assert take(door)[2] == body
    door.begin_turn()
    assert door.receive() is None


def test_the_peer_is_known(door: Door) -> None:
    hello = greeting(b"NULL") + ready(b"REQ", (b"Identity", b"me"))
    with Wire(door, hello) as wire:
        host, port = wire.socket.getsockname()
        wire.connected().send(frame(b"", 1) + frame(b"x"))
        peer = take(door)[0]
        assert peer.address == f"{host}:{port}"
        assert (peer.protocol.identity, peer.protocol.socket_type) == (b"me", b"REQ")
        assert (peer.credentials, peer.key) == (None, None)


def test_two_under_one_identity_are_two(door: Door) -> None:
    hello = greeting(b"NULL") + ready(b"DEALER", (b"Identity", b"same"))
    with Wire(door, hello) as one, Wire(door, hello) as other:
        one.connected().send(frame(b"1"))
        first = take(door)
        other.connected().send(frame(b"2"))
        second = take(door)
        assert first[0] is not second[0]
        answer(door, second, b"to 2")
        answer(door, first, b"to 1")
        assert one.until(b"to 1").endswith(frame(b"to 1"))
        assert other.until(b"to 2").endswith(frame(b"to 2"))


def test_replies_for_one_peer_leave_together_and_in_order(door: Door) -> None:
    with Wire(door) as one, Wire(door) as other:
        one.connected().send(b"".join(frame(b"%d" % number) for number in range(40)))
        other.connected().send(frame(b"x"))
        received = [take(door) for _ in range(41)]
        late = {7: b"late"}
        answers = [(each[0], each[1], 7 if each[2] == b"7" else each[2]) for each in received]
        ran: list[int] = []
        door.send_all(answers, lambda number: late[number])
        expected = b"".join(frame(late.get(n, b"%d" % n)) for n in range(40))
        one.until(expected)
        other.until(frame(b"x"))
        door.send_all(answers, lambda number: late[number], lambda: ran.append(1))
        one.until(expected + expected)
        assert len(ran) == 41


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "stranger"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "stranger"),
        (b"\x01\x00\x00\x05hello", "stranger"),
        (b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00", "old_version"),
        (greeting(b"CURVE"), "mechanism"),
        (greeting(b"NULL") + error("no"), "peer_error"),
        (HELLO + b"\x08\x00", "protocol"),
        (HELLO + EMPTY * 5_000_000, "frames"),
        (HELLO + frame(b"x", 1) * 5_000, "frames"),
        (HELLO + b"\x02" + (4_194_305).to_bytes(8, "big") + bytes(50_000), "message_bytes"),
        (HELLO + frame(bytes(262_144), 1) * 17, "message_bytes"),
    ],
)
def test_strangers_and_floods_end(door: Door, wire: Wire, hello: bytes, why: str) -> None:
    """While another client is served."""
    with Wire(door, b"") as stranger:
        stranger.send(hello)
        gone(door, why)
        stranger.until_closed()
    wire.send(frame(b"still here"))
    assert take(door)[2] == b"still here"


def test_each_gets_its_own_however_it_is_cut(door: Door) -> None:
    """Peers that send in random pieces, and go; every reply is whole, in order, and its own."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(door, b"")) for _ in range(8)]
        streams, expected = [], []
        for index in range(len(wires)):
            stream, replies = HELLO, b""
            for number in range(60):
                body = b"%d-%d " % (index, number) + bytes(
                    chance.choice([0, 9, 300, 3_000, 40_000])
                )
                envelope = chance.choice([b"", EMPTY, frame(b"%4d" % number, 1) + EMPTY])
                pinged = chance.random() < 0.2
                stream += envelope + (command(b"\x04PING\x00\x00c") if pinged else b"")
                stream += frame(body)
                replies += (pong(b"c") if pinged else b"") + envelope + frame(body)
            streams.append(stream)
            expected.append(replies)
        while any(streams):
            index = chance.randrange(len(wires))
            size = chance.choice([1, 2, 9, 64, 1_000, 20_000])
            wires[index].socket.sendall(streams[index][:size])
            streams[index] = streams[index][size:]
            door.turn()
            while door.taken and chance.random() < 0.9:
                received = door.taken.popleft()
                answer(door, received, received[2] or b"")
        while door.taken:
            received = door.taken.popleft()
            answer(door, received, received[2] or b"")
        for wire, replies in zip(wires, expected, strict=True):
            pump(door, lambda wire=wire, replies=replies: _has_all(wire, replies))
    assert door.backlog.dropped_slow == 0


def _has_all(wire: Wire, replies: bytes) -> bool:
    """Every reply and every PONG, each kind in its order: a PONG does not wait for the disk."""
    wire.has(b"")
    told = wire.received.partition(b"ROUTER")[2]
    if len(told) < len(replies):
        return False
    mark = pong(b"c")
    assert told.count(mark) == replies.count(mark)
    assert told.replace(mark, b"") == replies.replace(mark, b"")
    return True


def test_a_wrong_socket_type_is_told(door: Door) -> None:
    with Wire(door, greeting(b"NULL") + ready(b"SUB")) as wire:
        told = wire.until_closed()
        assert b"\x05ERROR" in told
        assert told.endswith(b"Socket-Type: 'SUB' is not served here; allowed: DEALER or REQ")
    gone(door, "refused")


def test_pings_are_answered(door: Door, wire: Wire) -> None:
    wire.send(command(b"\x04PING\x00\x64context") + frame(b"x"))
    wire.until(pong(b"context"))
    assert take(door)[2] == b"x"


def test_pongs_are_not_heaped_up(door: Door) -> None:
    with Wire(door, receive_bytes=4_096) as wire:
        wire.connected()
        flood = command(b"\x04PING\x00\x00" + b"c" * 16) * 2_000
        for _ in range(400):
            with contextlib.suppress(BlockingIOError):
                wire.socket.send(flood, socket.MSG_DONTWAIT)
            door.turn()
            assert door.backlog.bytes < 2 * connection.PONG_BACKLOG_BYTES_MAX
        assert (door.gone, len(door.taken)) == ({}, 0)


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_peer_that_goes(opened: Callable[..., Door], is_reset: bool) -> None:
    events: list[tuple[str, str]] = []
    door = opened(
        on_connected=lambda peer: events.append(("in", peer.address)),
        on_gone=lambda peer: events.append((peer.why, peer.address)),
    )
    with Wire(door) as wire:
        address = "{}:{}".format(*wire.socket.getsockname())
        wire.connected().send(frame(b"1") + frame(b"2") + frame(b"", 1))
        received = [take(door), take(door)]
        assert events == [("in", address)]
        if is_reset:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    why = "reset" if is_reset else "closed"
    gone(door, why)
    assert events == [("in", address), (why, address)]
    for each in received:
        answer(door, each, b"to nobody")
    assert (door.backlog.dropped_gone, door.backlog.dropped_slow) == (2, 0)
    assert (door.backlog.bytes, door.counts()["connections"]) == (0, 0)


def test_what_was_sent_before_the_end_is_taken(door: Door) -> None:
    with Wire(door) as wire:
        wire.connected().send(b"".join(frame(b"%d" % number) for number in range(100)))
    assert [take(door)[2] for _ in range(100)] == [b"%d" % number for number in range(100)]
    gone(door, "closed")


def test_who_never_got_in_is_no_event(opened: Callable[..., Door]) -> None:
    events: list[Connection] = []
    door = opened(on_connected=events.append, on_gone=events.append)
    with Wire(door, greeting(b"NULL")) as wire:
        wire.until(b"NULL")
    gone(door, "closed")
    assert events == []


def test_the_connection_limit(opened: Callable[..., Door]) -> None:
    door = opened(connections_max=3)
    wires = [Wire(door).connected() for _ in range(3)]
    with Wire(door) as beyond:
        beyond.until_closed()
    assert door.counts()["connections_refused"] == 1
    assert door.counts()["connections"] == 3
    wires.pop().socket.close()
    gone(door, "closed")
    wires.append(Wire(door).connected())
    assert door.counts()["connections_accepted"] == 4
    for wire in wires:
        wire.socket.close()


def test_half_open_ones_make_room(opened: Callable[..., Door]) -> None:
    door = opened(half_open_max=4)
    silent = [Wire(door, b"") for _ in range(4)]
    for wire in silent:
        wire.until(b"NULL")
    with Wire(door) as wire:
        wire.connected().send(frame(b"x"))
        assert take(door)[2] == b"x"
        silent[0].until_closed()
        gone(door, "half_open")
        assert door.counts()["connections_half_open"] == 3
        silent[1].send(HELLO)
        silent[1].connected()
        assert door.counts()["connections_half_open"] == 2
    for each in silent:
        each.socket.close()


def test_no_descriptors_left(opened: Callable[..., Door], monkeypatch: pytest.MonkeyPatch) -> None:
    """Said, counted, tried again a tick later; who is in is served."""
    said: list[str] = []
    door = opened(say=said.append)
    with Wire(door) as wire:
        wire.connected()
        accept = socket.socket.accept

        def exhausted(_self: socket.socket) -> tuple[socket.socket, object]:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(socket.socket, "accept", exhausted)
        with Wire(door) as late:
            pump(door, lambda: said)
            for _ in range(10):
                door.look()
                wire.send(frame(b"x"))
                assert take(door)[2] == b"x"
            assert door.counts()["accept_pauses"] == len(said) == 1
            assert "Too many open files" in said[0]
            monkeypatch.setattr(socket.socket, "accept", accept)
            door.tick()
            late.connected().send(frame(b"late"))
            assert take(door)[2] == b"late"


def test_a_failure_of_accept_that_is_no_peers_is_raised(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [OSError(errno.ECONNABORTED, "gone"), OSError(errno.EBADF, "bad")]

    def failing(_self: socket.socket) -> None:
        raise results.pop(0)

    monkeypatch.setattr(socket.socket, "accept", failing)
    with Wire(door) as wire:
        with pytest.raises(OSError, match="bad"):
            wire.connected()
        monkeypatch.undo()


def test_an_endpoint_in_use_raises(door: Door) -> None:
    with pytest.raises(EndpointError) as caught:
        open_listener(door.endpoint)
    assert caught.value.errno == errno.EADDRINUSE


def test_reasons_are_known() -> None:
    assert len(set(REASONS)) == len(REASONS)
    assert doors.TICK_S == 1.0
    assert Limits(262_144, 4_194_304, 4_096) == LIMITS
    assert ping(0) == command(b"\x04PING\x00\x00")
