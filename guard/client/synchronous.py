"""The synchronous client: one thread, which waits where it must.

Owns the waiting. Nothing runs in the background: replies are read, and unanswered requests are
sent again, only while the program is inside `result()`, a one-call method, or a `send` that waits
for room. A program that is away for long finds its replies when it comes back (they are read
before anything is declared late).
"""

from collections.abc import Callable, Sequence
from typing import Generic, Self, TypeVar, Unpack

import zmq

from guard.client.base import ClientBase
from guard.client.codec import Exchange
from guard.client.errors import GuardRequestError
from guard.client.requests import FillFields, OrderFields
from guard.clock import monotonic_ns
from guard.protocol.messages import (
    Admit,
    Cancel,
    ErrorReply,
    Filled,
    Ping,
    Pong,
    Reject,
    Released,
    Reply,
    Request,
    Stats,
    StatsReply,
    Status,
    StatusReply,
)

ResultT = TypeVar("ResultT")

NS_PER_MS = 1_000_000


class Pending(Generic[ResultT]):
    """A message under way. `requests` are as they were sent, `sent_at_ns` included."""

    def __init__(
        self,
        client: "GuardClient",
        exchange: Exchange,
        pick: Callable[[list[Reply]], ResultT],
    ) -> None:
        self._client = client
        self._exchange = exchange
        self._pick = pick

    @property
    def requests(self) -> tuple[Request, ...]:
        return self._exchange.requests

    @property
    def is_done(self) -> bool:
        """Has it ended? Reads nothing: only waiting for something lets replies in."""
        return self._exchange.is_done

    def result(self) -> ResultT:
        """Waits for the reply (an ErrorReply is returned, not raised); may be called again.

        Raises GuardTimeout, GuardProtocolError or GuardClosedError: the outcome is then unknown.
        """
        self._client._wait(lambda: self._exchange.is_done)
        if self._exchange.error is not None:
            raise self._exchange.error
        assert self._exchange.replies is not None
        return self._pick(self._exchange.replies)


class GuardClient(ClientBase):
    """A client for one thread, the one that makes it. `guard.client` describes its options."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- one call, one answer --------------------------------------------------------------------

    def order(self, **fields: Unpack[OrderFields]) -> Admit | Reject:
        """May this order go out? Sizes: int lots and ticks, or Decimals (see `InstrumentSpec`).

        Raises SizeError or TypeError before anything is sent, GuardRequestError where nothing has
        changed, GuardTimeout (or another OutcomeUnknownError) where the outcome is unknown.
        """
        reply = self.call(self.new_order(**fields))
        assert isinstance(reply, Admit | Reject)
        return reply

    def fill(self, **fields: Unpack[FillFields]) -> Filled:
        """Reports an execution; `fee_microcents` is an int. Raises as `order`."""
        reply = self.call(self.new_fill(**fields))
        assert isinstance(reply, Filled)
        return reply

    def cancel(self, *, desk: str, client_order_id: str) -> Released:
        """Frees what the order still holds and closes it. Raises as `order`."""
        reply = self.call(Cancel(desk, client_order_id))
        assert isinstance(reply, Released)
        return reply

    def status(self, *, desk: str, client_order_id: str) -> StatusReply:
        """What the guard knows of an order. Raises as `order`."""
        reply = self.call(Status(desk, client_order_id))
        assert isinstance(reply, StatusReply)
        return reply

    def ping(self) -> Pong:
        """The durable head of the guard's log. Raises as `order`."""
        reply = self.call(Ping())
        assert isinstance(reply, Pong)
        return reply

    def stats(self) -> StatsReply:
        """What the guard has counted since its start. Raises as `order`."""
        reply = self.call(Stats())
        assert isinstance(reply, StatsReply)
        return reply

    def call(self, request: Request) -> Reply:
        """Sends one request and waits; the reply is of a kind that the request can have.

        Raises GuardRequestError for an ErrorReply, else as `order`.
        """
        reply = self.send(request).result()
        if isinstance(reply, ErrorReply):
            raise GuardRequestError.of(reply)
        return reply

    def submit(self, requests: Sequence[Request]) -> list[Reply]:
        """Sends 1 to 256 requests as one message; their replies, in order, ErrorReplies included.

        ValueError for an array of another length or above in_flight_max.
        """
        return self.send_array(requests).result()

    # -- many at once ----------------------------------------------------------------------------

    def send(self, request: Request) -> Pending[Reply]:
        """Sends and returns at once, unless `in_flight_max` requests are under way.

        Then it waits until there is room: until enough of them are answered or time out.
        """
        return Pending(self, self._open([request], is_array=False), _first)

    def send_array(self, requests: Sequence[Request]) -> Pending[list[Reply]]:
        """As `send`, for an array in one message."""
        return Pending(self, self._open(requests, is_array=True), list)

    def close(self, linger_s: float | None = None) -> None:
        """Ends what is under way with GuardClosedError. A second close does nothing.

        Returns at once; what was handed to ZeroMQ may still leave for `linger_s` (in the
        background, delaying at most the end of the process).
        """
        self._close(linger_s)

    def _open(self, requests: Sequence[Request], *, is_array: bool) -> Exchange:
        self._check_open()
        self._session.check_size(len(requests))
        self._wait(lambda: self._session.has_room(len(requests)))
        self._check_open()
        exchange = self._session.open(
            [self._stamp(request) for request in requests],
            is_array=is_array,
            now_ns=monotonic_ns(),
        )
        self._transmit(exchange)
        return exchange

    def _wait(self, is_over: Callable[[], bool]) -> None:
        """Reads, sends again and times out until it is over. It ends: everything has a deadline."""
        self._check_thread()
        while not is_over():
            if self._receive_some():
                continue
            if is_over():
                return  # also where the client had to close: everything has ended then
            self._send_due()
            due_ns = self._session.next_due_ns()
            if due_ns is not None and not is_over():
                # Rounded up: waking a moment early would mean spinning until it is due.
                wait_ms = max(0, -((monotonic_ns() - due_ns) // NS_PER_MS))
                self._socket.poll(wait_ms, zmq.POLLIN)


def _first(replies: list[Reply]) -> Reply:
    return replies[0]
