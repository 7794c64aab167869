"""Ten thousand random and mutated messages: each gets its one reply, malformed ones change nothing,
the daemon stays up and its memory flat. The seed is printed; PRETRADE_GUARD_SEED repeats a run.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon_support import OPENING_RECORDS, Daemon, Site
from protocol_client import PING, ProtocolClient, cancel, decode_any, fill, order, status

pytestmark = pytest.mark.slow

MESSAGES = 10_000
# Enough to keep the daemon busy; with bodies of up to 300 kB, what is under way stays below 30 MB.
IN_FLIGHT = 100
# What the allocators keep of what was under way (below 3 MB in most runs), and some 1,000
# remembered orders of about 2 kB. Were the bodies kept, they would be 500 MB.
GROWTH_BYTES_MAX = 16 * 1024 * 1024

Draw = random.Random


def _seeded() -> Draw:
    seed = int(os.environ.get("PRETRADE_GUARD_SEED", "0")) or random.randrange(1, 2**32)
    print(f"seed: PRETRADE_GUARD_SEED={seed}")
    return random.Random(seed)


def _random_bytes(draw: Draw) -> list[bytes]:
    return [draw.randbytes(draw.choice([0, 1, 2, 3, 8, 100, 5_000]))]


def _deep(draw: Draw) -> list[bytes]:
    depth = draw.choice([10, 1_000, 100_000])
    opening, closing = draw.choice(
        [
            (b"[", b"]"),
            (b'{"a":', b"}"),
            (b'[{"type":', b"}]"),
            (b"\x91", b""),
            (b"\x81\xa1a", b""),
            (b'{"type":"order","desk":[', b""),
        ]
    )
    depth = min(depth, 250_000 // len(opening + closing))
    return [opening * depth + b"1" * draw.randint(0, 1) + closing * depth]


def _huge_integer(draw: Draw) -> list[bytes]:
    digits = draw.choice([20, 39, 400, 4_300, 4_301, 200_000])
    text = draw.choice(["", "-"]) + "9" * digits + draw.choice(["", "", ".0", "e9", "e999999"])
    field = draw.choice(["quantity", "price", "venue", "request_id", "sent_at_ns"])
    request = {key: value for key, value in order("H-1").items() if key != field}
    return [msgspec.json.encode(request)[:-1] + f',"{field}":{text}}}'.encode()]


def _frames(draw: Draw) -> list[bytes]:
    """Never one frame, nor an empty one and a body."""
    count = draw.choice([2, 3, 4, 20, 300])
    body = msgspec.json.encode(PING)
    frames = [draw.choice([b"", body, b"x"]) for _ in range(count)]
    if count == 2 and not frames[0]:
        frames[0] = b"x"
    return frames


def _oversize(draw: Draw) -> list[bytes]:
    return [msgspec.json.encode(PING).ljust(draw.choice([262_145, 300_000]))]


_VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, float("inf"), 2**31, 2**63, 2**64 - 1, -(2**63), "", "x", "é",
    "\x00", "x" * 1_000, b"", b"order", [], [[]], {}, {"type": "order"}, [None] * 300,
]  # fmt: skip


def _wrong_value(draw: Draw) -> list[bytes]:
    """A request with one field of a wrong type or out of its range, or none of a type at all."""
    request = draw.choice([order("W-1"), fill("W-1", "F-1"), cancel("W-1"), status("W-1"), PING])
    choice = draw.random()
    if choice < 0.3:
        wrong = {**request, draw.choice(["", "Type", "id", "x" * 500]): draw.choice(_VALUES)}
    elif choice < 0.6:
        wrong = {**request, "type": draw.choice(_VALUES)}
    else:
        wrong = {**request, "desk": draw.choice([0, None, "", "a b", "x" * 33, [], {}, 1.5])}
        wrong.setdefault("type", "order")
    return [draw.choice([_json, msgspec.msgpack.encode])(wrong)]


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _array_of_wrong(draw: Draw) -> list[bytes]:
    count = draw.choice([0, 1, 2, 256, 257, 1_000])
    return [_json([draw.choice([1, None, {}, [], "ping", {"type": 1}]) for _ in range(count)])]


def _mutated(draw: Draw) -> list[bytes]:
    """A good body with bytes changed, cut out, put in, doubled: good or bad, nobody knows."""
    encode = draw.choice([_json, msgspec.msgpack.encode])
    name = f"M-{draw.randrange(500)}"
    one = draw.choice([order(name), fill(name, "F-1"), cancel(name), status(name), PING])
    body = bytearray(encode(draw.choice([one, [one, PING]])))
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(body) + 1)
        kind = draw.randrange(4)
        if kind == 0:
            body[at : at + 1] = draw.randbytes(1)
        elif kind == 1:
            del body[at : at + draw.randint(1, 20)]
        elif kind == 2:
            body[at:at] = draw.randbytes(draw.randint(1, 9))
        else:
            body += body[at:]
    return [bytes(body)]


def _good(draw: Draw) -> list[bytes]:
    name = f"G-{draw.randrange(500)}"
    return [_json(draw.choice([order(name), status(name), cancel(name), PING]))]


# Each of these is an error whatever is drawn.
MALFORMED: list[Callable[[Draw], list[bytes]]] = [
    _deep,
    _huge_integer,
    _frames,
    _oversize,
    _wrong_value,
    _array_of_wrong,
]
ANY: list[Callable[[Draw], list[bytes]]] = [*MALFORMED, _random_bytes, _mutated, _mutated, _good]


def _play(
    client: ProtocolClient, draw: Draw, kinds: list[Callable[[Draw], list[bytes]]], count: int
) -> Counter[str]:
    """Sends `count` messages, each of which must get exactly one reply, in its order.

    A ping with a number follows every message: its pong must be the very next reply.
    """
    seen: Counter[str] = Counter()
    waiting: list[tuple[int, list[bytes]]] = []
    for number in range(count):
        frames = draw.choice(kinds)(draw)
        client.send_frames(*frames)
        client.send({**PING, "request_id": number})
        waiting.append((number, frames))
        if len(waiting) >= IN_FLIGHT or number == count - 1:
            for sent, asked in waiting:
                _check_pair(client, sent, asked, seen)
            waiting.clear()
    return seen


def _check_pair(
    client: ProtocolClient, number: int, asked: list[bytes], seen: Counter[str]
) -> None:
    *before, body = client.receive_frames()
    assert before in ([], [b""])
    replies = decode_any(body)
    for reply in replies if isinstance(replies, list) else [replies]:
        seen[reply.get("code") or reply["type"]] += 1
        assert reply.get("request_id") != number or b"request_id" in asked[-1], asked
    pong = client.receive()
    assert (pong["type"], pong.get("request_id")) == ("pong", number), asked


def _head(client: ProtocolClient) -> tuple[int, str]:
    pong = client.ask(PING)
    return pong["head_sequence"], pong["head_hash"]


def _grown(daemon: Daemon, before: int) -> int:
    return daemon.resident_bytes() - before


def test_bad_input_stops_nothing(tmp_path: Path) -> None:
    draw = _seeded()
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint, encoding="json") as client:
        head = _head(client)
        assert head[0] == OPENING_RECORDS
        # Warm-up: allocators, caches and queues reach their size.
        _play(client, draw, MALFORMED, 1_000)
        resident = daemon.resident_bytes()
        malformed = _play(client, draw, MALFORMED, MESSAGES // 2)
        assert _grown(daemon, resident) < GROWTH_BYTES_MAX
        assert _head(client) == head, "a malformed message has changed something"
        assert set(malformed) <= {
            "malformed",
            "bad_framing",
            "message_too_large",
            "empty_array",
            "too_many_requests",
            "not_a_request",
            "unknown_type",
            "missing_field",
            "unknown_field",
            "invalid_field",
        }
        assert len(malformed) == 9, malformed
        any_kind = _play(client, draw, ANY, MESSAGES // 2)
        assert {"admit", "status", "pong", "malformed"} <= set(any_kind), any_kind
        assert _grown(daemon, resident) < GROWTH_BYTES_MAX
        print(f"resident memory: {_grown(daemon, resident):+d} bytes of {resident}")
        assert daemon.process.poll() is None
        last = _head(client)
        assert daemon.stop() == 0
        told = daemon.stderr.splitlines()
        assert all("recorded and not charged" in line for line in told), told
    replayed = site.replay()
    assert replayed["head_sequence"] == last[0] + 1
    assert calm(replayed["events"])


def calm(events: dict[str, int]) -> bool:
    """Nothing but what good requests cause stands in the log."""
    return set(events) <= {
        "desk_opened", "instrument_defined", "log_opened", "policy_activated",
        "settings_activated", "order", "order_refused", "fill", "release", "session_closed",
    }  # fmt: skip
