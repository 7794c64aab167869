"""What the clients send: orders, fills and cancels, as frames ready for the wire. Pure.

Owns the numbering of the requests of one client and their bytes. A request costs the generator one
formatting of a template: the ids have a fixed width, so that all else of the frame stands.

The mix is a cycle: so many orders, fills and cancels, spread evenly. The fills and cancels of a
cycle are of orders of the cycle before, each order of at most one; what comes before the first
cycle is `prelude`. So every fill and cancel finds its order, whatever is in flight: replies and
decisions come in the order of a client's requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any, Final, Protocol

import msgspec

from guard.bench.frames import frame, frame_head

ORDER_QUANTITY: Final = 1_000
ORDER_PRICE: Final = 619_000
SYMBOL: Final = "BTC-USD"
FIRST_VENUE: Final = 10

NUMBER_STAND_IN: Final = "7" * 12  # of the width of what replaces them
DESK_STAND_IN: Final = "desk-" + "8" * 5


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


class MixedOrders:
    """Requests of a mix, `per_message` of them a message, over the desks in turn."""

    def __init__(self, session: str, link: int, mix: Mix, per_message: int, desks: int) -> None:
        """`session` and `link` (a client's number) keep the ids of two runs and clients apart."""
        cycle = mix.cycle()
        self._desks = desks
        self._per_message = per_message
        self._numbers_a_cycle = cycle.count("o")
        order_id = f"{session}-{link:03d}-{NUMBER_STAND_IN}"
        bodies = {kind: request_body(kind, order_id) for kind in "ofc"}
        as_frames = per_message == 1
        templates = {
            kind: make_template(frame(body) if as_frames else body) for kind, body in bodies.items()
        }
        self._first_frame = make_template(frame(bodies["o"]))
        self._has_prelude = len(cycle) > self._numbers_a_cycle
        self._cycle = [
            (templates[kind], self._offset(cycle, place)) for place, kind in enumerate(cycle)
        ]
        self._next = 0

    def _offset(self, cycle: str, place: int) -> int:
        """What a request's number adds to its cycle's first: orders are ahead by the prelude."""
        kind, rank = cycle[place], cycle[:place].count(cycle[place])
        if kind == "o":
            return rank + self._numbers_a_cycle * self._has_prelude
        return rank if kind == "f" else cycle.count("f") + rank

    def prelude(self) -> Sequence[bytes]:
        """The orders that the first cycle fills and cancels; none where it does neither."""
        count = self._numbers_a_cycle if self._has_prelude else 0
        return [self._first_frame % (number % self._desks, number) for number in range(count)]

    def frames(self, count: int) -> bytes:
        """The next `count` messages."""
        if self._per_message == 1:
            return b"".join(self._requests(count))
        head = array_head(self._per_message)
        bodies = (b"".join((head, *self._requests(self._per_message))) for _ in range(count))
        return b"".join(part for body in bodies for part in (frame_head(len(body)), body))

    def _requests(self, count: int) -> list[bytes]:
        first, self._next = self._next, self._next + count
        cycle, desks, step = self._cycle, self._desks, self._numbers_a_cycle
        if len(cycle) == 1:
            template, offset = cycle[0]
            numbers = range(first + offset, first + offset + count)
            return [template % (number % desks, number) for number in numbers]
        size = len(cycle)
        requests = []
        for place in range(first, first + count):
            template, offset = cycle[place % size]
            number = place // size * step + offset
            requests.append(template % (number % desks, number))
        return requests


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


def array_head(count: int) -> bytes:
    """What stands before the elements of a MessagePack array of up to 65,535."""
    return bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")


def request_body(kind: str, order_id: str) -> bytes:
    """A request in MessagePack; the desk before the id, as the templates are filled in."""
    names = {"desk": DESK_STAND_IN, "client_order_id": order_id}
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


def make_template(encoded: bytes) -> bytes:
    """`encoded` with its stand-ins as places to fill in, and nothing else that % would touch."""
    escaped = encoded.replace(b"%", b"%%")
    named = escaped.replace(DESK_STAND_IN.encode(), b"desk-%05d")
    return named.replace(NUMBER_STAND_IN.encode(), b"%012d")
