"""The asynchronous client: the same protocol on an asyncio (or uvloop) loop.

Owns the waiting. The socket's file descriptor is watched by the loop itself: it signals *edges*,
so the socket is asked for its events again after every send and every receive, or a reply that
came in between would wait for the next one. One timer drives resends and timeouts.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Self, Unpack

import zmq

from guard.client_base import ClientBase, answered
from guard.client_errors import GuardRequestError
from guard.client_requests import FillFields, OrderFields
from guard.client_session import NS_PER_S, Exchange
from guard.clock import monotonic_ns
from guard.messages import (
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
    Status,
    StatusReply,
)


class AsyncGuardClient(ClientBase):
    """A client for one event loop. Make it inside the loop; `guard.client` describes its options.

    Any number of tasks may use it. Cancelling a task, or a future that `send` gave, gives up the
    reply and not the request: its outcome is then unknown.
    """

    # Any: the options are ClientBase's, spelled out there once.
    def __init__(self, endpoint: str, **options: Any) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(endpoint, **options)
        # The turn makes those who wait for room wait in line: an array is not starved.
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._drain_again: asyncio.Handle | None = None
        self._loop.add_reader(self._fd(), self._on_readable)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    # -- one call, one answer --------------------------------------------------------------------

    async def order(self, **fields: Unpack[OrderFields]) -> Admit | Reject:
        """May this order go out? Sizes: int lots and ticks, or Decimals (see `InstrumentSpec`).

        Raises SizeError or TypeError before anything is sent, GuardRequestError where nothing has
        changed, GuardTimeout (or another OutcomeUnknownError) where the outcome is unknown.
        """
        return answered(await self.call(self.new_order(**fields)), Admit, Reject)

    async def fill(self, **fields: Unpack[FillFields]) -> Filled:
        """Reports an execution; `fee_microcents` is an int. Raises as `order`."""
        return answered(await self.call(self.new_fill(**fields)), Filled)

    async def cancel(self, *, desk: str, client_order_id: str) -> Released:
        """Frees what the order still holds and closes it. Raises as `order`."""
        return answered(await self.call(Cancel(desk, client_order_id)), Released)

    async def status(self, *, desk: str, client_order_id: str) -> StatusReply:
        """What the guard knows of an order. Raises as `order`."""
        return answered(await self.call(Status(desk, client_order_id)), StatusReply)

    async def ping(self) -> Pong:
        """The durable head of the guard's log. Raises as `order`."""
        return answered(await self.call(Ping()), Pong)

    async def call(self, request: Request) -> Reply:
        """Sends one request and waits. Raises GuardRequestError for an ErrorReply."""
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

    async def send(self, request: Request) -> "asyncio.Future[Reply]":
        """Sends and gives a future of the reply (an ErrorReply is a value, not raised).

        Where `in_flight_max` requests are under way, waits until enough of them have ended. The
        future raises GuardTimeout, GuardProtocolError or GuardClosedError: outcome unknown.
        """
        future: asyncio.Future[Reply] = self._loop.create_future()

        def settle(exchange: Exchange) -> None:
            self._settle(future, exchange, exchange.replies and exchange.replies[0])

        await self._open([request], future, settle, is_array=False)
        return future

    async def send_array(self, requests: Sequence[Request]) -> "asyncio.Future[list[Reply]]":
        """As `send`, for an array in one message."""
        future: asyncio.Future[list[Reply]] = self._loop.create_future()

        def settle(exchange: Exchange) -> None:
            self._settle(future, exchange, exchange.replies)

        await self._open(requests, future, settle, is_array=True)
        return future

    def close(self, linger_s: float | None = None) -> None:
        """Ends what is under way with GuardClosedError. A second close does nothing.

        Returns at once; what was handed to ZeroMQ may still leave for `linger_s` (in the
        background, delaying at most the end of the process).
        """
        if self._closed:
            return
        self._check_thread()
        self._loop.remove_reader(self._fd())
        for handle in (self._timer, self._drain_again):
            if handle is not None:
                handle.cancel()
        self._close(linger_s)
        self._room.set()
