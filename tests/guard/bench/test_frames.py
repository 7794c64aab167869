"""Frames cut from a stream, in whatever pieces it arrives; replies told apart by a letter."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.bench.frames import LinkError, command, frame, pong_to, run_of, scan
from guard.bench.replies import EchoReplies, GuardReplies, RedisReplies
from guard.protocol.messages import Admit, ErrorReply, Filled, Pong, Reject, Released

BODIES = st.lists(st.binary(max_size=600), max_size=20)
ADMIT = Admit("A", 1, 1, 10, False, 5, 6, "requested_model_maximizes_utility", False)
REJECT = Reject("A", 1, "order", "unknown_desk", {}, False)
FILLED = Filled("d", "A", "F", 2, 0, 0, 5, 6, 0, [], False)
RELEASED = Released("d", "A", 3, 5, False)
ERROR = ErrorReply("unknown_order", "client_order_id", "x" * 300)


def _scan_into(found: list[bytes], received: bytes) -> int:
    return scan(received, lambda start, end: found.append(received[start:end]), no_command)


def no_command(body: bytes) -> None:
    raise AssertionError(f"no command was sent: {body!r}")


@given(BODIES, st.lists(st.integers(1, 50), min_size=1, max_size=10))
def test_a_stream_in_any_pieces_gives_the_same_messages(
    bodies: list[bytes], pieces: list[int]
) -> None:
    stream = b"".join(map(frame, bodies))
    found: list[bytes] = []
    received = bytearray()
    at = turn = 0
    while at < len(stream):
        size = pieces[turn % len(pieces)]
        received += stream[at : at + size]
        at, turn = at + size, turn + 1
        del received[: _scan_into(found, bytes(received))]
    assert found == bodies
    assert not received


def test_a_heartbeat_is_answered_in_kind() -> None:
    ping = command(b"PING", b"\x00\x0acontext")
    found: list[bytes] = []
    assert scan(ping + frame(b"x"), lambda start, end: None, found.append) == len(ping) + 3
    assert pong_to(found[0]) == command(b"PONG", b"context")
    assert pong_to(b"\x05READY") is None


def test_a_message_of_several_frames_is_refused() -> None:
    with pytest.raises(LinkError, match="several frames"):
        scan(b"\x01\x00", lambda start, end: None, no_command)


def test_every_reply_of_a_guard_is_told_apart() -> None:
    replies = GuardReplies()
    encode = msgspec.msgpack.encode
    kinds = [ADMIT, REJECT, FILLED, RELEASED, ERROR, ADMIT]
    stream = bytearray(b"".join(frame(encode(reply)) for reply in kinds))
    stream += frame(encode(kinds)) + frame(encode([ADMIT] * 64))[:-1]
    taken = replies.take(stream)
    assert len(stream) - taken == len(frame(encode([ADMIT] * 64))) - 1
    assert replies.messages == 7
    assert replies.kinds == {"admit": 4, "reject": 2, "filled": 2, "released": 2, "error": 2}
    assert replies.reasons == {"unknown_desk": 2, "unknown_order": 2}


NO_REPLIES = (
    b"",
    b"x",
    b"{}" * 20,
    msgspec.msgpack.encode({"a": "b" * 30}),
    msgspec.msgpack.encode(Pong(1, "0" * 64, "0" * 32, 1)),
)


@pytest.mark.parametrize("body", NO_REPLIES)
def test_what_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises((LinkError, msgspec.DecodeError)):
        GuardReplies().take(bytearray(frame(body)))


def test_a_heartbeat_between_replies_is_answered() -> None:
    replies = GuardReplies()
    replies.take(bytearray(command(b"PING", b"\x00\x00")))
    assert replies.outgoing == command(b"PONG")


SHORT = st.sampled_from(
    [
        ADMIT,
        Admit("ZZ", 70_000, 1, 10, False, 5, 6, "requested_model_maximizes_utility", False),
        REJECT,
        Reject("B", 2, "order", "unknown_desk", {}, False),
        FILLED,
        RELEASED,
        ErrorReply("unknown_order", "client_order_id", "x"),
        [ADMIT],
        [REJECT, ADMIT],
        [],
    ]
)


@given(st.lists(st.tuples(SHORT, st.integers(1, 12)), max_size=12), st.integers(1, 700))
def test_runs_of_one_length_are_counted_as_one_by_one(
    runs: list[tuple[object, int]], piece: int
) -> None:
    replies = [reply for reply, times in runs for _ in range(times)]
    stream = b"".join(frame(msgspec.msgpack.encode(reply)) for reply in replies)
    one_by_one, counted = GuardReplies(), GuardReplies()
    for reply in replies:
        assert one_by_one.take(bytearray(frame(msgspec.msgpack.encode(reply))))
    received = bytearray()
    for at in range(0, len(stream), piece):
        received += stream[at : at + piece]
        del received[: counted.take(received)]
    assert not received
    assert counted.messages == one_by_one.messages == len(replies)
    assert counted.kinds == one_by_one.kinds
    assert counted.reasons == one_by_one.reasons


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(1, 9))
def test_a_run_ends_where_the_length_or_the_flags_change(
    body: bytes, other: bytes, times: int
) -> None:
    run = frame(body) * times
    expected = times + (len(other) == len(body))
    assert run_of(run + frame(other), 0) == (expected, len(body) + 2)
    assert run_of(run + command(b"PING"), 0) == (times, len(body) + 2)
    assert run_of(run + frame(other)[:1], 0) == (times, len(body) + 2)
    assert run_of(run[:-1], 0)[0] == times - 1
    assert run_of(b"\x02" + run, 0) == run_of(b"\x00", 0) == (0, 0)


@pytest.mark.parametrize("body", NO_REPLIES)
def test_no_run_hides_what_is_no_reply(body: bytes) -> None:
    with pytest.raises((LinkError, msgspec.DecodeError)):
        GuardReplies().take(bytearray(frame(body) * 9))


def test_redis_and_echo_replies() -> None:
    redis = RedisReplies()
    stream = bytearray(b":5\r\n:0\r\n-ERR no\r\n:1")
    assert redis.take(stream) == len(stream) - 2
    assert redis.kinds == {"admit": 1, "reject": 1, "error": 1}
    assert redis.reasons == {"-ERR no": 1}
    assert redis.take(bytearray(b":1")) == 0
    redis = RedisReplies()
    assert redis.take(bytearray(b":0\r\n:0\r\n:10\r\n:01\r\n:0\r\n")) == 22
    assert (redis.messages, redis.kinds) == (5, {"admit": 2, "reject": 3})
    echo = EchoReplies()
    echo.take(bytearray(frame(b"a") + frame(b"")))
    assert (echo.messages, echo.kinds) == (2, {"echo": 2})
