"""Clients of the feed (`guard/FEED.md`): the durable records of the log, as they come.

    async with AsyncFeedClient("ipc:///run/guard/feed", after_sequence=0) as feed:
        async for record in feed.records():
            print(record.sequence, json.loads(record.data))

An endpoint may be a list of them, of guards of one log (`guard/CLUSTER.md`): where one falls silent
the next is followed, behind the last record that was given out. A guard that stands by has a feed,
too; `behind` of a batch says how far that one may be behind the one that serves.

`FeedClient` is for plain programs and has the same methods without `async`. `batches()` gives what
each message has told (`FeedBatch`): its records, and the log's durable head, also where nothing has
come for a second (a batch without records). `next_batch(timeout_s)` gives one.

Options of both:

* `after_sequence`: the last record that the program has; 0 for all, None for what comes from now.
* `after_hash`: that record's hash, if it is known: another log is then refused.
* `desks`: names of desks, whose records alone come; None for every record.
* `key`: the log's key, or all that it has had, the newest first; with it every record's hash is
  checked. Without it each record must still follow the one before.
* `credit_lines` (16,384): how many records may be under way.
* `curve`: CurveKeys, where the guard asks for them.
* `silence_s` (5): a connection on which nothing came for so long is given up for another.

How it works. A connection that breaks, falls silent or leaves something out is replaced, and the
client subscribes again behind the last record that it has given out; `reconnect_count` counts
that. So records come in order, each once, whatever happens between. `through` is the last record
that was given out or passed over: kept with its hash, it is where a program goes on after its end.

How it fails. `FeedBrokenError`: the records are not those of one log, or the key is another.
`FeedRefusedError`: the daemon refuses the subscription. Both end the client: to try again changes
nothing. `FeedTimeoutError` where a time was given. Where nobody is at the endpoint it waits.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, Self

import zmq
import zmq.asyncio

from guard.client.errors import GuardClientError
from guard.client.feed_keys import feed_keys
from guard.client.feed_session import (
    CREDIT_LINES,
    FeedBatch,
    FeedBehindError,
    FeedBrokenError,
    FeedGapError,
    FeedSession,
    FeedTimeoutError,
)
from guard.client.options import (
    CurveKeys,
    check_count,
    check_endpoints,
    check_kind,
    check_seconds,
)
from guard.client.securing import connect
from guard.clock import monotonic_ns
from guard.feed.messages import CREDIT_LINES_MAX
from wal import LINE_BYTES_MAX, Entry, Head

SILENCE_S: Final = 5.0
# Connections that all leave something out at the same place: it is not there.
GAPS_MAX: Final = 3
# Behind a feed that has not what this client has already.
BEHIND_PAUSE_NS: Final = 200_000_000
_FRAME_BYTES_MAX: Final = LINE_BYTES_MAX + 1_048_576
_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000


class _FeedBase:
    """A DEALER socket and what it follows. How a client waits is its own affair."""

    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        after_sequence: int | None = None,
        after_hash: str | None = None,
        desks: list[str] | None = None,
        key: bytes | Sequence[bytes] | None = None,
        credit_lines: int = CREDIT_LINES,
        silence_s: float = SILENCE_S,
        curve: CurveKeys | None = None,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        """Raises TypeError, ValueError for an option, WalKeyError for a short key."""
        self._endpoints = check_endpoints(endpoint)
        self._at = 0
        if after_sequence is not None:
            check_kind("after_sequence", after_sequence, int, "an int from 0 on, or None")
            if after_sequence < 0:
                raise ValueError(
                    f"after_sequence: {after_sequence} is not allowed; allowed: from 0 on, or None"
                )
        check_count("credit_lines", credit_lines, CREDIT_LINES_MAX)
        self._silence_ns = round(check_seconds("silence_s", silence_s) * _NS_PER_S)
        self._session = FeedSession(
            after_sequence,
            after_hash,
            None if desks is None else list(desks),
            credit_lines,
            feed_keys(key),
        )
        if curve is not None:
            check_kind("curve", curve, CurveKeys, "CurveKeys, or None")
        self._curve = curve
        self._context = context if context is not None else zmq.Context.instance()
        self.reconnect_count = 0
        self._gaps = 0
        self._gap_at: Head | None = None
        self._is_closed = False
        self._heard_ns = monotonic_ns()
        self._socket: Any = self._open_socket()

    @property
    def endpoint(self) -> str:
        """The feed that is followed now, of several."""
        return self._endpoints[self._at]

    @property
    def through(self) -> Head | None:
        """The last record that was given out or passed over; None before the first message."""
        return self._session.through

    @property
    def head(self) -> Head | None:
        """The log's durable head, as it was told last."""
        return self._session.head

    @property
    def log_id(self) -> str:
        """Which log it is; empty before the first connection."""
        return self._session.log_id

    @property
    def is_subscribed(self) -> bool:
        """Whether a daemon has taken the subscription, on the connection of now."""
        return self._session.is_subscribed

    def close(self) -> None:
        """Ends the connection. A second close does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._socket.close(linger=0)

    def _make_socket(self) -> Any:
        return self._context.socket(zmq.DEALER)

    def _open_socket(self) -> Any:
        socket = self._make_socket()
        try:
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.RCVHWM, 0)  # credit bounds what is under way
            socket.set(zmq.SNDHWM, 0)  # and what is sent is an answer to what has come
            socket.set(zmq.MAXMSGSIZE, _FRAME_BYTES_MAX)
            connect(socket, self.endpoint, self._curve)
        except BaseException:
            socket.close(linger=0)
            raise
        self._heard_ns = monotonic_ns()
        return socket

    def _check_open(self) -> None:
        if self._is_closed:
            raise GuardClientError("the client is closed")

    def _reconnect(self) -> None:
        """Another connection, of several feeds to the next one: what the old one still holds is
        dropped, and will come again.
        """
        self.reconnect_count += 1
        self._at = (self._at + 1) % len(self._endpoints)
        self._session.is_subscribed = False
        self._session.to_send.clear()
        self._socket.close(linger=0)
        self._socket = self._open_socket()

    def _wait_ms(self, end_ns: int | None) -> int:
        """How long to wait for the next message, before `_on_nothing`."""
        until_ns = self._heard_ns + self._silence_ns
        if end_ns is not None:
            until_ns = min(until_ns, end_ns)
        return max(1, -(-(until_ns - monotonic_ns()) // _NS_PER_MS))

    def _on_nothing(self, end_ns: int | None) -> None:
        """Nothing was there to read: another connection, if it is time. Raises FeedTimeoutError."""
        now_ns = monotonic_ns()
        if now_ns >= self._heard_ns + self._silence_ns:
            self._reconnect()
        if end_ns is not None and now_ns >= end_ns:
            raise FeedTimeoutError(f"{self.endpoint}: nothing came in the time given")

    def _take(self, frames: list[bytes]) -> FeedBatch | None:
        """What a message tells, if it is for the caller."""
        self._heard_ns = monotonic_ns()
        try:
            batch = self._session.take(frames)
        except FeedBehindError:
            # A guard that stands by, and has not come so far: it may, or the next one has.
            self._heard_ns -= max(0, self._silence_ns - BEHIND_PAUSE_NS)
            return None
        except FeedGapError as error:
            self._count_gap(error)
            self._reconnect()
            return None
        except GuardClientError:
            self.close()
            raise
        self._send_due()
        return batch

    def _send_due(self) -> None:
        for body in self._session.to_send:
            self._send(body)
        self._session.to_send.clear()

    def _send(self, body: bytes) -> None:
        self._socket.send(body, zmq.NOBLOCK)

    def _count_gap(self, error: FeedGapError) -> None:
        through = self._session.through
        self._gaps = self._gaps + 1 if through == self._gap_at else 1
        self._gap_at = through
        if self._gaps >= GAPS_MAX:
            self.close()
            sequence = 1 if through is None else through.sequence + 1
            raise FeedBrokenError(sequence, f"it was left out {GAPS_MAX} times: {error}")


class FeedClient(_FeedBase):
    """For one thread. The module says what it does."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Entry]:
        return self.records()

    def records(self) -> Iterator[Entry]:
        """Every record, in order, for ever."""
        for batch in self.batches():
            yield from batch.records

    def batches(self) -> Iterator[FeedBatch]:
        """What each message tells, for ever."""
        while True:
            yield self.next_batch()

    def next_batch(self, timeout_s: float | None = None) -> FeedBatch:
        """What the next message tells. Raises FeedTimeoutError where none comes in the time."""
        end_ns = _end_ns(timeout_s)
        while True:
            self._check_open()
            if self._socket.poll(self._wait_ms(end_ns)):
                batch = self._take(self._socket.recv_multipart())
                if batch is not None:
                    return batch
            else:
                self._on_nothing(end_ns)


class AsyncFeedClient(_FeedBase):
    """For one event loop; to be made inside of it. The module says what it does."""

    def _make_socket(self) -> Any:
        return zmq.asyncio.Context.shadow(self._context).socket(zmq.DEALER)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self.records()

    async def records(self) -> AsyncIterator[Entry]:
        """Every record, in order, for ever."""
        async for batch in self.batches():
            for record in batch.records:
                yield record

    async def batches(self) -> AsyncIterator[FeedBatch]:
        """What each message tells, for ever."""
        while True:
            yield await self.next_batch()

    async def next_batch(self, timeout_s: float | None = None) -> FeedBatch:
        """What the next message tells. Raises FeedTimeoutError where none comes in the time.

        Cancelled, nothing is lost: the next call goes on.
        """
        end_ns = _end_ns(timeout_s)
        while True:
            self._check_open()
            await asyncio.sleep(0)  # others on the loop come first, however much there is
            if await self._socket.poll(self._wait_ms(end_ns)):
                batch = self._take(await self._socket.recv_multipart())
                if batch is not None:
                    return batch
            else:
                self._on_nothing(end_ns)


def _end_ns(timeout_s: float | None) -> int | None:
    if timeout_s is None:
        return None
    return monotonic_ns() + round(check_seconds("timeout_s", timeout_s) * _NS_PER_S)
