"""ZMTP's greeting and commands, as bytes (RFC 37 and 23 of rfc.zeromq.org). Pure.

Owns their layout and how a peer's are read. When they may come, `guard.server.zmtp` says.

How it fails: `CommandError` for what the RFC does not allow, in words that the peer may be told.
"""

from typing import Final, NamedTuple

MORE: Final = 0x01
LONG: Final = 0x02
COMMAND: Final = 0x04
SHORT_BYTES_MAX: Final = 255

GREETING_BYTES: Final = 64
SIGNATURE_LAST: Final = 9  # its index; the byte is odd from 2.0 on, even from a 1.0 peer
MAJOR_AT: Final = 10
MINOR_AT: Final = 11
MECHANISM: Final = slice(12, 32)
MAJOR_MIN: Final = 3

IDENTITY_BYTES_MAX: Final = 255  # RFC 37, "The Identity Property"
CONTEXT_BYTES_MAX: Final = 16  # of a PING
TTL_BYTES: Final = 2
PINGS: Final = b"\x04PING"
PONGS: Final = b"\x04PONG"


class CommandError(ValueError):
    """The peer's command is not one that the RFC allows there.

    In a handshake its words go to the peer, where there are any, and `why` into the counters.
    """

    why = "refused"


class Metadata(NamedTuple):
    """What a peer says of itself. Nothing of it is proven."""

    socket_type: bytes
    identity: bytes


def greeting(mechanism: bytes, is_server: bool = False) -> bytes:
    """Ours: ZMTP 3.1. `is_server`: of a mechanism that has two sides."""
    signature = b"\xff" + bytes(8) + b"\x7f\x03\x01"
    return signature + mechanism.ljust(20, b"\0") + bytes((is_server,)) + bytes(31)


def command(body: bytes) -> bytes:
    """A command's frame; `body` begins with the length of its name."""
    if len(body) <= SHORT_BYTES_MAX:
        return bytes((COMMAND, len(body))) + body
    return bytes((COMMAND | LONG,)) + len(body).to_bytes(8, "big") + body


def ready(socket_type: bytes) -> bytes:
    """The command that ends our side of the NULL handshake."""
    return command(b"\x05READY" + metadata_from(socket_type))


def metadata_from(socket_type: bytes) -> bytes:
    """What we say of ourselves."""
    return _property(b"Socket-Type", socket_type)


def error(reason: str) -> bytes:
    """The command that ends a handshake."""
    text = reason.encode("ascii", "replace")[:SHORT_BYTES_MAX]
    return command(b"\x05ERROR" + bytes((len(text),)) + text)


def ping(ttl_tenths: int) -> bytes:
    """A sign of life is asked for; `ttl_tenths`: of a second, 0 for none."""
    return command(PINGS + ttl_tenths.to_bytes(TTL_BYTES, "big"))


def split_command(body: bytes) -> tuple[bytes, bytes]:
    """A command's name and data. Raises CommandError."""
    end = 1 + body[0] if body else 0
    if not 1 < end <= len(body):
        raise CommandError("a command without a name")
    return body[1:end], body[end:]


def ping_of(data: bytes) -> tuple[int, bytes]:
    """(Tenths of a second that the peer lets us be silent, or 0; its context). CommandError."""
    if not TTL_BYTES <= len(data) <= TTL_BYTES + CONTEXT_BYTES_MAX:
        raise CommandError(f"PING: {len(data)} bytes of data; allowed: 2 to 18")
    return int.from_bytes(data[:TTL_BYTES], "big"), data[TTL_BYTES:]


def pong(context: bytes) -> bytes:
    """The answer to a PING."""
    return command(PONGS + context)


def metadata_of(data: bytes) -> Metadata:
    """A READY's properties; those that nobody here asks for are passed over. CommandError."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        value_at = name_end + 4
        if data[at] == 0 or value_at > len(data):
            raise CommandError("READY: a property is cut off or has no name")
        value_end = value_at + int.from_bytes(data[name_end:value_at], "big")
        if value_end > len(data):
            raise CommandError("READY: a property's value is cut off")
        name = data[at + 1 : name_end].lower()  # RFC 37: case is of no significance
        if name in found:
            raise CommandError("READY: a property stands twice")
        found[name] = data[value_at:value_end]
        at = value_end
    identity = found.get(b"identity", b"")
    if len(identity) > IDENTITY_BYTES_MAX:
        raise CommandError(f"Identity: {len(identity)} bytes; allowed: at most 255")
    return Metadata(found.get(b"socket-type", b""), identity)


def _property(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value
