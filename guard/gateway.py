"""The orders socket: frames in, frames out.

Owns the ZeroMQ ROUTER socket, its options and its framing (`guard/PROTOCOL.md` section 1). It knows
no requests: a body is bytes here. Nothing blocks: a reply that a client's queue cannot take is
counted and dropped, for what was decided is durable and can be asked for again.

How it works: one `recv` and one `send` a frame, several times cheaper than the multipart calls. The
socket's descriptor is edge-triggered: after `receive` has returned None, and after every send, the
descriptor may stay silent although a message waits, so the caller asks `has_input` again.
"""

from typing import Final, NamedTuple

import zmq

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024  # above it libzmq closes the connection
SEND_QUEUE_MESSAGES: Final = 16_384  # replies held for one client that does not read
RECEIVE_QUEUE_MESSAGES: Final = 1_000  # requests of one client; beyond, TCP holds it back
FRAMES_KEPT_MAX: Final = 2  # delimiter and body; further frames are only counted
HEARTBEAT_INTERVAL_MS: Final = 10_000  # finds peers that vanished without a word
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
}


class Envelope(NamedTuple):
    """Where a reply goes: the routing id, and whether an empty frame stands before the body."""

    routing_id: bytes
    has_delimiter: bool


class Received(NamedTuple):
    """A message. `body` is None where the number of frames is wrong."""

    envelope: Envelope
    body: bytes | None
    frame_count: int


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
        socket = self._socket
        try:
            routing_id = socket.recv(_NOBLOCK)
        except zmq.Again:
            return None
        first = socket.recv()  # a message has one frame at least
        if not socket.get(_RCVMORE):
            return Received(Envelope(routing_id, False), first, 1)
        frame_count = 1
        second = b""
        while socket.get(_RCVMORE):
            frame = socket.recv()
            frame_count += 1
            if frame_count <= FRAMES_KEPT_MAX:
                second = frame
        envelope = Envelope(routing_id, not first)
        if first or frame_count > FRAMES_KEPT_MAX:
            return Received(envelope, None, frame_count)
        return Received(envelope, second, frame_count)

    def send(self, envelope: Envelope, body: bytes) -> None:
        """Sends a reply, or counts that it could not be delivered."""
        socket = self._socket
        try:
            socket.send(envelope.routing_id, _MORE_NOBLOCK)
            if envelope.has_delimiter:
                socket.send(b"", _MORE_NOBLOCK)
            socket.send(body, _NOBLOCK)
        except zmq.Again:
            self.replies_dropped_slow += 1
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.replies_dropped_gone += 1

    def close(self) -> None:
        """Stops listening; replies already sent have `LINGER_MS` to leave."""
        self._socket.close()
