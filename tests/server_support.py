"""What tests of the door share: a listener under small bounds, a peer that is a plain socket."""

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from guard.server.commands import command, greeting
from guard.server.connection import Received
from guard.server.listener import Listener
from guard.server.policy import Policy
from guard.server.zmtp import Limits
from patience_support import PATIENCE_S

LIMITS = Limits(262_144, 4_194_304, 4_096)
SEND_AT_ONCE_BYTES = 50_000  # the system's buffers take that much
EMPTY = b"\x01\x00"


class Door(Listener):
    """A listener that keeps the messages of the turns it was given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.taken: deque[Received] = deque()

    def turn(self) -> None:
        """As a loop gives it one, once there is something, or a moment has passed."""
        if not self.has_ready():
            select.select([self.descriptor], [], [], 0.005)
        self.begin_turn()
        while (received := self.receive()) is not None:
            self.taken.append(received)


def open_listener(
    endpoint: str = "tcp://127.0.0.1:*", limits: Limits = LIMITS, **options: Any
) -> Door:
    """Bound. `options`: of the policy where it has them, else of the listener."""
    policy = {name: options.pop(name) for name in list(options) if name in Policy.__slots__}
    policy.setdefault("connections_max", 256)
    return Door([endpoint], Policy(limits, **policy), **options)


def pump(door: Door, until: Callable[[], Any]) -> Any:
    """Gives the door its turns until `until` gives something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := until()):
        assert time.monotonic() < deadline
        door.turn()
    return found


def take(door: Door) -> Received:
    """The next message, waited for as a loop does."""
    pump(door, lambda: door.taken)
    return door.taken.popleft()


def answer(door: Door, received: Received, body: bytes) -> None:
    """Sends one reply."""
    door.send_all([(received[0], received[1], body)], bytes)


def frame(body: bytes, flags: int = 0) -> bytes:
    """One frame."""
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return bytes((flags | 2,)) + len(body).to_bytes(8, "big") + body


def ready(socket_type: bytes = b"DEALER", *properties: tuple[bytes, bytes]) -> bytes:
    """A client's READY."""
    body = b"\x05READY"
    for name, value in ((b"Socket-Type", socket_type), *properties):
        body += bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value
    return command(body)


HELLO = greeting(b"NULL") + ready()


class Wire:
    """A peer of which every byte is chosen here."""

    def __init__(self, door: Door, hello: bytes = HELLO, receive_bytes: int = 0) -> None:
        """Connects, and says `hello`. `receive_bytes`: what the system buffers for it."""
        self.door = door
        self.received = bytearray()
        self.is_open = True
        transport, _, place = door.endpoint.partition("://")
        if transport == "ipc":
            self.socket = socket.socket(socket.AF_UNIX)
            address: Any = place
        else:
            self.socket = socket.socket()
            host, _, port = place.rpartition(":")
            address = (host, int(port))
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.connect(address)
        self.send(hello)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """All of it; what the system does not take at once goes while the listener reads."""
        if len(data) > SEND_AT_ONCE_BYTES:
            threading.Thread(target=self._send_slowly, args=(data,), daemon=True).start()
        else:
            self.socket.sendall(data)

    def _send_slowly(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it is told by what does not come
            self.socket.sendall(data)

    def until(self, what: bytes) -> bytearray:
        """What has come, once `what` is in it."""
        return pump(self.door, lambda: self.received if self.has(what) else None)

    def until_closed(self) -> bytearray:
        """Everything that came before the end."""
        return pump(self.door, lambda: self.has(b"") or not self.is_open) and self.received

    def has(self, what: bytes) -> bool:
        try:
            while self.is_open:
                part = self.socket.recv(65_536, socket.MSG_DONTWAIT)
                self.received += part
                self.is_open = bool(part)
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.is_open = False
        return bool(what) and what in self.received

    def connected_silently(self) -> "Wire":
        """Itself, once the handshake is over; nobody's message is taken meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.has(b"READY"):
            assert time.monotonic() < deadline
            self.door.look()
        return self

    def connected(self) -> "Wire":
        """Itself, once the handshake is over."""
        self.until(b"READY")
        return self
