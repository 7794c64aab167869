# cython: annotation_typing=False, nonecheck=True
"""At which prices orders work, by symbol, venue and side: may an order meet one? Pure.

Owns the count of open orders at each price, whosever they are, and the best price of each side, so
that one comparison says whether an order could trade against an order of the firm itself
(`guard/PROTOCOL.md`, 3.5). A market order works at any price. It is kept while a limit asks for it
(`is_kept`), and stands in no checkpoint: the open orders are walked over for it again.

How it works: of each side a heap of its prices, each once, and by price how many orders are there.
A price that no order has any more goes when it comes to the heap's top, or when there are more of
those than of others; so a step costs the logarithm of the number of prices, on average. What is
answered depends on the orders alone. A price takes about 130 bytes, a side with one 440.

How it fails: `InvariantError` for an order taken out that was never put in.
"""

from heapq import heapify, heappop, heappush

from guard.protocol import limits
from guard.protocol.messages import I64_MAX
from guard.protocol.request import Request
from kernel import InvariantError

_SYMBOL_FACTOR, _VENUE_FACTOR = 1 << 33, 2  # one integer of a symbol, a venue (u32) and a side
_BUY, _I64_MAX = 0, I64_MAX
_MARKET = limits.WORDS_OF_KEY[limits.ORDER_TYPES].index("market")
_IDLE_PRICES_MAX = 64  # beside as many as there are others


class Ladder:
    """One side of a symbol at a venue. A place is lower the better a price is: see `place_of`."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}  # by place; 0: no order any more
        self.heap: list[int] = []
        self.places = 0  # that have an order

    def add(self, place: int) -> int:
        """One more order is there."""
        count = self.counts.get(place, -1)
        if count < 0:
            heappush(self.heap, place)
            count = 0
        if count == 0:
            self.places += 1
        self.counts[place] = count + 1
        return 0

    def take(self, place: int) -> int:
        """One order fewer is there."""
        count = self.counts.get(place, 0)
        if count == 0:
            raise InvariantError(f"no order works at place {place}, where one is to end")
        self.counts[place] = count - 1
        if count > 1:
            return 0
        self.places -= 1
        while self.heap and self.counts[self.heap[0]] == 0:
            del self.counts[heappop(self.heap)]
        if len(self.heap) > 2 * self.places + _IDLE_PRICES_MAX:
            self.counts = {at: many for at, many in self.counts.items() if many}
            self.heap = list(self.counts)
            heapify(self.heap)
        return 0

    def best(self) -> int:
        """The lowest place; only where there is one."""
        best: int = self.heap[0]
        return best


def place_of(side: int, order_type: int, price: int) -> int:
    """Sells by their price, buys by its opposite; market orders before all others."""
    if side == _BUY:
        return -_I64_MAX if order_type == _MARKET else -price
    return 0 if order_type == _MARKET else price


class WorkingBook:
    """All sides that have an order. `is_kept`: they are counted."""

    def __init__(self) -> None:
        self.is_kept = False
        self._sides: dict[int, Ladder] = {}

    def begin(self, is_kept: bool) -> None:
        """None works, and from here on they are counted, or not."""
        self.is_kept = is_kept
        self._sides = {}

    def add(self, symbol: int, venue: int, order: Request) -> int:
        """An order works there, in the symbol of that number, at its own price."""
        key = symbol * _SYMBOL_FACTOR + venue * _VENUE_FACTOR + order.side
        side = self._sides.get(key)
        if side is None:
            side = self._sides[key] = Ladder()
        return side.add(place_of(order.side, order.order_type, order.price))

    def take(self, symbol: int, venue: int, order: Request) -> int:
        """It works no more."""
        key = symbol * _SYMBOL_FACTOR + venue * _VENUE_FACTOR + order.side
        side = self._sides.get(key)
        if side is None:
            raise InvariantError(f"no order works at venue {venue}, where one is to end")
        side.take(place_of(order.side, order.order_type, order.price))
        if side.places == 0:
            del self._sides[key]
        return 0

    def meets(self, symbol: int, venue: int, order: Request) -> bool:
        """May an order trade there against one that works?"""
        other_side = 1 - order.side
        side = self._sides.get(symbol * _SYMBOL_FACTOR + venue * _VENUE_FACTOR + other_side)
        if side is None:
            return False
        # They meet where the buy's price reaches the sell's: the places are of opposite sign.
        place = place_of(order.side, order.order_type, order.price)
        return side.best() + place <= 0

    def prices_kept(self) -> int:
        """Of how many prices it keeps anything."""
        return sum(len(side.heap) for side in self._sides.values())

    def dump(self) -> list[tuple[int, int, int]]:
        """Of each side and price how many orders, in order: equal for equal open orders."""
        return sorted(
            (key, place, count)
            for key, side in self._sides.items()
            for place, count in side.counts.items()
            if count
        )
