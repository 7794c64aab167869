"""What the tests of the wire share: one good order, both encodings, one reply at a time."""

from typing import Any

from msgspec import json, msgpack

from guard.protocol.messages import ErrorReply
from guard.protocol.wire import parse_message

ENCODERS = [json.encode, msgpack.encode]

ORDER: dict[str, Any] = {
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
}


def parse_one(body: bytes, currency: str = "USD") -> Any:
    """The one request in a body that is no array."""
    message = parse_message(body, currency)
    assert message.is_array is False
    (request,) = message.requests
    assert not isinstance(request, ErrorReply), request
    return request


def parse_error(body: bytes, currency: str = "USD") -> ErrorReply:
    """The one error that a body that is no array is answered with."""
    message = parse_message(body, currency)
    assert message.is_array is False
    (reply,) = message.requests
    assert isinstance(reply, ErrorReply), reply
    return reply
