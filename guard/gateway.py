"""The orders socket: frames in, frames out.

Owns the ZeroMQ ROUTER socket, its options and its framing (`guard/PROTOCOL.md` section 1). It knows
no requests: a body is bytes here. Nothing blocks: a reply that a client's queue cannot take is
counted and dropped, for what was decided is durable and can be asked for again.

How it works: one `recv` and one `send` a frame, several times cheaper than the multipart calls, and
by the backend's own methods: what `zmq.Socket` puts before them costs as much as they do. A
message is a plain tuple, since millions pass. The socket's descriptor is edge-triggered: after a
`send` it may stay silent although a message waits, so the caller asks `has_input` again.
"""

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Final, TypeAlias

import zmq

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024  # above it libzmq closes the connection
SEND_QUEUE_MESSAGES: Final = 16_384  # replies held for one client that does not read
RECEIVE_QUEUE_MESSAGES: Final = 1_000  # requests of one client; beyond, TCP holds it back
FRAMES_KEPT_MAX: Final = 2  # delimiter and body; further frames are only counted
HEARTBEAT_INTERVAL_MS: Final = 10_000  # finds peers that vanished without a word
# A client whose requests stand in line while the disk stalls is silent to libzmq, which reads no
# more of it than `RECEIVE_QUEUE_MESSAGES`: it is not gone, and what it sent must not be lost.
# Longer than a stall that the service manager's watchdog lets pass.
HEARTBEAT_TIMEOUT_MS: Final = 120_000
LINGER_MS: Final = 2_000  # at a clean stop, for the last replies to leave

# As plain integers: pyzmq's flags are enums, and combining two costs as much as a receive.
_NOBLOCK: Final = int(zmq.NOBLOCK)
_MORE_NOBLOCK: Final = int(zmq.SNDMORE) | int(zmq.NOBLOCK)
_RCVMORE: Final = int(zmq.RCVMORE)

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


# Routing id of the client, whether an empty frame stood before the body, the body (None where the
# number of frames is wrong), the number of frames.
Received: TypeAlias = tuple[bytes, bool, bytes | None, int]


def _frames_follow(socket: zmq.Socket[bytes]) -> Callable[[], int]:
    """A function that tells whether the frame received last has one behind it, in its message.

    Of all calls a message this one is pyzmq's dearest (0.7 us: it looks the option up in an enum),
    so libzmq is asked directly, through the library that pyzmq has loaded (0.25 us).
    """
    backend = sys.modules[zmq.backend.Socket.__module__]
    library = ctypes.PyDLL(backend.__file__)
    value = ctypes.c_int(0)
    getsockopt = functools.partial(
        library.zmq_getsockopt,
        ctypes.c_void_p(socket.underlying),
        ctypes.c_int(_RCVMORE),
        ctypes.byref(value),
        ctypes.byref(ctypes.c_size_t(ctypes.sizeof(value))),
    )

    def frames_follow() -> int:
        if getsockopt():
            raise zmq.ZMQError(zmq.zmq_errno())
        return value.value

    return frames_follow


class Gateway:
    """The bound orders socket. All calls belong to the loop's thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        """Binds. Raises zmq.ZMQError where the endpoint cannot be bound."""
        self._socket = context.socket(zmq.ROUTER)
        for option, value in _ROUTER_OPTIONS.items():
            self._socket.setsockopt(option, value)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self._socket.close(linger=0)
            raise
        self._recv = zmq.backend.Socket.recv.__get__(self._socket)
        self._send = zmq.backend.Socket.send.__get__(self._socket)
        self._has_more = _frames_follow(self._socket)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.descriptor: int = self._socket.getsockopt(zmq.FD)  # type: ignore[assignment]
        self.replies_dropped_slow = 0
        self.replies_dropped_gone = 0

    def has_input(self) -> bool:
        """Is a message waiting? Asking also re-arms the edge-triggered descriptor."""
        events: int = self._socket.getsockopt(zmq.EVENTS)  # type: ignore[assignment]
        return bool(events & zmq.POLLIN)

    def receive(self) -> Received | None:
        """The next message, or None when there is none."""
        recv = self._recv
        try:
            routing_id = recv(_NOBLOCK)
        except zmq.Again:
            return None
        first = recv()  # a message has one frame at least, and is here as a whole
        if not self._has_more():
            return routing_id, False, first, 1
        second = recv()
        frame_count = FRAMES_KEPT_MAX
        while self._has_more():
            recv()
            frame_count += 1
        if first or frame_count > FRAMES_KEPT_MAX:
            return routing_id, not first, None, frame_count
        return routing_id, True, second, frame_count

    def send(self, routing_id: bytes, has_delimiter: bool, body: bytes) -> None:
        """Sends a reply, or counts that it could not be delivered."""
        send = self._send
        try:
            send(routing_id, _MORE_NOBLOCK)
            if has_delimiter:
                send(b"", _MORE_NOBLOCK)
            send(body, _NOBLOCK)
        except zmq.Again:
            self.replies_dropped_slow += 1
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.replies_dropped_gone += 1

    def discard(self, messages_max: int) -> int:
        """Reads what is waiting and forgets it, at most so many messages; returns how many."""
        for count in range(messages_max):
            if self.receive() is None:
                return count
        return messages_max

    def close(self) -> None:
        """Stops listening; replies already sent have `LINGER_MS` to leave."""
        self._socket.close()
