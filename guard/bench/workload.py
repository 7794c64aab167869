"""What the clients send: orders, fills and cancels, as frames ready for the wire. Pure.

Owns the numbering of the requests of one client and their bytes; `guard.bench.blocks` makes many at
once.

The mix is a cycle: so many orders, fills and cancels, spread evenly. The fills and cancels of a
cycle are of orders of the cycle before, each order of at most one; what comes before the first
cycle is `prelude`. So every fill and cancel finds its order, whatever is in flight: replies and
decisions come in the order of a client's requests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Any, Final, Protocol

import msgspec

from guard.bench.blocks import (
    BLOCK_REQUESTS,
    LAP_BEFORE,
    PLACE_DIGITS,
    THIS_LAP,
    Block,
    Laps,
    lap_name,
    make_ring,
)
from guard.bench.frames import array_head, frame, frame_head

ORDER_QUANTITY: Final = 1_000
ORDER_PRICE: Final = 619_000
SYMBOL: Final = "BTC-USD"
FIRST_VENUE: Final = 10


class Workload(Protocol):
    """One client's requests, as the bytes to send."""

    def prelude(self) -> Sequence[bytes]:
        """Frames, of a message each, to send before the first one counts."""

    def frames(self, count: int) -> bytes:
        """The next `count` messages."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Parts of orders, fills and cancels; every order is closed at most once."""

    orders: int
    fills: int
    cancels: int

    def cycle(self) -> str:
        """One cycle as `o`, `f` and `c`, spread evenly, in the smallest numbers."""
        parts = {"o": self.orders, "f": self.fills, "c": self.cancels}
        divisor = gcd(*parts.values())
        counts = {kind: part // divisor for kind, part in parts.items() if part}
        places = sorted(
            (((2 * rank + 1) * 10**6 // (2 * count), kind))
            for kind, count in counts.items()
            for rank in range(count)
        )
        return "".join(kind for _, kind in places)


def parse_mix(text: str) -> Mix:
    """`80/15/5`: orders, fills, cancels. Raises ValueError."""
    parts = text.split("/")
    allowed = (
        "three integers ORDERS/FILLS/CANCELS up to 1000, with at least one order and no fewer "
        "orders than fills and cancels together"
    )
    if len(parts) != 3 or not all(part.isdecimal() and len(part) <= 4 for part in parts):
        raise ValueError(f"{text!r} is not allowed; allowed: {allowed}")
    mix = Mix(*map(int, parts))
    if not 0 < mix.orders <= 1000 or mix.fills + mix.cancels > mix.orders:
        raise ValueError(f"{text!r} is not allowed; allowed: {allowed}")
    return mix


def desk_name(number: int) -> str:
    """The name of a desk of the bench's own configuration."""
    return f"desk-{number:05d}"


@lru_cache(maxsize=4)  # of all clients of a run
def _ring(session: str, mix: Mix, desks: int, *, as_frames: bool) -> tuple[Block, ...]:
    """Whole cycles, of as many orders as there are desks or more."""
    cycle = mix.cycle()
    step = cycle.count("o")
    orders = step * -(-max(desks, BLOCK_REQUESTS) // step)
    assert orders < 10**PLACE_DIGITS
    places = {"o": range(step), "f": range(cycle.count("f")), "c": range(cycle.count("f"), step)}

    def requests() -> Iterator[bytes]:
        for first in range(0, orders, step):
            ranks = {kind: iter(ranks) for kind, ranks in places.items()}
            for kind in cycle:
                lap, number = THIS_LAP, first + next(ranks[kind])
                if kind != "o":  # of an order of the cycle before
                    number -= step
                    if number < 0:
                        lap, number = LAP_BEFORE, number + orders
                body = request_body(kind, order_id(session, lap, number), desk_name(number % desks))
                yield frame(body) if as_frames else body

    return make_ring(requests())


class MixedOrders:
    """Requests of a mix, `per_message` of them a message, over the desks in turn."""

    def __init__(self, session: str, link: int, mix: Mix, per_message: int, desks: int) -> None:
        """`session` and `link` (a client's number) keep the ids of two runs and clients apart."""
        cycle = mix.cycle()
        as_frames = per_message == 1
        ring = _ring(session, mix, desks, as_frames=as_frames)
        step = cycle.count("o")
        self._has_prelude = len(cycle) > step
        # The first lap's first cycle has one before it: the last cycle of a lap that is not sent.
        self._laps = Laps(ring, link, int(self._has_prelude))
        self._per_message = per_message
        self._head = array_head(per_message)
        self._prelude = []
        if self._has_prelude:
            orders = sum(len(block.ends) - 1 for block in ring) // len(cycle) * step
            lap = lap_name(link, 0)
            self._prelude = [
                frame(request_body("o", order_id(session, lap, number), desk_name(number % desks)))
                for number in range(orders - step, orders)
            ]

    def prelude(self) -> Sequence[bytes]:
        """The orders that the first cycle fills and cancels; none where it does neither."""
        return self._prelude

    def frames(self, count: int) -> bytes:
        """The next `count` messages."""
        if self._per_message == 1:
            return self._laps.take(count)
        parts: list[bytes] = []
        for _ in range(count):
            body = self._laps.take(self._per_message)
            parts += (frame_head(len(self._head) + len(body)), self._head, body)
        return b"".join(parts)


class RecordedFrames:
    """Messages that were encoded beforehand, in their order."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._frames = frames
        self._next = 0

    def prelude(self) -> Sequence[bytes]:
        """None."""
        return ()

    def frames(self, count: int) -> bytes:
        """The next `count` messages."""
        first, self._next = self._next, self._next + count
        return b"".join(self._frames[first : self._next])


def order_id(session: str, lap: str, place: int) -> str:
    """An order's id: `place` of the ring's orders, in a client's lap or what stands for it."""
    return f"{session}-{lap}{place:0{PLACE_DIGITS}d}"


def request_body(kind: str, client_order_id: str, desk: str) -> bytes:
    """A request (`o`, `f` or `c`) in MessagePack."""
    names = {"desk": desk, "client_order_id": client_order_id}
    requests: dict[str, dict[str, Any]] = {
        "o": {
            "type": "order",
            **names,
            "symbol": SYMBOL,
            "side": "buy",
            "quantity": ORDER_QUANTITY,
            "price": ORDER_PRICE,
            "venue": FIRST_VENUE,
            "risk_bps": 200,
            "confidence_bps": 9000,
        },
        "f": {
            "type": "fill",
            **names,
            "fill_id": "F-1",
            "quantity": ORDER_QUANTITY,
            "fee_microcents": 5_000,
            "price": ORDER_PRICE,
        },
        "c": {"type": "cancel", **names},
    }
    return msgspec.msgpack.encode(requests[kind])
