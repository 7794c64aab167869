"""The same news for many browsers, of which each gets the newest when it can take it.

Owns what is told (encoded once, whoever listens), how many listen, and the text of server-sent
events. A browser that takes nothing holds up nobody and heaps up nothing: what it has missed is
gone, and what it gets next is the newest.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

STREAMS_MAX: Final = 64
# A browser that hears nothing for so long would not know whether anybody is there.
HEARTBEAT_S: Final = 15.0
RETRY: Final = b"retry: 2000\n\n"
_HEARTBEAT: Final = b": still here\n\n"


def event_text(name: str, data: bytes) -> bytes:
    """A server-sent event; `data` is one line."""
    assert b"\n" not in data
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


class Broadcast:
    """What is told. One loop's."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, bytes]] = {}  # by name: its number, its text
        self._number = 0
        self._news = asyncio.Event()
        self._is_closed = False
        self.streams = 0

    def tell(self, name: str, data: bytes) -> None:
        """From now on this is the newest of its name."""
        self._number += 1
        self._told[name] = (self._number, event_text(name, data))
        self._wake()

    def forget(self) -> None:
        """Nobody listens: who comes next is not told what was news then."""
        self._told.clear()

    def close(self) -> None:
        """Ends every stream."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def stream(self) -> AsyncIterator[bytes]:
        """The newest of every name, then what is new, for one who listens."""
        self.streams += 1
        try:
            yield RETRY
            seen = 0
            while not self._is_closed:
                news = self._news
                fresh = sorted(told for told in self._told.values() if told[0] > seen)
                if fresh:
                    seen = fresh[-1][0]
                    yield b"".join(text for _, text in fresh)
                    continue
                try:
                    await asyncio.wait_for(news.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield _HEARTBEAT
        finally:
            self.streams -= 1
