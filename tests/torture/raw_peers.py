"""Peers that no library would be: idle, slow, endless, half greeted, reset. Plain sockets.

    python raw_peers.py ENDPOINT SEED SECONDS COUNTS_FILE ATTACK=PEERS...

Each attack is a coroutine that makes one connection, misuses it and ends it; so many of it run side
by side, again and again. `ATTACKS` names them. Ends with its parent, or after SECONDS.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from crowd import NICENESS, REPORT_S, write_counts

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
ZMTP_2_GREETING = b"\xff" + bytes(8) + b"\x7f\x01\x05\0\0"
ZMTP_1_GREETING = b"\x01\0"
TLS_HELLO = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(200))
HTTP = b"GET / HTTP/1.1\r\nHost: guard\r\n\r\n"
PING_BODY = b'{"type":"ping"}'
PING_COMMAND = b"\x04\x07\x04PING\0\0"
EMPTY_FRAME, LAST_EMPTY_FRAME, BYTE_FRAME = b"\x01\0", b"\0\0", b"\x01\x01x"
GREETED_BYTES = 64
TRICKLE_S = 1.0  # a byte each
MANY_FRAMES, VERY_MANY_FRAMES = 50_000, 5_000_000
CHUNK_BYTES = 64 * 1024
HEARTBEATS = 3_000  # more than a library's queue holds, and a request behind each
ENDLESS_PAUSE_S = 0.005  # between chunks: 13 MB a second
RETRY_S = 1.0
PEER_PATIENCE_S = 10.0  # for what a peer waits for; then it ends all the same


class Peer:
    """One connection, non-blocking, of a peer that speaks as it likes."""

    def __init__(self, endpoint: str, draw: random.Random) -> None:
        self.draw = draw
        self._loop = asyncio.get_running_loop()
        transport, _, address = endpoint.partition("://")
        if transport == "ipc":
            self.socket = socket.socket(socket.AF_UNIX)
            self._address: object = address
        else:
            self.socket = socket.socket()
            host, _, port = address.rpartition(":")
            self._address = (host, int(port))
        self.socket.setblocking(False)

    async def connect(self) -> None:
        await self._loop.sock_connect(self.socket, self._address)  # type: ignore[arg-type]

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self.socket, CHUNK_BYTES)

    async def until_ended(self) -> None:
        """Reads until the other side has ended the connection."""
        while await self.receive():
            pass

    async def shake_hands(self, identity: bytes = b"") -> None:
        """As a DEALER of the NULL mechanism does."""
        await self.send(GREETING)
        received = b""
        while len(received) < GREETED_BYTES:
            part = await self.receive()
            if not part:
                raise ConnectionResetError
            received += part
        body = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
        if identity:
            body += b"\x08Identity" + struct.pack(">I", len(identity)) + identity
        await self.send(command(body))

    def reset(self) -> None:
        """From now on its close is a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def command(body: bytes) -> bytes:
    """A ZMTP command."""
    return bytes((4, len(body))) + body if len(body) < 256 else b"\x06" + _long(body)


def message(body: bytes) -> bytes:
    """A message of one frame."""
    return bytes((0, len(body))) + body if len(body) < 256 else b"\x02" + _long(body)


def _long(body: bytes) -> bytes:
    return struct.pack(">Q", len(body)) + body


async def silent(peer: Peer) -> None:
    """Connects and says nothing."""
    await peer.until_ended()


async def crowding(peer: Peer) -> None:
    """As `silent`, by more than the daemon has descriptors for."""
    await peer.until_ended()


async def half_greeted(peer: Peer) -> None:
    """A part of the greeting, or all of it, and no more."""
    await peer.send(GREETING[: peer.draw.randint(1, len(GREETING))])
    await peer.until_ended()


async def idle(peer: Peer) -> None:
    """Shakes hands and asks for nothing."""
    await peer.shake_hands()
    await peer.until_ended()


async def trickling(peer: Peer) -> None:
    """A byte a second, from the greeting on or from its request on."""
    if peer.draw.random() < 0.5:
        await peer.shake_hands()
        data = message(PING_BODY) * 1_000
    else:
        data = GREETING
    for at in range(len(data)):
        await peer.send(data[at : at + 1])
        await asyncio.sleep(TRICKLE_S)


async def reset_in_a_message(peer: Peer) -> None:
    """Sends requests, cut off anywhere, and is reset."""
    peer.reset()
    await peer.shake_hands()
    data = message(PING_BODY) * peer.draw.randint(1, 50) + message(
        bytes(peer.draw.randrange(9_000))
    )
    await peer.send(data[: peer.draw.randint(1, len(data))])
    await asyncio.sleep(peer.draw.choice((0, 0, 0.001, 0.1)))


async def reset_over_replies(peer: Peer) -> None:
    """Asks for much, reads none of it, and is reset."""
    peer.reset()
    await peer.shake_hands()
    await peer.send(message(b"[" + b",".join([PING_BODY] * 256) + b"]") * 4)
    await asyncio.sleep(peer.draw.random() * 0.5)


async def reset_in_the_handshake(peer: Peer) -> None:
    peer.reset()
    await peer.send(GREETING[: peer.draw.randint(0, len(GREETING))])
    await asyncio.sleep(peer.draw.choice((0, 0.001, 0.1)))


async def heartbeats_then_reset(peer: Peer) -> None:
    """PINGs among requests, nothing read, and a reset."""
    peer.reset()
    await peer.shake_hands()
    await peer.send((PING_COMMAND + message(PING_BODY)) * HEARTBEATS)
    await asyncio.sleep(peer.draw.choice((0, 0.001, 0.1)))


async def same_identity(peer: Peer) -> None:
    """Under a routing id that others have as well, or a very long one; closed or reset."""
    if peer.draw.random() < 0.5:
        peer.reset()
    identity = b"trader-%d" % peer.draw.randrange(5)
    await peer.shake_hands(identity if peer.draw.random() < 0.8 else b"x" * 255)
    await peer.send(message(PING_BODY) * 3)
    await asyncio.sleep(peer.draw.random())


async def stranger(peer: Peer) -> None:
    """Another protocol, an older ZMTP, or noise."""
    noise = peer.draw.randbytes(peer.draw.randint(1, 2_000))
    openings = (HTTP, TLS_HELLO, ZMTP_1_GREETING, ZMTP_2_GREETING, noise, GREETING + noise)
    await peer.send(peer.draw.choice(openings))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(peer.until_ended(), 1.0)


async def too_long(peer: Peer) -> None:
    """Announces a frame of a tebibyte, and begins with it."""
    await peer.shake_hands()
    await peer.send(b"\x02" + struct.pack(">Q", 2**40) + bytes(CHUNK_BYTES))
    await asyncio.wait_for(peer.until_ended(), PEER_PATIENCE_S)


async def many_frames(peer: Peer) -> None:
    """A message of many empty frames, and one byte back at least."""
    await _frames(peer, MANY_FRAMES)


async def very_many_frames(peer: Peer) -> None:
    await _frames(peer, VERY_MANY_FRAMES)


async def _frames(peer: Peer, count: int) -> None:
    await peer.shake_hands()
    await peer.receive()  # READY
    await peer.send(EMPTY_FRAME * (count - 1) + LAST_EMPTY_FRAME)
    await asyncio.wait_for(peer.receive(), PEER_PATIENCE_S)


async def endless(peer: Peer) -> None:
    """Frame after frame of one message, until the other side has had enough."""
    await peer.shake_hands()
    frame = EMPTY_FRAME if peer.draw.random() < 0.5 else BYTE_FRAME
    while True:
        await peer.send(frame * (CHUNK_BYTES // len(frame)))
        await asyncio.sleep(ENDLESS_PAUSE_S)


async def endless_under_a_used_identity(peer: Peer) -> None:
    """Requests without end under a routing id that another connection holds."""
    await peer.shake_hands(b"trader-0")
    while True:
        await peer.send(message(PING_BODY) * 1_000)
        await asyncio.sleep(ENDLESS_PAUSE_S)


ATTACKS: dict[str, Callable[[Peer], Awaitable[None]]] = {
    "silent": silent,
    "crowding": crowding,
    "half-greeted": half_greeted,
    "idle": idle,
    "trickling": trickling,
    "reset-in-message": reset_in_a_message,
    "reset-over-replies": reset_over_replies,
    "reset-in-handshake": reset_in_the_handshake,
    "heartbeats": heartbeats_then_reset,
    "same-identity": same_identity,
    "stranger": stranger,
    "too-long": too_long,
    "many-frames": many_frames,
    "very-many-frames": very_many_frames,
    "endless": endless,
    "endless-same-identity": endless_under_a_used_identity,
}


async def repeat(name: str, endpoint: str, seed: int, counts: Counter[str]) -> None:
    """One peer after the other, for ever; an attack counts when it begins, however it ends."""
    draw = random.Random(seed)
    await asyncio.sleep(draw.random())
    while True:
        peer = Peer(endpoint, draw)
        with peer.socket:
            try:
                await peer.connect()
                counts[name] += 1
                await ATTACKS[name](peer)
                counts["resets"] += name.startswith("reset") or name == "heartbeats"
            except (OSError, TimeoutError):
                counts["ended by the daemon"] += 1
        await asyncio.sleep(RETRY_S * draw.random())


async def attack(endpoint: str, seed: int, seconds: float, file: Path, wanted: list[str]) -> None:
    draw = random.Random(seed)
    counts: Counter[str] = Counter()
    tasks = [
        asyncio.create_task(repeat(name, endpoint, draw.randrange(2**32), counts))
        for name, _, peers in (each.partition("=") for each in wanted)
        for _ in range(int(peers))
    ]
    parent, loop = os.getppid(), asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end and os.getppid() == parent:
        await asyncio.wait(tasks, timeout=REPORT_S, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()  # an attack never ends but by an error of ours
        write_counts(file, counts)


def main() -> int:
    endpoint, seed, seconds, counts_file, *wanted = sys.argv[1:]
    os.nice(NICENESS)
    asyncio.run(attack(endpoint, int(seed), float(seconds), Path(counts_file), wanted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
