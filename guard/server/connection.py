# cython: annotation_typing=False, nonecheck=True
"""One peer's connection: its bytes in, message by message, and its replies out.

Owns the socket, what was read and not yet taken, and what was said and not yet fetched. Whose turn
it is, and when it must end, `guard.server.listener` says. Nothing here blocks.

How it works: `fetch` reads once, at most, and stops at the first message (`front`); what was read
behind it waits for the next call. A long body is read into its place. Replies are kept as pieces
until `flush`, and leave in one gathered write. Their bytes are counted while they wait, for this
peer and for all (`Backlog`): one more than either may hold is dropped, whole, and counted.

A connection is its own identity: what the peer calls itself (`protocol.identity`) is a note, and a
second connection under the same one is a second connection.

How it fails: `fetch` and `flush` give GONE, and `why` says it in a word.
"""

import contextlib
import errno
import socket
from collections import deque
from typing import Final, NamedTuple, TypeAlias

from guard.server import rawio, zmtp
from guard.server.permits import Permit
from guard.server.zmtp import ServerProtocol

# What `fetch` has found.
IDLE: Final = 0  # nothing more is here
FRONT: Final = 1  # a message
MORE: Final = 2  # as much as one call may read; there may be more
GONE: Final = 3

READ_BYTES: Final = 16_384  # a call; some 50 orders
DIRECT_BYTES_MIN: Final = 2_048  # of a body still to come, to be read straight into its place
# Beside the bytes of a reply: two objects and their places in a list.
REPLY_OVERHEAD_BYTES: Final = 128
FLUSH_BYTES: Final = 262_144  # of one batch's replies for one peer, written before the batch's end
# Answers to PINGs are not heaped up for a peer that fetches none.
PONG_BACKLOG_BYTES_MAX: Final = 65_536
_FORGET_PIECES: Final = 512  # sent ones at the beginning of the list

_IDLE, _FRONT, _MORE, _GONE = IDLE, FRONT, MORE, GONE
_READ_BYTES, _DIRECT_BYTES_MIN = READ_BYTES, DIRECT_BYTES_MIN
_OVERHEAD, _FLUSH_BYTES, _PONG_BACKLOG_BYTES_MAX = (
    REPLY_OVERHEAD_BYTES,
    FLUSH_BYTES,
    PONG_BACKLOG_BYTES_MAX,
)
_FORGET: Final = _FORGET_PIECES
_NEED_DATA, _MESSAGE, _READY, _SEND, _END = (
    zmtp.NEED_DATA,
    zmtp.MESSAGE,
    zmtp.READY,
    zmtp.SEND,
    zmtp.END,
)
_EAGAIN: Final = errno.EAGAIN

_SHORT_BYTES_MAX = 255
_LAST_LONG: Final = b"\x02"
# What stands before a body of so many bytes that is all there is: most replies are so long.
_HEADS: Final = [
    bytes((0, size)) if size <= _SHORT_BYTES_MAX else _LAST_LONG + size.to_bytes(8, "big")
    for size in range(1_024)
]
_HEAD_COUNT = len(_HEADS)

# The connection; what stands before the reply's body on the wire; the body, its first byte alone
# where it is too long, None where the frames are wrong; the number of frames, or, of a body that is
# too long, minus its bytes. A plain tuple, since millions pass.
Received: TypeAlias = tuple["Connection", bytes, bytes | None, int]


class Credentials(NamedTuple):
    """Of the process at the other end of a unix socket, by the kernel's word."""

    process_id: int
    user_id: int
    group_id: int


class Backlog:
    """Of one listener's connections together: replies not yet fetched, and those dropped."""

    def __init__(self, client_bytes_max: int, all_bytes_max: int) -> None:
        self.client_bytes_max = client_bytes_max
        self.all_bytes_max = all_bytes_max
        self.bytes = 0
        self.dropped_slow = 0
        self.dropped_gone = 0


def frame_head(envelope: bytes, size: int) -> bytes:
    """What stands before the body of a message's last frame."""
    head = _HEADS[size] if size < _HEAD_COUNT else _LAST_LONG + size.to_bytes(8, "big")
    return envelope + head if envelope else head


class Connection:
    """One peer. All calls belong to the loop's thread."""

    def __init__(
        self,
        accepted: socket.socket,
        protocol: ServerProtocol,
        backlog: Backlog,
        address: str,
        credentials: Credentials | None,
    ) -> None:
        """Takes the non-blocking socket over."""
        self.socket = accepted
        self.descriptor = accepted.fileno()
        self.protocol = protocol
        self.address = address
        self.credentials = credentials
        self.key: bytes | None = None  # by which a mechanism has known the peer; none with NULL
        self.permit: Permit | None = None  # where clients are configured
        # Of each message that is not answered yet, how many orders were taken and under whose
        # permit; None where nobody asks.
        self._bounded: deque[tuple[Permit, int]] | None = None
        self.front: Received | None = None
        self.front_bytes = 0  # of its body, as far as it was kept
        self.why = ""  # it is gone
        # The listener's: what the system has told, in which of its lines this stands, and when the
        # peer was last heard, the message being read has begun, the last PING went.
        self.is_open = True
        self.is_readable = False
        self.has_hung_up = False  # nothing is told any more: it is read to its end
        self.is_ready = False
        self.is_queued = False
        self.is_held = False  # not taken from, until the batch is gone
        self.is_parked = False  # and out of its line for that
        self.is_touched = False  # there is something to flush
        self.is_writing_watched = False
        self.accepted_tick = 0
        self.heard_tick = 0
        self.begun_tick = -1
        self.pinged_tick = 0
        self.place_bytes = 0  # of a body that is not whole yet
        # The gathering's: what this peer has in the batch with that number.
        self._batch = -1
        self._batch_messages = 0
        self._batch_bytes = 0
        self._link = rawio.open_link(accepted)
        self._kept: bytearray | None = None  # read and not yet taken, from `_kept_at` on
        self._kept_at = 0
        self._backlog = backlog
        self._pieces: list[bytes] = []
        self._piece = 0  # the first one not sent, and how much of it was
        self._piece_sent = 0
        self.unsent_bytes = 0

    def charge(self, batch: int, size: int, messages_left: int, bytes_left: int) -> bool:
        """One more message of the batch is this peer's. Has it as much there as is left for all?

        So however many send without end, each gets the same, and as much again stays free.
        """
        if self._batch != batch:
            self._batch = batch
            self._batch_messages = 0
            self._batch_bytes = 0
        self._batch_messages += 1
        self._batch_bytes += size
        return self._batch_messages >= messages_left or self._batch_bytes >= bytes_left

    def take_front(self) -> Received:
        """The message that `fetch` has found; the next call looks for another."""
        front, self.front = self.front, None
        assert front is not None
        return front

    def fetch(self, scratch: bytearray) -> int:
        """Looks for the next message: in what was read, then in what one more read gives."""
        protocol = self.protocol
        has_read = False
        while True:
            kept = self._kept
            if kept is not None:
                self._kept_at = protocol.step(kept, self._kept_at, len(kept))
                if self._kept_at == len(kept):
                    self._kept = None
            elif not self.is_readable:
                return _IDLE
            elif has_read:
                return _MORE
            else:
                has_read = True
                found = self._read(scratch)
                if found != _FRONT:
                    return found
            event = protocol.event
            if event == _MESSAGE:
                frame_count = protocol.frame_count
                self.front_bytes = 0
                if protocol.body is not None:
                    self.front_bytes = len(protocol.body)
                    if self.front_bytes < protocol.body_bytes:
                        frame_count = -protocol.body_bytes
                self.front = (self, protocol.envelope, protocol.body, frame_count)
                return _FRONT
            if event != _NEED_DATA and not self._react(event):
                return _GONE

    def _read(self, scratch: bytearray) -> int:
        """Once, and lets the protocol take of it until something has happened: then FRONT."""
        protocol = self.protocol
        room = protocol.room()
        place = protocol.place
        is_direct = place is not None and room >= _DIRECT_BYTES_MIN
        if place is not None and is_direct:
            count = rawio.receive(self._link, place, protocol.place_filled, room)
        else:
            room = _READ_BYTES
            count = rawio.receive(self._link, scratch, 0, room)
        if count < room and not self.has_hung_up:
            self.is_readable = False  # the next byte, or the end, will be told
        if count <= 0:
            return self._end_reading(count)
        if is_direct:
            protocol.fill(count)
            return _FRONT
        at = protocol.step(scratch, 0, count)
        if at < count:
            self._kept = scratch[at:count]
            self._kept_at = 0
        return _FRONT

    def _end_reading(self, count: int) -> int:
        if count == -_EAGAIN:
            self.is_readable = False
            return _IDLE
        self.why = "closed" if count == 0 else "reset"
        return _GONE

    def _react(self, event: int) -> bool:
        """Something else than a message. False: the peer is gone."""
        protocol = self.protocol
        if event == _END:
            self.why = protocol.why
            if protocol.to_send:
                self._put(protocol.to_send, b"")
                self.flush()
            return False
        if event == _READY:
            self.is_ready = True
            self.key = protocol.key
        if self.unsent_bytes <= _PONG_BACKLOG_BYTES_MAX:
            self._put(protocol.to_send, b"")
            return self.flush() != _GONE
        return True

    def greet(self) -> None:
        """Says who we are. A peer that is gone already will be found by reading."""
        self._put(self.protocol.greeting(), b"")
        self.flush()

    def ping(self, command: bytes) -> bool:
        """Asks for a sign of life, unless the peer has enough to fetch. False: it is gone."""
        if self.unsent_bytes > 0:
            return True
        self._put(self.protocol.as_sent(command), b"")
        return self.flush() != _GONE

    def note_under_way(self, permit: Permit, count: int) -> None:
        """So many orders were taken with a message: until its reply is put they are under way."""
        if self._bounded is None:
            self._bounded = deque()
        self._bounded.append((permit, count))

    def put(self, envelope: bytes, body: bytes) -> bool:
        """Keeps a reply for `flush`, or drops it and counts that. False: flush now."""
        size = len(body)
        backlog = self._backlog
        if self._bounded:
            permit, count = self._bounded.popleft()
            permit.under_way -= count
        if not self.is_open:
            backlog.dropped_gone += 1
            return True
        left_bytes = min(backlog.client_bytes_max, backlog.all_bytes_max - backlog.bytes)
        if self.unsent_bytes + size + _OVERHEAD > left_bytes:
            backlog.dropped_slow += 1
            return True
        sealer = self.protocol.sealer
        if sealer is None:
            self._put(frame_head(envelope, size), body)
        else:
            self._put(sealer.seal_envelope(envelope), sealer.seal(0, body))
        return self.unsent_bytes < _FLUSH_BYTES

    def put_rest(self, rest: bytes) -> None:
        """Keeps the end of a message, as it is on the wire: its beginning has left already."""
        self._put(b"", rest)

    def _put(self, head: bytes, body: bytes) -> None:
        self._pieces.append(head)
        self._pieces.append(body)
        size = len(head) + len(body) + _OVERHEAD
        self.unsent_bytes += size
        self._backlog.bytes += size

    def flush(self) -> int:
        """Writes what the system takes. IDLE: all; MORE: when it takes more; GONE."""
        while self.unsent_bytes > 0:
            sent = rawio.send(self._link, self._pieces, self._piece, self._piece_sent)
            if sent == -_EAGAIN:
                return _MORE
            if sent < 0:
                self.why = "reset"
                return _GONE
            self._forget_sent(sent)
        return _IDLE

    def _forget_sent(self, count: int) -> None:
        pieces = self._pieces
        piece, sent = self._piece, self._piece_sent + count
        freed = 0
        while piece < len(pieces):
            size = len(pieces[piece])
            if sent < size:
                break
            sent -= size
            freed += size
            if piece & 1:
                freed += _OVERHEAD
            piece += 1
        self.unsent_bytes -= freed
        self._backlog.bytes -= freed
        if piece == len(pieces):
            pieces.clear()
            piece = 0
        elif piece >= _FORGET:
            # In pairs: which of them holds a body is told by its place.
            del pieces[: piece - (piece & 1)]
            piece &= 1
        self._piece, self._piece_sent = piece, sent

    def close(self) -> int:
        """Ends it; how many replies it leaves unfetched.

        `shutdown`, since a child that was forked may hold the descriptor for a moment.
        """
        if not self.is_open:
            return 0
        self.is_open = False
        unsent = 0
        for body in self._pieces[self._piece | 1 :: 2]:
            unsent += len(body) > 0  # what is no reply has none
        self._backlog.bytes -= self.unsent_bytes
        self._backlog.dropped_gone += unsent
        self.unsent_bytes = 0
        self._pieces.clear()
        self._piece = self._piece_sent = 0
        self._kept = None
        self.front = None
        with contextlib.suppress(OSError):  # the peer was faster
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        return unsent
