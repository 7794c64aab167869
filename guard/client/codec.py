"""From requests to one message, and from its answer back: the client's wire, without a socket.

Owns the encoding, the limits of a message, and the question whether a reply can be the answer of
an exchange. Pure. An *exchange* is one message and its answer: one request, or an array of them.

How it fails: ValueError for a request that no message can carry, and for a reply that this
protocol does not know (msgspec's decoding errors are ValueErrors).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET

from guard.client.errors import GuardClientError
from guard.protocol.messages import (
    Admit,
    AllOrNone,
    AllOrNoneAnswer,
    Cancel,
    CancelAll,
    CanceledAll,
    ErrorReply,
    Executed,
    Execution,
    Fill,
    Filled,
    Hello,
    HelloReply,
    LimitsReply,
    Mark,
    Marked,
    Order,
    Ping,
    Pong,
    PositionsReply,
    Reduce,
    Reduced,
    Reject,
    Released,
    Replace,
    Replaced,
    ReplaceRejected,
    ReplaceSettled,
    Reply,
    ShowLimits,
    ShowPositions,
    Stats,
    StatsReply,
    Status,
    StatusReply,
)
from guard.protocol.messages import AnyRequest as Request
from guard.protocol.wire import refusal

Encoding: TypeAlias = Literal["msgpack", "json"]
ReplyBody: TypeAlias = Reply | list[Reply]

# The limits of the protocol's section 1.
BODY_BYTES_MAX = 262_144
NOT_SERVING = "not_serving"
REQUESTS_PER_MESSAGE_MAX = 256

ANSWER_TYPES: dict[type[Request], tuple[type[Reply], ...]] = {
    Order: (Admit, Reject, ErrorReply),
    AllOrNone: (AllOrNoneAnswer, ErrorReply),
    Fill: (Filled, ErrorReply),
    Execution: (Executed, ErrorReply),
    Cancel: (Released, ErrorReply),
    Reduce: (Reduced, ErrorReply),
    CancelAll: (CanceledAll, ErrorReply),
    Replace: (Admit, Reject, ErrorReply),
    Replaced: (ReplaceSettled, ErrorReply),
    ReplaceRejected: (ReplaceSettled, ErrorReply),
    Status: (StatusReply, ErrorReply),
    Ping: (Pong, ErrorReply),
    Stats: (StatsReply, ErrorReply),
    Hello: (HelloReply, ErrorReply),
    Mark: (Marked, ErrorReply),
    ShowLimits: (LimitsReply, ErrorReply),
    ShowPositions: (PositionsReply, ErrorReply),
}
_OPTIONAL_FIELDS: dict[type[Request], tuple[str, ...]] = {
    Order: ("currency", "sent_at_ns"),
    Replace: ("sent_at_ns",),
    Fill: ("price", "executed_at_ns"),
    Execution: ("executed_at_ns",),
    Hello: ("from_symbol", "from_desk", "from_venue"),
    Mark: ("as_of_ns", "bid", "ask"),
    ShowPositions: ("from_symbol",),
}
_IDENTITY_FIELDS = ("desk", "client_order_id", "fill_id", "reduce_id", "execution_id")


@dataclass(slots=True, eq=False)
class Exchange:
    """One message under way, and in the end its replies or its error. Times are monotonic."""

    first_request_id: int
    requests: tuple[Request, ...]
    is_array: bool
    body: bytes
    on_done: Callable[["Exchange"], None] | None
    deadline_ns: int
    last_sent_ns: int = 0
    next_send_ns: int = 0
    send_count: int = 0
    replies: list[Reply] | None = None
    error: GuardClientError | None = None

    @property
    def is_done(self) -> bool:
        return self.replies is not None or self.error is not None


class Codec:
    """Encodes messages and decodes replies, in MessagePack or JSON."""

    def __init__(self, encoding: Encoding) -> None:
        if encoding == "json":
            self._encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
            self._decode: Callable[[bytes], ReplyBody] = msgspec.json.Decoder(ReplyBody).decode
        elif encoding == "msgpack":
            self._encode = msgspec.msgpack.Encoder().encode
            self._decode = msgspec.msgpack.Decoder(ReplyBody).decode
        else:
            raise ValueError(f"encoding: {encoding!r} is not allowed; allowed: msgpack, json")

    def encode(self, requests: Sequence[Request], first_request_id: int, is_array: bool) -> bytes:
        """The body of a message whose requests are numbered from `first_request_id` on.

        Raises ValueError for a body above the protocol's limit, TypeError for what is no request,
        and either, naming the argument, for a value that the encoding cannot hold. Whatever it can
        hold is the guard's to judge.
        """
        numbered = [
            _on_the_wire(request, first_request_id + at) for at, request in enumerate(requests)
        ]
        try:
            body = self._encode(numbered if is_array else numbered[0])
        except (OverflowError, TypeError, ValueError) as error:
            raise self._named(numbered) or error from error
        if len(body) > BODY_BYTES_MAX:
            raise ValueError(
                f"requests: a message of {len(body)} bytes is not allowed; "
                f"allowed: at most {BODY_BYTES_MAX}"
            )
        return body

    def _named(self, requests: Sequence[Request]) -> Exception | None:
        """What is wrong with the first value that cannot be written, in the guard's own words."""
        for request in requests:
            for name in request.__struct_fields__:
                value = getattr(request, name)
                try:
                    self._encode([] if value is UNSET else value)
                except (OverflowError, TypeError, ValueError) as error:
                    kind = TypeError if isinstance(error, TypeError) else ValueError
                    return kind(refusal(name, value))
        return None

    def decode(self, frames: Sequence[bytes]) -> ReplyBody:
        """One reply or a non-empty list of them; ValueError for anything else."""
        if len(frames) != 1:
            raise ValueError(f"a reply of {len(frames)} frames; expected 1")
        replies = self._decode(frames[0])
        if isinstance(replies, list) and not replies:
            raise ValueError("a reply that is an empty array")
        return replies


def _on_the_wire(request: Request, request_id: int) -> Request:
    """A copy with its number, and without the optional keys that have no value."""
    if type(request) not in ANSWER_TYPES:
        raise TypeError(f"{request!r} is no request of this protocol")
    changes = _unsaid(request)
    if isinstance(request, AllOrNone):  # these have one number together
        changes["orders"] = [
            msgspec.structs.replace(order, request_id=UNSET, **_unsaid(order))
            for order in request.orders
        ]
    return msgspec.structs.replace(request, request_id=request_id, **changes)


def is_of_standby(reply: Reply) -> bool:
    """Is it of a guard that stands by: what it may not answer, or does not know to be so now?"""
    if isinstance(reply, ErrorReply):
        return reply.code == NOT_SERVING
    return getattr(reply, "behind_records", UNSET) is not UNSET


def _unsaid(request: Request) -> dict[str, object]:
    """The optional keys that have no value, to be left out."""
    names = _OPTIONAL_FIELDS.get(type(request), ())
    return {name: UNSET for name in names if getattr(request, name) is None}


def find_mismatch(exchange: Exchange, replies: ReplyBody) -> str:
    """Why these replies cannot be the answer of that exchange; "" if they can."""
    if isinstance(replies, list) != exchange.is_array:
        return "one reply to an array, or an array to one request"
    listed = replies if isinstance(replies, list) else [replies]
    if len(listed) != len(exchange.requests):
        return f"{len(listed)} replies to {len(exchange.requests)} requests"
    for at, (request, reply) in enumerate(zip(exchange.requests, listed, strict=True)):
        if reply.request_id != exchange.first_request_id + at:
            return f"request_id {exchange.first_request_id + at} is answered by {reply}"
        if not isinstance(reply, ANSWER_TYPES[type(request)]):
            return f"{type(request).__name__} is answered by {reply}"
        if isinstance(request, AllOrNone):
            if mismatch := _together_mismatch(request, reply):
                return mismatch
            continue
        for name in _IDENTITY_FIELDS:
            said = getattr(reply, name, UNSET)
            if said is not UNSET and said != getattr(request, name):
                return f"{name} {getattr(request, name)!r} is answered by {reply}"
    return ""


def _together_mismatch(request: AllOrNone, reply: Reply) -> str:
    """The same of orders that stand or fall together; an error may name any of them, or none."""
    if not isinstance(reply, AllOrNoneAnswer):
        return ""
    asked = [order.client_order_id for order in request.orders]
    told = [answer.client_order_id for answer in reply.answers]
    return "" if asked == told else f"orders {asked} are answered as {told}"
