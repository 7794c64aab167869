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
FRAME_HEAD_BYTES: Final = 2  # of a frame of up to 255 bytes
_SHORT_BYTES_MAX: Final = 255


class LinkError(RuntimeError):
    """The other side cannot be spoken to."""


def frame(body: bytes) -> bytes:
    """A message of one frame, as it goes over the wire."""
    return frame_head(len(body)) + body


def array_head(count: int) -> bytes:
    """What stands before the elements of a MessagePack array of up to 65,535."""
    return bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")


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
    at: int = 0,
    until: int | None = None,
) -> int:
    """Finds the whole messages that begin from `at` on, before `until`; returns where they end.

    Calls `on_body(start, end)` for each message of one frame, `on_command(body)` for a command.
    Raises LinkError for a message of several frames.
    """
    end = len(received)
    last = end - 2 if until is None else min(end - 2, until - 1)
    while at <= last:
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


def run_of(received: bytes | bytearray, at: int) -> tuple[int, int]:
    """How many whole messages of one length stand from `at` on, and how far apart.

    Only messages of one frame, of up to 255 bytes. (0, 0) where no such message is, whole or begun.
    """
    if len(received) - at < 2 or received[at]:
        return 0, 0
    apart = 2 + received[at + 1]
    count = (len(received) - at) // apart
    beyond = at + count * apart
    # Each begins where the one before ends: if that was one of this length, and so on from `at`.
    flags = received[at:beyond:apart]
    sizes = received[at + 1 : beyond : apart]
    count -= max(len(flags.lstrip(b"\0")), len(sizes.lstrip(sizes[:1])))
    return count, apart


def pong_to(body: bytes) -> bytes | None:
    """The answer to a heartbeat (ZMTP 3.1, PING with a time-to-live); None for another command."""
    if body[:5] != b"\x04PING":
        return None
    return command(b"PONG", body[7:])
