"""CURVE (RFC 26 of rfc.zeromq.org), the server's side of its handshake. Pure, but for randomness.

Owns who is let in: whoever proves to have the secret key to a public one that is admitted. What
follows the handshake, `guard.server.sealing` opens and seals. Primitives are libsodium's, by
PyNaCl.

How it works: HELLO shows that the peer knows our public key; the answer, WELCOME, carries a key
made for this connection, and a cookie in which all that we know of the peer is locked up. Nothing
else is kept but the cookie's key, which opens one cookie once: a handshake that was recorded, or
another connection's cookie, opens nothing. INITIATE brings the cookie back, the peer's own key, and
its vouch that the connection's key is its own.

How it fails: `HandshakeError`, without words for who proves nothing, with ZAP's `400` for a key
that is not admitted, which stock clients know. Every handshake costs four multiplications on the
curve; what comes above a rate is turned away before any (`HandshakeRate`), and stock clients try
again.
"""

import hmac
import importlib
import secrets
from collections.abc import Callable
from typing import Any, Final

from guard.server.commands import CommandError, command, metadata_from
from guard.server.mechanisms import Step, served_metadata
from guard.server.sealing import Sealer

KEY_BYTES: Final = 32
# Half of a handshake each; some 0.15 ms of the loop's time. A crowd that comes back after a
# restart is in within seconds, and a flood takes no more than a few hundredths of a core.
COMMANDS_PER_S: Final = 256
DENIED: Final = "400"  # RFC 27, "status code"

_HELLO_BYTES: Final = 194
_VERSION: Final = b"\x01\x00"
_HELLO_KEY: Final = slice(74, 106)
_HELLO_NONCE: Final = slice(106, 114)
_HELLO_BOX: Final = slice(114, 194)
_COOKIE_BYTES: Final = 96
_LONG_NONCE_BYTES: Final = 16
_INITIATE_NONCE: Final = slice(96, 104)
_INITIATE_BOX_AT: Final = 104
_INITIATE_BYTES_MIN: Final = _INITIATE_BOX_AT + 16 + KEY_BYTES + 96
_VOUCH_NONCE: Final = slice(32, 48)
_VOUCH_BOX: Final = slice(48, 128)
_METADATA_AT: Final = 128
_NS_PER_S: Final = 1_000_000_000
_CLIENT_PREFIX: Final = b"CurveZMQMESSAGEC"
_SERVER_PREFIX: Final = b"CurveZMQMESSAGES"


class HandshakeError(CommandError):
    """The peer is not let in. Its words are sent to it, where there are any."""

    def __init__(self, why: str, words: str = "") -> None:
        super().__init__(words)
        self.why = why


def sodium_boxes() -> Any:
    """PyNaCl's bindings. Raises ImportError where it is not installed."""
    return importlib.import_module("nacl.bindings")


class HandshakeRate:
    """How many of a handshake's commands may be worked on: so many a second, all peers together."""

    def __init__(self, per_s: int, monotonic_ns: Callable[[], int]) -> None:
        self._per_s = per_s
        self._monotonic_ns = monotonic_ns
        self._since_ns = monotonic_ns()
        self._taken = 0

    def takes(self) -> bool:
        """One more?"""
        now_ns = self._monotonic_ns()
        if now_ns - self._since_ns >= _NS_PER_S:
            self._since_ns, self._taken = now_ns, 0
        self._taken += 1
        return self._taken <= self._per_s


class CurveDoor:
    """What the connections of one listener share: call it for each one's mechanism."""

    def __init__(
        self,
        secret_key: bytes,
        own_type: bytes,
        peer_types: frozenset[bytes],
        admits: Callable[[bytes], bool],
        rate: HandshakeRate,
    ) -> None:
        """`admits`: is this public key, of 32 bytes, one of a client? Raises ImportError."""
        assert len(secret_key) == KEY_BYTES
        self.boxes = sodium_boxes()
        self._crypto_error: type[Exception] = importlib.import_module("nacl.exceptions").CryptoError
        self.secret_key = secret_key
        self.public_key: bytes = self.boxes.crypto_scalarmult_base(secret_key)
        self.own_type = own_type
        self.peer_types = peer_types
        self.admits = admits
        self.rate = rate

    def __call__(self) -> "CurveMechanism":
        return CurveMechanism(self)

    def open(self, box: bytes, nonce: bytes, key: bytes) -> bytes:
        """What a box holds. Raises HandshakeError."""
        try:
            content: bytes = self.boxes.crypto_box_open_easy_afternm(box, nonce, key)
        except self._crypto_error as error:
            raise HandshakeError("forged") from error
        return content

    def shared(self, public_key: bytes, secret_key: bytes) -> bytes:
        """The key of boxes between the two. Raises HandshakeError for a point of a small order."""
        try:
            key: bytes = self.boxes.crypto_box_beforenm(public_key, secret_key)
        except self._crypto_error as error:
            raise HandshakeError("forged") from error
        return key


class CurveMechanism:
    """One connection's handshake, as `guard.server.mechanisms` has them."""

    name = b"CURVE"
    is_server = True

    def __init__(self, door: CurveDoor) -> None:
        self._door = door
        self._cookie_key: bytes | None = None  # of the cookie that is out, if one is
        self._last_nonce = 0

    def take(self, command_name: bytes, data: bytes) -> Step:
        """As `Mechanism.take`."""
        expected = b"HELLO" if self._cookie_key is None else b"INITIATE"
        if command_name != expected:
            raise HandshakeError("forged", f"the CURVE mechanism expects {expected.decode()}")
        if not self._door.rate.takes():
            raise HandshakeError("handshake_rate")
        return self._take_hello(data) if self._cookie_key is None else self._take_initiate(data)

    def _take_hello(self, data: bytes) -> Step:
        door = self._door
        if len(data) != _HELLO_BYTES:
            raise HandshakeError(
                "forged", f"HELLO: {len(data)} bytes of data; allowed: {_HELLO_BYTES}"
            )
        if data[:2] != _VERSION:
            raise HandshakeError(
                "forged", f"HELLO: CURVE version {data[0]}.{data[1]}; allowed: 1.0"
            )
        peer_key, nonce = data[_HELLO_KEY], data[_HELLO_NONCE]
        shared = door.shared(peer_key, door.secret_key)
        if door.open(data[_HELLO_BOX], b"CurveZMQHELLO---" + nonce, shared) != bytes(64):
            raise HandshakeError("forged")
        self._last_nonce = int.from_bytes(nonce, "big")
        own_key, own_secret = door.boxes.crypto_box_keypair()
        self._cookie_key = secrets.token_bytes(KEY_BYTES)
        cookie_nonce = secrets.token_bytes(_LONG_NONCE_BYTES)
        cookie = cookie_nonce + door.boxes.crypto_box_easy_afternm(
            peer_key + own_secret, b"COOKIE--" + cookie_nonce, self._cookie_key
        )
        welcome_nonce = secrets.token_bytes(_LONG_NONCE_BYTES)
        welcome = door.boxes.crypto_box_easy_afternm(
            own_key + cookie, b"WELCOME-" + welcome_nonce, shared
        )
        return Step(command(b"\x07WELCOME" + welcome_nonce + welcome), None)

    def _take_initiate(self, data: bytes) -> Step:
        door, cookie_key = self._door, self._cookie_key
        assert cookie_key is not None
        self._cookie_key = bytes(KEY_BYTES)  # a cookie is good once
        if len(data) < _INITIATE_BYTES_MIN:
            raise HandshakeError(
                "forged",
                f"INITIATE: {len(data)} bytes of data; allowed: from {_INITIATE_BYTES_MIN} on",
            )
        cookie_nonce = b"COOKIE--" + data[:_LONG_NONCE_BYTES]
        cookie = door.open(data[_LONG_NONCE_BYTES:_COOKIE_BYTES], cookie_nonce, cookie_key)
        peer_key, own_secret = cookie[:KEY_BYTES], cookie[KEY_BYTES:]
        nonce = data[_INITIATE_NONCE]
        counter = int.from_bytes(nonce, "big")
        if counter <= self._last_nonce:
            raise HandshakeError("forged")
        shared = door.shared(peer_key, own_secret)
        content = door.open(data[_INITIATE_BOX_AT:], b"CurveZMQINITIATE" + nonce, shared)
        client_key = content[:KEY_BYTES]
        vouched = door.open(
            content[_VOUCH_BOX],
            b"VOUCH---" + content[_VOUCH_NONCE],
            door.shared(client_key, own_secret),
        )
        if not hmac.compare_digest(vouched, peer_key + door.public_key):
            raise HandshakeError("forged")
        if not door.admits(client_key):
            raise HandshakeError("denied", DENIED)
        metadata = served_metadata(content[_METADATA_AT:], door.peer_types)
        own_nonce = (1).to_bytes(8, "big")
        ready = door.boxes.crypto_box_easy_afternm(
            metadata_from(door.own_type), b"CurveZMQREADY---" + own_nonce, shared
        )
        sealer = Sealer(shared, _SERVER_PREFIX, _CLIENT_PREFIX, 1, counter)
        return Step(command(b"\x05READY" + own_nonce + ready), metadata, client_key, sealer)
