"""What a peer may make the door hold, whose turn it is, and whose time is over."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from guard.server import listener as doors
from guard.server.commands import command, greeting, ping
from guard.server.connection import READ_BYTES, REPLY_OVERHEAD_BYTES
from guard.server.zmtp import Limits
from server_support import (
    HELLO,
    Door,
    Wire,
    answer,
    frame,
    open_listener,
    pump,
    ready,
    take,
)

KIB = 1_024
OLD_HELLO = bytearray(HELLO)
OLD_HELLO[11] = 0  # ZMTP 3.0


@pytest.fixture
def opened() -> Iterator[Callable[..., Door]]:
    """Makes listeners, and closes them."""
    made: list[Door] = []

    def make(**options: Any) -> Door:
        made.append(open_listener(**options))
        return made[-1]

    yield make
    for door in made:
        door.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def numbers_in(received: bytearray, size: int) -> list[int]:
    """Of the replies that came whole, as `frame(b"%8d" ...)` of so many bytes each."""
    data = memoryview(received)[received.index(b"ROUTER") + 6 :]
    whole = len(frame(bytes(size)))
    firsts = range(whole - size, len(data) - size + 1, whole)
    return [int(bytes(data[at : at + 8])) for at in firsts]


def test_a_client_that_does_not_read_holds_what_its_bound_says(
    opened: Callable[..., Door],
) -> None:
    door = opened(client_backlog_bytes_max=100 * KIB, backlog_bytes_max=10 * 2**20)
    size = 10_000
    with Wire(door, receive_bytes=4_096) as lazy, Wire(door) as reader:
        lazy.connected().send(frame(b"x"))
        received = take(door)
        reader.connected().send(frame(b"x"))
        other = take(door)
        sent = 0
        while door.backlog.dropped_slow < 10:
            answer(door, received, b"%8d" % sent + bytes(size - 8))
            sent += 1
            assert door.backlog.bytes <= 100 * KIB
        answer(door, other, b"others are served")
        reader.until(b"others are served")
        # It reads again: what was held comes whole, in order, and what was dropped is not there.
        kept = sent - 10
        whole = len(lazy.received) + kept * len(frame(bytes(size)))
        pump(door, lambda: lazy.has(b"") or len(lazy.received) >= whole)
        assert numbers_in(lazy.received, size) == list(range(kept))
        assert door.backlog.bytes == 0
        answer(door, received, b"and goes on")
        lazy.until(frame(b"and goes on"))
        assert (door.backlog.dropped_slow, door.backlog.dropped_gone) == (10, 0)


@pytest.mark.parametrize("size", [8, 301, 30_001])
def test_a_long_backlog_arrives_whole(opened: Callable[..., Door], size: int) -> None:
    """However many replies wait, and wherever one write ended in the middle of one."""
    door = opened()
    count = min(25_000, 8 * 2**20 // size)
    with Wire(door, receive_bytes=65_536) as lazy:
        lazy.connected().send(frame(b"x"))
        received = take(door)
        for number in range(count):
            answer(door, received, b"%8d" % number + bytes(size - 8))
        assert (door.backlog.bytes > 0) == (size > 8)
        whole = len(lazy.received) + count * len(frame(bytes(size)))
        pump(door, lambda: lazy.has(b"") or len(lazy.received) == whole)
        assert numbers_in(lazy.received, size) == list(range(count))
    assert door.backlog.dropped_slow == 0


def test_short_replies_are_counted_with_what_they_cost(opened: Callable[..., Door]) -> None:
    door = opened(client_backlog_bytes_max=100 * KIB)
    with Wire(door, receive_bytes=4_096) as lazy:
        lazy.connected().send(frame(b"x"))
        received = take(door)
        while not door.backlog.dropped_slow:
            door.send_all([(received[0], received[1], b"y")] * 100, bytes)
        held = received[0].unsent_bytes
        assert 100 * KIB - (3 + REPLY_OVERHEAD_BYTES) <= held <= 100 * KIB


def test_a_reply_longer_than_the_bound_is_dropped(opened: Callable[..., Door]) -> None:
    door = opened(client_backlog_bytes_max=10 * KIB)
    with Wire(door) as wire:
        wire.connected().send(frame(b"x"))
        received = take(door)
        answer(door, received, bytes(11 * KIB))
        answer(door, received, b"short")
        assert wire.until(frame(b"short")).endswith(b"ROUTER" + frame(b"short"))
        assert door.backlog.dropped_slow == 1


def test_who_does_not_read_leaves_room_for_others(
    opened: Callable[..., Door], stack: ExitStack
) -> None:
    """However many they are: as much as each holds is left."""
    door = opened(client_backlog_bytes_max=2**20, backlog_bytes_max=2**20)
    lazy = []
    for _ in range(7):
        wire = stack.enter_context(Wire(door, receive_bytes=4_096)).connected()
        wire.send(frame(b"x"))
        lazy.append(take(door))
    reader = stack.enter_context(Wire(door)).connected()
    reader.send(frame(b"x"))
    of_reader = take(door)
    body = bytes(4 * KIB)
    for number in range(1_500):
        for each in lazy:
            answer(door, each, body)
        before = door.backlog.dropped_slow
        answer(door, of_reader, b"%8d" % number + body)
        assert door.backlog.dropped_slow == before
        reader.until(frame(b"%8d" % number + body))
        reader.received = bytearray(b"ROUTER")
    held = [each[0].unsent_bytes for each in lazy]
    assert max(held) - min(held) <= 5 * KIB
    assert min(held) >= 2**20 // 8 - 5 * KIB
    assert door.backlog.bytes == sum(held)


def test_replies_that_were_not_fetched_are_counted_when_the_client_goes(
    opened: Callable[..., Door],
) -> None:
    door = opened()
    with Wire(door, receive_bytes=4_096) as lazy:
        lazy.connected().send(frame(b"x"))
        received = take(door)
        for _ in range(300):
            answer(door, received, bytes(40 * KIB))
        assert door.backlog.bytes > 0
    pump(door, lambda: door.gone)
    assert 0 < door.backlog.dropped_gone < 300
    assert (door.backlog.bytes, door.backlog.dropped_slow) == (0, 0)


def test_a_visit_takes_a_few_messages(opened: Callable[..., Door], stack: ExitStack) -> None:
    """A flood and a single request: the request is among the first."""
    door = opened(visit_messages=16)
    flood = stack.enter_context(Wire(door)).connected()
    single = stack.enter_context(Wire(door)).connected()
    flood.send(b"".join(frame(b"flood %d" % number) for number in range(400)))
    pump_until_readable(door)
    single.send(frame(b"single"))
    pump_until_readable(door)
    bodies = []
    while door.has_ready():
        door.begin_turn()
        while (received := door.receive()) is not None:
            bodies.append(received[2])
    assert [body for body in bodies if body != b"single"] == [
        b"flood %d" % number for number in range(400)
    ]
    assert bodies.index(b"single") <= 16


def pump_until_readable(door: Door) -> None:
    """Until what was sent has been seen; takes nothing."""
    for _ in range(50):
        door.look()
        if door.has_ready():
            break
    for _ in range(200):
        door.look()


def is_urgent(body: bytes) -> bool:
    return body.startswith(b"urgent")


def test_what_is_urgent_and_stands_first_goes_first(
    opened: Callable[..., Door], stack: ExitStack
) -> None:
    door = opened(is_urgent=is_urgent, visit_messages=16)
    wires = [stack.enter_context(Wire(door)).connected() for _ in range(12)]
    for wire in wires[:10]:
        wire.send(b"".join(frame(b"order") for _ in range(100)))
    pump_until_readable(door)
    wires[10].send(frame(b"urgent 1") + frame(b"order behind") + frame(b"urgent 2"))
    wires[11].send(frame(b"order first") + frame(b"urgent 3"))
    pump_until_readable(door)
    bodies = []
    while door.has_ready():
        door.begin_turn()
        while (received := door.receive()) is not None:
            bodies.append(received[2])
    assert bodies[0] == b"urgent 1"
    # Behind an order it waits with it: what a client sent in order is decided in order.
    assert bodies.index(b"order behind") > 10
    assert bodies.index(b"order behind") < bodies.index(b"urgent 2")
    assert bodies.index(b"order first") < bodies.index(b"urgent 3")
    assert len(bodies) == 1_005


def test_what_is_urgent_does_not_starve_the_others(
    opened: Callable[..., Door], stack: ExitStack
) -> None:
    door = opened(is_urgent=is_urgent, visit_messages=16)
    orders = stack.enter_context(Wire(door)).connected()
    orders.send(b"".join(frame(b"order") for _ in range(20)))
    pump_until_readable(door)
    for _ in range(2):
        urgent = stack.enter_context(Wire(door)).connected_silently()
        urgent.send(b"".join(frame(b"urgent") for _ in range(300)))
    pump_until_readable(door)
    bodies = []
    while door.has_ready():
        door.begin_turn()
        while (received := door.receive()) is not None:
            bodies.append(received[2])
    assert bodies.index(b"order") == doors.URGENT_RUN_MAX
    assert len(bodies) == 620


def test_who_is_held_is_not_read(opened: Callable[..., Door], stack: ExitStack) -> None:
    """Nobody else notices, and nothing is lost."""
    door = opened()
    flood = stack.enter_context(Wire(door)).connected()
    other = stack.enter_context(Wire(door)).connected()
    count = 40_000
    flood.send(b"".join(frame(b"%8d" % number) for number in range(count)))
    first = take(door)
    taken = 1 + len(door.taken)
    door.taken.clear()
    door.hold(first[0])
    door.hold(first[0])
    other.send(frame(b"other"))
    assert take(door)[2] == b"other"
    for _ in range(50):
        door.turn()
    assert not door.taken
    assert door.holds == 1
    assert not door.has_ready()
    for _ in range(500):
        door.tick()
    assert first[0].is_open
    door.release_held()
    pump(door, lambda: len(door.taken) == count - taken)
    door.tick()
    assert first[0].is_open
    assert [int(each[2] or b"") for each in door.taken] == list(range(taken, count))


def test_who_is_held_in_the_middle_of_a_message_has_its_time(
    opened: Callable[..., Door], stack: ExitStack
) -> None:
    """What it has begun and we do not read is not late."""
    door = opened()
    peer = stack.enter_context(Wire(door)).connected()
    peer.send(frame(b"first") + frame(b"second")[:4])
    first = take(door)
    door.hold(first[0])
    for _ in range(500):
        door.tick()
    assert first[0].is_open
    door.release_held()
    peer.send(frame(b"second")[4:])
    assert take(door)[2] == b"second"
    assert first[0].is_open


def test_a_turn_is_bounded(opened: Callable[..., Door], stack: ExitStack) -> None:
    """Frames without end that make no message: a turn reads so much and no more."""
    door = opened(limits=Limits(262_144, 4_194_304, 10**9))
    count = 2 * doors.FETCHES_MAX * READ_BYTES // 49_500  # so many peers fill two turns
    wires = [stack.enter_context(Wire(door)).connected() for _ in range(count)]
    for wire in wires:
        wire.send(frame(b"x", 1) * 16_500)
    turns = 0
    while True:
        pump_until_readable(door)
        if not door.has_ready():
            break
        door.begin_turn()
        assert door.receive() is None
        turns += 1
    assert turns >= 2
    for number, wire in enumerate(wires):
        wire.send(frame(b"%d" % number))
    received = [take(door) for _ in wires]
    assert {each[2:] for each in received} == {(None, 16_501)}


def test_bodies_that_are_not_whole_are_bounded_together(
    opened: Callable[..., Door], stack: ExitStack
) -> None:
    door = opened(partial_bytes_max=300 * KIB)
    wires = [stack.enter_context(Wire(door)).connected() for _ in range(4)]
    not_whole = frame(bytes(100 * KIB))[:9] + bytes(90 * KIB)

    def places() -> int:
        return sum(peer.place_bytes > 0 for peer in door.peers())

    def begin(wire: Wire) -> None:
        """Who has begun first is the first to go."""
        count = places()
        wire.send(not_whole)
        pump(door, lambda: places() > count)

    for wire in wires[:3]:
        begin(wire)
    assert door.gone == {}
    wires[3].send(not_whole)
    wires[0].until_closed()
    assert door.gone == {"partial_bytes": 1}
    for wire in wires[1:]:
        wire.send(bytes(10 * KIB))
        assert take(door)[2] == bytes(100 * KIB)
    assert places() == 0


def test_what_stands_in_line_is_bounded(opened: Callable[..., Door], stack: ExitStack) -> None:
    """Beyond the bound a peer is read when its turn has come; nothing is lost."""
    door = opened(ahead_bytes_max=15 * KIB)
    wires = [stack.enter_context(Wire(door)).connected() for _ in range(6)]
    for wire in wires:
        wire.send(frame(bytes(10 * KIB)) + frame(b"behind"))
    pump_until_readable(door)
    fronts = [peer.front_bytes for peer in door.peers() if peer.front is not None]
    assert fronts == [10 * KIB] * 2
    received = [take(door) for _ in range(12)]
    sizes = [len(each[2] or b"") for each in received]
    assert sorted(sizes) == [6] * 6 + [10 * KIB] * 6
    for wire in wires:
        wire.send(frame(b"again"))
    pump_until_readable(door)
    assert len([peer for peer in door.peers() if peer.front is not None]) == 6
    assert {take(door)[2] for _ in wires} == {b"again"}


def test_who_goes_while_nobody_is_taken_has_its_say(
    opened: Callable[..., Door], stack: ExitStack
) -> None:
    """As while the disk stalls: no more of them are kept than may be connected."""
    door = opened(connections_max=50)
    for number in range(200):
        with Wire(door, HELLO + frame(b"%d" % number)):
            pump_until_readable(door)
    counts = door.counts()
    assert counts["connections"] == 50
    assert counts["connections_refused"] == 150
    assert [take(door)[2] for _ in range(50)] == [b"%d" % number for number in range(50)]
    pump(door, lambda: sum(door.gone.values()) == 50)
    stack.enter_context(Wire(door)).connected()


def test_a_handshake_has_its_time(opened: Callable[..., Door]) -> None:
    door = opened(handshake_ticks=10)
    with Wire(door, greeting(b"NULL")) as slow, Wire(door) as quick:
        slow.until(b"NULL")
        quick.connected()
        for _ in range(10):
            door.tick()
        assert door.gone == {}
        door.tick()
        assert door.gone == {"handshake_time": 1}
        slow.until_closed()
        assert door.counts()["connections_half_open"] == 0


@pytest.mark.parametrize("part", [b"\x02", b"\x00\x05abc", b"\x01\x00", b"\x04\x06\x04PIN"])
def test_a_message_has_its_time(opened: Callable[..., Door], part: bytes) -> None:
    door = opened(message_ticks=60)
    with Wire(door) as wire, Wire(door) as other:
        wire.connected().send(frame(b"x") + part)
        take(door)
        other.connected()
        door.turn()
        for _ in range(60):
            door.tick()
            other.send(command(b"\x04PONG"))
            door.turn()
        assert door.gone == {}
        door.tick()
        assert door.gone == {"message_time": 1}


def test_a_silent_peer_is_asked_and_ended(opened: Callable[..., Door]) -> None:
    door = opened(ping_ticks=10, silence_ticks=120)
    with Wire(door) as wire, Wire(door) as other:
        wire.connected()
        other.connected()
        for _ in range(9):
            door.tick()
        assert wire.has(ping(0)) is False
        door.tick()
        wire.until(ping(0))
        for _ in range(110):
            other.send(command(b"\x04PONG"))
            door.turn()
            door.tick()
        assert door.gone == {}
        assert wire.until(ping(0)).count(ping(0)) == 12
        door.tick()
        assert door.gone == {"silence": 1}
        wire.until_closed()
        assert other.has(b"") is False
        assert other.received.count(ping(0)) == 1


def test_a_peer_of_3_0_is_asked_only_if_it_asks(opened: Callable[..., Door]) -> None:
    door = opened()
    with Wire(door, bytes(OLD_HELLO)) as old, Wire(door, bytes(OLD_HELLO)) as asking:
        old.connected()
        asking.connected().send(command(b"\x04PING\x00\x00"))
        asking.until(b"PONG")
        for _ in range(200):
            door.tick()
        assert door.gone == {"silence": 1}
        assert not asking.has(b"")
        assert asking.is_open is False
        old.send(frame(b"still here"))
        assert take(door)[2] == b"still here"


def test_a_peer_may_say_how_long_it_is_silent(opened: Callable[..., Door]) -> None:
    door = opened()
    hello = bytes(OLD_HELLO) + command(b"\x04PING\x00\x1e")  # three seconds
    with Wire(door, hello) as wire:
        wire.connected()
        wire.until(b"PONG")
        for _ in range(4):
            door.tick()
        assert door.gone == {}
        door.tick()
        assert door.gone == {"silence": 1}


def test_the_identity_is_a_note(opened: Callable[..., Door]) -> None:
    door = opened()
    hello = greeting(b"NULL") + ready(b"DEALER", (b"Identity", b"i" * 255))
    with Wire(door, hello) as wire:
        wire.connected().send(frame(b"x"))
        assert take(door)[0].protocol.identity == b"i" * 255
