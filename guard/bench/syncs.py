"""How long the guard's syncs took: what it counted itself, within a window.

Owns the asking (`stats`, `guard/PROTOCOL.md`) and the difference of two answers. The daemon counts
by classes, so that a percentile is the upper end of its class: at most so long. A guard that is too
old to know the request is measured without.

How it fails: `LinkError`, OSError where it cannot be asked.
"""

from typing import Final

import msgspec

from guard.bench.frames import LinkError, frame, scan
from guard.bench.zmtp import connect
from guard.protocol.messages import ErrorReply, StatsReply

ASK_S: Final = 10.0
_REQUEST: Final = frame(msgspec.msgpack.encode({"type": "stats"}))
_decoder: Final = msgspec.msgpack.Decoder(StatsReply | ErrorReply)


def read_stats(endpoint: str) -> StatsReply | None:
    """What the guard has counted since its start; None where it knows no such request."""
    received = bytearray()
    bodies: list[bytes] = []

    def on_body(start: int, end: int) -> None:
        bodies.append(bytes(received[start:end]))

    with connect(endpoint, ASK_S) as link:
        link.sendall(_REQUEST)
        while not bodies:
            part = link.recv(65_536)
            if not part:
                raise LinkError("the other side closed the connection")
            received += part
            scan(received, on_body, lambda _command: None)
    reply = _decoder.decode(bodies[0])
    return reply if isinstance(reply, StatsReply) else None


def sync_times(before: StatsReply, after: StatsReply) -> dict[str, int]:
    """Nanoseconds a sync between two readings: count, mean, and at most how long p50 and p99."""
    classes = [
        (bound_ns, count - earlier)
        for (bound_ns, count), (_, earlier) in zip(
            after.syncs_by_latency_ns, before.syncs_by_latency_ns, strict=True
        )
    ]
    count = sum(syncs for _, syncs in classes)
    if not count:
        return {}
    name = "sync_latency_ns_sum"
    mean_ns = (after.counters[name] - before.counters[name]) // count
    return {
        "count": count,
        "mean": mean_ns,
        "p50_at_most": _class_of(classes, -(-count // 2)),
        "p99_at_most": _class_of(classes, -(-count * 99 // 100)),
    }


def _class_of(classes: list[tuple[int, int]], rank: int) -> int:
    """The upper end of the class that holds the value of that rank, from 1."""
    for bound_ns, syncs in classes:
        rank -= syncs
        if rank <= 0:
            return bound_ns
    raise ValueError(f"rank: {rank} beyond the last value")
