"""A log that is being written and its feed, in the test's own process and loop; and its messages.

The log, the listener and the sockets are real; only the orders that records come from are left out.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import zmq

from daemon_support import config_text
from guard.clock import monotonic_ns
from guard.server.feed_door import FeedDoor
from guard.server.feed_service import feed_policy
from guard.server.feed_supply import FeedSupply
from guard.server.listener import Listener
from wal import EMPTY_HEAD, ChainHasher, LogWriter, create_directory

KEY = bytes(range(40))
LOG_ID = "0123456789abcdef" * 2
DESKS = ("desk-alpha", "desk-beta")
PATIENCE_MS = 30_000


def config_with_feed(**options: Any) -> str:
    """A daemon's configuration with a feed on a unix socket beside it."""
    return config_text(**options).replace("[log]", 'feed = "ipc://feed"\n[log]', 1)


def of_desk(desk: str, text: str = "") -> bytes:
    """A record's data as an event about a desk."""
    return b'{"event":"x","desk":"%b","text":"%b"}' % (desk.encode(), text.encode())


class FeedLog:
    """One log and its door."""

    def __init__(self, root: Path, *, proofs: Path | None = None, **options: Any) -> None:
        self.directory = root / "log"
        create_directory(self.directory)
        self.hasher = ChainHasher(KEY)
        self.writer = LogWriter.open(
            self.directory, self.hasher, EMPTY_HEAD, monotonic_ns=monotonic_ns, **options
        )
        self.endpoint = f"ipc://{root}/feed"
        self.writer.append(1, b'{"event":"opened"}')
        self.writer.sync_now()
        self.listener = Listener([self.endpoint], feed_policy())
        self.supply = FeedSupply(self.writer, self.directory)
        self.door = FeedDoor(
            self.listener,
            self.supply,
            DESKS,
            log_id=LOG_ID,
            software_version="1",
            when_durable=lambda call: call(self.writer.durable_head),
            proofs=proofs,
        )
        self.listener.tell(self.door.welcome, self.door.forget)

    def write(self, *datas: bytes) -> None:
        """One batch of records; tells the feed of it."""
        for data in datas:
            self.writer.append(self.writer.staged_head.sequence + 1, data)
        self.door.on_answered(self.writer.sync_now())

    def lines(self) -> bytes:
        """All that is in the log."""
        return b"".join(path.read_bytes() for path in sorted(self.directory.glob("*.jsonl")))

    def close(self) -> None:
        self.door.stop()
        self.listener.close()
        self.writer.close()


@asynccontextmanager
async def feed_log(root: Path, **options: Any) -> AsyncIterator[FeedLog]:
    """A log that is served on this loop."""
    log = FeedLog(root, **options)
    log.door.start()
    try:
        yield log
    finally:
        log.close()


class Peer:
    """A stock DEALER that speaks the feed by its page: bodies in, messages and lines out."""

    def __init__(
        self, endpoint: str, *, encoding: str = "json", empty: bool = False, waiting_max: int = 0
    ) -> None:
        """`waiting_max`: so many messages wait to be taken, the rest in the daemon; 0: all."""
        self._codec: Any = msgspec.json if encoding == "json" else msgspec.msgpack
        self._before = [b""] if empty else []
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RCVHWM, waiting_max)
        self.socket.connect(endpoint)
        self._numbers = itertools.count(1)

    def send(self, **request: Any) -> None:
        self.socket.send_multipart([*self._before, self._codec.encode(request)])

    def subscribe(self, **request: Any) -> int:
        """Subscribes; the request's id."""
        number = next(self._numbers)
        self.send(**{"type": "subscribe", "credit_lines": 1_000, "request_id": number} | request)
        return number

    def take(self) -> tuple[dict[str, Any], bytes]:
        """The next message, which is there, and its lines."""
        frames = self.socket.recv_multipart()
        if self._before and frames[0] == b"":
            del frames[0]
        body = frames[0]
        decode = msgspec.json.decode if body[:1] == b"{" else msgspec.msgpack.decode
        return decode(body), frames[1] if len(frames) > 1 else b""

    async def next(self) -> tuple[dict[str, Any], bytes]:
        """The next message, whatever it is."""
        await self.wait()
        return self.take()

    async def wait(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_MS / 1_000
        while not self.socket.poll(0):
            assert loop.time() < end, "nothing came"
            await asyncio.sleep(0.001)

    async def until(self, kind: str) -> tuple[dict[str, Any], bytes]:
        """The next message of a kind."""
        while True:
            message, lines = await self.next()
            if message["type"] == kind:
                return message, lines

    async def lines_through(self, sequence: int) -> bytes:
        """The lines that come up to a record, each message going on where the last one ended."""
        found, through = b"", None
        while through is None or through < sequence:
            message, lines = await self.next()
            if message["type"] in ("lines", "heartbeat"):
                assert through in (None, message["after_sequence"]), message
                through = message["through_sequence"]
                found += lines
        return found


@contextmanager
def peer(endpoint: str, **options: Any) -> Iterator[Peer]:
    one = Peer(endpoint, **options)
    try:
        yield one
    finally:
        one.socket.close(linger=0)
