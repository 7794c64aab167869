"""The client's state machine in invented time: matching, resends, timeouts. No socket, no clock."""

import random
from typing import Any

import msgspec
import pytest

from guard.client.codec import Codec, Encoding, Exchange, ReplyBody
from guard.client.errors import GuardProtocolError, GuardTimeout
from guard.client.session import Session
from guard.protocol.messages import (
    Admit,
    Cancel,
    ErrorReply,
    Filled,
    Order,
    Ping,
    Pong,
    Reject,
    Released,
    RequestId,
)

MS = 1_000_000
S = 1_000 * MS


def make_session(in_flight_max: int = 10, encoding: Encoding = "msgpack") -> Session:
    return Session(
        encoding=encoding,
        in_flight_max=in_flight_max,
        timeout_s=10.0,
        resend_after_s=1.0,
        endpoint="tcp://guard:7001",
    )


def cancel(name: str) -> Cancel:
    return Cancel("desk-alpha", name)


def released(name: str, request_id: RequestId) -> Released:
    return Released("desk-alpha", name, 1, 0, repeat=False, request_id=request_id)


def open_one(session: Session, name: str, now_ns: int) -> Exchange:
    return session.open([cancel(name)], is_array=False, now_ns=now_ns)


def receive(session: Session, replies: ReplyBody, now_ns: int) -> bool:
    return session.receive([msgspec.msgpack.encode(replies)], now_ns)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_what_a_reply_may_have_one_day_is_passed_over(encoding: Any) -> None:
    """Keys, flags, reasons and codes may be added to version 1 of the protocol."""
    wrap = msgspec.json.encode if encoding == "json" else msgspec.msgpack.encode
    filled = Filled("desk-alpha", "A-1", "F-1", 9, 60, 1, 1, 5, 0, ["overfill", "lucky"], False)
    reject = Reject("A-1", 7, "order", "full_moon", {"phase": 4}, False)
    error = ErrorReply("too_late", "desk", "tomorrow")
    for reply in (filled, reject, error):
        newer = {**msgspec.to_builtins(reply), "mood": {"fine": [1]}}
        assert Codec(encoding).decode([wrap(newer)]) == reply


def test_the_bytes_on_the_wire_are_the_protocols() -> None:
    order = Order("A-1", "desk-alpha", "AAPL", "buy", 100, 19_000, 10, 200, 9_000)
    exchange = make_session().open([order], is_array=False, now_ns=0)
    assert msgspec.msgpack.decode(exchange.body) == {
        "type": "order",
        "client_order_id": "A-1",
        "desk": "desk-alpha",
        "symbol": "AAPL",
        "side": "buy",
        "quantity": 100,
        "price": 19_000,
        "venue": 10,
        "risk_bps": 200,
        "confidence_bps": 9_000,
        "minimum_quality_bps": 0,
        "max_p95_latency_ms": 0,
        "required_capabilities": 0,
        "allowed_providers": 2**64 - 1,
        "required_regions": 0,
        "max_fee_microcents": 2**64 - 1,
        "allow_substitute": True,
        "order_type": "limit",
        "time_in_force": "day",
        "request_id": 1,
    }


def test_replies_match_by_number_in_any_order() -> None:
    session = make_session()
    one, two = open_one(session, "A", 0), open_one(session, "B", 0)
    assert receive(session, released("B", 2), MS)
    assert not one.is_done
    assert receive(session, released("A", 1), MS)
    assert one.replies == [released("A", 1)]
    assert two.replies == [released("B", 2)]
    assert session.in_flight_count == 0
    assert session.next_due_ns() is None


def test_second_and_late_replies_are_dropped_and_counted() -> None:
    session = make_session()
    late = open_one(session, "A", 0)
    assert session.due(10 * S).resends == []
    assert isinstance(late.error, GuardTimeout)
    other = open_one(session, "B", 10 * S)
    assert receive(session, released("A", 1), 10 * S)
    assert not other.is_done
    assert receive(session, released("B", 2), 10 * S)
    assert receive(session, released("B", 2), 10 * S)
    assert other.replies == [released("B", 2)]
    assert session.dropped_reply_count == 2


def test_a_silent_socket_is_replaced_with_growing_patience() -> None:
    session = make_session()
    first, second = open_one(session, "A", 0), open_one(session, "B", 500 * MS)
    body = first.body
    assert session.next_due_ns() == 1 * S
    assert session.due(999 * MS).resends == []
    replaced_at_s = []
    for now_ns in range(1 * S, 10 * S, 250 * MS):
        due = session.due(now_ns)
        if due.fresh_socket:
            replaced_at_s.append(now_ns // S)
            assert due.resends == [first, second], "in the first order"
    assert replaced_at_s == [1, 3, 7]
    assert first.body is body
    assert first.send_count == 4
    assert session.due(10 * S).resends == []
    assert isinstance(first.error, GuardTimeout)
    assert first.error.requests == (cancel("A"),)
    assert "no reply within 10.0 s (sent 4 times)" in str(first.error)
    assert "UNKNOWN" in str(first.error)
    assert not second.is_done


def test_a_socket_that_answers_others_is_kept() -> None:
    session = make_session()
    lost = open_one(session, "A", 0)
    open_one(session, "B", 0)
    receive(session, released("B", 2), 900 * MS)
    due = session.due(1 * S)
    assert (due.fresh_socket, due.resends) == (False, [lost])
    assert session.due(1 * S).resends == [], "once"
    assert session.next_due_ns() == 1_900 * MS, "then silence would count"


def test_what_was_given_up_does_not_stay_in_a_silent_socket() -> None:
    session = make_session()
    open_one(session, "A", 0)
    session.due(9 * S)
    due = session.due(10 * S)
    assert (due.fresh_socket, due.resends) == (True, [])


def test_the_bound_counts_requests() -> None:
    session = make_session(in_flight_max=3)
    session.open([cancel("A"), cancel("B")], is_array=True, now_ns=0)
    assert session.in_flight_count == 2
    assert session.has_room(1)
    assert not session.has_room(2)
    for count in (0, 4):
        with pytest.raises(ValueError, match="1 to 3"):
            session.check_size(count)
    with pytest.raises(ValueError, match="262144"):
        make_session().open([cancel("x" * 300_000)], is_array=False, now_ns=0)
    pong: Any = Pong(0, "", "", 1)
    with pytest.raises(TypeError, match="no request"):
        make_session().open([pong], is_array=False, now_ns=0)


@pytest.mark.parametrize(
    "replies",
    [
        released("B", 1),
        Pong(1, "", "", 1, request_id=1),
        [released("A", 1)],
        Admit("A", 1, 1, 1, False, 1, 1, "", False, request_id=1),
    ],
)
def test_a_reply_that_does_not_fit_ends_its_own_exchange_alone(replies: ReplyBody) -> None:
    session = make_session()
    asked, other = open_one(session, "A", 0), open_one(session, "B", 0)
    assert receive(session, replies, 0)
    assert isinstance(asked.error, GuardProtocolError)
    assert not other.is_done


@pytest.mark.parametrize(
    "replies",
    [
        [released("A", 1)],
        [released("A", 1), released("B", 1)],
        [released("B", 1), released("A", 2)],
        released("A", 1),
    ],
)
def test_an_array_is_answered_in_whole_and_in_order(replies: ReplyBody) -> None:
    session = make_session()
    asked = session.open([cancel("A"), cancel("B")], is_array=True, now_ns=0)
    assert receive(session, replies, 0)
    assert isinstance(asked.error, GuardProtocolError)


def test_elements_of_an_array_fail_alone() -> None:
    session = make_session()
    asked = session.open([cancel("A"), Ping()], is_array=True, now_ns=0)
    replies: ReplyBody = [
        ErrorReply("unknown_order", "", "never seen", request_id=1),
        Pong(7, "h", "l", 1, request_id=2),
    ]
    assert receive(session, replies, 0)
    assert asked.replies == replies


@pytest.mark.parametrize(
    "frames",
    [
        [b"\xc1"],
        [b""],
        [b"\x90"],
        [b"", msgspec.msgpack.encode(released("A", 1))],
        [msgspec.msgpack.encode(released("A", 3))],
        [msgspec.msgpack.encode(released("A", "1"))],
        [msgspec.msgpack.encode(ErrorReply("malformed", "", "no request_id"))],
    ],
)
def test_what_belongs_to_nobody_ends_everything_under_way(frames: list[bytes]) -> None:
    session = make_session()
    asked = [open_one(session, "A", 0), open_one(session, "B", 0)]
    assert session.receive(frames, 0) is False
    assert all(isinstance(exchange.error, GuardProtocolError) for exchange in asked)
    assert session.in_flight_count == 0


@pytest.mark.parametrize("seed", range(20))
def test_no_disorder_ever_gives_a_reply_to_another_request(seed: int) -> None:
    """A peer that loses, repeats, delays and shuffles; time that jumps. Each gets its own."""
    chance = random.Random(seed)
    session = make_session(in_flight_max=8)
    now_ns = 0
    opened: list[Exchange] = []
    on_the_way: list[list[bytes]] = []

    def peer_gets(exchange: Exchange) -> None:
        message = msgspec.msgpack.decode(exchange.body)
        for _ in range(chance.choice((0, 0, 1, 1, 2))):
            reply = released(message["client_order_id"], message["request_id"])
            on_the_way.append([msgspec.msgpack.encode(reply)])

    while len(opened) < 300 or session.in_flight_count:
        now_ns += chance.randrange(2 * S)
        if len(opened) < 300 and session.has_room(1):
            opened.append(open_one(session, f"A-{len(opened)}", now_ns))
            peer_gets(opened[-1])
        chance.shuffle(on_the_way)
        for _ in range(chance.randrange(3)):
            if on_the_way:
                assert session.receive(on_the_way.pop(), now_ns)
        due = session.due(now_ns)
        if due.fresh_socket:
            on_the_way.clear()
        for exchange in due.resends:
            peer_gets(exchange)
        next_due_ns = session.next_due_ns()
        assert (next_due_ns is None) == (session.in_flight_count == 0)
        assert next_due_ns is None or next_due_ns > now_ns, "else a client would spin"
    for at, exchange in enumerate(opened):
        if exchange.error is not None:
            assert isinstance(exchange.error, GuardTimeout)
        else:
            assert exchange.replies == [released(f"A-{at}", at + 1)]
    assert session.in_flight_count == 0
    assert {type(exchange.error) for exchange in opened} == {GuardTimeout, type(None)}


def test_a_timeout_says_where_nothing_ever_came_from() -> None:
    session = make_session()
    first = open_one(session, "A", 0)
    session.due(10 * S)
    assert "nothing ever came from tcp://guard:7001" in str(first.error)
    second = open_one(session, "B", 10 * S)
    receive(session, released("A", 1), 11 * S)
    session.due(20 * S)
    assert isinstance(second.error, GuardTimeout)
    assert "ever came" not in str(second.error)


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (
            {"desk": "d\ud800"},
            ValueError,
            r"desk: 'd\\ud800' is not allowed; allowed: 1 to 32",
        ),
        ({"side": object()}, TypeError, 'side: a value of type object is not allowed; allowed: "b'),
        ({"sent_at_ns": 1j}, TypeError, "sent_at_ns: a value of type complex is not allowed"),
    ],
)
def test_what_no_message_can_carry_is_named(
    encoding: Any, change: Any, kind: type[Exception], said: str
) -> None:
    session = make_session(encoding=encoding)
    order = Order("A-1", "desk-alpha", "AAPL", "buy", 100, 19_000, 10, 200, 9_000)
    with pytest.raises(kind, match=said):
        session.open([Ping(), msgspec.structs.replace(order, **change)], is_array=True, now_ns=0)
    assert session.in_flight_count == 0


@pytest.mark.parametrize("field", ["venue", "risk_bps", "quantity", "max_fee_microcents"])
def test_an_integer_of_more_than_64_bits_is_named(field: str) -> None:
    order = Order("A-1", "desk-alpha", "AAPL", "buy", 100, 19_000, 10, 200, 9_000)
    big = msgspec.structs.replace(order, **{field: 2**70})
    said = f"{field}: 1180591620717411303424 is not allowed; allowed: an integer from "
    with pytest.raises(ValueError, match=said):
        make_session().open([big], is_array=False, now_ns=0)


NOT_SERVING = ErrorReply("not_serving", "type", "this guard stands by")


def of_several(guard_count: int = 3) -> Session:
    return Session(
        encoding="msgpack",
        in_flight_max=10,
        timeout_s=60.0,
        resend_after_s=1.0,
        endpoint="tcp://a:1 or tcp://b:1",
        guard_count=guard_count,
    )


def refused_by_standby(request_id: int, serving: str | None = None) -> ErrorReply:
    said = msgspec.structs.replace(NOT_SERVING, request_id=request_id)
    return said if serving is None else msgspec.structs.replace(said, serving=serving)


def test_of_several_guards_one_that_stands_by_is_left_at_once() -> None:
    session = of_several()
    asked, other = open_one(session, "A", 0), open_one(session, "B", 0)
    assert receive(session, refused_by_standby(1, "tcp://b:1"), 10 * MS)
    assert not asked.is_done
    assert session.is_moving
    assert session.next_due_ns() == 10 * MS
    due = session.due(10 * MS)
    assert (due.fresh_socket, due.moves, due.serving) == (True, True, "tcp://b:1")
    assert due.resends == [asked, other]
    assert not session.is_moving
    assert receive(session, released("A", 1), 20 * MS)
    assert asked.replies == [released("A", 1)]


def test_where_all_stand_by_there_is_a_pause_between_one_and_the_next() -> None:
    session = of_several(guard_count=2)
    asked = open_one(session, "A", 0)
    moved_at = []
    now = 0
    for _ in range(6):
        assert receive(session, refused_by_standby(1), now)
        due_ns = session.next_due_ns()
        assert due_ns is not None
        assert not session.due(due_ns - 1).moves or due_ns == now
        now = due_ns
        if session.is_moving:
            assert session.due(now).moves
        moved_at.append(now // MS)
    assert moved_at == [0, 100, 200, 300, 400, 500]
    assert not asked.is_done
    # An answer ends that: the next refusal is followed at once again.
    assert receive(session, released("A", 1), now)
    again = open_one(session, "B", now)
    assert receive(session, refused_by_standby(2), now)
    assert session.due(now).resends == [again]


def test_an_answer_that_may_be_behind_is_none_where_another_guard_serves() -> None:
    session = of_several()
    asked = session.open([Ping(), cancel("A")], is_array=True, now_ns=0)
    behind = Pong(7, "h", "l", 1, request_id=1, behind_records=0, behind_ns=5)
    assert receive(session, [behind, refused_by_standby(2)], 0)
    assert not asked.is_done
    assert session.due(0).resends == [asked]
    # With one guard alone it is what that guard says.
    alone = make_session()
    asked = alone.open([Ping()], is_array=False, now_ns=0)
    assert receive(alone, behind, 0)
    assert asked.replies == [behind]
    refused = open_one(alone, "A", 0)
    assert receive(alone, refused_by_standby(2), 0)
    assert refused.replies == [refused_by_standby(2)]
    assert not alone.is_moving


def test_silent_guards_are_asked_in_turn_and_patience_grows_by_the_round() -> None:
    session = of_several(guard_count=2)
    asked = open_one(session, "A", 0)
    moved_at_s = []
    for now_ns in range(0, 20 * S, 250 * MS):
        due = session.due(now_ns)
        if due.moves:
            assert due.resends == [asked]
            assert due.serving == ""
            moved_at_s.append(now_ns // S)
    assert moved_at_s == [1, 2, 4, 6, 10, 14]


def test_a_refusal_that_comes_twice_moves_once() -> None:
    session = of_several()
    open_one(session, "A", 0)
    open_one(session, "B", 0)
    receive(session, refused_by_standby(1), 0)
    receive(session, refused_by_standby(2), 0)
    assert session.due(0).moves
    assert not session.due(1).moves
