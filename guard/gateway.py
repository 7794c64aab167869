"""The orders socket: where it listens, and under which options.

Owns the ZeroMQ ROUTER socket and the choice of what moves its frames: `guard.router`, compiled,
straight on libzmq, where it was built and pyzmq's library shows its functions; else the same source
over pyzmq's methods, with the same answers. It knows no requests: a body is bytes here. Nothing
blocks: a reply that a client's queue cannot take is counted and dropped, for what was decided is
durable and can be asked for again.

The socket's descriptor is edge-triggered: after a `send` it may stay silent although a message
waits, so the caller asks `has_input` again.
"""

import contextlib
import os
import socket
from typing import Final

import zmq

from guard import GUARD_FORM
from guard.rawzmq import function_addresses
from kernel import choose_form

_ADDRESSES: Final = function_addresses()
ROUTER_FORM: Final = choose_form("guard", ("router",), GUARD_FORM if _ADDRESSES else "interpreted")

from guard.router import Received as Received  # noqa: E402
from guard.router import RouterFrames  # noqa: E402

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024  # above it libzmq closes the connection
# Replies held for one client that does not read; those of a whole batch must fit. libzmq counts
# messages, not their bytes: compiled, they are bounded beside it (`guard.router`). Interpreted they
# are not, and fewer messages are the bound: all that our own client has under way, and a resend.
SEND_QUEUE_MESSAGES: Final = 16_384 if ROUTER_FORM == "compiled" else 2_048
# Peers that vanished without a word are found by TCP: asked after silence, and given up when they
# have answered nothing, or fetched nothing, for so long; longer than a stall that the service
# manager's watchdog lets pass. Not by ZeroMQ's heartbeats: see below.
KEEPALIVE_IDLE_S: Final = 10
KEEPALIVE_INTERVAL_S: Final = 10
SILENCE_MS_MAX: Final = 120_000
LINGER_MS: Final = 2_000  # at a clean stop, for the last replies to leave

# Not among them, tried on 2 cores: libzmq's 8 KiB a read and a write (its batch sizes are settable
# in draft builds alone); a pinned I/O thread, two of them, larger socket buffers: no gain. Under
# SCHED_BATCH that thread costs half at 50 messages in flight, but any busy neighbour then holds up
# every reply by milliseconds.
_ROUTER_OPTIONS: Final = {
    zmq.LINGER: LINGER_MS,
    zmq.MAXMSGSIZE: FRAME_BYTES_MAX,
    zmq.SNDHWM: SEND_QUEUE_MESSAGES,
    # libzmq 4.3 aborts the process when a heartbeat, ours or a client's PING that stands buffered,
    # meets a connection that it had stopped reading and whose peer has gone. So it never stops: no
    # bound on what it reads (ours: `guard.router`), no handover, which stops the one before; and no
    # heartbeats of ours, which met it most often.
    zmq.RCVHWM: 0,
    zmq.ROUTER_HANDOVER: 0,
    zmq.HEARTBEAT_IVL: 0,
    zmq.ROUTER_MANDATORY: 1,  # an error instead of silence for what cannot be delivered
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: KEEPALIVE_IDLE_S,
    zmq.TCP_KEEPALIVE_INTVL: KEEPALIVE_INTERVAL_S,
    zmq.TCP_MAXRT: SILENCE_MS_MAX,
}


class Gateway(RouterFrames):
    """The bound orders socket. All calls belong to the loop's thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        """Binds. Raises zmq.ZMQError where the endpoint cannot be bound."""
        router = context.socket(zmq.ROUTER)
        for option, value in _ROUTER_OPTIONS.items():
            router.setsockopt(option, value)
        try:
            router.bind(endpoint)
        except zmq.ZMQError:
            router.close(linger=0)
            raise
        super().__init__(router, _ADDRESSES)
        self.endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.descriptor: int = router.getsockopt(zmq.FD)  # type: ignore[assignment]

    def end_connection(self, descriptor: int) -> None:
        """Ends a client's connection: libzmq sees it as if the client had.

        Told by number, of which libzmq may have made another use: only a connection to this very
        endpoint is touched. One that is neither there nor ours any more needs no end.
        """
        # libzmq closes it at any time, and the system may have given its number to a file.
        with contextlib.suppress(OSError), _socket_of(descriptor) as connection:
            if self._is_ours(connection):
                connection.shutdown(socket.SHUT_RDWR)

    def _is_ours(self, connection: socket.socket) -> bool:
        name = connection.getsockname()
        if connection.family == socket.AF_UNIX:
            return self.endpoint == f"ipc://{name}"
        return self.endpoint.rpartition(":")[2] == str(name[1])

    def discard(self, messages_max: int) -> int:
        """Reads what is waiting and forgets it, at most so many messages; returns how many."""
        for count in range(messages_max):
            if self.receive() is None and not self.is_mid_message:
                return count
        return messages_max


def _socket_of(descriptor: int) -> socket.socket:
    """A second handle on the socket. Raises OSError where the descriptor has none."""
    handle = os.dup(descriptor)
    try:
        return socket.socket(fileno=handle)
    except OSError:
        os.close(handle)
        raise
