"""What a CURVE door must have shown before it serves: whom it turns away, at its real endpoint.

Owns the three peers that must not get in, a stranger with a key of its own, one without any, and
one that replays a handshake that was let in, and the one that must: a key of our own, admitted for
this alone, which may do nothing. Each is a plain socket; the door is given its turns meanwhile, and
no message is taken from anybody.

How it fails: `DoorError`, which says who was let in, or could not be heard.
"""

import secrets
import select
import socket
from collections.abc import Callable
from typing import Final

from guard.clock import monotonic_ns
from guard.server.commands import GREETING_BYTES, LONG, greeting, metadata_from, ready
from guard.server.curve import CurveDoor
from guard.server.curve_peer import CurvePeer
from guard.server.listener import Listener

PATIENCE_NS: Final = 5_000_000_000
_TURN_S: Final = 0.002
_RECEIVE_BYTES: Final = 4_096
_GREETING: Final = greeting(b"CURVE")


class DoorError(RuntimeError):
    """The door has let somebody in whom it must not, or nobody at all."""


def prove(listener: Listener, door: CurveDoor, admit: Callable[[bytes | None], None]) -> None:
    """Sees who is turned away. `admit`: lets a key in for the moment. Raises DoorError, OSError."""
    own_secret = secrets.token_bytes(32)
    own_key: bytes = door.boxes.crypto_scalarmult_base(own_secret)
    metadata = metadata_from(min(door.peer_types))
    admit(own_key)
    try:
        with _Probe(listener) as probe:
            said = probe.shake_hands(CurvePeer(door.public_key, own_secret), metadata)
            if not probe.is_in:
                raise DoorError("a key that is admitted was not let in")
        with _Probe(listener) as probe:
            # Word for word, at its pace: the second half follows upon an answer of the door's.
            probe.send(said[0])
            probe.next_command()
            probe.send(said[1])
            probe.expect_closed("a handshake that was recorded and sent again")
    finally:
        admit(None)
    with _Probe(listener) as probe:
        probe.shake_hands(CurvePeer(door.public_key, secrets.token_bytes(32)), metadata)
        probe.expect_closed("a key that nobody knows")
    with _Probe(listener) as probe:
        probe.send(greeting(b"NULL") + ready(min(door.peer_types)))
        probe.expect_closed("a peer without a key")


class _Probe:
    """A peer at the listener's endpoint."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._received = bytearray()
        self._at = GREETING_BYTES
        self._is_open = True
        self.is_in = False
        transport, _, place = listener.endpoint.partition("://")
        if transport == "ipc":
            self._socket = socket.socket(socket.AF_UNIX)
            self._connect("\0" + place[1:] if place.startswith("@") else place)
        else:
            host, _, port = place.rpartition(":")
            host = host.strip("[]")
            self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            # All addresses: this machine's own is one of them.
            self._connect(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)))
        self._socket.setblocking(False)

    def _connect(self, address: str | tuple[str, int]) -> None:
        try:
            self._socket.settimeout(PATIENCE_NS / 1e9)
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> "_Probe":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._listener.look()

    def send(self, data: bytes) -> None:
        """A few hundred bytes, which the system takes at once."""
        try:
            self._socket.sendall(data)
        except OSError:
            self._is_open = False

    def shake_hands(self, peer: CurvePeer, metadata: bytes) -> tuple[bytes, bytes]:
        """As far as the door goes along; what was said, in two parts."""
        first = _GREETING + peer.hello()
        self.send(first)
        answer = self.next_command()
        if answer is None or not answer.startswith(b"\x07WELCOME"):
            raise DoorError("the door does not answer a HELLO")
        peer.welcomed(answer[8:])
        second = peer.initiate(metadata=metadata)
        self.send(second)
        answer = self.next_command()
        self.is_in = answer is not None and answer.startswith(b"\x05READY")
        return first, second

    def next_command(self) -> bytes | None:
        """The door's next command; None where it has closed."""
        if not self._wait(lambda: self._whole() is not None or not self._is_open):
            raise DoorError("the door does not answer")
        command = self._whole()
        if command is not None:
            self._at += len(command) + (9 if self._received[self._at] & LONG else 2)
        return command

    def expect_closed(self, who: str) -> None:
        """The door has closed, and let nobody in. Raises DoorError."""
        command: bytes | None = b""
        while command is not None and not self.is_in:
            command = self.next_command()
            self.is_in = command is not None and command.startswith(b"\x05READY")
        if self.is_in:
            raise DoorError(f"{who} was let in")

    def _whole(self) -> bytes | None:
        data, at = self._received, self._at
        if len(data) < at + 2:
            return None
        head = 9 if data[at] & LONG else 2
        size = int.from_bytes(data[at + 1 : at + head], "big")
        return bytes(data[at + head : at + head + size]) if len(data) >= at + head + size else None

    def _wait(self, until: Callable[[], bool]) -> bool:
        end_ns = monotonic_ns() + PATIENCE_NS
        while not until():
            if monotonic_ns() > end_ns:
                return False
            self._listener.look()
            if select.select([self._socket], [], [], _TURN_S)[0]:
                try:
                    part = self._socket.recv(_RECEIVE_BYTES)
                except OSError:
                    part = b""
                self._received += part
                self._is_open = bool(part)
                if not part:
                    return until()
        return True
