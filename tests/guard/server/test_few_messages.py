"""Messages taken a few at a time: how it ends while a turn is due."""

import asyncio

from guard.server.connection import Received
from guard.server.few_messages import MESSAGES_PER_TURN, FewMessages
from server_support import Wire, frame, open_listener


async def test_a_turn_that_is_due_when_it_is_stopped_takes_nothing() -> None:
    """The listener is closed behind it: to look at that would be an error, which ends a standby."""
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    door = open_listener()
    taken: list[bytes | None] = []
    with Wire(door) as wire:
        wire.connected().send(b"".join(frame(b"%d" % number) for number in range(40)))
        while not door.has_ready():
            door.look()

        def take(received: Received) -> None:
            taken.append(received[2])
            if len(taken) == MESSAGES_PER_TURN:
                asyncio.get_running_loop().call_soon(end)

        def end() -> None:
            messages.stop()
            door.close()

        messages = FewMessages(door, take)
        messages.start()
        messages._on_more()
        for _ in range(10):
            await asyncio.sleep(0.01)
    asyncio.get_running_loop().set_exception_handler(None)
    assert errors == []
    assert taken == [b"%d" % number for number in range(MESSAGES_PER_TURN)]
