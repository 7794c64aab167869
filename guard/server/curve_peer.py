"""CURVE (RFC 26), the client's side of its handshake, byte by byte. Pure, but for randomness.

Owns what a peer says to a CURVE door: the daemon is its own first peer, to see who is turned away
(`guard.server.door_proof`). Clients have libzmq's.

How it fails: the bindings' CryptoError for an answer that is not the door's.
"""

import secrets
from typing import Final

from guard.server.commands import command, metadata_from
from guard.server.curve import KEY_BYTES, sodium_boxes
from guard.server.sealing import Sealer

_COOKIE_AT: Final = KEY_BYTES
_WELCOME_BOX_AT: Final = 16


class CurvePeer:
    """One connection's. `hello`, then `initiate` of the answer, then `ready` of the next one."""

    def __init__(self, server_key: bytes, secret_key: bytes) -> None:
        """`server_key`: public; `secret_key`: the peer's own."""
        self._boxes = sodium_boxes()
        self._server_key = server_key
        self._secret_key = secret_key
        self._own_key, self._own_secret = self._boxes.crypto_box_keypair()
        self._shared: bytes = self._boxes.crypto_box_beforenm(server_key, self._own_secret)
        self.cookie = b""
        self._door_key = b""

    def hello(self, nonce: int = 1, version: bytes = b"\x01\x00") -> bytes:
        """HELLO's frame."""
        short = nonce.to_bytes(8, "big")
        box = self._seal(bytes(64), b"CurveZMQHELLO---" + short)
        return command(b"\x05HELLO" + version + bytes(72) + self._own_key + short + box)

    def welcomed(self, data: bytes) -> None:
        """Takes WELCOME's data."""
        nonce, box = data[:_WELCOME_BOX_AT], data[_WELCOME_BOX_AT:]
        content: bytes = self._boxes.crypto_box_open_easy_afternm(
            box, b"WELCOME-" + nonce, self._shared
        )
        self._door_key, self.cookie = content[:_COOKIE_AT], content[_COOKIE_AT:]
        self._shared = self._boxes.crypto_box_beforenm(self._door_key, self._own_secret)

    def initiate(self, nonce: int = 2, metadata: bytes = metadata_from(b"DEALER")) -> bytes:
        """INITIATE's frame, once welcomed."""
        vouch_nonce = secrets.token_bytes(16)
        vouch = self._boxes.crypto_box_easy_afternm(
            self._own_key + self._server_key,
            b"VOUCH---" + vouch_nonce,
            self._boxes.crypto_box_beforenm(self._door_key, self._secret_key),
        )
        public_key = self._boxes.crypto_scalarmult_base(self._secret_key)
        short = nonce.to_bytes(8, "big")
        box = self._seal(public_key + vouch_nonce + vouch + metadata, b"CurveZMQINITIATE" + short)
        return command(b"\x08INITIATE" + self.cookie + short + box)

    def ready(self, data: bytes, sent: int = 2) -> Sealer:
        """Takes READY's data: how what follows is opened and sealed, from this side."""
        nonce, box = data[:8], data[8:]
        self._boxes.crypto_box_open_easy_afternm(box, b"CurveZMQREADY---" + nonce, self._shared)
        received = int.from_bytes(nonce, "big")
        return Sealer(self._shared, b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES", sent, received)

    def _seal(self, content: bytes, nonce: bytes) -> bytes:
        box: bytes = self._boxes.crypto_box_easy_afternm(content, nonce, self._shared)
        return box
