"""The wire: bodies, encodings, arrays, request ids, and bytes that are nothing at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, json, msgpack

from guard.protocol.messages import Cancel, ErrorReply, Fill, Order, Ping, Pong, Status
from guard.protocol.wire import (
    BODY_BYTES_MAX,
    JSON,
    MESSAGEPACK,
    framing_error,
    is_identifier,
    is_name,
    parse_message,
)
from guard_wire_support import ENCODERS, ORDER, parse_error, parse_one
from reference.replying import encode_replies

PING = {"type": "ping"}


@pytest.mark.parametrize("encode", ENCODERS)
def test_every_request_type_is_read(encode: Any) -> None:
    requests = [
        (
            ORDER,
            Order("A-1", "desk-alpha", "AAPL", "buy", 100, 19_000, 10, 200, 9_000, currency="USD"),
        ),
        (
            {
                "type": "fill",
                "desk": "d",
                "client_order_id": "A",
                "fill_id": "F",
                "quantity": 1,
                "fee_microcents": -1,
            },
            Fill("d", "A", "F", 1, -1),
        ),
        ({"type": "cancel", "desk": "d", "client_order_id": "A"}, Cancel("d", "A")),
        ({"type": "status", "desk": "d", "client_order_id": "A"}, Status("d", "A")),
        (PING, Ping()),
    ]
    for mapping, request in requests:
        assert parse_one(encode(mapping)) == request
    message = parse_message(encode([mapping for mapping, _ in requests]), "USD")
    assert message.is_array is True
    assert message.requests == [request for _, request in requests]


def test_the_currency_is_the_guards_own() -> None:
    assert parse_one(json.encode(ORDER | {"currency": "EUR"}), "EUR").currency == "EUR"
    assert parse_one(json.encode(ORDER), "EUR").currency == "EUR"
    assert parse_one(json.encode(ORDER | {"currency": None}), "EUR").currency == "EUR"
    reply = parse_error(json.encode(ORDER | {"currency": "USD"}), "EUR")
    assert (reply.code, reply.field) == ("invalid_field", "currency")
    assert reply.message == "currency: 'USD' is not allowed; allowed: EUR"


@pytest.mark.parametrize("request_id", [0, -(2**63), 2**64 - 1, "", "x" * 64, "ü \n\0😀"])
@pytest.mark.parametrize("encode", ENCODERS)
def test_request_ids_are_echoed_also_by_errors(encode: Any, request_id: Any) -> None:
    assert parse_one(encode(PING | {"request_id": request_id})).request_id == request_id
    bad: list[dict[str, Any]] = [
        {"type": "bogus"},
        {"desk": 1},
        PING | {"more": 1},
        {"type": "cancel", "desk": "d"},
        {"type": "cancel", "desk": "d d", "client_order_id": "A"},
        ORDER | {"quantity": 1.5},
        ORDER | {"currency": "EUR"},
    ]
    for mapping in bad:
        assert parse_error(encode(mapping | {"request_id": request_id})).request_id == request_id


@pytest.mark.parametrize(
    "request_id", [True, 1.0, 2**64, -(2**63) - 1, "x" * 65, [], {}, [1], {"a": 1}, 10**400]
)
def test_request_ids_that_are_none(request_id: Any) -> None:
    reply = parse_error(json.encode(PING).replace(b"}", b',"request_id":%b}' % _json(request_id)))
    assert (reply.code, reply.field, reply.request_id) == ("invalid_field", "request_id", UNSET)
    assert "allowed: an integer from -2^63 to 2^64-1, or a string of at most 64" in reply.message
    assert len(reply.message) < 300


def _json(value: Any) -> bytes:
    return str(value).encode() if type(value) is int else json.encode(value)


@pytest.mark.parametrize("request_id", [b"bytes", True, 1.5])
def test_request_ids_that_are_none_in_messagepack(request_id: Any) -> None:
    reply = parse_error(msgpack.encode(PING | {"request_id": request_id}))
    assert (reply.code, reply.field, reply.request_id) == ("invalid_field", "request_id", UNSET)


def test_a_null_request_id_is_none() -> None:
    assert parse_one(b'{"type":"ping","request_id":null}').request_id is UNSET


IDS = {"desk": "d", "client_order_id": "A-1", "fill_id": "F-1"}


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize(
    "more", [{"type": "fill"}, {"type": "none"}, {}, {"type": "fill", "quantity": 0, "x": 1}]
)
def test_an_error_names_the_ids_that_could_be_read(encode: Any, more: Any) -> None:
    """Each by itself, whatever else is wrong with the request."""
    unreadable = {"desk": "d" * 33, "client_order_id": "A 1", "fill_id": 7}
    for left_out in ({}, *({name: value} for name, value in unreadable.items())):
        reply = parse_error(encode({**more, **IDS, **left_out, "request_id": 9}))
        expected = {name: value for name, value in IDS.items() if name not in left_out}
        found = {name: getattr(reply, name) for name in IDS}
        assert {name: value for name, value in found.items() if value is not UNSET} == expected
        assert reply.request_id == 9


def test_an_error_of_what_types_cannot_express_names_the_ids_too() -> None:
    reply = parse_error(json.encode({"type": "cancel", "desk": "d d", "client_order_id": "A-1"}))
    assert (reply.field, reply.desk, reply.client_order_id) == ("desk", UNSET, "A-1")


NOT_READABLE: list[tuple[bytes, Any]] = [
    (b"", MESSAGEPACK),
    (b"\xc1", MESSAGEPACK),
    (b"\x00\x00", MESSAGEPACK),
    (b' {"type":"ping"}', MESSAGEPACK),
    (b"\xef\xbb\xbf{}", MESSAGEPACK),
    (b"{", JSON),
    (b"[", JSON),
    (b'{"type":"ping"}{"type":"ping"}', JSON),
    (b'{"type":"ping"}\x00', JSON),
    (b'{"type":"ping",}', JSON),
    (b"{'type':'ping'}", JSON),
    (b'{"type":"ping","request_id":NaN}', JSON),
    (b'{"type":"ping","request_id":01}', JSON),
    (b'{"type":"ping","request_id":"\\ud800"}', JSON),
    (b'{"type":"ping","\xff":1}', JSON),
    (b'{"type":"ping","request_id":' + b"9" * 4_301 + b"}", JSON),
    (b'[{"type":"ping"}', JSON),
    (b'[{"type":"ping"},]', JSON),
    (b'{"a":' * 40_000 + b"1" + b"}" * 40_000, JSON),
    (b"[" * 200_000, JSON),
    (b'[{"type":"ping","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}]", JSON),
    (b"\x91" * 200_000 + b"\x01", MESSAGEPACK),
    (b"\x81\xa1a" * 50_000 + b"\x01", MESSAGEPACK),
    (b"\xdd\xff\xff\xff\xff", MESSAGEPACK),
    (b"\xdf\xff\xff\xff\xff", MESSAGEPACK),
    (b"\xdb\xff\xff\xff\xffx", MESSAGEPACK),
    (b"\x82\xa4type\xa4ping\x81\x01\x02\x03", MESSAGEPACK),
    (msgpack.encode(PING)[:-1], MESSAGEPACK),
    (msgpack.encode(PING) + b"\x00", MESSAGEPACK),
]


@pytest.mark.parametrize(("body", "form"), NOT_READABLE, ids=lambda value: repr(value)[:30])
def test_what_cannot_be_read_is_malformed(body: bytes, form: Any) -> None:
    message = parse_message(body, "USD")
    (reply,) = message.requests
    assert isinstance(reply, ErrorReply)
    assert (message.form, message.is_array) == (form, False)
    assert (reply.code, reply.field, reply.request_id) == ("malformed", "", UNSET)
    assert len(encode_replies(message, [reply])) < 500


@pytest.mark.parametrize("value", [None, True, 1, -1, 1.5, "x" * 100, b"x", [1]])
def test_what_is_no_map_is_not_a_request(value: Any) -> None:
    for body in (msgpack.encode([value]), json.encode([value])):
        reply = parse_message(body, "USD").requests[0]
        assert isinstance(reply, ErrorReply)
        assert (reply.code, reply.field) == ("not_a_request", "")
        assert reply.message.endswith('allowed: a map with the key "type"')
    if not isinstance(value, list):
        assert parse_error(msgpack.encode(value)).code == "not_a_request"


@pytest.mark.parametrize("encode", ENCODERS)
def test_arrays_hold_1_to_256_requests(encode: Any) -> None:
    empty = parse_message(encode([]), "USD")
    assert (empty.is_array, len(empty.requests)) == (False, 1)
    assert empty.requests[0] == ErrorReply(
        "empty_array", "", "array: 0 requests are not allowed; allowed: 1 to 256"
    )
    full = parse_message(encode([PING] * 256), "USD")
    assert (full.is_array, full.requests) == (True, [Ping()] * 256)
    over = parse_message(encode([PING] * 257), "USD")
    assert (over.is_array, over.requests) == (
        False,
        [
            ErrorReply(
                "too_many_requests", "", "array: 257 requests are not allowed; allowed: 1 to 256"
            )
        ],
    )
    assert parse_message(encode([PING]), "USD").is_array is True


@pytest.mark.parametrize("encode", ENCODERS)
def test_in_an_array_each_bad_element_fails_alone(encode: Any) -> None:
    elements = [
        PING,
        1,
        [PING],
        {},
        ORDER | {"price": 0, "request_id": "p"},
        PING | {"request_id": 5},
        {"type": "fill", "desk": "d"},
    ]
    message = parse_message(encode(elements), "USD")
    found = [
        (reply.code, reply.field, reply.request_id) if isinstance(reply, ErrorReply) else reply
        for reply in message.requests
    ]
    assert found == [
        Ping(),
        ("not_a_request", "", UNSET),
        ("not_a_request", "", UNSET),
        ("unknown_type", "type", UNSET),
        ("invalid_field", "price", "p"),
        Ping(request_id=5),
        ("missing_field", "client_order_id", UNSET),
    ]


def test_messagepack_arrays_of_every_header() -> None:
    one = msgpack.encode(PING)
    for head in (b"\x91", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01"):
        assert parse_message(head + one, "USD").requests == [Ping()]
    for head in (b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01"):
        assert parse_one(head + one[1:]) == Ping()


def test_a_body_has_at_most_262144_bytes() -> None:
    assert BODY_BYTES_MAX == 262_144
    body = json.encode(PING)
    assert parse_one(body + b" " * (BODY_BYTES_MAX - len(body))) == Ping()
    for form, opening in ((JSON, b"{"), (JSON, b"["), (MESSAGEPACK, b"\x80")):
        message = parse_message(opening + b" " * BODY_BYTES_MAX, "USD")
        text = "body: 262145 bytes are not allowed; allowed: at most 262144"
        assert (message.form, message.is_array) == (form, False)
        assert message.requests == [ErrorReply("message_too_large", "", text)]


def test_a_wrong_number_of_frames() -> None:
    message = framing_error(3)
    assert (message.form, message.is_array) == (MESSAGEPACK, False)
    assert message.requests == [
        ErrorReply(
            "bad_framing", "", 'message: 3 frames are not allowed; allowed: [body] or ["", body]'
        )
    ]


def test_replies_go_out_in_the_requests_form() -> None:
    pong = Pong(1, "ab", "cd", 1, request_id="r")
    text = b'{"type":"pong","head_sequence":1,"head_hash":"ab","log_id":"cd","version":1,'
    text += b'"request_id":"r"}'
    assert encode_replies(parse_message(b"{}", "USD"), [pong]) == text
    assert encode_replies(parse_message(b"[{}]", "USD"), [pong]) == b"[" + text + b"]"
    packed = encode_replies(parse_message(b"\x80", "USD"), [pong])
    assert msgpack.decode(packed) == json.decode(text)
    assert msgpack.decode(encode_replies(parse_message(b"\x91\x80", "USD"), [pong])) == [
        json.decode(text)
    ]


def test_names_and_identifiers() -> None:
    printable = {chr(code) for code in range(0x21, 0x7F)}
    for code in range(0x250):
        assert is_identifier(chr(code)) == (chr(code) in printable), hex(code)
        allowed = chr(code).isascii() and (chr(code).isalnum() or chr(code) in "._:/-")
        assert is_name(chr(code)) == allowed, hex(code)
    for text in ("", "a\n", "\na", "a b", "x" * 33, "é", "a\0"):
        assert is_name(text) is False
    assert is_name("x" * 32) is True


def _parsed_whatever(body: bytes) -> None:
    message = parse_message(body, "USD")
    assert 1 <= len(message.requests) <= 256
    for request in message.requests:
        assert isinstance(request, Order | Fill | Cancel | Status | Ping | ErrorReply)
    errors = [
        request if isinstance(request, ErrorReply) else Pong(0, "", "", 1)
        for request in message.requests
    ]
    # Whatever was asked, the answer can be encoded in the form it was asked in.
    assert message.form.decode_loosely(encode_replies(message, errors)) is not None


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(body: bytes) -> None:
    _parsed_whatever(body)
    _parsed_whatever(b"{" + body)
    _parsed_whatever(b"[" + body)
    _parsed_whatever(b"\x81\xa4type" + body)


_KEYS = st.sampled_from(["type", "request_id", *ORDER]) | st.text(max_size=5)
_VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=70)
    | st.sampled_from(["order", "fill", "cancel", "status", "ping", "buy", "USD"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(_KEYS, _VALUES, max_size=6), st.booleans())
def test_arbitrary_maps_never_raise(changes: dict[str, Any], is_based_on_an_order: bool) -> None:
    mapping = ORDER | changes if is_based_on_an_order else changes
    for encode in ENCODERS:
        _parsed_whatever(encode(mapping))
        _parsed_whatever(encode([mapping, PING]))


@given(st.lists(st.tuples(_KEYS, _VALUES), max_size=6), st.booleans())
def test_arbitrary_repeated_keys_never_raise_and_the_last_counts(
    members: list[tuple[str, Any]], is_based_on_an_order: bool
) -> None:
    members = [*ORDER.items(), *members] if is_based_on_an_order else members
    text = ",".join(
        f"{json.encode(key).decode()}:{json.encode(value).decode()}" for key, value in members
    )
    body = f"{{{text}}}".encode()
    _parsed_whatever(body)
    once = parse_message(json.encode(dict(members)), "USD").requests
    assert _gist(parse_message(body, "USD").requests[0]) == _gist(once[0])


def _gist(request: Any) -> Any:
    """A request, or an error without the field: which one is named first depends on the order."""
    return request if not isinstance(request, ErrorReply) else request.request_id
