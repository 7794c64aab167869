"""The orders socket: where it listens, and under which options.

Owns the ZeroMQ ROUTER socket and the choice of what moves its frames: `guard.router`, compiled,
straight on libzmq, where it was built and pyzmq's library shows its functions; else the same source
over pyzmq's methods, with the same answers. It knows no requests: a body is bytes here. Nothing
blocks: a reply that a client's queue cannot take is counted and dropped, for what was decided is
durable and can be asked for again.

The socket's descriptor is edge-triggered: after a `send` it may stay silent although a message
waits, so the caller asks `has_input` again.
"""

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
RECEIVE_QUEUE_MESSAGES: Final = 1_000  # requests of one client; beyond, TCP holds it back
HEARTBEAT_INTERVAL_MS: Final = 10_000  # finds peers that vanished without a word
# A client whose requests stand in line while the disk stalls is silent to libzmq, which reads no
# more of it than `RECEIVE_QUEUE_MESSAGES`: it is not gone, and what it sent must not be lost.
# Longer than a stall that the service manager's watchdog lets pass.
HEARTBEAT_TIMEOUT_MS: Final = 120_000
LINGER_MS: Final = 2_000  # at a clean stop, for the last replies to leave

# Not among them, tried on 2 cores: libzmq's 8 KiB a read and a write (its batch sizes are settable
# in draft builds alone); a pinned I/O thread, two of them, larger socket buffers: no gain. Under
# SCHED_BATCH that thread costs half at 50 messages in flight, but any busy neighbour then holds up
# every reply by milliseconds.
_ROUTER_OPTIONS: Final = {
    zmq.LINGER: LINGER_MS,
    zmq.MAXMSGSIZE: FRAME_BYTES_MAX,
    zmq.SNDHWM: SEND_QUEUE_MESSAGES,
    zmq.RCVHWM: RECEIVE_QUEUE_MESSAGES,
    zmq.ROUTER_MANDATORY: 1,  # an error instead of silence for what cannot be delivered
    zmq.ROUTER_HANDOVER: 1,  # a client that comes back under its own routing id is let in
    zmq.HEARTBEAT_IVL: HEARTBEAT_INTERVAL_MS,
    zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
}


class Gateway(RouterFrames):
    """The bound orders socket. All calls belong to the loop's thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        """Binds. Raises zmq.ZMQError where the endpoint cannot be bound."""
        socket = context.socket(zmq.ROUTER)
        for option, value in _ROUTER_OPTIONS.items():
            socket.setsockopt(option, value)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError:
            socket.close(linger=0)
            raise
        super().__init__(socket, _ADDRESSES)
        self.endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.descriptor: int = socket.getsockopt(zmq.FD)  # type: ignore[assignment]

    def discard(self, messages_max: int) -> int:
        """Reads what is waiting and forgets it, at most so many messages; returns how many."""
        for count in range(messages_max):
            if self.receive() is None:
                return count
        return messages_max
