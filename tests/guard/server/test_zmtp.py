"""ZMTP without sockets: every event and every end, however the bytes are cut."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.server import zmtp
from guard.server.commands import command, error, greeting, ping, pong
from guard.server.connection import frame_head
from guard.server.policy import null_router
from guard.server.zmtp import END, MESSAGE, NEED_DATA, READY, SEND, Limits, ServerProtocol
from server_support import EMPTY, HELLO, frame, ready

# Small, so that every bound is near.
LIMITS = Limits(body_bytes_max=100, message_bytes_max=400, frames_max=8)
GREETING = greeting(b"NULL")
# What the machine may hold, whatever comes: a command, or a body, with its place; twice while it
# is copied.
HELD_BYTES_MAX = 2 * zmtp.COMMAND_BYTES_MAX


@dataclass(frozen=True)
class Message:
    envelope: bytes
    body: bytes | None
    body_bytes: int
    frame_count: int


def protocol(limits: Limits = LIMITS) -> ServerProtocol:
    return ServerProtocol(limits, null_router())


def feed(machine: ServerProtocol, data: bytes, events: list[Any]) -> None:
    """All of `data` as one buffer."""
    buffer, at = bytearray(data), 0
    while True:
        at = machine.step(buffer, at, len(buffer))
        if machine.event == NEED_DATA:
            assert at == len(buffer)
            return
        note(machine, events)
        if machine.event == END:
            assert at == len(buffer)
            return


def note(machine: ServerProtocol, events: list[Any]) -> None:
    if machine.event == MESSAGE:
        of_body = machine.body_bytes if machine.body is not None else 0
        message = Message(machine.envelope, machine.body, of_body, machine.frame_count)
        events.append(message)
    elif machine.event == READY:
        events.append(("ready", machine.socket_type, machine.identity, machine.to_send))
    elif machine.event == SEND:
        events.append(("send", machine.to_send))
    elif machine.event == END:
        events.append(("end", machine.why, machine.to_send))


def events_of(data: bytes, limits: Limits = LIMITS) -> list[Any]:
    events: list[Any] = []
    feed(protocol(limits), data, events)
    return events


def after_hello(data: bytes) -> list[Any]:
    first, *rest = events_of(HELLO + data)
    assert first[0] == "ready"
    return rest


def test_the_greeting_is_whole_and_says_3_1() -> None:
    told = protocol().greeting()
    assert told == b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\x00" + bytes(31)
    assert len(told) == 64


def test_the_handshake() -> None:
    hello = GREETING + ready(b"REQ", (b"Identity", b"me"), (b"X-Else", b"\x00" * 200))
    (event,) = events_of(hello)
    assert event == ("ready", b"REQ", b"me", b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER")


def test_property_names_have_no_case() -> None:
    body = b"\x05READY\x0bsOCKET-tYPE\0\0\0\x06DEALER\x08IDENTITY\0\0\0\x01i"
    assert events_of(GREETING + command(body))[0][:3] == ("ready", b"DEALER", b"i")


@pytest.mark.parametrize("minor", [0, 1, 7])
def test_a_peer_of_any_3_is_let_in(minor: int) -> None:
    hello = bytearray(HELLO)
    hello[11] = minor
    machine = protocol()
    feed(machine, bytes(hello), [])
    assert machine.is_ready
    assert machine.minor_version == minor


def test_a_newer_peer_is_let_in() -> None:
    hello = bytearray(HELLO)
    hello[10:12] = b"\x04\x00"
    machine = protocol()
    feed(machine, bytes(hello), [])
    assert machine.is_ready
    assert machine.minor_version > 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "stranger"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "stranger"),  # a TLS ClientHello
        (b"\x01\x00", "stranger"),  # ZMTP 1.0, anonymous
        (b"\x06\x00hello", "stranger"),  # ZMTP 1.0 with an identity
        (b"\xff\x00\x00\x00\x00\x00\x00\x01\x01\x00", "stranger"),  # ZMTP 1.0, a long identity
        (b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00", "old_version"),  # ZMTP 2.0, a DEALER
        (b"\xff" + bytes(7) + b"\x01\x7f\x00", "old_version"),
        (greeting(b"CURVE"), "mechanism"),
        (greeting(b"PLAIN"), "mechanism"),
        (greeting(b"NULLX"), "mechanism"),
        (greeting(b""), "mechanism"),
        (GREETING + frame(b"hello"), "protocol"),  # a message before the handshake
        (GREETING + b"\x05\x06\x05READY", "protocol"),  # a command with MORE
        (GREETING + b"\x0c\x06\x05READY", "protocol"),  # a reserved bit
        (GREETING + b"\x06\x00\x00\x00\x00\x00\x00\x10\x01", "protocol"),  # 4,097 bytes of command
        (GREETING + b"\x06" + b"\xff" * 8, "protocol"),
        (HELLO + b"\x08\x00", "protocol"),
        (HELLO + b"\x02\x80" + bytes(7), "protocol"),  # a size of 2^63
        (HELLO + b"\x04\x00", "protocol"),  # a command without a name
        (HELLO + b"\x04\x05\x05PING", "protocol"),
        (HELLO + command(b"\x04PING\x00"), "protocol"),  # no time to live
        (HELLO + command(b"\x04PING" + bytes(2 + 17)), "protocol"),  # 17 bytes of context
        (HELLO + error("enough"), "peer_error"),
        (GREETING + error("enough"), "peer_error"),
        (HELLO + EMPTY * 9, "frames"),
        (HELLO + frame(bytes(401)), "message_bytes"),
        (HELLO + frame(bytes(201), 1) + frame(bytes(200)), "message_bytes"),
        (HELLO + b"\x02\x7f" + b"\xff" * 7, "message_bytes"),
    ],
)
def test_ends(data: bytes, why: str) -> None:
    assert events_of(data)[-1] == ("end", why, b"")
    # Nothing more is taken.
    events: list[Any] = []
    machine = protocol()
    feed(machine, data, events)
    feed(machine, HELLO + frame(b"x"), events)
    assert events[-1][:2] == ("end", why)
    assert not any(isinstance(event, Message) for event in events)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (ready(b"ROUTER"), b"Socket-Type: 'ROUTER' is not served here; allowed: DEALER or REQ"),
        (ready(b"\xff"), b"Socket-Type: '\\xff' is not served here; allowed: DEALER or REQ"),
        (command(b"\x05READY"), b"Socket-Type: '' is not served here; allowed: DEALER or REQ"),
        (ready(b"REQ", (b"Identity", bytes(256))), b"Identity: 256 bytes; allowed: at most 255"),
        (ready(b"REQ", (b"socket-TYPE", b"REQ")), b"READY: a property stands twice"),
        (command(b"\x05READY\x00\x00\x00\x00\x00"), b"READY: a property is cut off or has no name"),
        (command(b"\x05READY\x0bSocket"), b"READY: a property is cut off or has no name"),
        (command(b"\x05READY\x01a\0\0\0\x05REQ"), b"READY: a property's value is cut off"),
        (command(b"\x05HELLO"), b"the NULL mechanism expects READY"),
        (command(b""), b"a command without a name"),
        (command(b"\x00"), b"a command without a name"),
        (command(b"\x09READY"), b"a command without a name"),
    ],
)
def test_a_handshake_that_fails_is_told_why(body: bytes, reason: bytes) -> None:
    told = b"\x05ERROR" + bytes((len(reason),)) + reason
    assert events_of(GREETING + body) == [("end", "refused", command(told))]


@pytest.mark.parametrize(
    ("frames", "envelope", "body", "body_bytes", "count"),
    [
        ((b"a",), b"", b"a", 1, 1),
        ((b"",), b"", b"", 0, 1),
        ((b"", b"a"), EMPTY, b"a", 1, 2),
        ((b"", b""), EMPTY, b"", 0, 2),
        ((b"\x00\x00\x00\x07", b"", b"a"), b"\x01\x04\x00\x00\x00\x07\x01\x00", b"a", 1, 3),
        ((b"1234", b"", b""), b"\x01\x041234\x01\x00", b"", 0, 3),
        ((b"1234", b"a"), b"", None, 0, 2),
        ((b"1234", b""), b"", None, 0, 2),
        ((b"123", b"", b"a"), b"", None, 0, 3),
        ((b"12345", b"", b"a"), b"", None, 0, 3),
        ((b"1234", b"", b"", b"a"), b"\x01\x041234\x01\x00", None, 0, 4),
        ((b"a", b"b"), b"", None, 0, 2),
        ((b"a", b""), b"", None, 0, 2),
        ((b"", b"a", b"b"), EMPTY, None, 0, 3),
        ((b"",) * 8, EMPTY, None, 0, 8),
        ((b"x" * 100,), b"", b"x" * 100, 100, 1),
        ((b"{" + b"x" * 100,), b"", b"{", 101, 1),
        ((b"", b"\x81" + b"x" * 399), EMPTY, b"\x81", 400, 2),
    ],
)
def test_frames(
    frames: tuple[bytes, ...], envelope: bytes, body: bytes | None, body_bytes: int, count: int
) -> None:
    data = b"".join(frame(each, 1) for each in frames[:-1]) + frame(frames[-1])
    expected = Message(envelope, body, body_bytes, count)
    # A long head for a short frame is allowed; and what stands before leaves nothing behind.
    assert after_hello(data + data) == [expected, expected]
    assert after_hello(frame(b"x", 1) + frame(b"y") + data)[1:] == [expected]
    size = len(frames[-1]).to_bytes(8, "big")
    longer = b"".join(frame(each, 1) for each in frames[:-1]) + b"\x02" + size + frames[-1]
    assert after_hello(longer) == [expected]


def test_commands_among_messages() -> None:
    data = (
        *(frame(b"", 1), ping(300) + b"", frame(b"a")),
        *(command(b"\x04PING\x00\x0acontext"), command(b"\x04PONGx"), command(b"\x09SUBSCRIBEx")),
        frame(b"b"),
    )
    assert after_hello(b"".join(data)) == [
        ("send", pong(b"")),
        Message(EMPTY, b"a", 1, 2),
        ("send", pong(b"context")),
        Message(b"", b"b", 1, 1),
    ]


def test_a_ping_is_remembered() -> None:
    machine = protocol()
    feed(machine, HELLO + command(b"\x04PING\x01\x2cabcdefghijklmnop"), [])
    assert (machine.has_pinged, machine.ttl_tenths) == (True, 300)
    assert machine.to_send == b"\x04\x15\x04PONGabcdefghijklmnop"


def test_a_long_body_is_read_into_its_place() -> None:
    """And the place grows as bytes come, never beyond the body."""
    size = 200_000
    machine = protocol(Limits(262_144, 4_194_304, 8))
    body = bytes(range(256)) * 782
    body = body[:size]
    feed(machine, HELLO, [])
    head = bytearray(frame(body)[:9])
    assert machine.step(head, 0, 9) == 9
    assert machine.room() == zmtp.PLACE_BYTES
    begin = bytearray(body[:100])
    machine.step(begin, 0, 100)
    at, places = 100, []
    while at < size:
        room = machine.room()
        assert 0 < room <= size - at
        assert machine.place is not None
        places.append(len(machine.place))
        assert len(machine.place) <= max(zmtp.PLACE_BYTES, 4 * at)
        count = min(room, 7_000)
        machine.place[machine.place_filled : machine.place_filled + count] = body[at : at + count]
        machine.fill(count)
        at += count
        assert (machine.event == MESSAGE) == (at == size)
    assert machine.body == body
    assert machine.place is None
    assert len(set(places)) == 4
    assert not machine.is_inside_message()


FRAMES = st.builds(
    lambda bodies: b"".join(frame(each, 1) for each in bodies[:-1]) + frame(bodies[-1]),
    st.lists(st.one_of(st.just(b""), st.binary(min_size=4, max_size=4), st.binary(max_size=300)))
    .filter(len)
    .filter(lambda bodies: sum(map(len, bodies)) < 400 and len(bodies) <= 8),
)
COMMANDS = st.one_of(
    st.builds(lambda context: command(b"\x04PING\x00\x05" + context), st.binary(max_size=18)),
    st.builds(lambda body: command(body), st.binary(max_size=300)),
    st.just(error("no")),
)
STREAMS = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda data: GREETING + data, st.binary(max_size=300)),
    st.builds(
        lambda parts, end: HELLO + b"".join(parts) + end,
        st.lists(st.one_of(FRAMES, FRAMES, COMMANDS), max_size=12),
        st.binary(max_size=20),
    ),
)


@given(STREAMS, st.lists(st.integers(1, 700), max_size=20))
@settings(max_examples=1_000, deadline=None)
@example(HELLO + frame(b"abc", 1) + frame(b"x" * 300), [1] * 400)
def test_the_same_events_however_the_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    whole = events_of(data)
    for sizes in (cuts, [1] * len(data)):
        events: list[Any] = []
        machine, at = protocol(), 0
        for size in [*sizes, len(data)]:
            feed(machine, data[at : at + size], events)
            at += size
            held = 0 if machine.place is None else len(machine.place)
            assert held <= HELD_BYTES_MAX
            if machine.event == END:
                break
        assert events == whole


@given(STREAMS)
@settings(max_examples=300, deadline=None)
def test_direct_reads_give_the_same_events(data: bytes) -> None:
    """Whenever there is room, the next bytes go straight into the place."""
    machine, at, events = protocol(), 0, []
    while at < len(data):
        room = machine.room()
        if room:
            part = data[at : at + min(room, 3)]
            assert machine.place is not None
            filled = machine.place_filled
            machine.place[filled : filled + len(part)] = part
            machine.fill(len(part))
            if machine.event != NEED_DATA:
                note(machine, events)
        else:
            part = data[at : at + 5]
            feed(machine, part, events)
        at += len(part)
        if machine.event == END:
            break
    assert events == events_of(data)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 1_023, 1_024, 70_000, 2**32])
@pytest.mark.parametrize("envelope", [b"", EMPTY, b"\x01\x041234\x01\x00"])
def test_heads(envelope: bytes, size: int) -> None:
    long = b"\x02" + size.to_bytes(8, "big")
    assert frame_head(envelope, size) == envelope + (bytes((0, size)) if size < 256 else long)
