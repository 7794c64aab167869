"""The observer as a process: watches, answers, and ends when it is told to.

Owns the server and its bounds, and how all of it begins and ends. SIGTERM and SIGINT end it; open
pages are let go first.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from guard import clock
from guard.observe.asking import Asker
from guard.observe.pages import pages_of
from guard.observe.picture import Picture
from guard.observe.stream import STREAMS_MAX, Broadcast
from guard.observe.watch import Source, Watch
from guard.observe.web import Web

CONNECTIONS_MAX: Final = 4 * STREAMS_MAX
REQUEST_BYTES_MAX: Final = 16_384
KEEP_ALIVE_S: Final = 30
LEAVE_S: Final = 1


class _Server(uvicorn.Server):
    """Leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def observe(
    asker: Asker,
    source: Source,
    listening: socket.socket,
    names: tuple[str, ...],
    ready: Callable[[str], None],
) -> None:
    """Watches the daemon that is asked, and shows it on that socket, until a signal.

    `names`: as `guard.observe.door`. `ready`: told of the page's address once it is served.
    """
    picture, broadcast = Picture(clock.system_ns()), Broadcast()
    watch = Watch(picture, asker, source, clock.system_ns)
    web = Web(picture, pages_of(asker, clock.monotonic_ns), broadcast, clock.system_ns)
    watch.looked.append(web.tell)
    server = _Server(
        uvicorn.Config(
            web.app(names),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            h11_max_incomplete_event_size=REQUEST_BYTES_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=LEAVE_S,
        )
    )

    def leave() -> None:
        broadcast.close()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    watching = asyncio.create_task(watch.run())
    watching.add_done_callback(lambda _task: leave())  # it ends only where it is wrong
    ready(address_of(listening))
    try:
        await server.serve(sockets=[listening])
    finally:
        watching.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        finally:
            asker.close()


def address_of(listening: socket.socket) -> str:
    """The page's address."""
    address, port = listening.getsockname()[:2]
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/"
