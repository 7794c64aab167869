"""When an order was first sent, for whoever sends it again. Pure.

Owns the stamps (`sent_at_ns`) that a client gave by itself. An order that is sent again keeps its
first one (`guard/PROTOCOL.md`, 3.4): so the guard knows it again while it remembers it, and refuses
it as stale once it may have forgotten it. A second stamp would be another content.

How it works: by desk and order id alone, in two generations. When the younger one is full the older
one is dropped, so that the last `GENERATION_MAX` orders at least are known, and twice as many at
most. Which other content a second order under the same id has is the guard's to say.
"""

from guard.protocol.messages import Order, Replace

GENERATION_MAX = 16_384  # some 250 bytes each: 8 MB for the most that is kept


class Stamps:
    """First stamps, by desk and order id."""

    def __init__(self, generation_max: int = GENERATION_MAX) -> None:
        self._generation_max = generation_max
        self._young: dict[tuple[str, str], int] = {}
        self._old: dict[tuple[str, str], int] = {}

    def first_ns(self, order: Order | Replace, now_ns: int) -> int:
        """The stamp that the order was first given; `now_ns` where it is the first time."""
        key = (order.desk, order.client_order_id)
        if not (isinstance(key[0], str) and isinstance(key[1], str)):
            return now_ns  # no order: the guard will say so
        stamp_ns = self._young.get(key) or self._old.get(key)
        if stamp_ns is not None:
            return stamp_ns
        if len(self._young) >= self._generation_max:
            self._old, self._young = self._young, {}
        self._young[key] = now_ns
        return now_ns
