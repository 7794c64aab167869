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

libzmq reads whatever clients send, and gives it out in rotation, but holds no more of one than of
another only as long as somebody reads (`guard.gateway` says why it has no bound of its own). So
what is not decided at once is read ahead, into a queue for each client, and given out in rotation.
Who sends more than the bound says loses its connection and all of it that waits (interpreted: what
does not fit, alone): that is counted, and touches nobody else. The rest of a message of too many
frames is skipped in slices.

How it fails: zmq.ZMQError for whatever is neither an empty queue nor a client that is slow or gone;
after `close` ENOTSOCK.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import zmq

from guard import rawzmq as raw

FRAMES_KEPT_MAX: Final = 2  # delimiter and body; further frames are only counted
FRAMES_SKIPPED_MAX: Final = 16_384  # in one call: about a millisecond
# The reply to one request is shorter (`stats` excepted), and is not worth what counting costs: the
# queue's bound in messages, `guard.gateway`, makes 16 MiB of them.
REPLY_BYTES_UNCOUNTED_MAX: Final = 1_024
# Of larger replies not yet fetched. The first is several times what one batch may gather
# (`guard.pipeline`), so that who reads loses nothing.
CLIENT_BACKLOG_BYTES_MAX: Final = 64 * 1024 * 1024
BACKLOG_BYTES_MAX: Final = 256 * 1024 * 1024
# Who holds nothing is forgotten when so many are known; later ones: when their number has doubled.
TALLIES_KEPT: Final = 1_024
# Of messages read ahead and not yet decided; one counts with what its pieces take beside its bytes.
# A client may have the first, above all that our own has under way, and no more than is left of the
# second, but the third in any case, so that others never lose it the longest message.
CLIENT_AHEAD_BYTES_MAX: Final = 64 * 1024 * 1024
AHEAD_BYTES_MAX: Final = 256 * 1024 * 1024
CLIENT_AHEAD_BYTES_SURE: Final = 512 * 1024
MESSAGE_BYTES: Final = 256

_UNCOUNTED_MAX = REPLY_BYTES_UNCOUNTED_MAX
_EAGAIN: Final = int(zmq.EAGAIN)
_EHOSTUNREACH: Final = int(zmq.EHOSTUNREACH)
_POLLIN: Final = int(zmq.POLLIN)
_MESSAGE_BYTES = MESSAGE_BYTES
_SURE_BYTES = CLIENT_AHEAD_BYTES_SURE
_SKIPPED_MAX = FRAMES_SKIPPED_MAX

# Routing id of the client, whether an empty frame stood before the body, the body (None where the
# number of frames is wrong), the number of frames.
Received: TypeAlias = tuple[bytes, bool, bytes | None, int]


class Waiting:
    """What has been read ahead of one client."""

    def __init__(self, routing_id: bytes) -> None:
        self.routing_id = routing_id
        self.messages: deque[Received] = deque()
        self.byte_count = 0
        self.is_over = False  # something did not fit: nothing more is kept until all is taken
        self.is_ended = False  # its connection has been


class RouterFrames:
    """An open ROUTER socket's messages. All calls belong to one thread."""

    def __init__(
        self,
        socket: "zmq.Socket[bytes]",
        addresses: tuple[int, ...],
        client_backlog_bytes_max: int = CLIENT_BACKLOG_BYTES_MAX,
        backlog_bytes_max: int = BACKLOG_BYTES_MAX,
        client_ahead_bytes_max: int = CLIENT_AHEAD_BYTES_MAX,
        ahead_bytes_max: int = AHEAD_BYTES_MAX,
    ) -> None:
        """Takes the socket over: nobody else closes it. `addresses`: `function_addresses`'."""
        self._socket = socket
        self._port = raw.open_port(socket, addresses)
        self._client_backlog_bytes_max = client_backlog_bytes_max
        self._backlog_bytes_max = backlog_bytes_max
        self._tallies: dict[bytes, raw.Tally] = {}  # by routing id
        self._forget_at = TALLIES_KEPT
        self._client_ahead_bytes_max = client_ahead_bytes_max
        self._ahead_bytes_max = ahead_bytes_max
        self._waiting: dict[bytes, Waiting] = {}  # by routing id
        self._rotation: deque[Waiting] = deque()  # all of them
        self._begun: tuple[bytes, bool] | None = None  # of a message that is being skipped
        self._frame_count = 0
        self.ahead_bytes = 0
        self.floods_dropped = 0
        self.floods_disconnected = 0
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
        if self._rotation or self._begun is not None:
            return True
        ready = raw.events(self._port)
        if ready < 0:
            raise zmq.ZMQError(-ready)
        return ready & _POLLIN != 0

    @property
    def is_mid_message(self) -> bool:
        """Is a message being skipped that has more frames than one call may skip?"""
        return self._begun is not None

    def receive(self) -> Received | None:
        """The next message, or None when none is here; `is_mid_message` tells of one that is."""
        while self._rotation:
            waiting = self._rotation.popleft()
            if waiting.messages:
                return self._next_of(waiting)
            del self._waiting[waiting.routing_id]  # what it sent first did not fit
        if self._begun is not None:
            return self._skip_rest()
        routing_id = self._next_routing_id()
        return None if routing_id is None else self._take_rest(routing_id)

    def read_ahead(self, messages_max: int) -> bool:
        """Takes what has arrived into the clients' queues; whether more may be there."""
        for _ in range(messages_max):
            if self._begun is not None:
                received = self._skip_rest()
            else:
                routing_id = self._next_routing_id()
                if routing_id is None:
                    return False
                waiting = self._waiting.get(routing_id)
                if waiting is not None and waiting.is_over:
                    received = self._skip_all(routing_id, waiting)
                else:
                    received = self._take_rest(routing_id)
            if received is None:
                return True
            self._keep(received)
        return True

    def end_connection(self, descriptor: int) -> None:
        """Ends the connection that libzmq has under this descriptor; for who knows sockets."""

    def _next_of(self, waiting: Waiting) -> Received:
        received = waiting.messages.popleft()
        if waiting.messages:
            self._rotation.append(waiting)
        else:
            del self._waiting[waiting.routing_id]
        size = _size_of(received)
        waiting.byte_count -= size
        self.ahead_bytes -= size
        return received

    def _keep(self, received: Received) -> None:
        """At the end of its client's queue, if it fits there."""
        waiting = self._waiting.get(received[0])
        if waiting is None:
            waiting = self._waiting[received[0]] = Waiting(received[0])
            self._rotation.append(waiting)
        size = _size_of(received)
        left_bytes = max(_SURE_BYTES, self._ahead_bytes_max - self.ahead_bytes)
        if waiting.byte_count + size > min(self._client_ahead_bytes_max, left_bytes):
            waiting.is_over = True
        if waiting.is_over:
            self.floods_dropped += 1
            return
        waiting.messages.append(received)
        waiting.byte_count += size
        self.ahead_bytes += size

    def _next_routing_id(self) -> bytes | None:
        routing_id = raw.take(self._port)
        if routing_id is None and self._port.error != _EAGAIN:
            raise zmq.ZMQError(self._port.error)
        return routing_id

    def _take_rest(self, routing_id: bytes) -> Received | None:
        """The message behind a routing id; it has one frame at least, and is here as a whole."""
        port = self._port
        first = self._next()
        if not raw.has_more(port):
            return routing_id, False, first, 1
        second = self._next()
        if not raw.has_more(port):
            return routing_id, not first, None if first else second, FRAMES_KEPT_MAX
        self._begun = routing_id, not first
        self._frame_count = FRAMES_KEPT_MAX
        return self._skip_rest()

    def _skip_all(self, routing_id: bytes, waiting: Waiting) -> Received | None:
        """As `_take_rest`, of a client that has too much waiting already."""
        descriptor = raw.skip_source(self._port)
        if descriptor >= 0 and not waiting.is_ended:
            waiting.is_ended = True
            self.floods_disconnected += 1
            self.end_connection(descriptor)
            self.floods_dropped += len(waiting.messages)
            self.ahead_bytes -= waiting.byte_count
            waiting.messages.clear()
            waiting.byte_count = 0
        self._begun = routing_id, False
        self._frame_count = 1
        return self._skip_rest()

    def _skip_rest(self) -> Received | None:
        """The message that has begun, bare of its body; None while frames of it are left."""
        port = self._port
        left = _SKIPPED_MAX
        while raw.has_more(port):
            if left == 0:
                return None
            if raw.skip(port):
                raise zmq.ZMQError(port.error)
            self._frame_count += 1
            left -= 1
        assert self._begun is not None
        routing_id, has_delimiter = self._begun
        self._begun = None
        return routing_id, has_delimiter, None, self._frame_count

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


def _size_of(received: Received) -> int:
    """What a message counts for while it waits."""
    body = received[2]
    return _MESSAGE_BYTES if body is None else _MESSAGE_BYTES + len(body)
