"""Messages taken a few at a time from a door beside the orders'.

Owns how operators' and subscribers' doors share the loop with the orders: a turn takes a few
messages, and the next turn stands behind whatever else is due. So a flood there holds up no order.

How it fails: it does not; what a message does wrong is its door's to say.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from guard.server.connection import Received
from guard.server.listener import Listener

MESSAGES_PER_TURN: Final = 4


class FewMessages:
    """Takes one listener's messages. All calls belong to the loop's thread."""

    def __init__(
        self,
        listener: Listener,
        take: Callable[[Received], None],
        behind_turn: Callable[[], None] | None = None,
    ) -> None:
        """`take`: given each message. `behind_turn`: called behind those of one turn."""
        self._listener = listener
        self._take = take
        self._behind_turn = behind_turn
        self._loop = asyncio.get_running_loop()
        self._is_taking = False

    def start(self) -> None:
        """Takes messages from now on."""
        self._is_taking = True
        self._listener.attach(self._loop, self._on_readable)

    def stop(self) -> None:
        """Takes no more: the listener may be closed behind it, though a turn is due."""
        self._is_taking = False
        self._listener.detach()

    def _on_readable(self) -> None:
        self._listener.begin_turn()
        for _ in range(MESSAGES_PER_TURN):
            received = self._listener.receive()
            if received is None:
                break
            self._take(received)
        self._listener.release_held()
        if self._behind_turn is not None:
            self._behind_turn()
        if self._is_taking and self._listener.has_ready():
            self._loop.call_soon(self._on_more)

    def _on_more(self) -> None:
        if self._is_taking and self._listener.has_ready():
            self._on_readable()


def words_of_no_request(body: bytes | None) -> str:
    """What is said of a message that is none, or that is too long (without a body)."""
    what = "one frame, or an empty one and it" if body is None else "a shorter message"
    return f"not a request; allowed: {what}"


def as_it_is(message: object) -> bytes:
    """For a listener that asks for the bytes of what is bytes already. Raises TypeError."""
    raise TypeError(f"a message of this door is bytes already: {message!r}")
