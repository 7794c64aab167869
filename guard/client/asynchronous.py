"""The asynchronous client: the same protocol on an asyncio (or uvloop) loop.

Owns the waiting. The socket's file descriptor is watched by the loop itself: it signals *edges*,
so the socket is asked for its events again after every send and every receive, or a reply that
came in between would wait for the next one. One timer drives resends and timeouts.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Self, TypeVar, Unpack, overload

import zmq
from msgspec import UNSET, UnsetType

from guard.client.base import ClientBase
from guard.client.codec import Exchange
from guard.client.errors import GuardRequestError
from guard.client.requests import FillFields, OrderFields, lists_keywords
from guard.client.session import NS_PER_S
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

ResultT = TypeVar("ResultT")


class AsyncGuardClient(ClientBase):
    """A client for one event loop. Make it inside the loop; `guard.client` describes its options.

    Any number of tasks may use it. Cancelling a task, or a future that `send` gave, gives up the
    reply and not the request: its outcome is then unknown.
    """

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        # The turn makes those who wait for room wait in line: an array is not starved.
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_ns = 0
        self._drain_again: asyncio.Handle | None = None
        self._loop.add_reader(self._fd(), self._on_readable)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    # -- one call, one answer --------------------------------------------------------------------

    @lists_keywords(Order, OrderFields)
    async def order(self, **fields: Unpack[OrderFields]) -> Admit | Reject:
        """May this order go out? Sizes: int lots and ticks, or Decimals (see `InstrumentSpec`).

        Raises SizeError or TypeError before anything is sent, GuardRequestError where nothing has
        changed, GuardTimeout (or another OutcomeUnknownError) where the outcome is unknown.
        Cancelled (as Ctrl-C does under `asyncio.run`), the order has been sent and may take effect.
        The same call again, with the same arguments, is the same order: it gets the first answer.
        """
        return await self.call(self.new_order(**fields))

    async def all_or_none(self, orders: Sequence[Order]) -> AllOrNoneAnswer:
        """May these orders, of one desk, go out together? All are admitted, or none is.

        Up to 64 (`new_order`). Raises as `order`; a refusal is an answer, too.
        """
        return await self.call(AllOrNone(list(orders)))

    @lists_keywords(Fill, FillFields)
    async def fill(self, **fields: Unpack[FillFields]) -> Filled:
        """Reports an execution; `fee_microcents` is an int. Raises as `order`."""
        return await self.call(self.new_fill(**fields))

    async def execution(self, execution: Execution) -> Executed:
        """Reports a trade as the venue's drop copy has it. Raises as `order`."""
        return await self.call(execution)

    async def cancel(self, *, desk: str, client_order_id: str) -> Released:
        """Frees what the order still holds and closes it. Raises as `order`."""
        return await self.call(Cancel(desk, client_order_id))

    async def cancel_all(
        self,
        *,
        through_sequence: int,
        of_desk: str | UnsetType = UNSET,
        of_symbol: str | UnsetType = UNSET,
        of_venue: int | UnsetType = UNSET,
    ) -> CanceledAll:
        """All open orders of a scope up to that record are off; no key may be None."""
        return await self.call(CancelAll(through_sequence, of_desk, of_symbol, of_venue))

    async def reduce(
        self, *, desk: str, client_order_id: str, reduce_id: str, quantity: int
    ) -> Reduced:
        """So many lots were taken off an open order; their share is free. Raises as `order`."""
        return await self.call(Reduce(desk, client_order_id, reduce_id, quantity))

    async def replace(self, replace: Replace) -> Admit | Reject:
        """May another order take the place of an open one? Raises as `order`."""
        return await self.call(replace)

    async def replaced(self, *, desk: str, client_order_id: str) -> ReplaceSettled:
        """The venue has replaced: that order stands. Raises as `order`."""
        return await self.call(Replaced(desk, client_order_id))

    async def replace_rejected(self, *, desk: str, client_order_id: str) -> ReplaceSettled:
        """The venue has not replaced: the old order stands. Raises as `order`."""
        return await self.call(ReplaceRejected(desk, client_order_id))

    async def status(self, *, desk: str, client_order_id: str) -> StatusReply:
        """What the guard knows of an order. Raises as `order`."""
        return await self.call(Status(desk, client_order_id))

    async def ping(self) -> Pong:
        """The durable head of the guard's log. Raises as `order`."""
        return await self.call(Ping())

    async def stats(self) -> StatsReply:
        """What the guard has counted since its start. Raises as `order`."""
        return await self.call(Stats())

    async def hello(
        self,
        *,
        from_symbol: str | None = None,
        from_desk: str | None = None,
        from_venue: int | None = None,
    ) -> HelloReply:
        """What the guard speaks, its bounds, and a page of what is traded. Raises as `order`."""
        return await self.call(Hello(from_symbol, from_desk, from_venue))

    async def mark(
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
        return await self.call(self._builder.mark(symbol, price, as_of_ns, bid, ask))

    async def limits(self, desk: str, symbol: str) -> LimitsReply:
        """Which limits count for a desk in a symbol, and what is used. Raises as `order`."""
        return await self.call(ShowLimits(desk, symbol))

    async def positions(self, desk: str, *, from_symbol: str | None = None) -> PositionsReply:
        """What a desk has and works, by symbol, a page of it. Raises as `order`."""
        return await self.call(ShowPositions(desk, from_symbol))

    @overload
    async def call(self, request: Order) -> Admit | Reject: ...
    @overload
    async def call(self, request: AllOrNone) -> AllOrNoneAnswer: ...
    @overload
    async def call(self, request: Fill) -> Filled: ...
    @overload
    async def call(self, request: Cancel) -> Released: ...
    @overload
    async def call(self, request: Reduce) -> Reduced: ...
    @overload
    async def call(self, request: CancelAll) -> CanceledAll: ...
    @overload
    async def call(self, request: Replace) -> Admit | Reject: ...
    @overload
    async def call(self, request: Replaced) -> ReplaceSettled: ...
    @overload
    async def call(self, request: ReplaceRejected) -> ReplaceSettled: ...
    @overload
    async def call(self, request: Execution) -> Executed: ...
    @overload
    async def call(self, request: Status) -> StatusReply: ...
    @overload
    async def call(self, request: Ping) -> Pong: ...
    @overload
    async def call(self, request: Stats) -> StatsReply: ...
    @overload
    async def call(self, request: Hello) -> HelloReply: ...
    @overload
    async def call(self, request: Mark) -> Marked: ...
    @overload
    async def call(self, request: ShowLimits) -> LimitsReply: ...
    @overload
    async def call(self, request: ShowPositions) -> PositionsReply: ...
    @overload
    async def call(self, request: Request) -> Answer: ...
    async def call(self, request: Request) -> Any:
        """Sends one request and waits; the reply is of a kind that the request can have.

        Raises GuardRequestError for an ErrorReply, else as `order`.
        """
        reply = await (await self.send(request))
        if isinstance(reply, ErrorReply):
            raise GuardRequestError.of(reply)
        return reply

    async def submit(self, requests: Sequence[Request]) -> list[Reply]:
        """Sends 1 to 256 requests as one message; their replies, in order, ErrorReplies included.

        ValueError for an array of another length or above in_flight_max.
        """
        return await (await self.send_array(requests))

    # -- many at once ----------------------------------------------------------------------------

    @overload
    async def send(self, request: Order) -> "asyncio.Future[Admit | Reject | ErrorReply]": ...
    @overload
    async def send(self, request: AllOrNone) -> "asyncio.Future[AllOrNoneAnswer | ErrorReply]": ...
    @overload
    async def send(self, request: Fill) -> "asyncio.Future[Filled | ErrorReply]": ...
    @overload
    async def send(self, request: Cancel) -> "asyncio.Future[Released | ErrorReply]": ...
    @overload
    async def send(self, request: Reduce) -> "asyncio.Future[Reduced | ErrorReply]": ...
    @overload
    async def send(self, request: CancelAll) -> "asyncio.Future[CanceledAll | ErrorReply]": ...
    @overload
    async def send(self, request: Replace) -> "asyncio.Future[Admit | Reject | ErrorReply]": ...
    @overload
    async def send(self, request: Replaced) -> "asyncio.Future[ReplaceSettled | ErrorReply]": ...
    @overload
    async def send(
        self, request: ReplaceRejected
    ) -> "asyncio.Future[ReplaceSettled | ErrorReply]": ...
    @overload
    async def send(self, request: Execution) -> "asyncio.Future[Executed | ErrorReply]": ...
    @overload
    async def send(self, request: Status) -> "asyncio.Future[StatusReply | ErrorReply]": ...
    @overload
    async def send(self, request: Ping) -> "asyncio.Future[Pong | ErrorReply]": ...
    @overload
    async def send(self, request: Stats) -> "asyncio.Future[StatsReply | ErrorReply]": ...
    @overload
    async def send(self, request: Hello) -> "asyncio.Future[HelloReply | ErrorReply]": ...
    @overload
    async def send(self, request: Mark) -> "asyncio.Future[Marked | ErrorReply]": ...
    @overload
    async def send(self, request: ShowLimits) -> "asyncio.Future[LimitsReply | ErrorReply]": ...
    @overload
    async def send(
        self, request: ShowPositions
    ) -> "asyncio.Future[PositionsReply | ErrorReply]": ...
    @overload
    async def send(self, request: Request) -> "asyncio.Future[Reply]": ...
    async def send(self, request: Request) -> "asyncio.Future[Any]":
        """Sends and gives a future of the reply (an ErrorReply is a value, not raised).

        Where `in_flight_max` requests are under way, waits until enough of them have ended. The
        future raises GuardTimeout, GuardProtocolError or GuardClosedError: outcome unknown.
        """
        return await self._open([request], is_array=False, pick=_first)

    async def send_array(self, requests: Sequence[Request]) -> "asyncio.Future[list[Reply]]":
        """As `send`, for an array in one message."""
        return await self._open(requests, is_array=True, pick=list)

    def close(self, linger_s: float | None = None) -> None:
        """Ends what is under way with GuardClosedError. A second close does nothing.

        Returns at once; what was handed to ZeroMQ may still leave for `linger_s` (in the
        background, delaying at most the end of the process). In a forked child it does nothing: the
        client is the parent's.
        """
        if self._closed or self._is_forked():
            return
        self._check_owner()
        linger_ms = self._lingering_ms(linger_s)
        self._loop.remove_reader(self._fd())
        for handle in (self._timer, self._drain_again):
            if handle is not None:
                handle.cancel()
        self._close(linger_ms)
        self._room.set()

    # -- inside ----------------------------------------------------------------------------------

    async def _open(
        self,
        requests: Sequence[Request],
        *,
        is_array: bool,
        pick: Callable[[list[Reply]], ResultT],
    ) -> "asyncio.Future[ResultT]":
        self._check_owner()  # the turn may have been taken before a fork
        self._session.check_size(len(requests))
        async with self._turn:
            self._check_open()
            while not self._session.has_room(len(requests)):
                self._room.clear()
                await self._room.wait()
                self._check_open()
            future: asyncio.Future[ResultT] = self._loop.create_future()
            exchange = self._session.open(
                [self._stamp(request) for request in requests],
                is_array=is_array,
                now_ns=monotonic_ns(),
                on_done=lambda exchange: self._settle(future, exchange, pick),
            )
            future.add_done_callback(lambda future: self._give_up(future, exchange))
            self._transmit(exchange)
            self._set_timer()
            return future

    def _settle(
        self,
        future: "asyncio.Future[ResultT]",
        exchange: Exchange,
        pick: Callable[[list[Reply]], ResultT],
    ) -> None:
        self._room.set()
        if future.done():  # cancelled a moment ago; _give_up is about to run
            return
        if exchange.replies is not None:
            future.set_result(pick(exchange.replies))
        else:
            assert exchange.error is not None
            future.set_exception(exchange.error)
            future.exception()  # a caller that is gone itself has not failed to look

    def _give_up(self, future: "asyncio.Future[ResultT]", exchange: Exchange) -> None:
        if future.cancelled():
            self._session.forget(exchange)
            self._room.set()

    def _fd(self) -> int:
        return int(self._socket.get(zmq.FD))

    def _replace_socket(self) -> None:
        self._loop.remove_reader(self._fd())
        super()._replace_socket()
        if self._closed:
            return
        self._loop.add_reader(self._fd(), self._on_readable)

    def _transmit(self, exchange: Exchange) -> None:
        super()._transmit(exchange)
        # Sending may have taken the edge that announced a reply.
        if int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN:
            self._drain_soon()

    def _drain_soon(self) -> None:
        if self._drain_again is None:
            self._drain_again = self._loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        if self._drain_again is not None:
            self._drain_again.cancel()
            self._drain_again = None
        if self._receive_some():
            # Others on the loop come first; the edge is spent, so nobody else would call again.
            self._drain_soon()
        if self._session.is_moving:
            self._set_timer()

    def _set_timer(self) -> None:
        """Sees to it that `_on_timer` runs when something is due, or a little before."""
        due_ns = self._session.next_due_ns()
        if due_ns is None or (self._timer is not None and self._timer_due_ns <= due_ns):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due_ns = due_ns
        delay_s = max(0, due_ns - monotonic_ns()) / NS_PER_S
        self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        # What has arrived is read before anything is declared late.
        if self._receive_some():
            self._drain_soon()
        elif not self._closed:
            self._send_due()
        self._set_timer()


def _first(replies: list[Reply]) -> Reply:
    return replies[0]
