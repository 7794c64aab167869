"""CURVE at the door: the handshake, sealed traffic, stock clients, and what is turned away."""

from collections.abc import Callable
from typing import Any

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from curve_support import (
    ALPHA,
    GREETING,
    SERVER,
    STRANGER,
    CurveWire,
    KeyPair,
    curve_door,
    open_curve_listener,
)
from guard.server.commands import Metadata, command, error, metadata_from, ping, pong
from guard.server.curve import HandshakeRate
from guard.server.door_proof import DoorError, prove
from guard.server.mechanisms import Step
from guard.server.sealing import HEAD_BYTES, NOT_AUTHENTIC, OVERHEAD_BYTES, Sealer
from guard.server.zmtp import END, MESSAGE, Limits, ServerProtocol
from server_support import Door, Wire, answer, open_listener, pump, ready, take

BODY_BYTES_MAX = 262_144


def gone(door: Door, why: str) -> None:
    """Exactly one connection has ended, for this."""
    pump(door, lambda: door.gone)
    assert door.gone == {why: 1}


def test_who_has_an_admitted_key_is_served_under_it() -> None:
    door = open_curve_listener(ALPHA)
    with CurveWire(door, ALPHA).secured() as wire:
        wire.send(wire.sealed(b"hello"))
        received = take(door)
        peer, envelope, body, frames = received
        assert (envelope, body, frames, peer.key) == (b"", b"hello", 1, ALPHA.public)
        answer(door, received, b"and back")
        assert wire.opened() == b"\x00and back"
    door.close()


def test_frames_of_one_message_are_mirrored_each_in_its_box() -> None:
    door = open_curve_listener(ALPHA)
    with CurveWire(door, ALPHA).secured() as wire:
        wire.send(wire.sealed(b"\x00\x00\x00\x07", 1) + wire.sealed(b"", 1) + wire.sealed(b"ask"))
        received = take(door)
        assert received[1:] == (b"\x01\x04\x00\x00\x00\x07\x01\x00", b"ask", 3)
        answer(door, received, b"told")
        assert [wire.opened() for _ in range(3)] == [b"\x01\x00\x00\x00\x07", b"\x01", b"\x00told"]
    door.close()


def test_a_ping_between_two_frames_is_answered_sealed() -> None:
    door = open_curve_listener(ALPHA)
    with CurveWire(door, ALPHA).secured() as wire:
        wire.send(wire.sealed(b"", 1) + wire.sealed(ping(0)[2:] + b"abc", 2) + wire.sealed(b"x"))
        assert take(door)[1:] == (b"\x01\x00", b"x", 2)
        assert wire.opened() == b"\x02" + pong(b"abc")[2:]
    door.close()


@pytest.mark.parametrize(("size", "told"), [(BODY_BYTES_MAX, 1), (BODY_BYTES_MAX + 1, None)])
def test_a_body_is_as_long_as_without_keys(size: int, told: int | None) -> None:
    door = open_curve_listener(ALPHA)
    with CurveWire(door, ALPHA).secured() as wire:
        wire.send(wire.sealed(b"y" * size))
        _, _, body, frames = take(door)
        assert body is not None
        assert (len(body), frames) == ((size, 1) if told else (1, -size))
    door.close()


@pytest.mark.skipif(not zmq.has("curve"), reason="this ZeroMQ was built without CURVE")
@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
def test_a_stock_client_is_served(kind: int) -> None:
    door = open_curve_listener(ALPHA)
    with zmq.Context() as context, context.socket(kind) as socket:
        _secure(socket, ALPHA)
        socket.set(zmq.HEARTBEAT_IVL, 20)
        socket.set(zmq.HEARTBEAT_TIMEOUT, 10_000)
        socket.connect(door.endpoint)
        for size in (0, 1, 222, 223, 5_000, BODY_BYTES_MAX):
            socket.send(b"x" * size)
            received = take(door)
            assert (received[0].key, received[2]) == (ALPHA.public, b"x" * size)
            answer(door, received, b"y" * size)
            pump(door, lambda: socket.poll(2))
            assert socket.recv() == b"y" * size
        pump(door, lambda: door.peers()[0].protocol.has_pinged)
    door.close()


@pytest.mark.skipif(not zmq.has("curve"), reason="this ZeroMQ was built without CURVE")
def test_a_stock_client_that_is_not_admitted_is_told_so() -> None:
    door = open_curve_listener(ALPHA)
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        _secure(socket, STRANGER)
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        socket.connect(door.endpoint)
        pump(door, lambda: monitor.poll(2))
        socket.disable_monitor()
        monitor.close(linger=0)
    assert door.gone["denied"] >= 1
    door.close()


def _secure(socket: "zmq.Socket[bytes]", pair: KeyPair) -> None:
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.CURVE_SERVERKEY, SERVER.text.encode()),
        (zmq.CURVE_PUBLICKEY, pair.text.encode()),
        (zmq.CURVE_SECRETKEY, pair.secret_text.encode()),
    ):
        socket.setsockopt(option, value)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (metadata_from(b"PUB"), "Socket-Type: 'PUB' is not served here; allowed: DEALER or REQ"),
        (b"\x0bSocket-Type\x00\x00\x00\x09DEALER", "READY: a property's value is cut off"),
        (b"", "Socket-Type: '' is not served here; allowed: DEALER or REQ"),
    ],
)
def test_what_an_admitted_peer_says_of_itself_is_checked(metadata: bytes, told: str) -> None:
    door = open_curve_listener(ALPHA)
    with CurveWire(door, ALPHA).welcomed() as wire:
        wire.send(wire.peer.initiate(metadata=metadata))
        assert wire.until_closed().endswith(error(told))
    gone(door, "refused")
    door.close()


@pytest.mark.parametrize(
    ("spoiled", "told"),
    [
        (lambda hello: command(hello[2:-1]), "HELLO: 193 bytes of data; allowed: 194"),
        (lambda hello: command(hello[2:] + b"x"), "HELLO: 195 bytes of data; allowed: 194"),
        (lambda hello: command(b"\x08INITIATE" + hello[8:]), "the CURVE mechanism expects HELLO"),
        (lambda hello: hello[:-1] + bytes((hello[-1] ^ 1,)), ""),
        # A point of a small order, with which every shared key is the same.
        (lambda hello: hello[:82] + bytes(32) + hello[114:], ""),
    ],
)
def test_a_hello_that_is_none(spoiled: Any, told: str) -> None:
    door = open_curve_listener(ALPHA)
    with CurveWire(door, ALPHA) as wire:
        wire.send(spoiled(wire.peer.hello()))
        said = bytes(wire.until_closed()[64:])
        assert said == (error(told) if told else b"")
    gone(door, "forged")
    door.close()


@pytest.mark.parametrize("version", [b"\x00\x00", b"\x01\x01", b"\x02\x00"])
def test_another_version_of_curve_is_told_which_is_spoken(version: bytes) -> None:
    door = open_curve_listener(ALPHA)
    with CurveWire(door, ALPHA) as wire:
        wire.send(wire.peer.hello(version=version))
        major, minor = version
        told = error(f"HELLO: CURVE version {major}.{minor}; allowed: 1.0")
        assert wire.until_closed().endswith(told)
    door.close()


def test_nothing_is_kept_of_a_peer_before_it_has_proven_itself() -> None:
    door = open_curve_listener(ALPHA)
    with CurveWire(door, ALPHA).welcomed():
        mechanism = door.peers()[0].protocol
        assert (mechanism.key, mechanism.sealer) == (None, None)
        assert door.peers()[0].key is None
    door.close()


def test_handshakes_above_the_rate_are_turned_away_before_any_work() -> None:
    now_ns = [5]
    mechanism = curve_door(ALPHA)
    mechanism.rate = HandshakeRate(2, lambda: now_ns[0])
    door = open_listener(mechanism=mechanism)
    with CurveWire(door, ALPHA).secured(), CurveWire(door, ALPHA) as late:
        late.send(late.peer.hello())
        assert late.until_closed() == door.peers()[0].protocol.greeting()
        gone(door, "handshake_rate")
        now_ns[0] += 999_999_999
        assert not mechanism.rate.takes()
        now_ns[0] += 1
        with CurveWire(door, ALPHA).secured() as again:  # a second later there is room
            assert again.sealer is not None
    door.close()


class TestSealing:
    KEY = bytes(range(32))

    def sealers(self) -> tuple[Sealer, Sealer]:
        to, back = b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES"
        return Sealer(self.KEY, to, back, 2, 1), Sealer(self.KEY, back, to, 1, 2)

    def test_a_frame_as_the_rfc_has_it(self) -> None:
        sender, _ = self.sealers()
        frame = sender.seal(0, b"hello")
        assert frame[:18] == bytes((0, 38)) + b"\x07MESSAGE" + (3).to_bytes(8, "big")
        assert len(frame) == 2 + OVERHEAD_BYTES + 5
        assert sender.seal(0, bytes(223))[:9] == b"\x02" + (256).to_bytes(8, "big")

    @pytest.mark.parametrize("at", range(OVERHEAD_BYTES + 5))
    def test_a_changed_bit_anywhere_opens_nothing(self, at: int) -> None:
        sender, receiver = self.sealers()
        body = bytearray(sender.seal(0, b"hello")[2:])
        whole = bytes(body)
        body[at] ^= 0x10
        spoiled = bytes(body)
        assert receiver.open(body, 0, len(body)) == NOT_AUTHENTIC
        assert body == spoiled  # and nothing is shown of it
        body[:] = whole
        assert receiver.open(body, 0, len(body)) == 6

    @pytest.mark.parametrize("count", [0, 1, HEAD_BYTES, OVERHEAD_BYTES - 1])
    def test_too_short_a_frame(self, count: int) -> None:
        sender, receiver = self.sealers()
        assert receiver.open(bytearray(sender.seal(0, b""))[2:], 0, count) == NOT_AUTHENTIC

    def test_counters_must_rise(self) -> None:
        sender, receiver = self.sealers()
        first, second, third = (bytearray(sender.seal(0, b"x")[2:]) for _ in range(3))
        again = bytearray(second)
        assert receiver.open(second, 0, len(second)) == 2  # one was left out: it counts as lost
        assert receiver.open(first, 0, len(first)) == NOT_AUTHENTIC
        assert receiver.open(again, 0, len(again)) == NOT_AUTHENTIC
        assert receiver.open(third, 0, len(third)) == 2

    def test_what_we_have_sealed_ourselves_is_not_the_peer_s(self) -> None:
        sender, _ = self.sealers()
        mine = bytearray(sender.seal(0, b"x")[2:])
        assert sender.open(mine, 0, len(mine)) == NOT_AUTHENTIC


def proven(admits: Callable[[bytes], bool], admit: Callable[[bytes | None], None]) -> Door:
    """A door that has been proven."""
    mechanism = curve_door()
    mechanism.admits = admits
    door = open_listener(mechanism=mechanism)
    try:
        prove(door, mechanism, admit)
    except BaseException:
        door.close()
        raise
    return door


def test_a_door_is_proven_by_whom_it_turns_away() -> None:
    who: list[bytes | None] = [None]
    door = proven(who.__contains__, lambda key: who.__setitem__(0, key))
    pump(door, lambda: not door.peers())
    turned_away = {why: door.gone[why] for why in ("forged", "denied", "mechanism")}
    assert (turned_away, who) == ({"forged": 1, "denied": 1, "mechanism": 1}, [None])
    door.close()


@pytest.mark.parametrize(
    ("admits", "told"),
    [
        (lambda _key: True, "a key that nobody knows was let in"),
        (lambda _key: False, "a key that is admitted was not let in"),
    ],
)
def test_a_door_that_is_not_safe_is_not_proven(admits: Callable[[bytes], bool], told: str) -> None:
    with pytest.raises(DoorError, match=told):
        proven(admits, lambda _key: None)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_sealed_frames_give_the_same_however_they_are_cut(data: st.DataObject) -> None:
    """Also where they are read straight into their place, and where the last is spoilt."""
    to, back, key = b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES", bytes(range(32))
    bodies = data.draw(st.lists(st.integers(0, 6_000), min_size=1, max_size=4))
    peer = Sealer(key, to, back, 2, 1)
    stream = b"".join(peer.seal(0, bytes((size % 251,)) * size) for size in bodies)
    if data.draw(st.booleans()):
        stream = stream[:-1] + bytes((stream[-1] ^ 1,))
        expected: list[Any] = [*bodies[:-1], "forged"]
    else:
        expected = list(bodies)
    machine = ServerProtocol(
        Limits(5_000, 20_000, 8), _Trusting(Sealer(key, back, to, 1, 2), Metadata(b"DEALER", b""))
    )
    opening = bytearray(GREETING + ready())
    at = 0
    while at < len(opening):
        at = machine.step(opening, at, len(opening))
    found: list[Any] = []
    while stream and "forged" not in found:
        count = data.draw(st.integers(1, 3_000))
        room = machine.room()
        if room and data.draw(st.booleans()):
            count = min(count, room, len(stream))
            place, filled = machine.place, machine.place_filled
            assert place is not None
            place[filled : filled + count] = stream[:count]
            machine.fill(count)
            _note(machine, found)
        else:
            part, at = bytearray(stream[:count]), 0
            while at < len(part) and "forged" not in found:
                at = machine.step(part, at, len(part))
                _note(machine, found)
        stream = stream[count:]
    assert found == expected


class _Trusting:
    """A mechanism whose one handshake is over at once."""

    name = b"CURVE"
    is_server = True

    def __init__(self, sealer: Sealer, metadata: Metadata) -> None:
        self.step = Step(b"", metadata, b"k" * 32, sealer)

    def take(self, _command_name: bytes, _data: bytes) -> Step:
        return self.step


def _note(machine: ServerProtocol, found: list[Any]) -> None:
    if machine.event == MESSAGE:
        assert machine.body is not None
        size = machine.body_bytes
        assert machine.body == bytes((size % 251,)) * (size if size <= 5_000 else 1)
        found.append(size)
    elif machine.event == END:
        found.append(machine.why)


def test_greetings_tell_the_mechanism_and_who_serves() -> None:
    door = open_curve_listener(ALPHA)
    with Wire(door, b"") as wire:
        greeted = wire.until(b"CURVE")
        assert bytes(greeted[12:33]) == b"CURVE".ljust(20, b"\0") + b"\x01"
    door.close()
