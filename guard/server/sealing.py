# cython: annotation_typing=False, nonecheck=True
"""Traffic behind a CURVE handshake: each frame in a box of its own (RFC 26, "MESSAGE"). Pure.

Owns one connection's shared key, which was made once, and both counters of its nonces: the peer's
must rise with every frame, so that one that is repeated, or comes out of order, is not opened. What
a frame means is `guard.server.zmtp`'s.

    "\\x07MESSAGE" nonce (8) MAC (16) flags (1) payload       flags: 1 more, 2 command

How it fails: `open` gives NOT_AUTHENTIC, and the connection must end.
"""

from typing import Final

from guard.server import sodium

NOT_AUTHENTIC: Final = -1
SEALED_MORE: Final = 1
SEALED_COMMAND: Final = 2
NAME: Final = sodium.NAME
HEAD_BYTES: Final = 16  # the name and the nonce
CONTENT_AT: Final = 32  # flags and payload, once the box is open
OVERHEAD_BYTES: Final = 33

_NOT_AUTHENTIC, _HEAD_BYTES, _OVERHEAD_BYTES = NOT_AUTHENTIC, HEAD_BYTES, OVERHEAD_BYTES
_LONG: Final = 2
_SHORT_HEAD_BYTES, _LONG_HEAD_BYTES = 2, 9
_MORE: Final = SEALED_MORE
_NAME: Final = NAME
_NONCE_AT, _COUNTER_AT, _COUNTER_BYTES = 8, 16, 8


class Sealer:
    """One connection's."""

    def __init__(
        self, key: bytes, sent_prefix: bytes, received_prefix: bytes, sent: int, received: int
    ) -> None:
        """`key`: of 32 bytes, precomputed. The prefixes: of a nonce, 16 bytes each. `sent`,
        `received`: the last counters of the handshake."""
        assert (len(key), len(sent_prefix), len(received_prefix)) == (32, 16, 16)
        self._key = key
        self._sent_nonce = bytearray(sent_prefix + bytes(_COUNTER_BYTES))
        self._received_nonce = bytearray(received_prefix + bytes(_COUNTER_BYTES))
        self._sent = sent
        self._received = received
        self._sealing = sodium.function(sodium.SEAL)
        self._opening = sodium.function(sodium.OPEN)

    def open(self, place: bytearray, at: int, count: int) -> int:
        """Opens a frame where it stands, at `at`; the bytes of its flags and payload, which are
        from `at + CONTENT_AT` on; or NOT_AUTHENTIC."""
        if count < _OVERHEAD_BYTES:
            return _NOT_AUTHENTIC
        name, nonce = _NAME, self._received_nonce
        for index in range(_NONCE_AT):
            if place[at + index] != name[index]:
                return _NOT_AUTHENTIC
        counter = 0
        for index in range(_COUNTER_BYTES):
            nonce[_COUNTER_AT + index] = place[at + _NONCE_AT + index]
            counter = counter << 8 | place[at + _NONCE_AT + index]
        if counter <= self._received:
            return _NOT_AUTHENTIC
        size = count - _HEAD_BYTES
        if not sodium.unbox(self._opening, place, at + _HEAD_BYTES, size, nonce, self._key):
            return _NOT_AUTHENTIC
        self._received = counter
        return count - _OVERHEAD_BYTES + 1

    def seal(self, flags: int, payload: bytes) -> bytes:
        """A frame's bytes on the wire."""
        self._sent += 1
        nonce, left = self._sent_nonce, self._sent
        for index in range(_COUNTER_BYTES):
            nonce[_COUNTER_AT + _COUNTER_BYTES - 1 - index] = left & 0xFF
            left = left >> 8
        return sodium.box(self._sealing, flags, payload, nonce, self._key)

    def seal_envelope(self, envelope: bytes) -> bytes:
        """The frames that stand before a message's last one, each in its box.

        They are whole, and another one follows each: of a reply (`guard.server.zmtp`), or of what
        the feed tells.
        """
        sealed, at = b"", 0
        while at < len(envelope):
            if envelope[at] & _LONG:
                size = int.from_bytes(envelope[at + 1 : at + _LONG_HEAD_BYTES], "big")
                at += _LONG_HEAD_BYTES
            else:
                size = envelope[at + 1]
                at += _SHORT_HEAD_BYTES
            sealed += self.seal(_MORE, envelope[at : at + size])
            at += size
        return sealed
