"""The wire, field by field: every kind of badness in both encodings, by tables."""

from json import loads
from typing import Any

import pytest
from msgspec import UNSET, json, msgpack

from guard.protocol.messages import REQUEST_TYPES
from guard.protocol.wire import ALLOWED
from guard_wire_support import ENCODERS, ORDER, parse_error, parse_one

FILL: dict[str, Any] = {
    "type": "fill",
    "desk": "desk-alpha",
    "client_order_id": "A-1",
    "fill_id": "F-1",
    "quantity": 1,
    "fee_microcents": 0,
    "price": 1,
    "executed_at_ns": 1,
}
CANCEL = {"type": "cancel", "desk": "desk-alpha", "client_order_id": "A-1"}
STATUS = CANCEL | {"type": "status"}
REQUESTS: dict[str, dict[str, Any]] = {
    "order": ORDER,
    "fill": FILL,
    "cancel": CANCEL,
    "status": STATUS,
    "ping": {"type": "ping"},
    "stats": {"type": "stats"},
    "hello": {"type": "hello", "from_desk": "desk-alpha", "from_symbol": "A", "from_venue": 1},
    "mark": {"type": "mark", "symbol": "A", "price": 1, "as_of_ns": 1, "bid": 1, "ask": 1},
    "limits": {"type": "limits", "desk": "d", "symbol": "A"},
    "positions": {"type": "positions", "desk": "d", "from_symbol": "A"},
    "reduce": CANCEL | {"type": "reduce", "reduce_id": "R-1", "quantity": 1},
    "cancel_all": {
        "type": "cancel_all",
        "through_sequence": 1,
        "of_desk": "d",
        "of_symbol": "A",
        "of_venue": 1,
    },
    "replace": {
        **CANCEL,
        "type": "replace",
        "original_client_order_id": "A-0",
        "quantity": 1,
        "price": 1,
        "order_type": "limit",
        "time_in_force": "day",
        "sent_at_ns": 1,
    },
    "replaced": CANCEL | {"type": "replaced"},
    "replace_rejected": CANCEL | {"type": "replace_rejected"},
    "execution": {
        **CANCEL,
        "type": "execution",
        "execution_id": "F",
        "venue": 1,
        "symbol": "A",
        "side": "buy",
        "quantity": 1,
        "price": 1,
        "executed_at_ns": 1,
    },
}
REQUIRED: dict[str, list[str]] = {
    "order": [
        "client_order_id",
        "desk",
        "symbol",
        "side",
        "quantity",
        "price",
        "venue",
        "risk_bps",
        "confidence_bps",
    ],
    "fill": ["desk", "client_order_id", "fill_id", "quantity", "fee_microcents"],
    "cancel": ["desk", "client_order_id"],
    "status": ["desk", "client_order_id"],
    "ping": [],
    "stats": [],
    "hello": [],
    "mark": ["symbol", "price"],
    "limits": ["desk", "symbol"],
    "positions": ["desk"],
    "cancel_all": ["through_sequence"],
    "reduce": ["desk", "client_order_id", "reduce_id", "quantity"],
    "replace": [
        "client_order_id",
        "desk",
        "original_client_order_id",
        "quantity",
        "price",
        "order_type",
        "time_in_force",
    ],
    "replaced": ["desk", "client_order_id"],
    "replace_rejected": ["desk", "client_order_id"],
    "execution": [
        "desk",
        "client_order_id",
        "execution_id",
        "venue",
        "symbol",
        "side",
        "quantity",
        "price",
    ],
}

I64_MIN, I64_MAX, U64_MAX, U32_MAX = -(2**63), 2**63 - 1, 2**64 - 1, 2**32 - 1
HUGE = 10**400  # JSON alone can say it
NO_INTEGER: list[Any] = [True, False, 1.0, 0.5, 1e300, "1", "", [], [1], {}, {"a": 1}]
NO_STRING: list[Any] = [1, 0, True, 1.5, [], ["x"], {}, {"a": "b"}]
NAME_BAD = ["", "x" * 33, "a b", "a\n", "\n", "a\0", "é", "\uff41", "a,b", "a\\b", "a\x7f", "*"]
IDENTIFIER_BAD = ["", "x" * 65, "a b", " ", "a\t", "a\n", "a\0", "é", "\x7f", "\ufb01", "😀"]

INTEGERS: dict[str, tuple[int, int]] = {
    "quantity": (1, I64_MAX),
    "price": (1, I64_MAX),
    "venue": (0, U32_MAX),
    "risk_bps": (0, 10_000),
    "confidence_bps": (0, 10_000),
    "minimum_quality_bps": (0, 10_000),
    "max_p95_latency_ms": (0, U32_MAX),
    "required_capabilities": (0, U64_MAX),
    "allowed_providers": (0, U64_MAX),
    "required_regions": (0, U64_MAX),
    "max_fee_microcents": (0, U64_MAX),
    "from_venue": (1, U32_MAX),
    "of_venue": (1, U32_MAX),
    "through_sequence": (1, I64_MAX),
    "sent_at_ns": (1, I64_MAX),
    "executed_at_ns": (1, I64_MAX),
    "as_of_ns": (1, I64_MAX),
    "bid": (1, I64_MAX),
    "ask": (1, I64_MAX),
    "fee_microcents": (I64_MIN, I64_MAX),
}
NULLABLE = {
    "currency", "sent_at_ns", "executed_at_ns", "request_id", "from_symbol", "from_desk",
    "from_venue", "as_of_ns", "bid", "ask",
}  # fmt: skip
WORDS: dict[str, tuple[str, ...]] = {
    "side": ("buy", "sell"),
    "order_type": ("limit", "market"),
    "time_in_force": ("day", "ioc", "fok", "gtc"),
}
TEXTS: dict[str, list[str]] = {
    "desk": NAME_BAD,
    "symbol": NAME_BAD,
    "from_desk": NAME_BAD,
    "from_symbol": NAME_BAD,
    "of_desk": NAME_BAD,
    "of_symbol": NAME_BAD,
    "client_order_id": IDENTIFIER_BAD,
    "fill_id": IDENTIFIER_BAD,
    "reduce_id": IDENTIFIER_BAD,
    "execution_id": IDENTIFIER_BAD,
    "locate_id": IDENTIFIER_BAD,
    "account": NAME_BAD,
    "trader": NAME_BAD,
    "algo": NAME_BAD,
    "original_client_order_id": IDENTIFIER_BAD,
}


def test_allowed_says_something_of_every_field_of_every_request() -> None:
    fields = {name for kind in REQUEST_TYPES.values() for name in kind.__struct_fields__}
    assert set(ALLOWED) == fields
    tested = {*INTEGERS, *WORDS, *TEXTS, "allow_substitute", "currency", "request_id"}
    assert tested == fields


def _kinds_with(field: str) -> list[str]:
    return [name for name, kind in REQUEST_TYPES.items() if field in kind.__struct_fields__]


def _with(kind: str, field: str, value: Any) -> list[bytes]:
    """The request with that value, in the encodings that can say it."""
    mapping = REQUESTS[kind] | {"request_id": 77}
    if type(value) is int and not -(2**63) <= value < 2**64:
        marked = json.encode(mapping | {field: "HERE"})
        return [marked.replace(b'"HERE"', b"%d" % value)]
    return [encode(mapping | {field: value}) for encode in ENCODERS]


def _check_refused(field: str, value: Any, shown: str | None = None) -> None:
    for kind in _kinds_with(field):
        for body in _with(kind, field, value):
            reply = parse_error(body)
            assert (reply.code, reply.field, reply.request_id) == ("invalid_field", field, 77)
            assert reply.message.startswith(f"{field}: ")
            assert reply.message.endswith(f" is not allowed; allowed: {ALLOWED[field]}")
            if shown is not None:
                assert reply.message.startswith(f"{field}: {shown} is not allowed")
            assert len(reply.message) < 250


@pytest.mark.parametrize("field", INTEGERS)
def test_integers_at_and_beyond_their_ends(field: str) -> None:
    lowest, highest = INTEGERS[field]
    for kind in _kinds_with(field):
        for value in (lowest, lowest + 1, highest - 1, highest):
            for body in _with(kind, field, value):
                assert getattr(parse_one(body), field) == value
    for value in (lowest - 1, highest + 1, -HUGE, HUGE, U64_MAX + 1, I64_MIN - 1):
        shown = str(value) if abs(value) < HUGE else "an integer of 1329 bits"
        _check_refused(field, value, shown)
    if lowest >= 0:
        _check_refused(field, -1, "-1")


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize("value", NO_INTEGER, ids=repr)
def test_integers_of_another_type(field: str, value: Any) -> None:
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else None
    _check_refused(field, value, shown)


@pytest.mark.parametrize("field", [*INTEGERS, *WORDS, *TEXTS, "allow_substitute", "currency"])
def test_null_is_no_value_but_where_none_is_the_default(field: str) -> None:
    for kind in _kinds_with(field):
        is_nullable = field in NULLABLE or (kind, field) == ("fill", "price")
        for body in _with(kind, field, None):
            if is_nullable:
                parse_one(body)
            else:
                reply = parse_error(body)
                text = f"{field}: null is not allowed; allowed: {ALLOWED[field]}"
                assert (reply.code, reply.field, reply.message) == ("invalid_field", field, text)


@pytest.mark.parametrize("field", TEXTS)
def test_texts_of_a_bad_alphabet_or_length(field: str) -> None:
    for value in TEXTS[field]:
        _check_refused(field, value, ascii(value[:40]))
    for value in NO_STRING:
        _check_refused(field, value)
    good = ["x", "A.b_c:d/e-1", "0" * 32]
    good += ["!~#{}\"'\\", "y" * 64] if TEXTS[field] is IDENTIFIER_BAD else []
    for kind in _kinds_with(field):
        for value in good:
            for body in _with(kind, field, value):
                assert getattr(parse_one(body), field) == value


@pytest.mark.parametrize("field", WORDS)
def test_words_are_exactly_those(field: str) -> None:
    for word in WORDS[field]:
        for body in _with("order", field, word):
            assert getattr(parse_one(body), field) == word
        for value in (word.upper(), word + " ", " " + word, word[:-1], word + "\0"):
            _check_refused(field, value, ascii(value))
    for value in ["", *NO_STRING]:
        _check_refused(field, value)


@pytest.mark.parametrize("value", [0, 1, "true", "", 1.0, [], {}], ids=repr)
def test_allow_substitute_is_a_boolean(value: Any) -> None:
    _check_refused("allow_substitute", value)
    for body in _with("order", "allow_substitute", False):
        assert parse_one(body).allow_substitute is False


@pytest.mark.parametrize("value", ["usd", "", "US", "USDX", "U$D", "USD\0", "x" * 1_000])
def test_another_currency(value: str) -> None:
    for body in _with("order", "currency", value):
        reply = parse_error(body)
        assert (reply.code, reply.field, reply.request_id) == ("invalid_field", "currency", 77)
        text = f"currency: {value[:40]!a} is not allowed; allowed: USD"
        assert reply.message == text


@pytest.mark.parametrize("value", NO_STRING, ids=repr)
def test_a_currency_that_is_no_text(value: Any) -> None:
    for body in _with("order", "currency", value):
        assert (parse_error(body).code, parse_error(body).field) == ("invalid_field", "currency")


@pytest.mark.parametrize("kind", REQUIRED)
@pytest.mark.parametrize("encode", ENCODERS)
def test_each_required_field_is_missed_by_name(kind: str, encode: Any) -> None:
    for field in REQUIRED[kind]:
        mapping = {name: value for name, value in REQUESTS[kind].items() if name != field}
        reply = parse_error(encode(mapping | {"request_id": "r"}))
        assert (reply.code, reply.field, reply.request_id) == ("missing_field", field, "r")
        assert reply.message == f"{field}: is missing; {kind} needs it: {ALLOWED[field]}"
    least = {name: REQUESTS[kind][name] for name in ["type", *REQUIRED[kind]]}
    assert parse_one(encode(least)).request_id is UNSET


UNKNOWN_KEYS = ["Quantity", "notional_microcents", "quantity ", "", "a`b", "\0", "é", "x" * 300]


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("key", UNKNOWN_KEYS, ids=ascii)
def test_unknown_keys_are_refused_by_name(kind: str, key: str) -> None:
    for encode in ENCODERS:
        reply = parse_error(encode({key: 1} | REQUESTS[kind] | {"request_id": 1}))
        assert (reply.code, reply.field, reply.request_id) == ("unknown_field", key[:40], 1)
        assert f" is not a field of {kind}; allowed: " in reply.message


def test_a_key_of_another_request_is_unknown() -> None:
    assert parse_error(json.encode(FILL | {"venue": 1})).field == "venue"
    assert parse_error(json.encode(CANCEL | {"fill_id": "F"})).field == "fill_id"
    assert parse_error(json.encode({"type": "ping", "desk": "d"})).field == "desk"


def test_a_key_that_is_no_text_is_malformed() -> None:
    reply = parse_error(msgpack.encode({"type": "ping", 1: 2, "request_id": 3}))
    assert (reply.code, reply.field, reply.request_id) == ("malformed", "", 3)


@pytest.mark.parametrize("kind", ["bogus", "", "Order", "order ", "admit", 1, None, True, [], {}])
@pytest.mark.parametrize("encode", ENCODERS)
def test_unknown_types(kind: Any, encode: Any) -> None:
    reply = parse_error(encode({"request_id": 9, "type": kind, "desk": 1}))
    assert (reply.code, reply.field, reply.request_id) == ("unknown_type", "type", 9)
    allowed = " is not allowed; allowed: " + ", ".join(REQUEST_TYPES)
    allowed += "; as a whole body all_or_none"
    assert reply.message.endswith(allowed)
    assert parse_error(encode({"desk": "d"})).message == f"type: none{allowed}"


DUPLICATES: list[tuple[str, Any]] = [
    ('{"type":"ping","type":"ping"}', "Ping"),
    ('{"type":"fill","type":"ping"}', "Ping"),
    ('{"type":"bogus","type":"ping"}', "Ping"),
    ('{"type":1,"type":"ping"}', "Ping"),
    ('{"type":"ping","type":"cancel","desk":"d","client_order_id":"A"}', "Cancel"),
    ('{"type":"order","desk":"d","type":"cancel","client_order_id":"A"}', "Cancel"),
    ('{"type":"ping","type":"fill"}', ("missing_field", "desk")),
    ('{"type":"ping","type":"bogus"}', ("unknown_type", "type")),
    ('{"type":"ping","type":null}', ("unknown_type", "type")),
    ('{"type":"cancel","desk":1,"desk":"d","client_order_id":"A"}', "Cancel"),
    ('{"type":"cancel","desk":"d","desk":1,"client_order_id":"A"}', ("invalid_field", "desk")),
    ('{"type":"cancel","desk":"d","desk":"","client_order_id":"A"}', ("invalid_field", "desk")),
    ('{"type":"ping","request_id":[],"request_id":2}', "Ping"),
    ('{"type":"ping","request_id":2,"request_id":[]}', ("invalid_field", "request_id")),
    ('{"type":"ping","x":1,"x":2}', ("unknown_field", "x")),
]


@pytest.mark.parametrize(("text", "expected"), DUPLICATES)
def test_where_a_key_stands_twice_the_last_one_counts(text: str, expected: Any) -> None:
    pairs: Any = loads(text, object_pairs_hook=lambda items: items)
    packed = bytes([0x80 | len(pairs)]) + b"".join(
        msgpack.encode(key) + msgpack.encode(value) for key, value in pairs
    )
    for body in (text.encode(), packed):
        if isinstance(expected, str):
            assert type(parse_one(body)).__name__ == expected
        else:
            reply = parse_error(body)
            assert (reply.code, reply.field) == expected


def test_strings_in_messagepack_are_str_not_bin() -> None:
    for field in ("client_order_id", "desk", "side", "currency"):
        reply = parse_error(msgpack.encode(ORDER | {field: b"buy"}))
        assert (reply.code, reply.field) == ("invalid_field", field)


def test_the_first_bad_field_is_named_where_several_are_bad() -> None:
    mapping = ORDER | {"quantity": 0, "price": 0, "desk": ""}
    assert parse_error(json.encode(mapping)).field in {"desk", "quantity", "price"}
