"""What the synchronous and the asynchronous client have in common: options, socket, requests.

Owns the DEALER socket and its settings. How a client waits is its own affair.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Unpack

import zmq

from guard.client.codec import Encoding, Exchange
from guard.client.errors import GuardClientError, GuardClosedError
from guard.client.options import (
    CurveKeys,
    check_endpoints,
    check_kind,
    check_seconds,
)
from guard.client.requests import FillFields, OrderFields, RequestBuilder, lists_keywords
from guard.client.securing import connect
from guard.client.session import IN_FLIGHT_LIMIT, Session
from guard.client.stamps import Stamps
from guard.client.values import InstrumentSpec
from guard.clock import monotonic_ns, wall_ns
from guard.protocol.messages import AllOrNone, Fill, Order, Replace
from guard.protocol.messages import AnyRequest as Request

# The guard's own bound of a frame; no reply comes near it.
FRAME_BYTES_MAX = 4_194_304
# Room for everything under way and one resend of it: a send then never finds the queue full.
QUEUE_MESSAGES_MAX = 2 * IN_FLIGHT_LIMIT
# Messages read in one go before deadlines, or the event loop, get their turn.
DRAIN_MESSAGES_MAX = 256


class ClientBase:
    """A DEALER socket and the session that runs over it. See `guard.client` for the options."""

    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        instruments: Iterable[InstrumentSpec] = (),
        encoding: Encoding = "msgpack",
        timeout_s: float = 10.0,
        resend_after_s: float = 1.0,
        in_flight_max: int = 512,
        stamp_orders: bool = True,
        linger_s: float = 0.1,
        curve: CurveKeys | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        self._endpoints = check_endpoints(endpoint)
        self._at = 0
        self._session = Session(
            encoding=encoding,
            in_flight_max=in_flight_max,
            timeout_s=timeout_s,
            resend_after_s=resend_after_s,
            endpoint=" or ".join(self._endpoints),
            guard_count=len(self._endpoints),
        )
        self._builder = RequestBuilder(instruments)
        check_kind("stamp_orders", stamp_orders, bool, "True or False")
        self._stamp_orders = stamp_orders
        self._stamps = Stamps()
        self._linger_ms = _milliseconds(linger_s)
        if curve is not None:
            check_kind("curve", curve, CurveKeys, "CurveKeys, or None")
        self._curve = curve
        if context is not None:
            check_kind("context", context, zmq.Context, "a zmq.Context, or None")
        self._context = context if context is not None else zmq.Context.instance()
        self._closed = False
        self._thread_id = threading.get_ident()
        self._process_id = os.getpid()
        self._socket = self._open_socket()
        try:
            self._start()
        except BaseException:
            self._socket.close(linger=0)
            raise

    def _start(self) -> None:
        """What a client needs beside the socket, once that is open."""

    @property
    def endpoint(self) -> str:
        """The guard that is asked now: of several the one that serves, as far as is known."""
        return self._endpoints[self._at]

    @property
    def in_flight_count(self) -> int:
        """Requests that are under way now."""
        return self._session.in_flight_count

    @property
    def dropped_reply_count(self) -> int:
        """Replies dropped so far because nobody waited for them: late ones and second ones."""
        return self._session.dropped_reply_count

    @lists_keywords(Order, OrderFields)
    def new_order(self, **fields: Unpack[OrderFields]) -> Order:
        """Builds an order for `send`, `call` or `submit`; the arguments are those of `order`.

        Raises SizeError for a Decimal that is no whole number of lots or ticks, TypeError for a
        float and for missing or unknown arguments.
        """
        return self._builder.order(fields)

    @lists_keywords(Fill, FillFields)
    def new_fill(self, **fields: Unpack[FillFields]) -> Fill:
        """Builds a fill; the arguments are those of `fill`. Raises as `new_order`."""
        return self._builder.fill(fields)

    # -- for the two clients ---------------------------------------------------------------------

    def _check_owner(self) -> None:
        """A socket is its maker's alone: shared, it hangs, or gives one's replies to another."""
        if self._is_forked():
            raise RuntimeError(
                f"a client belongs to the process that made it, and this one was made by process "
                f"{self._process_id} before the fork; make another in the child"
            )
        if threading.get_ident() != self._thread_id:
            raise RuntimeError("a client belongs to the thread that made it; make one per thread")

    def _is_forked(self) -> bool:
        return os.getpid() != self._process_id

    def _check_open(self) -> None:
        self._check_owner()
        if self._closed:
            raise GuardClientError("the client is closed; nothing was sent")

    def _stamp(self, request: Request) -> Request:
        """A copy, which the caller cannot change under way. An order, or a replace, learns when it
        was first sent.

        It does so once and for all of its resends, the caller's own included.
        """
        stamped = copy(request)
        if isinstance(stamped, AllOrNone):
            orders = [self._stamp(order) for order in stamped.orders]
            stamped.orders = [order for order in orders if isinstance(order, Order)]
            return stamped
        if not self._stamp_orders or not isinstance(stamped, Order | Replace):
            return stamped
        if stamped.sent_at_ns is None:
            stamped.sent_at_ns = self._stamps.first_ns(stamped, wall_ns())
        return stamped

    def _open_socket(self) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        try:
            # Not one call on this socket may block: waiting has deadlines, and is done elsewhere.
            socket.set(zmq.SNDTIMEO, 0)
            socket.set(zmq.RCVTIMEO, 0)
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.SNDHWM, QUEUE_MESSAGES_MAX)
            socket.set(zmq.RCVHWM, QUEUE_MESSAGES_MAX)
            socket.set(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
            connect(socket, self.endpoint, self._curve)
        except BaseException:
            socket.close(linger=0)
            raise
        return socket

    def _replace_socket(self) -> None:
        """A new connection under a new identity; what the old one still holds is dropped.

        Where the system gives no further socket the client is closed, and says so to everyone.
        """
        self._socket.close(linger=0)
        try:
            self._socket = self._open_socket()
        except zmq.ZMQError as error:
            self._closed = True
            why = f"the client was closed: no new socket: {error}"
            self._session.end_all(lambda requests: GuardClosedError(why, requests))

    def _transmit(self, exchange: Exchange) -> None:
        try:
            self._socket.send(exchange.body, zmq.NOBLOCK)
        except zmq.Again:
            # The queue is full, so nothing has left it for long. The exchange counts as sent and
            # is sent again when it is due, over a fresh socket if this one stays silent.
            return

    def _receive_some(self) -> bool:
        """Gives the session what has arrived, a bounded number. False: nothing was left to read."""
        for _ in range(DRAIN_MESSAGES_MAX):
            try:
                # A reply is one frame; recv_multipart would cost five times as much.
                frames = [self._socket.recv(zmq.NOBLOCK)]
            except zmq.Again:
                return False
            while self._socket.get(zmq.RCVMORE):
                frames.append(self._socket.recv(zmq.NOBLOCK))
            if not self._session.receive(frames, monotonic_ns()):
                self._replace_socket()
                if self._closed:
                    return False
        return True

    def _send_due(self) -> None:
        """Carries out what the session finds due. Only after everything arrived was received."""
        due = self._session.due(monotonic_ns())
        if due.moves:
            is_known = due.serving in self._endpoints and due.serving != self.endpoint
            following = (self._at + 1) % len(self._endpoints)
            self._at = self._endpoints.index(due.serving) if is_known else following
        if due.fresh_socket:
            self._replace_socket()
        for exchange in () if self._closed else due.resends:
            self._transmit(exchange)

    def _lingering_ms(self, linger_s: float | None) -> int:
        return self._linger_ms if linger_s is None else _milliseconds(linger_s)

    def _close(self, linger_ms: int) -> None:
        self._closed = True
        self._socket.close(linger=linger_ms)
        self._session.end_all(lambda requests: GuardClosedError("the client was closed", requests))


def _milliseconds(linger_s: float) -> int:
    return round(check_seconds("linger_s", linger_s, may_be_zero=True) * 1_000)
