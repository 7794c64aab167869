"""A loop without time or descriptors, and a door that is two lists, in the simulator's guard."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from guard.server.connection import Backlog


class SimLoop:
    """As much of an event loop as the pipeline asks for."""

    def __init__(self) -> None:
        self.ready: deque[Callable[[], None]] = deque()
        self.reader: Callable[[], None] | None = None

    def call_soon(
        self, callback: Callable[..., None], *arguments: Any, context: Any = None
    ) -> None:
        self.ready.append(lambda: callback(*arguments))

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def get_debug(self) -> bool:
        return False


class SimPeer:
    """Who sent the message with this number."""

    permit = key = credentials = None  # may do everything, and says who it is

    def __init__(self, number: int) -> None:
        self.number = number

    def charge(self, _batch: int, _size: int, _messages_left: int, _bytes_left: int) -> bool:
        return False


class SimGateway:
    """What has arrived, and where replies go."""

    backlog = Backlog(0, 0)
    hears_pings = False

    def __init__(self, taken: Callable[[int], None], sent: Callable[[int, bytes], None]) -> None:
        self.arrived: deque[tuple[int, bytes | None]] = deque()
        self._taken = taken
        self._sent = sent
        self._loop: SimLoop | None = None

    def attach(self, loop: SimLoop, on_readable: Callable[[], None]) -> None:
        self._loop = loop
        loop.reader = on_readable

    def detach(self) -> None:
        assert self._loop is not None
        self._loop.reader = None

    def begin_turn(self) -> None:
        pass

    def counts(self) -> dict[str, int]:
        return {}

    def release_held(self) -> None:
        pass

    def look(self) -> None:
        pass

    def has_ready(self) -> bool:
        return bool(self.arrived)

    def has_input(self) -> bool:
        return bool(self.arrived)

    def receive(self) -> tuple[SimPeer, bytes, bytes | None, int] | None:
        if not self.arrived:
            return None
        number, body = self.arrived.popleft()
        self._taken(number)
        return SimPeer(number), b"", body, 1 if body is not None else 4

    def send(self, peer: SimPeer, _envelope: bytes, body: bytes) -> None:
        self._sent(peer.number, body)

    def send_all(
        self,
        answers: list[tuple[SimPeer, bytes, Any]],
        encode_late: Callable[[Any], bytes],
        after_each: Callable[[], None] | None = None,
    ) -> None:
        for peer, envelope, body in answers:
            self.send(peer, envelope, body if type(body) is bytes else encode_late(body))
            if after_each is not None:
                after_each()
