"""The synchronous client: one thread, which waits where it must.

Owns the waiting. Nothing runs in the background: replies are read, and unanswered requests are
sent again, only while the program is inside `result()`, a one-call method, or a `send` that waits
for room. A program that is away for long finds its replies when it comes back (they are read
before anything is declared late).
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Generic, Self, TypeVar, Unpack, overload

import zmq
from msgspec import UNSET, UnsetType

from guard.client.base import ClientBase
from guard.client.codec import Exchange
from guard.client.errors import GuardRequestError, describe
from guard.client.requests import FillFields, OrderFields, lists_keywords
from guard.clock import monotonic_ns
from guard.protocol.messages import (
    Admit,
    AllOrNone,
    AllOrNoneAnswer,
    Answer,
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

ResultT_co = TypeVar("ResultT_co", covariant=True)

NS_PER_MS = 1_000_000


class Pending(Generic[ResultT_co]):
    """A message under way. `requests` are as they were sent, `sent_at_ns` included."""

    def __init__(
        self,
        client: "GuardClient",
        exchange: Exchange,
        pick: Callable[[list[Reply]], ResultT_co],
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

    def result(self) -> ResultT_co:
        """Waits for the reply (an ErrorReply is returned, not raised); may be called again.

        Raises GuardTimeout, GuardProtocolError or GuardClosedError: the outcome is then unknown.
        Interrupted (Ctrl-C, any other exception of a signal's handler) the requests stay under way:
        call it again, or make the same call once more.
        """
        self._client._check_owner()
        try:
            self._client._wait(lambda: self._exchange.is_done)
        except BaseException as interrupt:
            _note_under_way(self._exchange, interrupt)
            raise
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

    @lists_keywords(Order, OrderFields)
    def order(self, **fields: Unpack[OrderFields]) -> Admit | Reject:
        """May this order go out? Sizes: int lots and ticks, or Decimals (see `InstrumentSpec`).

        Raises SizeError or TypeError before anything is sent, GuardRequestError where nothing has
        changed, GuardTimeout (or another OutcomeUnknownError) where the outcome is unknown.
        Interrupted by Ctrl-C, the order stays under way and may take effect. The same call again,
        with the same arguments, is the same order: it gets the first answer.
        """
        return self.call(self.new_order(**fields))

    def all_or_none(self, orders: Sequence[Order]) -> AllOrNoneAnswer:
        """May these orders, of one desk, go out together? All are admitted, or none is.

        Up to 64 (`new_order`). Raises as `order`; a refusal is an answer, too.
        """
        return self.call(AllOrNone(list(orders)))

    @lists_keywords(Fill, FillFields)
    def fill(self, **fields: Unpack[FillFields]) -> Filled:
        """Reports an execution; `fee_microcents` is an int. Raises as `order`."""
        return self.call(self.new_fill(**fields))

    def execution(self, execution: Execution) -> Executed:
        """Reports a trade as the venue's drop copy has it. Raises as `order`."""
        return self.call(execution)

    def cancel(self, *, desk: str, client_order_id: str) -> Released:
        """Frees what the order still holds and closes it. Raises as `order`."""
        return self.call(Cancel(desk, client_order_id))

    def cancel_all(
        self,
        *,
        through_sequence: int,
        of_desk: str | UnsetType = UNSET,
        of_symbol: str | UnsetType = UNSET,
        of_venue: int | UnsetType = UNSET,
    ) -> CanceledAll:
        """All open orders of a scope up to that record are off; no key may be None."""
        return self.call(CancelAll(through_sequence, of_desk, of_symbol, of_venue))

    def reduce(self, *, desk: str, client_order_id: str, reduce_id: str, quantity: int) -> Reduced:
        """So many lots were taken off an open order; their share is free. Raises as `order`."""
        return self.call(Reduce(desk, client_order_id, reduce_id, quantity))

    def replace(self, replace: Replace) -> Admit | Reject:
        """May another order take the place of an open one? Raises as `order`."""
        return self.call(replace)

    def replaced(self, *, desk: str, client_order_id: str) -> ReplaceSettled:
        """The venue has replaced: that order stands. Raises as `order`."""
        return self.call(Replaced(desk, client_order_id))

    def replace_rejected(self, *, desk: str, client_order_id: str) -> ReplaceSettled:
        """The venue has not replaced: the old order stands. Raises as `order`."""
        return self.call(ReplaceRejected(desk, client_order_id))

    def status(self, *, desk: str, client_order_id: str) -> StatusReply:
        """What the guard knows of an order. Raises as `order`."""
        return self.call(Status(desk, client_order_id))

    def ping(self) -> Pong:
        """The durable head of the guard's log. Raises as `order`."""
        return self.call(Ping())

    def stats(self) -> StatsReply:
        """What the guard has counted since its start. Raises as `order`."""
        return self.call(Stats())

    def hello(
        self,
        *,
        from_symbol: str | None = None,
        from_desk: str | None = None,
        from_venue: int | None = None,
    ) -> HelloReply:
        """What the guard speaks, its bounds, and a page of what is traded. Raises as `order`."""
        return self.call(Hello(from_symbol, from_desk, from_venue))

    def mark(
        self,
        symbol: str,
        price: int | Decimal,
        *,
        as_of_ns: int | None = None,
        bid: int | Decimal | None = None,
        ask: int | Decimal | None = None,
    ) -> Marked:
        """A symbol's reference price now; the last one counts. Prices as of an order.

        Raises as `order`.
        """
        return self.call(self._builder.mark(symbol, price, as_of_ns, bid, ask))

    def limits(self, desk: str, symbol: str) -> LimitsReply:
        """Which limits count for a desk in a symbol, and what is used. Raises as `order`."""
        return self.call(ShowLimits(desk, symbol))

    def positions(self, desk: str, *, from_symbol: str | None = None) -> PositionsReply:
        """What a desk has and works, by symbol, a page of it. Raises as `order`."""
        return self.call(ShowPositions(desk, from_symbol))

    @overload
    def call(self, request: Order) -> Admit | Reject: ...
    @overload
    def call(self, request: AllOrNone) -> AllOrNoneAnswer: ...
    @overload
    def call(self, request: Fill) -> Filled: ...
    @overload
    def call(self, request: Cancel) -> Released: ...
    @overload
    def call(self, request: Reduce) -> Reduced: ...
    @overload
    def call(self, request: CancelAll) -> CanceledAll: ...
    @overload
    def call(self, request: Replace) -> Admit | Reject: ...
    @overload
    def call(self, request: Replaced) -> ReplaceSettled: ...
    @overload
    def call(self, request: ReplaceRejected) -> ReplaceSettled: ...
    @overload
    def call(self, request: Execution) -> Executed: ...
    @overload
    def call(self, request: Status) -> StatusReply: ...
    @overload
    def call(self, request: Ping) -> Pong: ...
    @overload
    def call(self, request: Stats) -> StatsReply: ...
    @overload
    def call(self, request: Hello) -> HelloReply: ...
    @overload
    def call(self, request: Mark) -> Marked: ...
    @overload
    def call(self, request: ShowLimits) -> LimitsReply: ...
    @overload
    def call(self, request: ShowPositions) -> PositionsReply: ...
    @overload
    def call(self, request: Request) -> Answer: ...
    def call(self, request: Request) -> Any:
        """Sends one request and waits; the reply is of a kind that the request can have.

        Raises GuardRequestError for an ErrorReply, else as `order`.
        """
        before = self._session.newest()
        try:
            reply = self.send(request).result()
        except BaseException as interrupt:
            # It may have come between the sending and the waiting.
            newest = self._session.newest()
            if newest is not None and newest is not before:
                _note_under_way(newest, interrupt)
            raise
        if isinstance(reply, ErrorReply):
            raise GuardRequestError.of(reply)
        return reply

    def submit(self, requests: Sequence[Request]) -> list[Reply]:
        """Sends 1 to 256 requests as one message; their replies, in order, ErrorReplies included.

        ValueError for an array of another length or above in_flight_max.
        """
        return self.send_array(requests).result()

    # -- many at once ----------------------------------------------------------------------------

    @overload
    def send(self, request: Order) -> Pending[Admit | Reject | ErrorReply]: ...
    @overload
    def send(self, request: AllOrNone) -> Pending[AllOrNoneAnswer | ErrorReply]: ...
    @overload
    def send(self, request: Fill) -> Pending[Filled | ErrorReply]: ...
    @overload
    def send(self, request: Cancel) -> Pending[Released | ErrorReply]: ...
    @overload
    def send(self, request: Reduce) -> Pending[Reduced | ErrorReply]: ...
    @overload
    def send(self, request: CancelAll) -> Pending[CanceledAll | ErrorReply]: ...
    @overload
    def send(self, request: Replace) -> Pending[Admit | Reject | ErrorReply]: ...
    @overload
    def send(self, request: Replaced) -> Pending[ReplaceSettled | ErrorReply]: ...
    @overload
    def send(self, request: ReplaceRejected) -> Pending[ReplaceSettled | ErrorReply]: ...
    @overload
    def send(self, request: Execution) -> Pending[Executed | ErrorReply]: ...
    @overload
    def send(self, request: Status) -> Pending[StatusReply | ErrorReply]: ...
    @overload
    def send(self, request: Ping) -> Pending[Pong | ErrorReply]: ...
    @overload
    def send(self, request: Stats) -> Pending[StatsReply | ErrorReply]: ...
    @overload
    def send(self, request: Hello) -> Pending[HelloReply | ErrorReply]: ...
    @overload
    def send(self, request: Mark) -> Pending[Marked | ErrorReply]: ...
    @overload
    def send(self, request: ShowLimits) -> Pending[LimitsReply | ErrorReply]: ...
    @overload
    def send(self, request: ShowPositions) -> Pending[PositionsReply | ErrorReply]: ...
    @overload
    def send(self, request: Request) -> Pending[Reply]: ...
    def send(self, request: Request) -> Pending[Any]:
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
        background, delaying at most the end of the process). In a forked child it does nothing: the
        client is the parent's.
        """
        if self._closed or self._is_forked():
            return
        self._check_owner()
        self._close(self._lingering_ms(linger_s))

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
        self._check_owner()
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


def _note_under_way(exchange: Exchange, interrupt: BaseException) -> None:
    """Tells who is interrupted, once, that the requests may take effect all the same."""
    if not exchange.is_done and not getattr(interrupt, "__notes__", None):
        interrupt.add_note(
            f"{describe(exchange.requests)} stays under way and may take effect; the same call "
            "again, with the same arguments and this client, gets its answer"
        )


def _first(replies: list[Reply]) -> Reply:
    return replies[0]
