"""CURVE for tests: keys, a configuration with clients, a raw peer of which every byte is chosen."""

from typing import Any

import pytest

pytest.importorskip("nacl.bindings", reason="CURVE needs PyNaCl (the extra `curve`)")

from nacl import bindings

from daemon_support import Site, config_text
from guard.client import CurveKeys
from guard.clock import monotonic_ns
from guard.config.z85 import text_of
from guard.server.commands import GREETING_BYTES, greeting, metadata_from
from guard.server.curve import CurveDoor, HandshakeRate
from guard.server.curve_peer import CurvePeer
from guard.server.policy import REQUESTERS
from guard.server.sealing import CONTENT_AT, Sealer
from server_support import Door, Wire, open_listener, pump

GREETING = greeting(b"CURVE")


class KeyPair:
    """A key pair; `text` and `secret_text` are Z85."""

    def __init__(self) -> None:
        self.public, self.secret = bindings.crypto_box_keypair()
        self.text, self.secret_text = text_of(self.public), text_of(self.secret)


SERVER, ALPHA, BETA, STRANGER = KeyPair(), KeyPair(), KeyPair(), KeyPair()


def curve_keys(client: KeyPair, server: KeyPair = SERVER) -> CurveKeys:
    """As the Python client takes them."""
    return CurveKeys(server.text, client.text, client.secret_text)


def curve_door(*admitted: KeyPair, per_s: int = 1_000_000) -> CurveDoor:
    """A mechanism that lets these in."""
    keys = {pair.public for pair in admitted}
    rate = HandshakeRate(per_s, monotonic_ns)
    return CurveDoor(SERVER.secret, b"ROUTER", REQUESTERS, keys.__contains__, rate)


def open_curve_listener(*admitted: KeyPair, per_s: int = 1_000_000, **options: Any) -> Door:
    """A listener that speaks CURVE."""
    return open_listener(mechanism=curve_door(*admitted, per_s=per_s), **options)


class CurveWire(Wire):
    """A raw peer of a CURVE listener; each step is its own."""

    def __init__(self, door: Door, pair: KeyPair, server: KeyPair = SERVER) -> None:
        super().__init__(door, GREETING)
        self.peer = CurvePeer(server.public, pair.secret)
        self.at = GREETING_BYTES
        self.sealer: Sealer | None = None

    def command(self) -> bytes:
        """The door's next frame, a command or a sealed one; empty where it has closed."""
        body = pump(self.door, lambda: self._whole() or (not self.is_open and b"end"))
        if not self.is_open and not self._whole():
            return b""
        self.at += len(body) + (9 if self.received[self.at] & 2 else 2)
        return body

    def _whole(self) -> bytes:
        self.has(b"")
        data, at = self.received, self.at
        if len(data) < at + 2:
            return b""
        head = 9 if data[at] & 2 else 2
        size = int.from_bytes(data[at + 1 : at + head], "big")
        return bytes(data[at + head : at + head + size]) if len(data) >= at + head + size else b""

    def welcomed(self) -> "CurveWire":
        """Itself, behind WELCOME."""
        self.send(self.peer.hello())
        answer = self.command()
        assert answer.startswith(b"\x07WELCOME"), answer
        self.peer.welcomed(answer[8:])
        return self

    def secured(self, metadata: bytes = metadata_from(b"DEALER")) -> "CurveWire":
        """Itself, once the handshake is over."""
        self.welcomed()
        self.send(self.peer.initiate(metadata=metadata))
        answer = self.command()
        assert answer.startswith(b"\x05READY"), answer
        self.sealer = self.peer.ready(answer[6:])
        return self

    def sealed(self, payload: bytes, flags: int = 0) -> bytes:
        """A frame's bytes."""
        assert self.sealer is not None
        return self.sealer.seal(flags, payload)

    def opened(self) -> bytes:
        """What the door's next frame holds: its flags and its payload."""
        assert self.sealer is not None
        body = bytearray(self.command())
        size = self.sealer.open(body, 0, len(body))
        assert size > 0
        return bytes(body[CONTENT_AT:])


def secured_config(
    clients: str,
    *,
    orders: str = "tcp://127.0.0.1:*",
    endpoints: str = 'curve_secret_key_file = "curve.key"',
    **options: Any,
) -> str:
    """The daemon's configuration with a key, and these clients."""
    text = config_text(**options)
    configured = f'orders = "{orders}"\n{endpoints}'
    return text.replace('orders = "tcp://127.0.0.1:*"', configured) + clients


def client_text(name: str, pair: KeyPair, *lines: str) -> str:
    """A client's section."""
    return "\n".join([f"[clients.{name}]", f'public_key = "{pair.text}"', *lines, ""])


def secured_site(site: Site) -> Site:
    """The site, with the door's secret key in its place."""
    key = site.root / "curve.key"
    key.write_text(SERVER.secret_text + "\n")
    key.chmod(0o600)
    return site
