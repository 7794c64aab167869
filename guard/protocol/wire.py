"""Bytes ↔ requests and replies. Pure.

Owns the two encodings of the order protocol (`guard/PROTOCOL.md` sections 1, 2 and 8): which one a
body is in, how it splits into requests, what makes a request well formed, and the words of the
errors. It knows no state: whether a desk exists is the engine's question.

How it works: most bodies never come here (`guard.protocol.request_reader`). Of one that does, the
well-formed is one typed decode, of an array all at once, and one check of what types cannot
express. Only when that fails is the body decoded a second time, loosely, to find out what to say
and which `request_id` to echo.

Whatever the bytes, the answer is a list of requests and `ErrorReply`s; `WireError` stays inside.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from guard.protocol.all_or_none_messages import TYPE as ALL_OR_NONE
from guard.protocol.instruments import NAME_PATTERN
from guard.protocol.messages import (
    ID_LENGTH_MAX,
    NAME_LENGTH_MAX,
    REQUEST_TYPES,
    U64_MAX,
    CancelAll,
    ErrorReply,
    Execution,
    Fill,
    Hello,
    Mark,
    Order,
    Ping,
    Reduce,
    Replace,
    Request,
    RequestId,
    ShowLimits,
    ShowPositions,
    Stats,
)
from guard.protocol.reasons import ErrorCode

BODY_BYTES_MAX: Final = 262_144  # 256 requests of about 400 bytes, with room to spare
REQUESTS_PER_MESSAGE_MAX: Final = 256
REQUEST_ID_LENGTH_MAX: Final = 64
SHOWN_CHARACTERS_MAX: Final = 40  # of a bad value, in an error's message

Parsed: TypeAlias = Request | ErrorReply

_fields_of = msgspec.structs.astuple

# What the decoders raise for bytes that they cannot read.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, TypeError)

_NAME = "1 to 32 characters from A-Z a-z 0-9 . _ : / -"
_IDENTIFIER = "1 to 64 printable ASCII characters without spaces"
_COUNT = "an integer from 1 to 9223372036854775807"
_U32 = "an integer from 0 to 4294967295"
_U64 = "an integer from 0 to 18446744073709551615"
_BPS = "an integer from 0 to 10000"

ALLOWED: Final[dict[str, str]] = {
    "client_order_id": _IDENTIFIER,
    "fill_id": _IDENTIFIER,
    "reduce_id": _IDENTIFIER,
    "execution_id": _IDENTIFIER,
    "locate_id": _IDENTIFIER,
    "account": _NAME,
    "trader": _NAME,
    "algo": _NAME,
    "original_client_order_id": _IDENTIFIER,
    "desk": _NAME,
    "symbol": _NAME,
    "side": '"buy" or "sell"',
    "quantity": _COUNT,
    "price": _COUNT,
    "venue": _U32,
    "risk_bps": _BPS,
    "confidence_bps": _BPS,
    "minimum_quality_bps": _BPS,
    "max_p95_latency_ms": _U32,
    "required_capabilities": _U64,
    "allowed_providers": _U64,
    "required_regions": _U64,
    "max_fee_microcents": _U64,
    "allow_substitute": "true or false",
    "order_type": '"limit" or "market"',
    "time_in_force": '"day", "ioc", "fok" or "gtc"',
    "currency": "the guard's own",
    "sent_at_ns": _COUNT,
    "executed_at_ns": _COUNT,
    "as_of_ns": _COUNT,
    "bid": _COUNT,
    "ask": _COUNT,
    "from_symbol": _NAME,
    "from_desk": _NAME,
    "from_venue": "an integer from 1 to 4294967295",
    "of_desk": f"{_NAME}; without the key: all desks",
    "of_symbol": f"{_NAME}; without the key: all symbols",
    "of_venue": "an integer from 1 to 4294967295; without the key: all venues",
    "through_sequence": _COUNT,
    "fee_microcents": "an integer from -9223372036854775808 to 9223372036854775807",
    "request_id": "an integer from -2^63 to 2^64-1, or a string of at most 64 characters",
}


class WireError(ValueError):
    """Bad input: a request that is not well formed. Becomes an `error` reply."""

    def __init__(self, code: ErrorCode, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field

    def reply(self, said: Callable[[str], object]) -> ErrorReply:
        """The reply that says so, with the ids that could be read. `said`: a key's value."""
        return ErrorReply(
            self.code.word,
            self.field,
            str(self),
            desk=_usable(said("desk"), NAME_LENGTH_MAX, is_name),
            client_order_id=_usable(said("client_order_id"), ID_LENGTH_MAX, is_identifier),
            fill_id=_usable(said("fill_id"), ID_LENGTH_MAX, is_identifier),
            reduce_id=_usable(said("reduce_id"), ID_LENGTH_MAX, is_identifier),
            execution_id=_usable(said("execution_id"), ID_LENGTH_MAX, is_identifier),
            request_id=_usable_request_id(said("request_id")),
        )


@dataclass(frozen=True, slots=True)
class WireForm:
    """One encoding: its decoders and its encoder."""

    name: str
    decode_request: Callable[[bytes], Request]
    decode_requests: Callable[[bytes], list[Request]]
    decode_elements: Callable[[bytes], list[msgspec.Raw]]
    decode_loosely: Callable[[bytes], object]
    encode: Callable[[object], bytes]


_REQUEST: Any = Request
_REQUESTS: Any = list[_REQUEST]

JSON = WireForm(
    "json",
    msgspec.json.Decoder(_REQUEST).decode,
    msgspec.json.Decoder(_REQUESTS).decode,
    msgspec.json.Decoder(list[msgspec.Raw]).decode,
    msgspec.json.Decoder().decode,
    msgspec.json.Encoder().encode,
)
MESSAGEPACK = WireForm(
    "messagepack",
    msgspec.msgpack.Decoder(_REQUEST).decode,
    msgspec.msgpack.Decoder(_REQUESTS).decode,
    msgspec.msgpack.Decoder(list[msgspec.Raw]).decode,
    msgspec.msgpack.Decoder().decode,
    msgspec.msgpack.Encoder().encode,
)


class Message(msgspec.Struct, gc=False):
    """A body, taken apart: its encoding, whether it was an array, and its requests in order.

    `is_together`: these are orders that stand or fall together; `request_id`: of their request.
    """

    form: WireForm
    is_array: bool
    requests: list[Parsed]
    is_together: bool = False
    request_id: RequestId = UNSET


def parse_message(body: bytes, currency: str) -> Message:
    """Takes a body apart. `currency` is the guard's own: the default and the only one allowed."""
    first = body[0] if body else 0
    if len(body) > BODY_BYTES_MAX:
        return length_error(first, len(body))
    form = form_of(first)
    if not (first == 0x5B or 0x90 <= first <= 0x9F or first in (0xDC, 0xDD)):
        return Message(form, False, [parse_request(form, body, currency)])
    try:
        requests = form.decode_requests(body)
    except UNREADABLE:
        return _parse_elements(form, body, currency)
    if not 0 < len(requests) <= REQUESTS_PER_MESSAGE_MAX:
        return _wrong_count(form, len(requests))
    return Message(form, True, [_checked(request, currency) for request in requests])


def _parse_elements(form: WireForm, body: bytes, currency: str) -> Message:
    """An array one by one: of a bad element the others do not suffer."""
    try:
        elements = form.decode_elements(body)
    except UNREADABLE as error:
        return _single_error(form, ErrorCode.MALFORMED, _unreadable(form, error))
    if not 0 < len(elements) <= REQUESTS_PER_MESSAGE_MAX:
        return _wrong_count(form, len(elements))
    return Message(form, True, [parse_request(form, bytes(raw), currency) for raw in elements])


def _wrong_count(form: WireForm, count: int) -> Message:
    code = ErrorCode.TOO_MANY_REQUESTS if count else ErrorCode.EMPTY_ARRAY
    return _single_error(form, code, f"array: {count} requests are not allowed; allowed: 1 to 256")


def form_of(first: int) -> WireForm:
    """The form of a body that begins with this byte, and of its answer."""
    return JSON if first in b"{[" else MESSAGEPACK


def length_error(first: int, size: int) -> Message:
    """The answer to a body of so many bytes, which are too many, and with this first one."""
    return _single_error(
        form_of(first),
        ErrorCode.MESSAGE_TOO_LARGE,
        f"body: {size} bytes are not allowed; allowed: at most {BODY_BYTES_MAX}",
    )


def framing_error(frame_count: int) -> Message:
    """The answer to a message with a wrong number of frames, in MessagePack."""
    return _single_error(
        MESSAGEPACK,
        ErrorCode.BAD_FRAMING,
        f'message: {frame_count} frames are not allowed; allowed: [body] or ["", body]',
    )


def _single_error(form: WireForm, code: ErrorCode, text: str) -> Message:
    return Message(form, False, [ErrorReply(code.word, "", text)])


def _unreadable(form: WireForm, error: Exception) -> str:
    return f"body: no readable {form.name}: {str(error)[:200]}"


def parse_request(form: WireForm, body: bytes, currency: str) -> Parsed:
    """One request, from a body of its own or an element of an array; or the error to answer."""
    try:
        request = form.decode_request(body)
    except UNREADABLE:
        return _explain(form, body, currency)
    return _checked(request, currency)


def _checked(request: Request, currency: str) -> Parsed:
    try:
        check_request(request, currency)
    except WireError as error:
        return error.reply(lambda name: getattr(request, name, None))
    return request


def check_request(request: Request, currency: str) -> None:
    """Checks what the types cannot express, and fills in the guard's currency.

    Raises WireError naming the field, the value and what is allowed.
    """
    request.request_id = request_id_of(request.request_id)
    if type(request) is Order:
        _check_order(request, currency)
    elif isinstance(request, Hello | Mark | ShowLimits | ShowPositions | CancelAll):
        for field in ("desk", "symbol", "from_symbol", "from_desk", "of_desk", "of_symbol"):
            name = getattr(request, field, None)
            if name not in (None, UNSET) and not is_name(name):
                raise _invalid(field, name)
    elif not isinstance(request, Ping | Stats):
        if not is_name(request.desk):
            raise _invalid("desk", request.desk)
        if not is_identifier(request.client_order_id):
            raise _invalid("client_order_id", request.client_order_id)
        if isinstance(request, Execution):
            if not is_identifier(request.execution_id):
                raise _invalid("execution_id", request.execution_id)
            if not is_name(request.symbol):
                raise _invalid("symbol", request.symbol)
        if isinstance(request, Fill) and not is_identifier(request.fill_id):
            raise _invalid("fill_id", request.fill_id)
        if isinstance(request, Reduce) and not is_identifier(request.reduce_id):
            raise _invalid("reduce_id", request.reduce_id)
        if isinstance(request, Replace) and not is_identifier(request.original_client_order_id):
            raise _invalid("original_client_order_id", request.original_client_order_id)


def _check_order(order: Order, currency: str) -> None:
    (client_order_id, desk, symbol, _, _, _, _, _, _, _, _, required_capabilities,
     allowed_providers, required_regions, max_fee_microcents, _, _, _, own, _, locate_id, account,
     trader, algo, _) = (
        _fields_of(order)
    )  # fmt: skip
    if not is_name(desk):
        raise _invalid("desk", desk)
    if not is_identifier(client_order_id):
        raise _invalid("client_order_id", client_order_id)
    if not is_name(symbol):
        raise _invalid("symbol", symbol)
    if locate_id is not UNSET and not is_identifier(locate_id):
        raise _invalid("locate_id", locate_id)
    for field, name in (("account", account), ("trader", trader), ("algo", algo)):
        if name is not UNSET and not is_name(name):
            raise _invalid(field, name)
    if required_capabilities > U64_MAX:
        raise _invalid("required_capabilities", required_capabilities)
    if allowed_providers > U64_MAX:
        raise _invalid("allowed_providers", allowed_providers)
    if required_regions > U64_MAX:
        raise _invalid("required_regions", required_regions)
    if max_fee_microcents > U64_MAX:
        raise _invalid("max_fee_microcents", max_fee_microcents)
    if own is None:
        order.currency = currency
    elif own != currency:
        raise WireError(
            ErrorCode.INVALID_FIELD,
            "currency",
            f"currency: {shown(own)} is not allowed; allowed: {currency}",
        )


_NAMES_KEPT_MAX = 16_384  # more desks and symbols than a guard has
_names: set[str] = set()


def is_name(text: str) -> bool:
    """Is it a desk's or a symbol's name? Few distinct ones pass here, often: they are kept."""
    if text in _names:
        return True
    if NAME_PATTERN.fullmatch(text) is None:
        return False
    if len(_names) < _NAMES_KEPT_MAX:
        _names.add(text)
    return True


def is_identifier(text: str) -> bool:
    """Is it printable ASCII without spaces? (Its length is checked by its type.)"""
    return text.isascii() and text.isprintable() and " " not in text


def request_id_of(value: object) -> RequestId:
    """The id of a request that said that. Raises WireError."""
    if value is None or value is UNSET:
        return UNSET
    usable = _usable_request_id(value)
    if usable is UNSET:
        raise _invalid("request_id", value)
    return usable


def _usable_request_id(value: object) -> int | str | UnsetType:
    """The id to echo, or UNSET where there is none that may be echoed."""
    if type(value) is int and -(2**63) <= value <= U64_MAX:
        return value
    if type(value) is str and len(value) <= REQUEST_ID_LENGTH_MAX:
        return value
    return UNSET


def _usable(value: object, length_max: int, is_allowed: Callable[[str], bool]) -> str | UnsetType:
    """An id to name in an error, or UNSET for what is none."""
    if type(value) is str and 0 < len(value) <= length_max and is_allowed(value):
        return value
    return UNSET


def _invalid(field: str, value: object) -> WireError:
    return WireError(ErrorCode.INVALID_FIELD, field, refusal(field, value))


def refusal(field: str, value: object) -> str:
    """What is said of a value that a field cannot have."""
    return f"{field}: {shown(value)} is not allowed; allowed: {ALLOWED[field]}"


def shown(value: object) -> str:
    """A bad value for a message: short, whatever it is (huge integers have no cheap text)."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int):
        return (
            str(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length()} bits"
        )
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return ascii(value[:SHOWN_CHARACTERS_MAX])
    return f"a value of type {type(value).__name__}"


# How msgspec words what a typed decode found; the groups name the field.
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_AT_FIELD = re.compile(r" - at `\$\.(\w+)`$")


def _explain(form: WireForm, body: bytes, currency: str) -> Parsed:
    """Says what is wrong with a body that the typed decode refused."""
    try:
        loose = form.decode_loosely(body)
    except UNREADABLE as unreadable:
        return ErrorReply(ErrorCode.MALFORMED.word, "", _unreadable(form, unreadable))
    if not isinstance(loose, dict):
        text = f'request: {shown(loose)} is not allowed; allowed: a map with the key "type"'
        return ErrorReply(ErrorCode.NOT_A_REQUEST.word, "", text)
    # The typed decode stops at the first bad value, also at one that a later key of the same name
    # takes the place of. In `loose` the last one counts already.
    try:
        request: Request = msgspec.convert(loose, _REQUEST)
        check_request(request, currency)
    except msgspec.ValidationError as invalid:
        return _explain_map(loose, str(invalid)).reply(loose.get)
    except WireError as invalid:
        return invalid.reply(loose.get)
    return request


def _explain_map(loose: dict[object, object], error: str) -> WireError:
    kind = loose.get("type")
    if not isinstance(kind, str) or kind not in REQUEST_TYPES:
        named = shown(kind) if "type" in loose else "none"
        return WireError(
            ErrorCode.UNKNOWN_TYPE,
            "type",
            f"type: {named} is not allowed; allowed: {', '.join(REQUEST_TYPES)}; as a whole body "
            f"{ALL_OR_NONE}",
        )
    if found := _MISSING.match(error):
        field = found[1]
        return WireError(
            ErrorCode.MISSING_FIELD,
            field,
            f"{field}: is missing; {kind} needs it: {ALLOWED[field]}",
        )
    if found := _UNKNOWN.match(error):
        field = found[1][:SHOWN_CHARACTERS_MAX]
        fields = ", ".join(REQUEST_TYPES[kind].__struct_fields__)
        return WireError(
            ErrorCode.UNKNOWN_FIELD,
            field,
            f"{field!a} is not a field of {kind}; allowed: {fields}",
        )
    if found := _AT_FIELD.search(error):
        return _invalid(found[1], loose.get(found[1]))
    return WireError(ErrorCode.MALFORMED, "", f"request: {error[:200]}")
