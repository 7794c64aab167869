"""Bodies that ask for several orders together, taken apart; all others go on. Pure.

Owns the form of the request `all_or_none` in either encoding (`guard/PROTOCOL.md`, 3.6): it is a
message's whole body, its orders are of one desk, each under an id of its own, and there are so many
at most. What is wrong with one of them is worded as if it stood alone, with its place before it;
the whole is refused then, by one error.

Whatever the bytes, the answer is a `Message`, as of `guard.protocol.wire`, which takes every body
that is no such request.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from guard.protocol.all_or_none_messages import ORDERS_MAX, TYPE
from guard.protocol.messages import ErrorReply, Order, RequestId
from guard.protocol.reasons import ErrorCode
from guard.protocol.wire import (
    BODY_BYTES_MAX,
    JSON,
    MESSAGEPACK,
    UNREADABLE,
    Message,
    WireError,
    WireForm,
    form_of,
    parse_message,
    parse_request,
    request_id_of,
    shown,
)

_ALLOWED: Final = f"an array of 1 to {ORDERS_MAX} orders"


class _Typed(Struct):
    type: Any = None


class _Asked(Struct, tag=TYPE, tag_field="type", forbid_unknown_fields=True):
    orders: list[msgspec.Raw]
    request_id: Any = UNSET


_DECODE_TYPE: Final = {
    "json": msgspec.json.Decoder(_Typed).decode,
    "messagepack": msgspec.msgpack.Decoder(_Typed).decode,
}
_DECODE: Final = {
    "json": msgspec.json.Decoder(_Asked).decode,
    "messagepack": msgspec.msgpack.Decoder(_Asked).decode,
}


def parse_body(body: bytes, currency: str) -> Message:
    """Takes a body apart. `currency`: the guard's own, the default and the only one allowed."""
    form = form_of(body[0]) if body else MESSAGEPACK
    if len(body) > BODY_BYTES_MAX or not _is_together(form, body):
        return parse_message(body, currency)
    request_id: RequestId = UNSET
    try:
        asked = _decoded(form, body)
        request_id = request_id_of(asked.request_id)
        orders = _orders(form, asked.orders, currency)
    except (OverflowError, *UNREADABLE) as error:
        if isinstance(error, _BadOrderError):
            reply = error.reply
        elif isinstance(error, WireError):
            reply = error.reply(lambda name: None)
        else:
            words = f"body: no readable {form.name}: {str(error)[:200]}"
            reply = ErrorReply(ErrorCode.MALFORMED.word, "", words)
        reply.request_id = request_id
        return Message(form, False, [reply])
    return Message(form, False, list(orders), True, request_id)


class _BadOrderError(ValueError):
    """An order within is none that may stand there; `reply` says so."""

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(reply.message)
        self.reply = reply


def _is_together(form: WireForm, body: bytes) -> bool:
    """Is it a map of that type?"""
    if form is JSON and body[0] != 0x7B:
        return False
    try:
        return bool(_DECODE_TYPE[form.name](body).type == TYPE)
    except UNREADABLE:
        return False


def _decoded(form: WireForm, body: bytes) -> _Asked:
    """Its orders, each as it stands. Raises WireError, or what decoders do."""
    try:
        return _DECODE[form.name](body)
    except UNREADABLE:
        loose: Any = form.decode_loosely(body)
    for key in loose:
        if key not in ("type", *_Asked.__struct_fields__):
            words = f"{key!a} is not a field of {TYPE}; allowed: orders, request_id"
            raise WireError(ErrorCode.UNKNOWN_FIELD, str(key)[:40], words)
    if "orders" not in loose:
        words = f"orders: is missing; {TYPE} needs it: {_ALLOWED}"
        raise WireError(ErrorCode.MISSING_FIELD, "orders", words)
    if isinstance(loose["orders"], list):
        # A key stands twice, of which the last one counts, as it does in what was read loosely.
        return _DECODE[form.name](form.encode(loose))
    words = f"orders: {shown(loose['orders'])} is not allowed; allowed: {_ALLOWED}"
    raise WireError(ErrorCode.INVALID_FIELD, "orders", words)


def _orders(form: WireForm, elements: list[msgspec.Raw], currency: str) -> list[Order]:
    """All of them. Raises WireError, or `_BadOrderError` for the first that may not stand there."""
    if not 0 < len(elements) <= ORDERS_MAX:
        code = ErrorCode.TOO_MANY_ORDERS if elements else ErrorCode.EMPTY_ARRAY
        words = f"orders: {len(elements)} are not allowed; allowed: 1 to {ORDERS_MAX}"
        raise WireError(code, "orders", words)
    orders: list[Order] = []
    places: dict[str, int] = {}
    for place, raw in enumerate(elements):
        parsed = parse_request(form, bytes(raw), currency)
        if isinstance(parsed, ErrorReply):
            raise _BadOrderError(_placed(place, parsed))
        _check(place, parsed, orders, places)
        assert isinstance(parsed, Order)
        orders.append(parsed)
        places[parsed.client_order_id] = place
    return orders


def _placed(place: int, error: ErrorReply) -> ErrorReply:
    """What is wrong with an order, which stands at that place."""
    at = f"orders[{place}]"
    field = f"{at}.{error.field}" if error.field else at
    return msgspec.structs.replace(error, field=field, message=f"{at}: {error.message}")


def _check(place: int, parsed: Any, orders: list[Order], places: dict[str, int]) -> None:
    """It is an order without a request's id, of the first one's desk, under an id of its own."""
    of = {name: getattr(parsed, name, UNSET) for name in ("desk", "client_order_id")}
    problem = None
    if not isinstance(parsed, Order):
        kind = parsed.__struct_config__.tag
        problem = ("type", f"{shown(kind)} is not allowed; allowed: 'order'")
    elif parsed.request_id is not UNSET:
        value = shown(parsed.request_id)
        problem = ("request_id", f"{value} is not allowed; allowed: none, the array has one")
    elif orders and parsed.desk != orders[0].desk:
        wanted = f"{orders[0].desk!r}, as of the first order"
        problem = ("desk", f"{shown(parsed.desk)} is not allowed; allowed: {wanted}")
    elif parsed.client_order_id in places:
        name, first = shown(parsed.client_order_id), places[parsed.client_order_id]
        problem = ("client_order_id", f"{name} is orders[{first}] already; allowed: each id once")
    if problem is not None:
        field, words = f"orders[{place}].{problem[0]}", problem[1]
        code = ErrorCode.INVALID_FIELD.word
        raise _BadOrderError(ErrorReply(code, field, f"{field}: {words}", **of))
