"""Bodies that ask for orders together: what is one, and what is said of any other."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET, json, msgpack

from guard.protocol.all_or_none import parse_body
from guard.protocol.all_or_none_messages import ORDERS_MAX
from guard.protocol.messages import ErrorReply, Order, Ping
from guard.protocol.request_reader import RequestReader
from guard.protocol.wire import JSON, MESSAGEPACK
from guard_wire_support import ORDER

ENCODERS = [json.encode, msgpack.encode]


def named(name: str, **changes: Any) -> dict[str, Any]:
    return {**ORDER, "client_order_id": name, **changes}


def together(*orders: Any, **more: Any) -> dict[str, Any]:
    return {"type": "all_or_none", "orders": list(orders), **more}


def error_of(body: bytes) -> ErrorReply:
    """The one error that is the whole answer."""
    message = parse_body(body, "USD")
    assert not message.is_together
    assert not message.is_array
    (reply,) = message.requests
    assert isinstance(reply, ErrorReply), reply
    return reply


@pytest.mark.parametrize("encode", ENCODERS)
def test_orders_are_taken_whatever_the_order_of_the_keys(encode: Any) -> None:
    orders = [named("A"), named("B", side="sell"), named("C", symbol="OTHER")]
    for body in (
        together(*orders, request_id=7),
        dict(reversed(together(*orders, request_id=7).items())),
    ):
        message = parse_body(encode(body), "USD")
        assert (message.is_together, message.is_array, message.request_id) == (True, False, 7)
        assert message.form is (JSON if encode is json.encode else MESSAGEPACK)
        assert [order.client_order_id for order in message.requests] == ["A", "B", "C"]
        assert all(
            isinstance(order, Order) and order.currency == "USD" for order in message.requests
        )


@pytest.mark.parametrize("encode", ENCODERS)
def test_so_many_at_most_and_one_at_least(encode: Any) -> None:
    for count in (1, ORDERS_MAX):
        message = parse_body(encode(together(*(named(f"A-{i}") for i in range(count)))), "USD")
        assert message.is_together
        assert len(message.requests) == count
    over = error_of(
        encode(together(*(named(f"A-{i}") for i in range(ORDERS_MAX + 1)), request_id=1))
    )
    assert (over.code, over.field, over.request_id) == ("too_many_orders", "orders", 1)
    assert over.message == "orders: 65 are not allowed; allowed: 1 to 64"
    none = error_of(encode(together(request_id="r")))
    assert (none.code, none.field, none.request_id) == ("empty_array", "orders", "r")


WRONG: list[tuple[Any, str, str, str]] = [
    (together(named("A"), named("B", desk="desk-beta")), "invalid_field", "orders[1].desk",
     "orders[1].desk: 'desk-beta' is not allowed; allowed: 'desk-alpha', as of the first order"),
    (together(named("A"), named("B"), named("A")), "invalid_field", "orders[2].client_order_id",
     "orders[2].client_order_id: 'A' is orders[0] already; allowed: each id once"),
    (together(named("A"), {"type": "cancel", "desk": "d", "client_order_id": "B"}), "invalid_field",
     "orders[1].type", "orders[1].type: 'cancel' is not allowed; allowed: 'order'"),
    (together(named("A", request_id=3)), "invalid_field", "orders[0].request_id",
     "orders[0].request_id: 3 is not allowed; allowed: none, the array has one"),
    (together(named("A"), named("B", quantity=0)), "invalid_field", "orders[1].quantity",
     "orders[1]: quantity: 0 is not allowed; allowed: an integer from 1 to 9223372036854775807"),
    (together(named("A", mood=1)), "unknown_field", "orders[0].mood", "orders[0]: 'mood' is not a"),
    (together(named("A", currency="EUR")), "invalid_field", "orders[0].currency", "orders[0]: cur"),
    (together(7), "not_a_request", "orders[0]", "orders[0]: request: 7 is not allowed; allowed: a"),
    (together(together(named("A"))), "unknown_type", "orders[0].type", "orders[0]: type: 'all_or_"),
    ({"type": "all_or_none"}, "missing_field", "orders",
     "orders: is missing; all_or_none needs it: an array of 1 to 64 orders"),
    ({"type": "all_or_none", "orders": {}}, "invalid_field", "orders",
     "orders: a value of type dict is not allowed; allowed: an array of 1 to 64 orders"),
    ({"type": "all_or_none", "orders": None}, "invalid_field", "orders", "orders: null is not all"),
    (together(named("A"), mood=1), "unknown_field", "mood",
     "'mood' is not a field of all_or_none; allowed: orders, request_id"),
    (together(named("A"), request_id=1.5), "invalid_field", "request_id", "request_id: 1.5 is not"),
    (together(named("A"), request_id="x" * 65), "invalid_field", "request_id", "request_id: 'xxxx"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code", "field", "words"), WRONG)
@pytest.mark.parametrize("encode", ENCODERS)
def test_what_is_wrong_with_one_refuses_all_by_one_error(
    encode: Any, body: Any, code: str, field: str, words: str
) -> None:
    reply = error_of(encode(body))
    assert (reply.code, reply.field) == (code, field)
    assert reply.message.startswith(words)


@pytest.mark.parametrize("encode", ENCODERS)
def test_an_error_has_the_id_of_the_request_and_names_the_order(encode: Any) -> None:
    reply = error_of(encode(together(named("A"), named("B", price=-1), request_id=9)))
    assert (reply.request_id, reply.client_order_id, reply.desk) == (9, "B", "desk-alpha")
    assert parse_body(encode(together(named("A"), request_id=None)), "USD").request_id is UNSET


@pytest.mark.parametrize("encode", ENCODERS)
def test_it_is_no_part_of_an_array(encode: Any) -> None:
    message = parse_body(encode([together(named("A")), {"type": "ping"}]), "USD")
    assert message.is_array
    first, second = message.requests
    assert isinstance(first, ErrorReply)
    assert first.message.endswith("; as a whole body all_or_none")
    assert second == Ping()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"type":"all_or_none","orders":[',
        b'{"type":"all_or_none","orders":[]',
        b"\x82\xa4type\xaball_or_none\xa6orders\x91",
        b"\x82\xa4type\xaball_or_none\xa6orders\xa1\xff",
        b'{"type":"all_or_none","orders":"\xff"}',
    ],
)
def test_what_cannot_be_read_is_malformed_and_no_trouble(body: bytes) -> None:
    assert error_of(body).code in ("malformed", "invalid_field", "unknown_type")


@pytest.mark.parametrize("encode", ENCODERS)
def test_the_reader_says_which_they_are_and_the_next_body_is_another(encode: Any) -> None:
    reader = RequestReader("local")
    reader.read(encode(together(named("A"), named("B"), request_id="é")), 1, "USD")
    assert (reader.is_together, reader.count, reader.is_array) == (True, 2, False)
    assert reader.together_echo == encode("é")
    assert [reader.requests[index].client_order_id for index in range(2)] == ["A", "B"]
    assert reader.requests[0].echo_bytes == 0
    for body in (named("C"), [named("D")], {"type": "nothing"}):
        reader.read(encode(body), 1, "USD")
        assert not reader.is_together
    reader.read(encode(together(named("E"))), 1, "USD")
    assert (reader.is_together, reader.together_echo) == (True, b"")
    reader.read(None, 3, "USD")
    assert not reader.is_together


def test_a_body_with_a_key_twice_counts_its_last_one() -> None:
    orders = msgspec.json.encode([named("A")])
    body = b'{"type":"ping","type":"all_or_none","orders":[],"orders":' + orders + b"}"
    assert parse_body(body, "USD").is_together
