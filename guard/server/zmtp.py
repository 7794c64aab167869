# cython: annotation_typing=False, nonecheck=True
"""The server's side of ZMTP 3: bytes in, events out. Pure.

Owns what a peer may send when, and every bound on what it makes us keep. It has no socket and no
clock, and knows no bodies. 3.1 is spoken (RFC 37 of rfc.zeromq.org), and with it 3.0 (RFC 23); an
older peer, or one that speaks something else, is told apart by its first bytes and ends here.

How it works: `step` is given a buffer and takes from it until something has happened (`event`), or
until it needs more. The first bytes of a message say what it is (the table of shapes below); only
what can be a body is kept. A body that is in the buffer as a whole is copied once; else it has a
place of its own, which grows as bytes come, into which they may also be read directly (`room`,
`fill`). A body that is longer than a request may be, and frames too many, are counted, not kept.

    frames                        event MESSAGE
    body                          body, no envelope
    "" body                       body, mirrored behind an empty frame
    id "" body                    body, mirrored behind both (a REQ with ZMQ_REQ_CORRELATE: 4 bytes)
    anything else                 body None, and how many frames there were

Where the mechanism seals what follows its handshake (`guard.server.sealing`), each frame on the
wire is kept whole, opened where it stands, and taken as the frame that it holds. One that is not
authentic ends the peer.

How it fails: with the event END. `why` is for counters, `to_send` an ERROR command where the RFC
has one. After that nothing more is taken.
"""

from typing import Final, NamedTuple

from guard.server.commands import (
    COMMAND,
    GREETING_BYTES,
    LONG,
    MAJOR_AT,
    MAJOR_MIN,
    MECHANISM,
    MINOR_AT,
    MORE,
    SIGNATURE_LAST,
    CommandError,
    error,
    greeting,
    ping_of,
    pong,
    split_command,
)
from guard.server.mechanisms import Mechanism
from guard.server.sealing import CONTENT_AT, OVERHEAD_BYTES, SEALED_COMMAND, SEALED_MORE, Sealer
from kernel import little_endian as le

# What may happen. NEED_DATA: everything given was taken.
NEED_DATA: Final = 0
MESSAGE: Final = 1
READY: Final = 2  # the handshake is over; `to_send`
SEND: Final = 3  # `to_send` is an answer to a command
END: Final = 4

REQUEST_ID_BYTES: Final = 4
COMMAND_BYTES_MAX: Final = 4_096  # a READY with all that a stock client says of itself has 100
PLACE_BYTES: Final = 4_096  # of a long body, to begin with; four times as much when it is full

_NEED_DATA, _MESSAGE, _READY, _SEND, _END = NEED_DATA, MESSAGE, READY, SEND, END
_MORE, _LONG, _COMMAND = MORE, LONG, COMMAND
_HEAD_BYTES_MAX = 9
_NEWER_MINOR = 255  # a major version above 3 knows all that 3.1 does
_SIZE_TOP_BITS_MAX = 0x7F  # RFC 37: a size is at most 2^63-1
_REQUEST_ID_BYTES, _COMMAND_BYTES_MAX, _PLACE_BYTES = (
    REQUEST_ID_BYTES,
    COMMAND_BYTES_MAX,
    PLACE_BYTES,
)
_SEALED_MORE, _SEALED_COMMAND, _CONTENT_AT, _OVERHEAD_BYTES = (
    SEALED_MORE,
    SEALED_COMMAND,
    CONTENT_AT,
    OVERHEAD_BYTES,
)
# Where the connection stands.
_GREETING, _HANDSHAKE, _TRAFFIC, _ENDED = 0, 1, 2, 3
# What a message's frames have been so far.
_START, _AFTER_EMPTY, _AFTER_ID, _AFTER_BOTH, _WRONG = 0, 1, 2, 3, 4
# What becomes of a frame's bytes.
_SKIP, _AS_BODY, _AS_FIRST_BYTE, _AS_ID, _AS_COMMAND, _AS_SEALED = 0, 1, 2, 3, 4, 5

_EMPTY_FRAME: Final = b"\x01\x00"
_SHORT_HEAD_BYTES = 2
_ID_HEAD: Final = bytes((1, REQUEST_ID_BYTES))


class Limits(NamedTuple):
    """What a message may be. Beyond the first it is reported, beyond the others the peer ends."""

    body_bytes_max: int
    message_bytes_max: int
    frames_max: int


class ServerProtocol:
    """One connection's. `event` and what belongs to it hold until the next call."""

    def __init__(self, limits: Limits, mechanism: Mechanism) -> None:
        self._body_bytes_max, self._message_bytes_max, self._frames_max = limits
        self._mechanism = mechanism
        self._phase = _GREETING
        self._greeting = bytearray()
        self.event = _NEED_DATA
        # Of a MESSAGE: what stands before the reply's body on the wire; the body, or its first byte
        # where it is too long, or None; its true length; the number of frames.
        self.envelope = b""
        self.body: bytes | None = None
        self.body_bytes = 0
        self.frame_count = 0
        self.to_send = b""
        self.why = ""
        # As the peer told.
        self.minor_version = 0
        self.socket_type = b""
        self.identity = b""
        # As the handshake has proven: the peer's key, how its traffic is sealed; None with NULL.
        self.key: bytes | None = None
        self.sealer: Sealer | None = None
        self.ttl_tenths = 0  # how long the peer lets itself be silent, by its last PING
        self.has_pinged = False
        # The message, the frame and its bytes so far.
        self._shape = _START
        self._frames = 0
        self._message_bytes = 0
        self._message_envelope = b""
        self._request_id = b""
        self._is_in_frame = False
        self._use = _SKIP
        self._is_last = False
        self._left_bytes = 0
        self._frame_bytes = 0
        self._first = b""
        self.place: bytearray | None = None
        self.place_filled = 0
        self._head = bytearray(_HEAD_BYTES_MAX)
        self._head_filled = 0

    def greeting(self) -> bytes:
        """What is sent first, whoever the peer is."""
        return greeting(self._mechanism.name, self._mechanism.is_server)

    def as_sent(self, command_frame: bytes) -> bytes:
        """A short command's frame as it is to be sent to this peer."""
        if self.sealer is None:
            return command_frame
        return self.sealer.seal(_SEALED_COMMAND, command_frame[_SHORT_HEAD_BYTES:])

    @property
    def is_ready(self) -> bool:
        """Is the handshake over, and the peer still welcome?"""
        return self._phase == _TRAFFIC

    def is_inside_message(self) -> bool:
        """Has a message, or a command, begun that has not ended?"""
        return self._is_in_frame or self._frames > 0 or self._head_filled > 0

    def step(self, data: bytearray, at: int, end: int) -> int:
        """Takes bytes from `at` on, until something happens or all are taken; where it stopped."""
        self.event = _NEED_DATA
        if self._phase == _GREETING:
            at = self._take_greeting(data, at, end)
        elif self._phase == _ENDED:
            self.event = _END
        while self.event == _NEED_DATA:
            if not self._is_in_frame:
                at = self._take_head(data, at, end)
                if not self._is_in_frame:
                    break
            at = self._take_content(data, at, end)
            if self._is_in_frame:
                break
        return end if self.event == _END else at

    def room(self) -> int:
        """How many bytes may be read straight into `place`, from `place_filled` on."""
        place = self.place
        if place is None:
            return 0
        if self.place_filled == len(place):
            self._grow()
        return len(place) - self.place_filled

    def fill(self, count: int) -> None:
        """So many bytes have been read into `place`."""
        self.event = _NEED_DATA
        self.place_filled += count
        self._left_bytes -= count
        if self._left_bytes == 0:
            self._end_frame()

    def _take_greeting(self, data: bytearray, at: int, end: int) -> int:
        count = min(end - at, GREETING_BYTES - len(self._greeting))
        self._greeting += data[at : at + count]
        told = self._greeting
        is_signed = (not told or told[0] == 0xFF) and (
            len(told) <= SIGNATURE_LAST or told[SIGNATURE_LAST] & 1
        )
        if not is_signed:
            self._end("stranger")
        elif len(told) > MAJOR_AT and told[MAJOR_AT] < MAJOR_MIN:
            self._end("old_version")
        elif len(told) == GREETING_BYTES:
            self.minor_version = told[MINOR_AT] if told[MAJOR_AT] == MAJOR_MIN else _NEWER_MINOR
            if bytes(told[MECHANISM]).rstrip(b"\0") == self._mechanism.name:
                self._phase = _HANDSHAKE
            else:
                self._end("mechanism")
        return at + count

    def _take_head(self, data: bytearray, at: int, end: int) -> int:
        """A frame's flags and size: from the buffer, or put together from several."""
        if at == end:
            return at
        if self._head_filled == 0:
            size_bytes = 8 if data[at] & _LONG else 1
            if end - at > size_bytes:
                self._begin_frame(data[at], self._size(data, at + 1, size_bytes))
                return at + 1 + size_bytes
        head = self._head
        while at < end:
            head[self._head_filled] = data[at]
            self._head_filled += 1
            at += 1
            size_bytes = 8 if head[0] & _LONG else 1
            if self._head_filled > size_bytes:
                self._head_filled = 0
                self._begin_frame(head[0], self._size(head, 1, size_bytes))
                break
        return at

    def _size(self, data: bytearray, at: int, count: int) -> int:
        """-1 where it is beyond what the RFC knows."""
        if count == 1:
            return data[at]
        if data[at] > _SIZE_TOP_BITS_MAX:
            return -1
        size = 0
        for index in range(count):
            size = size << 8 | data[at + index]
        return size

    def _begin_frame(self, flags: int, size: int) -> None:
        if flags > 7 or size < 0:
            self._end("protocol")
        elif self.sealer is not None:
            self._begin_sealed(flags, size)
        elif flags & _COMMAND:
            self._begin_command(flags, size)
        elif self._phase != _TRAFFIC:
            self._end("protocol")
        else:
            self._begin_message_frame(flags & _MORE, size)
        if self.event != _END:
            self._is_in_frame = True
            self._frame_bytes = self._left_bytes = size

    def _begin_command(self, flags: int, size: int) -> None:
        # A libzmq with heartbeats may put one between two frames of a message.
        self._use = _AS_COMMAND
        if flags & _MORE or size > _COMMAND_BYTES_MAX:
            self._end("protocol")

    def _begin_sealed(self, flags: int, size: int) -> None:
        # libzmq sends it as a message's frame, the RFC has it as a command's.
        self._use = _AS_SEALED
        if flags & _MORE:
            self._end("protocol")
        elif size - _OVERHEAD_BYTES > self._message_bytes_max:
            self._end("message_bytes")

    def _begin_message_frame(self, more: int, size: int) -> None:
        if self._frames == 0:
            self._message_envelope = b""
        shape = self._shape
        self._use = _SKIP
        self._is_last = not more
        self._frames += 1
        if not more:
            if shape in (_AFTER_ID, _WRONG):
                self._shape = _WRONG
            elif size > self._body_bytes_max:
                self._use = _AS_FIRST_BYTE
            else:
                self._use = _AS_BODY
        elif shape == _START and size == 0:
            self._shape = _AFTER_EMPTY
            self._message_envelope = _EMPTY_FRAME
        elif shape == _START and size == _REQUEST_ID_BYTES:
            self._shape = _AFTER_ID
            self._use = _AS_ID
        elif shape == _AFTER_ID and size == 0:
            self._shape = _AFTER_BOTH
            self._message_envelope = _ID_HEAD + self._request_id + _EMPTY_FRAME
        else:
            self._shape = _WRONG
        if self._use != _AS_ID:
            self._message_bytes += size
        if self._frames > self._frames_max:
            self._end("frames")
        elif self._message_bytes > self._message_bytes_max:
            self._end("message_bytes")

    def _take_content(self, data: bytearray, at: int, end: int) -> int:
        left = self._left_bytes
        count = min(left, end - at)
        use = self._use
        if use == _SKIP:
            self._left_bytes = left - count
        elif use == _AS_FIRST_BYTE:
            if left == self._frame_bytes and count > 0:
                self._first = le.bytes_at(data, at, 1)
            self._left_bytes = left - count
        elif self.place is None and count == left:
            self._left_bytes = 0
            if use == _AS_SEALED:
                self._end_sealed(data, at, count)
            else:
                self._end_whole(le.bytes_at(data, at, count))
            return at + count
        else:
            self._copy(data, at, count)
        if self._left_bytes == 0:
            self._end_frame()
        return at + count

    def _copy(self, data: bytearray, at: int, count: int) -> None:
        if self.place is None:
            self.place = bytearray(min(self._frame_bytes, _PLACE_BYTES))
            self.place_filled = 0
        while len(self.place) < self.place_filled + count:
            self._grow()
        le.store_bytes(self.place, self.place_filled, le.bytes_at(data, at, count))
        self.place_filled += count
        self._left_bytes -= count

    def _grow(self) -> None:
        place = self.place
        assert place is not None
        more_bytes = min(3 * len(place), self._frame_bytes - len(place))
        place.extend(bytes(more_bytes))

    def _end_frame(self) -> None:
        place, self.place = self.place, None
        if self._use == _AS_SEALED:
            sealed = bytearray() if place is None else place
            self._end_sealed(sealed, 0, len(sealed))
        else:
            self._end_whole(b"" if place is None else bytes(place))

    def _end_sealed(self, data: bytearray, at: int, count: int) -> None:
        """A sealed frame has ended, and stands at `at`: what it holds is taken instead of it."""
        assert self.sealer is not None
        self._is_in_frame = False
        size = self.sealer.open(data, at, count) - 1
        at += _CONTENT_AT
        if size < 0:
            self._end("forged")
        elif data[at] > 3:
            self._end("protocol")
        elif data[at] & _SEALED_COMMAND:
            self._begin_command(_MORE if data[at] & _SEALED_MORE else 0, size)
        else:
            self._begin_message_frame(_MORE if data[at] & _SEALED_MORE else 0, size)
        if self.event != _END:
            self._frame_bytes = size
            if self._use == _AS_FIRST_BYTE:
                self._first = le.bytes_at(data, at + 1, 1)
            is_kept = self._use != _SKIP and self._use != _AS_FIRST_BYTE
            self._end_whole(le.bytes_at(data, at + 1, size) if is_kept else b"")

    def _end_whole(self, content: bytes) -> None:
        """A frame has ended; `content` is what was kept of it."""
        self._is_in_frame = False
        use = self._use
        if use == _AS_COMMAND:
            self._take_command(content)
        elif self._is_last:
            self._end_message(content)
        elif use == _AS_ID:
            self._request_id = content

    def _end_message(self, content: bytes) -> None:
        self.event = _MESSAGE
        self.envelope = self._message_envelope
        self.frame_count = self._frames
        self.body_bytes = self._frame_bytes
        if self._use == _AS_BODY:
            self.body = content
        elif self._use == _AS_FIRST_BYTE:
            self.body = self._first
        else:
            self.body = None
        self._shape = _START
        self._frames = 0
        self._message_bytes = 0

    def _take_command(self, body: bytes) -> None:
        try:
            name, data = split_command(body)
            if name == b"ERROR":
                self._end("peer_error")
            elif self._phase == _HANDSHAKE:
                self._take_handshake(name, data)
            elif name == b"PING":
                self.ttl_tenths, context = ping_of(data)
                self.has_pinged = True
                self.to_send = self.as_sent(pong(context))
                self.event = _SEND
        except CommandError as problem:
            if self._phase == _HANDSHAKE:
                words = str(problem)
                self._end(problem.why, error(words) if words else b"")
            else:
                self._end("protocol")

    def _take_handshake(self, name: bytes, data: bytes) -> None:
        step = self._mechanism.take(name, data)
        self.to_send = step.to_send
        self.event = _SEND
        if step.metadata is not None:
            self.socket_type, self.identity = step.metadata
            self.key, self.sealer = step.key, step.sealer
            self._phase = _TRAFFIC
            self.event = _READY

    def _end(self, why: str, to_send: bytes = b"") -> None:
        self._phase = _ENDED
        self._is_in_frame = False
        self.place = None
        self.event = _END
        self.why = why
        self.to_send = to_send
