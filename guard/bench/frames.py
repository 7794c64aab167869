"""ZMTP 3 frames: what the load generator's messages look like on the wire. Pure.

Owns the bytes of frames and commands, and how a buffer of received ones is cut. `guard.bench.zmtp`
owns the socket.

How it fails: `LinkError` for what the protocol, or a guard, does not send.
"""

from collections.abc import Callable
from typing import Final

MORE: Final = 0x01
LONG: Final = 0x02
COMMAND: Final = 0x04
_SHORT_BYTES_MAX: Final = 255


class LinkError(RuntimeError):
    """The other side cannot be spoken to."""


def frame(body: bytes) -> bytes:
    """A message of one frame, as it goes over the wire."""
    return frame_head(len(body)) + body


def frame_head(size: int) -> bytes:
    """What stands before the body of a message of one frame."""
    if size <= _SHORT_BYTES_MAX:
        return bytes((0, size))
    return bytes((LONG,)) + size.to_bytes(8, "big")


def command(name: bytes, data: bytes = b"") -> bytes:
    """A command frame of up to 255 bytes."""
    body = bytes((len(name),)) + name + data
    if len(body) > _SHORT_BYTES_MAX:
        raise ValueError(f"command: {len(body)} bytes; allowed: at most {_SHORT_BYTES_MAX}")
    return bytes((COMMAND, len(body))) + body


def scan(
    received: bytes | bytearray,
    on_body: Callable[[int, int], None],
    on_command: Callable[[bytes], None],
) -> int:
    """Finds the whole messages in `received`; returns how many of its bytes they take.

    Calls `on_body(start, end)` for each message of one frame, `on_command(body)` for a command.
    Raises LinkError for a message of several frames.
    """
    at, end = 0, len(received)
    while end - at >= 2:
        flags = received[at]
        if flags & LONG:
            if end - at < 9:
                break
            start = at + 9
            stop = start + int.from_bytes(received[at + 1 : start], "big")
        else:
            start = at + 2
            stop = start + received[at + 1]
        if stop > end:
            break
        if flags & COMMAND:
            on_command(bytes(received[start:stop]))
        elif flags & MORE:
            raise LinkError("a reply of several frames, where one was sent")
        else:
            on_body(start, stop)
        at = stop
    return at


def pong_to(body: bytes) -> bytes | None:
    """The answer to a heartbeat (ZMTP 3.1, PING with a time-to-live); None for another command."""
    if body[:5] != b"\x04PING":
        return None
    return command(b"PONG", body[7:])
