"""The schema beside the page: it is what the types give, and judges as the guard does."""

from typing import Any, get_args

import msgspec
import pytest

from guard.protocol.messages import REQUEST_TYPES, U64_MAX, ErrorReply, Reply
from guard.protocol.wire import parse_message
from schema_support import SCHEMA_FILE, Validator, make_schema, schema_text

VALIDATOR = Validator(make_schema())
IDS = {"desk": "desk-alpha", "client_order_id": "A-1"}
GOOD: dict[str, dict[str, Any]] = {
    "order": {
        **IDS,
        "symbol": "AAPL",
        "side": "buy",
        "quantity": 100,
        "price": 19_000,
        "venue": 10,
        "risk_bps": 200,
        "confidence_bps": 9_000,
    },
    "fill": {**IDS, "fill_id": "F-1", "quantity": 40, "fee_microcents": 5_000},
    "cancel": IDS,
    "status": IDS,
    "ping": {},
    "stats": {},
    "hello": {},
    "mark": {"symbol": "AAPL", "price": 19_000},
    "limits": {"desk": "desk-alpha", "symbol": "AAPL"},
    "positions": {"desk": "desk-alpha"},
    "reduce": {**IDS, "reduce_id": "R-1", "quantity": 1},
    "cancel_all": {"through_sequence": 1},
    "replace": {
        **IDS,
        "original_client_order_id": "A-0",
        "quantity": 1,
        "price": 1,
        "order_type": "limit",
        "time_in_force": "day",
    },
    "replaced": IDS,
    "replace_rejected": IDS,
    "execution": {
        **IDS,
        "execution_id": "F-1",
        "venue": 10,
        "symbol": "AAPL",
        "side": "buy",
        "quantity": 40,
        "price": 19_000,
    },
}
# Of every kind that a key may be given, about all bounds. (A number with a fraction that is 0 is
# an integer to a schema, and none to the guard.)
VALUES = [
    *(None, True, False, "", "a", "a b", "é", "x" * 32, "x" * 33, "x" * 64, "x" * 65, [], {}, 1.5),
    *("buy", "limit", "day", "USD", "usd", "USDT", "A\n", "USD\n"),
    *(0, 1, -1, 10_000, 10_001, 2**32 - 1, 2**32, 2**63 - 1, 2**63, U64_MAX, U64_MAX + 1),
    *(-(2**63), -(2**63) - 1),
]


def test_the_file_is_what_the_types_give() -> None:
    """`python tests/schema_support.py` writes it anew."""
    assert SCHEMA_FILE.read_text() == schema_text()


def _is_taken(request: dict[str, Any]) -> bool:
    (parsed,) = parse_message(msgspec.json.encode(request), "USD").requests
    return not isinstance(parsed, ErrorReply)


def _json(request: dict[str, Any], key: str, value: Any) -> bytes:
    if type(value) is int and not -(2**63) <= value <= U64_MAX:
        return msgspec.json.encode({**request, key: "HERE"}).replace(b'"HERE"', b"%d" % value)
    return msgspec.json.encode({**request, key: value})


@pytest.mark.parametrize("kind", REQUEST_TYPES)
def test_it_judges_every_value_of_every_key_as_the_guard_does(kind: str) -> None:
    good = {"type": kind, **GOOD[kind]}
    assert VALIDATOR.takes("Request", good)
    taken = refused = 0
    for key in (*REQUEST_TYPES[kind].__struct_fields__, "type", "mood"):
        for value in VALUES:
            if key == "currency" and value != "USD" and isinstance(value, str):
                continue  # another one than the guard's may be a currency all the same
            (parsed,) = parse_message(_json(good, key, value), "USD").requests
            is_taken = not isinstance(parsed, ErrorReply)
            assert VALIDATOR.takes("Request", {**good, key: value}) == is_taken, (key, value)
            taken, refused = taken + is_taken, refused + (not is_taken)
    assert taken >= 6
    assert refused >= 30
    for key in good:
        less = {name: value for name, value in good.items() if name != key}
        assert VALIDATOR.takes("Request", less) == _is_taken(less), key


def test_bodies_and_their_bounds() -> None:
    ping = {"type": "ping"}
    for count in (1, 256):
        assert VALIDATOR.takes("RequestBody", [ping] * count)
    for count in (0, 257):
        assert not VALIDATOR.takes("RequestBody", [ping] * count)


def test_every_reply_is_in_it_and_may_have_further_keys() -> None:
    schema = make_schema()
    names = [kind.__name__ for kind in get_args(Reply)]
    assert {each["$ref"] for each in schema["$defs"]["Reply"]["anyOf"]} == {
        f"#/$defs/{name}" for name in names
    }
    released = {
        "type": "released",
        **IDS,
        "wal_sequence": 1,
        "released_microcents": 1,
        "repeat": False,
    }
    assert VALIDATOR.takes("Reply", {**released, "of_tomorrow": 1})
    assert not VALIDATOR.takes("Reply", {**released, "wal_sequence": "1"})
    assert not VALIDATOR.takes("Reply", {"type": "released"})


def test_a_keyword_that_the_validator_does_not_know_is_told() -> None:
    with pytest.raises(AttributeError, match="_multipleOf"):
        VALIDATOR.faults({"multipleOf": 2}, 4)
