"""Bodies, arrays, frames and errors as `guard/PROTOCOL.md` describes them, on a real daemon."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from daemon_support import OPENING_RECORDS, Daemon, Site, config_text
from protocol_client import (
    PATIENCE_MS,
    PING,
    ProtocolClient,
    cancel,
    decode_any,
    fill,
    order,
    status,
    without_times,
)

pytestmark = pytest.mark.slow

BODY_BYTES_MAX = 262_144
FRAME_BYTES_MAX = 4_194_304
ARRAY_MAX = 256


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for requests that change nothing, which the test at the end of it shows."""
    site = Site(tmp_path_factory.mktemp("site"))
    with site.running() as daemon:
        yield daemon
        with ProtocolClient(daemon.endpoint) as client:
            assert client.ask(PING)["head_sequence"] == OPENING_RECORDS
        assert daemon.stop() == 0


@pytest.fixture(params=["json", "msgpack"])
def client(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[ProtocolClient]:
    with ProtocolClient(daemon.endpoint, encoding=request.param) as client:
        yield client


def _told(reply: Any) -> tuple[Any, ...]:
    """(code, field) of an error, and its request id if it has one; its shape checked."""
    assert reply["type"] == "error"
    ids = {"request_id", "desk", "client_order_id", "fill_id"}
    assert set(reply) - ids == {"type", "code", "field", "message"}
    assert isinstance(reply["message"], str)
    more = (reply["request_id"],) if "request_id" in reply else ()
    return (reply["code"], reply["field"], *more)


@pytest.mark.parametrize("request_id", [0, -(2**63), 2**64 - 1, "", "x", "é" * 64])
def test_request_ids_come_back(client: ProtocolClient, request_id: Any) -> None:
    assert client.ask({**PING, "request_id": request_id})["request_id"] == request_id
    unknown = client.ask({**status("none"), "request_id": request_id})
    assert (unknown["state"], unknown["request_id"]) == ("unknown", request_id)
    wrong = {**order("A-1", quantity=0), "request_id": request_id}
    assert _told(client.ask(wrong)) == ("invalid_field", "quantity", request_id)
    assert _told(client.ask({"type": "nothing", "request_id": request_id})) == (
        "unknown_type",
        "type",
        request_id,
    )


@pytest.mark.parametrize("request_id", [2**64, -(2**63) - 1, "x" * 65, 1.5, True, [1], {}])
def test_wrong_request_ids_are_errors(client: ProtocolClient, request_id: Any) -> None:
    if client.encoding == "msgpack" and isinstance(request_id, int) and abs(request_id) > 2**63:
        pytest.skip("MessagePack has no such integer")
    assert _told(client.ask({**PING, "request_id": request_id})) == ("invalid_field", "request_id")


def test_a_null_request_id_is_none(client: ProtocolClient) -> None:
    assert "request_id" not in client.ask({**PING, "request_id": None})


_WRONG: dict[str, list[Any]] = {
    "client_order_id": ["", "x" * 65, "a b", "é", "\x7f", "\x00", 1, None],
    "desk": ["", "x" * 33, "desk alpha", "desk_ü", 1],
    "symbol": ["", "x" * 33, "A,B", ["AAPL"]],
    "side": ["BUY", "", 1, None],
    "quantity": [0, -1, 2**63, 1.0, "1", True, None],
    "price": [0, 2**63, 1.5],
    "venue": [-1, 2**32],
    "risk_bps": [-1, 10_001],
    "confidence_bps": [10_001],
    "minimum_quality_bps": [10_001],
    "max_p95_latency_ms": [2**32],
    "required_capabilities": [-1],
    "allowed_providers": [-1],
    "required_regions": [-1, "all"],
    "max_fee_microcents": [-1],
    "allow_substitute": [1, 0, "true"],
    "order_type": ["stop"],
    "time_in_force": ["fill"],
    "currency": ["EUR", "usd", "US", 840],
    "sent_at_ns": [0, 2**63],
}


@pytest.mark.parametrize("field", _WRONG)
def test_fields_out_of_range_are_named(client: ProtocolClient, field: str) -> None:
    for value in _WRONG[field]:
        reply = client.ask({**order("A-1"), field: value, "request_id": 5})
        assert _told(reply) == ("invalid_field", field, 5), value


@pytest.mark.parametrize("field", ["quantity", "required_capabilities", "venue", "sent_at_ns"])
def test_integers_of_any_size_are_judged_by_range(daemon: Daemon, field: str) -> None:
    whole = json.dumps({**order("A-1"), field: 77_777})
    with ProtocolClient(daemon.endpoint, encoding="json") as client:
        for digits in (str(2**64), "1" + "0" * 400, "-1" + "0" * 4_298):
            reply = client.ask_body(whole.replace("77777", digits).encode())
            assert _told(reply) == ("invalid_field", field), digits[:20]


def test_missing_and_unknown_fields(client: ProtocolClient) -> None:
    whole: list[dict[str, Any]] = [order("A-1"), fill("A-1", "F-1"), cancel("A-1"), status("A-1")]
    optional = {"type"}
    for request in whole:
        for field in set(request) - optional:
            part = {key: value for key, value in request.items() if key != field}
            assert _told(client.ask(part)) == ("missing_field", field), part
        assert _told(client.ask({**request, "extra": 1})) == ("unknown_field", "extra")
    assert _told(client.ask({**PING, "desk": "desk-alpha"})) == ("unknown_field", "desk")
    untyped = {"desk": "desk-alpha", "request_id": "u"}
    assert _told(client.ask(untyped)) == ("unknown_type", "type", "u")
    assert _told(client.ask({"type": 3})) == ("unknown_type", "type")


def test_fill_fields_out_of_range(client: ProtocolClient) -> None:
    wrong = [
        ("fill_id", "a b"),
        ("quantity", 0),
        ("fee_microcents", 0.5),
        ("price", 0),
        ("executed_at_ns", 0),
    ]
    for field, value in wrong:
        assert _told(client.ask(fill("A-1", "F-1") | {field: value})) == ("invalid_field", field)


def test_arrays(client: ProtocolClient) -> None:
    pings = [{**PING, "request_id": index} for index in range(ARRAY_MAX)]
    replies = client.ask(pings)
    assert [reply["request_id"] for reply in replies] == list(range(ARRAY_MAX))
    assert {reply["type"] for reply in replies} == {"pong"}
    assert _told(client.ask([*pings, PING])) == ("too_many_requests", "")
    assert _told(client.ask([])) == ("empty_array", "")
    assert [reply["type"] for reply in client.ask([PING])] == ["pong"]
    mixed = client.ask([5, PING, [], {"type": "x"}, None, {**status("q"), "desk": ""}, status("q")])
    assert [each["type"] for each in mixed] == [
        "error", "pong", "error", "error", "error", "error", "status",
    ]  # fmt: skip
    told = [_told(each) for each in mixed if each["type"] == "error"]
    assert told == [
        ("not_a_request", ""),
        ("not_a_request", ""),
        ("unknown_type", "type"),
        ("not_a_request", ""),
        ("invalid_field", "desk"),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "malformed"),
        (b"{}x", "malformed"),
        (b'[{"type":"ping"}', "malformed"),
        (b'[{"type":"ping"},]', "malformed"),
        (b'{"type":"ping","type":"order"}', None),
        (b'{"type":"\xff"}', "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"a":' * 50_000, "malformed"),
        (b"{}", "unknown_type"),
        (b'{"type":"ping","request_id":1' + b"0" * 4_300 + b"}", "malformed"),
    ],
)
def test_json_that_is_no_request(daemon: Daemon, body: bytes, code: str | None) -> None:
    with ProtocolClient(daemon.endpoint, encoding="json") as client:
        reply = client.ask_body(body)
        assert reply["type"] == "error"
        assert code in (None, reply["code"]), reply


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed"),
        (b"\xc1", "malformed"),
        (b"hello", "malformed"),
        (b' {"type":"ping"}', "malformed"),
        (b"\x81\xa4type", "malformed"),
        (b"\x91" * 100_000, "malformed"),
        (b"\x81\xa1a" * 50_000 + b"\xc0", "malformed"),
        (b"\xdd\xff\xff\xff\xff", "malformed"),
        (b"\xdc\x01\x01" + b"\xc0" * 257, "too_many_requests"),
        (b"5", "not_a_request"),
        (b"\xc0", "not_a_request"),
        (b"\xa4ping", "not_a_request"),
        (b"\x80", "unknown_type"),
        (b"\x81\xc4\x04type\xa4ping", None),
        (b"\x81\xa4type\xc4\x04ping", "unknown_type"),
    ],
)
def test_messagepack_that_is_no_request(daemon: Daemon, body: bytes, code: str | None) -> None:
    with ProtocolClient(daemon.endpoint, encoding="msgpack") as client:
        reply = client.ask_body(body)
        assert reply["type"] == "error"
        assert code in (None, reply["code"]), reply


def test_the_last_of_two_equal_keys_counts(daemon: Daemon) -> None:
    body = b'{"type":"status","desk":"desk-alpha","client_order_id":"a","client_order_id":"b"}'
    with ProtocolClient(daemon.endpoint, encoding="json") as client:
        assert client.ask_body(body)["client_order_id"] == "b"
    body = b'{"type":"ping","request_id":1,"request_id":2}'
    with ProtocolClient(daemon.endpoint, encoding="json") as client:
        assert client.ask_body(body)["request_id"] == 2


@pytest.mark.parametrize(
    ("frames", "empty"),
    [
        ((b"{}", b"{}"), False),
        ((b"{}", b""), False),
        ((b"{}", b"{}", b"{}"), False),
        ((b"", b"{}", b"{}"), True),
        ((b"", b"", b'{"type":"ping"}'), True),
        ((b"",) * 300, True),
        ((b"x",) * 300, False),
    ],
)
def test_wrong_frame_counts(daemon: Daemon, frames: tuple[bytes, ...], empty: bool) -> None:
    with ProtocolClient(daemon.endpoint, encoding="msgpack") as client:
        client.send_frames(*frames)
        *before, body = client.receive_frames()
        assert before == ([b""] if empty else [])
        assert _told(client.decode(body)) == ("bad_framing", "")


def test_two_empty_frames_are_an_empty_body(daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint, encoding="msgpack", empty=True) as client:
        assert _told(client.ask_body(b"")) == ("malformed", "")


def test_body_sizes(daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        body = json.dumps(PING).encode()
        assert client.ask_body(body.ljust(BODY_BYTES_MAX))["type"] == "pong"
        assert _told(client.ask_body(body.ljust(BODY_BYTES_MAX + 1))) == ("message_too_large", "")
        largest = client.ask_body(body.ljust(FRAME_BYTES_MAX))
        assert _told(largest) == ("message_too_large", "")


def test_a_frame_beyond_all_bounds_closes_the_connection(daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint) as client, ProtocolClient(daemon.endpoint) as other:
        assert client.ask(PING)["type"] == "pong"
        monitor = client.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        client.send_body(b"{" + b" " * FRAME_BYTES_MAX)
        assert monitor.poll(PATIENCE_MS) == zmq.POLLIN
        client.socket.disable_monitor()
        monitor.close(linger=0)
        assert other.ask(PING)["type"] == "pong"


def test_replies_come_in_order_under_pipelining(tmp_path: Path) -> None:
    """Repeats, errors, arrays and orders, one after the other, on one socket without waiting."""
    site = Site(tmp_path, config_text(desks={"desk-alpha": ("2000000.00", "none")}))
    opening = OPENING_RECORDS - 1
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        sent = []
        for index in range(400):
            one = order(f"O-{index // 2}", quantity=1, request_id=index)
            sent += [one, {**PING, "request_id": index}, {"type": "bad", "request_id": index}]
            sent.append([one, {**status(f"O-{index // 2}"), "request_id": index}])
        for request in sent:
            client.send(request)
        sequence = opening
        for index in range(400):
            first = index % 2 == 0
            sequence += first
            decided, pong, error = client.receive(), client.receive(), client.receive()
            again, told = client.receive()
            decided, again = without_times(decided), without_times(again)
            assert decided == {**again, "repeat": not first}
            assert (decided["type"], decided["wal_sequence"]) == ("admit", sequence)
            assert pong["head_sequence"] >= sequence
            assert _told(error) == ("unknown_type", "type", index)
            assert without_times(told)["answer"] == {**_without_id(decided), "repeat": False}
            assert {each["request_id"] for each in (decided, pong, again, told)} == {index}
        assert daemon.stop() == 0
    assert site.replay()["decisions"] == 200


def _without_id(reply: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in reply.items() if key != "request_id"}


def test_encodings_may_alternate_on_one_socket(daemon: Daemon) -> None:
    with ProtocolClient(daemon.endpoint) as client:
        for codec in (msgspec.json, msgspec.msgpack) * 3:
            client.send_body(codec.encode(PING))
        bodies = [client.receive_body() for _ in range(6)]
        assert [body[:1] == b"{" for body in bodies] == [True, False] * 3
        assert {decode_any(body)["type"] for body in bodies} == {"pong"}
