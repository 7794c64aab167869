"""The client's half of the protocol as a state machine: who waits for what, and since when.

Owns the numbering of requests, the encoding of messages, the matching of replies, and the plan of
resends and timeouts. It touches no socket and reads no clock: both clients, the synchronous and
the asynchronous one, run this code and do what it says.

Vocabulary: an *exchange* is one message and its answer. It carries one request, or an array.

How it works:

* Requests are numbered 1, 2, 3, … and a number is never used again in a session, so that a late
  or second reply matches nothing and is dropped (and counted). An array has consecutive numbers.
* An exchange without a reply is sent again after `resend_after_s`, then after twice that, and so
  on: the same bytes, hence the same ids and the same `sent_at_ns`.
* When *nothing at all* has come back for that long, the socket seems dead: a fresh one is asked
  for, and everything under way goes over it, in the first order. The patience doubles until
  something is received, so that a slow guard is not deserted again and again.
* After `timeout_s` from its first sending an exchange ends with `GuardTimeout`.

How it fails: a reply that breaks the protocol ends the exchange it belongs to with
`GuardProtocolError`, or, if it belongs to none, everything under way: none can be trusted now.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET

from guard.client_errors import GuardClientError, GuardProtocolError, GuardTimeout
from guard.messages import (
    Admit,
    Cancel,
    ErrorReply,
    Fill,
    Filled,
    Order,
    Ping,
    Pong,
    Reject,
    Released,
    Reply,
    Request,
    Status,
    StatusReply,
)

Encoding: TypeAlias = Literal["msgpack", "json"]
ReplyBody: TypeAlias = Reply | list[Reply]

# The limits of the protocol's section 1.
BODY_BYTES_MAX = 262_144
REQUESTS_PER_MESSAGE_MAX = 256
# The guard keeps at most 1,000 messages a client in each direction and drops replies beyond.
IN_FLIGHT_LIMIT = 1_000

NS_PER_S = 1_000_000_000

ANSWER_TYPES: dict[type[Request], tuple[type[Reply], ...]] = {
    Order: (Admit, Reject, ErrorReply),
    Fill: (Filled, ErrorReply),
    Cancel: (Released, ErrorReply),
    Status: (StatusReply, ErrorReply),
    Ping: (Pong, ErrorReply),
}
_OPTIONAL_FIELDS: dict[type[Request], tuple[str, ...]] = {
    Order: ("currency", "sent_at_ns"),
    Fill: ("price", "executed_at_ns"),
}
_IDENTITY_FIELDS = ("desk", "client_order_id", "fill_id")


class Exchange:
    """One message under way, and in the end its replies or its error."""

    __slots__ = (
        "body",
        "deadline_ns",
        "error",
        "first_request_id",
        "is_array",
        "last_sent_ns",
        "next_send_ns",
        "on_done",
        "replies",
        "requests",
        "send_count",
    )

    def __init__(
        self,
        first_request_id: int,
        requests: tuple[Request, ...],
        is_array: bool,
        body: bytes,
        on_done: Callable[["Exchange"], None] | None,
    ) -> None:
        self.first_request_id = first_request_id
        self.requests = requests
        self.is_array = is_array
        self.body = body
        self.on_done = on_done
        self.deadline_ns = 0
        self.last_sent_ns = 0
        self.next_send_ns = 0
        self.send_count = 0
        self.replies: list[Reply] | None = None
        self.error: GuardClientError | None = None

    @property
    def is_done(self) -> bool:
        return self.replies is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now: perhaps take a fresh socket, then send these, in this order."""

    fresh_socket: bool
    resends: list[Exchange]


class Session:
    """All exchanges of one client. Times are monotonic, in nanoseconds, and never run backwards."""

    def __init__(
        self, *, encoding: Encoding, in_flight_max: int, timeout_s: float, resend_after_s: float
    ) -> None:
        if encoding not in ("msgpack", "json"):
            raise ValueError(f"encoding: {encoding!r} is not allowed; allowed: msgpack, json")
        if not 1 <= in_flight_max <= IN_FLIGHT_LIMIT:
            raise ValueError(
                f"in_flight_max: {in_flight_max} is not allowed; allowed: 1 to {IN_FLIGHT_LIMIT}"
            )
        if not (0 < timeout_s <= 3600 and 0 < resend_after_s <= 3600):
            raise ValueError(
                f"timeout_s, resend_after_s: {timeout_s}, {resend_after_s} are not allowed; "
                "allowed: above 0, at most 3600"
            )
        if encoding == "json":
            self._encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
            self._decode: Callable[[bytes], ReplyBody] = msgspec.json.Decoder(ReplyBody).decode
        else:
            self._encode = msgspec.msgpack.Encoder().encode
            self._decode = msgspec.msgpack.Decoder(ReplyBody).decode
        self.in_flight_max = in_flight_max
        self.in_flight_count = 0
        self.dropped_reply_count = 0
        self._timeout_s = timeout_s
        self._timeout_ns = int(timeout_s * NS_PER_S)
        self._resend_after_ns = int(resend_after_s * NS_PER_S)
        self._next_request_id = 1
        # By first request id, in the order of first sending, hence of deadlines too.
        self._exchanges: dict[int, Exchange] = {}
        # Never later than the earliest next_send_ns; made exact by each look at all of them.
        self._resend_scan_ns = 0
        # Since when something is awaited on this socket and nothing has come.
        self._quiet_since_ns = 0
        self._patience_ns = self._resend_after_ns

    # -- opening ---------------------------------------------------------------------------------

    def check_size(self, request_count: int) -> None:
        """ValueError for an array that could never be sent."""
        count_max = min(REQUESTS_PER_MESSAGE_MAX, self.in_flight_max)
        if not 1 <= request_count <= count_max:
            raise ValueError(
                f"requests: {request_count} in one message is not allowed; allowed: 1 to "
                f"{count_max} (at most {REQUESTS_PER_MESSAGE_MAX}, and at most in_flight_max)"
            )

    def has_room(self, request_count: int) -> bool:
        """May so many more requests be under way?"""
        return self.in_flight_count + request_count <= self.in_flight_max

    def open(
        self,
        requests: Sequence[Request],
        *,
        is_array: bool,
        now_ns: int,
        on_done: Callable[[Exchange], None] | None = None,
    ) -> Exchange:
        """Numbers and encodes the requests; the caller sends the exchange's body now.

        A `request_id` set by the caller is replaced by the session's. Raises ValueError for a
        body above the protocol's limit, and what msgspec raises for what it cannot encode.
        """
        self.check_size(len(requests))
        assert self.has_room(len(requests)), "the caller has waited for room"
        first = self._next_request_id
        numbered = [_on_the_wire(request, first + at) for at, request in enumerate(requests)]
        body = self._encode(numbered if is_array else numbered[0])
        if len(body) > BODY_BYTES_MAX:
            raise ValueError(
                f"requests: a message of {len(body)} bytes is not allowed; "
                f"allowed: at most {BODY_BYTES_MAX}"
            )
        self._next_request_id += len(requests)
        exchange = Exchange(first, tuple(requests), is_array, body, on_done)
        exchange.deadline_ns = now_ns + self._timeout_ns
        if not self._exchanges:
            self._quiet_since_ns = now_ns
            self._patience_ns = self._resend_after_ns
            self._resend_scan_ns = now_ns + self._resend_after_ns
        self._exchanges[first] = exchange
        self.in_flight_count += len(requests)
        self._mark_sent(exchange, now_ns)
        return exchange

    # -- replies ---------------------------------------------------------------------------------

    def receive(self, frames: Sequence[bytes], now_ns: int) -> bool:
        """Takes one message from the socket. False: the peer cannot be trusted, take a fresh one.

        In that case everything under way has ended with GuardProtocolError.
        """
        self._quiet_since_ns = now_ns
        self._patience_ns = self._resend_after_ns
        try:
            replies = self._decode_frames(frames)
        except ValueError as error:  # msgspec's DecodeError is one
            return self._distrust(str(error))
        first_reply = replies[0] if isinstance(replies, list) else replies
        request_id = first_reply.request_id
        if type(request_id) is not int or not 0 < request_id < self._next_request_id:
            return self._distrust(f"the peer answered what was never asked: {first_reply}")
        exchange = self._exchanges.get(request_id)
        if exchange is None:
            self.dropped_reply_count += 1
            return True
        mismatch = _mismatch(exchange, replies)
        if mismatch:
            error = GuardProtocolError(f"the reply does not fit: {mismatch}", exchange.requests)
            self._end(exchange, error=error)
        else:
            self._end(exchange, replies=replies if isinstance(replies, list) else [replies])
        return True

    def _decode_frames(self, frames: Sequence[bytes]) -> ReplyBody:
        if len(frames) != 1:
            raise ValueError(f"a reply of {len(frames)} frames; expected 1")
        replies = self._decode(frames[0])
        if isinstance(replies, list) and not replies:
            raise ValueError("a reply that is an empty array")
        return replies

    def _distrust(self, why: str) -> bool:
        if not self._exchanges:
            self.dropped_reply_count += 1
        self.end_all(lambda requests: GuardProtocolError(why, requests))
        return False

    # -- time ------------------------------------------------------------------------------------

    def next_due_ns(self) -> int | None:
        """When `due` has something to do at the earliest; None while nothing is under way."""
        if not self._exchanges:
            return None
        oldest = next(iter(self._exchanges.values()))
        quiet_end_ns = self._quiet_since_ns + self._patience_ns
        return min(oldest.deadline_ns, self._resend_scan_ns, quiet_end_ns)

    def due(self, now_ns: int) -> Due:
        """Ends what has waited too long and says what to send again, marking it as sent.

        To be asked only after everything that has arrived was given to `receive`.
        """
        fresh_socket = self._expire(now_ns)
        if not self._exchanges:
            return Due(fresh_socket, [])
        if now_ns - self._quiet_since_ns >= self._patience_ns:
            fresh_socket = True
            self._quiet_since_ns = now_ns
            self._patience_ns = min(2 * self._patience_ns, self._timeout_ns)
        if fresh_socket:
            resends = list(self._exchanges.values())
        elif now_ns >= self._resend_scan_ns:
            resends = [e for e in self._exchanges.values() if e.next_send_ns <= now_ns]
        else:
            return Due(False, [])
        for exchange in resends:
            self._mark_sent(exchange, now_ns)
        self._resend_scan_ns = min(e.next_send_ns for e in self._exchanges.values())
        return Due(fresh_socket, resends)

    def _expire(self, now_ns: int) -> bool:
        """Ends what is past its deadline. True if a fresh socket is needed for what comes next.

        It is when the last one ended and nothing came since it was sent: the old socket may still
        hold it, and would deliver an order that its sender has given up, whenever the guard is up.
        """
        last_expired: Exchange | None = None
        while self._exchanges:
            exchange = next(iter(self._exchanges.values()))
            if exchange.deadline_ns > now_ns:
                break
            sendings = "once" if exchange.send_count == 1 else f"{exchange.send_count} times"
            why = f"no reply within {self._timeout_s} s (sent {sendings})"
            self._end(exchange, error=GuardTimeout(why, exchange.requests))
            last_expired = exchange
        if last_expired is None or self._exchanges:
            return False
        return self._quiet_since_ns <= last_expired.last_sent_ns

    def _mark_sent(self, exchange: Exchange, now_ns: int) -> None:
        exchange.last_sent_ns = now_ns
        exchange.next_send_ns = now_ns + (self._resend_after_ns << exchange.send_count)
        exchange.send_count += 1
        self._resend_scan_ns = min(self._resend_scan_ns, exchange.next_send_ns)

    # -- ends ------------------------------------------------------------------------------------

    def forget(self, exchange: Exchange) -> None:
        """Nobody waits for it any more: it is not sent again and its reply will be dropped."""
        if self._exchanges.pop(exchange.first_request_id, None) is not None:
            self.in_flight_count -= len(exchange.requests)

    def end_all(self, error_for: Callable[[Sequence[Request]], GuardClientError]) -> None:
        """Ends everything under way with an error of its own each."""
        for exchange in list(self._exchanges.values()):
            self._end(exchange, error=error_for(exchange.requests))

    def _end(
        self,
        exchange: Exchange,
        *,
        replies: list[Reply] | None = None,
        error: GuardClientError | None = None,
    ) -> None:
        assert not exchange.is_done
        self.forget(exchange)
        exchange.replies = replies
        exchange.error = error
        if exchange.on_done is not None:
            exchange.on_done(exchange)


def _on_the_wire(request: Request, request_id: int) -> Request:
    """A copy with its number, and without the optional keys that have no value."""
    if type(request) not in ANSWER_TYPES:
        raise TypeError(f"{request!r} is no request of this protocol")
    changes: dict[str, object] = {
        name: UNSET
        for name in _OPTIONAL_FIELDS.get(type(request), ())
        if getattr(request, name) is None
    }
    return msgspec.structs.replace(request, request_id=request_id, **changes)


def _mismatch(exchange: Exchange, replies: ReplyBody) -> str:
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
        for name in _IDENTITY_FIELDS:
            if hasattr(reply, name) and getattr(reply, name) != getattr(request, name):
                return f"{name} {getattr(request, name)!r} is answered by {reply}"
    return ""
