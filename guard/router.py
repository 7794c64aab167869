# cython: annotation_typing=False
"""The frames of a ROUTER socket: a message in, a reply out, a batch of replies out.

Owns how a message's frames are told apart (`guard/PROTOCOL.md` section 1) and how replies that
cannot be delivered are counted. It knows no endpoints and options, which are `guard.gateway`'s, and
not what a body says. Nothing blocks.

How it works: one call a frame (`guard.rawzmq`), several times cheaper than the multipart calls;
compiled, where a compiler was found and pyzmq's library shows its functions, without Python between
libzmq and the bytes. A message is a plain tuple, since millions pass. libzmq takes a message in and
gives it out as a whole, and looks whether a client's queue has room at the first frame of a reply.

libzmq's queues are bounded in messages, and a reply may have 200 bytes or 200,000. So the bytes of
replies above `REPLY_BYTES_UNCOUNTED_MAX` are counted until libzmq has handed them to the system: a
client may hold what its bound says, and no more than is left of the bound for all. However many do
not read, each gets the same share, and as much again stays free for those who do. A client is its
routing id; one that holds nothing need not be remembered. Interpreted, nothing is counted
(`guard.rawzmq`), and `guard.gateway` has shorter queues.

How it fails: zmq.ZMQError for whatever is neither an empty queue nor a client that is slow or gone;
after `close` ENOTSOCK.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import zmq

from guard import rawzmq as raw

FRAMES_KEPT_MAX: Final = 2  # delimiter and body; further frames are only counted
# The reply to one request is shorter (`stats` excepted), and is not worth what counting costs: the
# queue's bound in messages, `guard.gateway`, makes 16 MiB of them.
REPLY_BYTES_UNCOUNTED_MAX: Final = 1_024
# Of larger replies not yet fetched. The first is several times what one batch may gather
# (`guard.pipeline`), so that who reads loses nothing.
CLIENT_BACKLOG_BYTES_MAX: Final = 64 * 1024 * 1024
BACKLOG_BYTES_MAX: Final = 256 * 1024 * 1024
# Who holds nothing is forgotten when so many are known; later ones: when their number has doubled.
TALLIES_KEPT: Final = 1_024

_UNCOUNTED_MAX = REPLY_BYTES_UNCOUNTED_MAX
_EAGAIN: Final = int(zmq.EAGAIN)
_EHOSTUNREACH: Final = int(zmq.EHOSTUNREACH)
_POLLIN: Final = int(zmq.POLLIN)

# Routing id of the client, whether an empty frame stood before the body, the body (None where the
# number of frames is wrong), the number of frames.
Received: TypeAlias = tuple[bytes, bool, bytes | None, int]


class RouterFrames:
    """An open ROUTER socket's messages. All calls belong to one thread."""

    def __init__(
        self,
        socket: "zmq.Socket[bytes]",
        addresses: tuple[int, ...],
        client_backlog_bytes_max: int = CLIENT_BACKLOG_BYTES_MAX,
        backlog_bytes_max: int = BACKLOG_BYTES_MAX,
    ) -> None:
        """Takes the socket over: nobody else closes it. `addresses`: `function_addresses`'."""
        self._socket = socket
        self._port = raw.open_port(socket, addresses)
        self._client_backlog_bytes_max = client_backlog_bytes_max
        self._backlog_bytes_max = backlog_bytes_max
        self._tallies: dict[bytes, raw.Tally] = {}  # by routing id
        self._forget_at = TALLIES_KEPT
        self.replies_dropped_slow = 0
        self.replies_dropped_gone = 0

    def __dealloc__(self) -> None:
        # The compiled form's end; an interpreted object's parts are Python's own.
        raw.free_port(self._port)

    def close(self) -> None:
        """Closes the socket; replies already sent have its LINGER to leave."""
        raw.detach(self._port)
        self._socket.close()

    @property
    def backlog_bytes(self) -> int:
        """Of counted replies: what all clients have not fetched yet; 0 interpreted."""
        return raw.all_lent_bytes(self._port)

    @property
    def clients_remembered(self) -> int:
        """Of how many clients counted replies are, or were, under way."""
        return len(self._tallies)

    def has_input(self) -> bool:
        """Is a message waiting? Asking also re-arms the edge-triggered descriptor."""
        ready = raw.events(self._port)
        if ready < 0:
            raise zmq.ZMQError(-ready)
        return ready & _POLLIN != 0

    def receive(self) -> Received | None:
        """The next message, or None when there is none."""
        port = self._port
        routing_id = raw.take(port)
        if routing_id is None:
            if port.error == _EAGAIN:
                return None
            raise zmq.ZMQError(port.error)
        first = self._next()  # a message has one frame at least, and is here as a whole
        if not raw.has_more(port):
            return routing_id, False, first, 1
        second = self._next()
        frame_count = FRAMES_KEPT_MAX
        while raw.has_more(port):
            self._next()
            frame_count += 1
        if first or frame_count > FRAMES_KEPT_MAX:
            return routing_id, not first, None, frame_count
        return routing_id, True, second, frame_count

    def _next(self) -> bytes:
        frame = raw.take(self._port)
        if frame is None:
            raise zmq.ZMQError(self._port.error)
        return frame

    def send(self, routing_id: bytes, has_delimiter: bool, body: bytes) -> None:
        """Sends a reply, or counts that it could not be delivered."""
        error = self._put_reply(routing_id, has_delimiter, body)
        if error:
            self._count_dropped(error)

    def send_all(
        self,
        answers: Iterable[tuple[bytes, bool, Any]],
        encode_late: Callable[[Any], bytes],
        after_each: Callable[[], None] | None = None,
    ) -> None:
        """As `send`, one reply after the other.

        `encode_late` makes the body of a reply that holds something else than bytes, when its turn
        has come; `after_each` is called when a reply has been sent.
        """
        for routing_id, has_delimiter, body in answers:
            if type(body) is not bytes:
                body = encode_late(body)
            error = self._put_reply(routing_id, has_delimiter, body)
            if error:
                self._count_dropped(error)
            if after_each is not None:
                after_each()

    def _put_reply(self, routing_id: bytes, has_delimiter: bool, body: bytes) -> int:
        """0, or the number of what ended it: no later frame of the reply has been tried then."""
        # Before the first frame: half a message would swallow the next reply.
        assert type(routing_id) is bytes
        assert type(body) is bytes
        port = self._port
        tally = None
        if len(body) > _UNCOUNTED_MAX:
            tally = self._tally_with_room(routing_id, len(body))
            if tally is None:
                return _EAGAIN
        error = raw.put(port, routing_id, False)
        if error == 0 and has_delimiter:
            error = raw.put(port, b"", False)
        if error:
            return error
        if tally is None:
            return raw.put(port, body, True)
        return raw.put_lent(port, body, tally)

    def _tally_with_room(self, routing_id: bytes, size: int) -> raw.Tally | None:
        """Where the client's counted replies stand; None where one of `size` is too much."""
        tally = self._tallies.get(routing_id)
        if tally is None:
            if len(self._tallies) >= self._forget_at:
                self._forget()
            tally = self._tallies[routing_id] = raw.open_tally(self._port)
        left_bytes = self._backlog_bytes_max - raw.all_lent_bytes(self._port)
        bytes_max = min(self._client_backlog_bytes_max, left_bytes)
        return tally if raw.lent_bytes(tally) + size <= bytes_max else None

    def _forget(self) -> None:
        kept = {key: tally for key, tally in self._tallies.items() if raw.lent_bytes(tally)}
        self._tallies = kept
        self._forget_at = max(TALLIES_KEPT, 2 * len(kept))

    def _count_dropped(self, error: int) -> None:
        if error == _EAGAIN:
            self.replies_dropped_slow += 1
        elif error == _EHOSTUNREACH:
            self.replies_dropped_gone += 1
        else:
            raise zmq.ZMQError(error)
