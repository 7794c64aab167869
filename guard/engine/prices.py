# cython: annotation_typing=False
"""The prices at which positions are valued: of each symbol the one that was recorded last. Pure.

Owns them, and the rule when another has to be recorded (`revalued`, `guard/PROTOCOL.md` 3.5): once
a mark has moved from the recorded price by more than `revalue_bps`, or differs from it and
`revalue_s` have passed, of the log's count of time. So no decision values a position at a price
that the log does not hold, and whoever reads the log can say of each record of a price whether it
was due, and of each order whether one was due before it.

Where no limit asks for prices, none are recorded; those that were stay.

How it fails: `ValueError` for a dump that cannot be.
"""

from typing import Final

from guard.protocol.messages import I64_MAX

NO_PRICE: Final = 0
NEVER: Final = I64_MAX  # of a count of time
_NO_PRICE, _NEVER, _BPS = NO_PRICE, NEVER, 10_000
_NS_PER_S = 1_000_000_000


def has_moved(price: int, other: int, bps: int) -> bool:
    """Does the other lie further from a price than so many basis points of it?"""
    wide_distance = other - price if other > price else price - other
    wide_price = price
    return wide_distance * _BPS > wide_price * bps


def moved_bps(price: int, other: int) -> int:
    """How far the other lies from a price, in basis points of it, rounded up: by so many it has not
    `has_moved`, by fewer it has."""
    return -(-abs(other - price) * _BPS // price)


class SymbolPrice:
    """A symbol's: in ticks, and the log's count of time when it was recorded."""

    def __init__(self) -> None:
        self.price = NO_PRICE
        self.at_ns = 0


class Prices:
    """Of all symbols, by their numbers (`guard.engine.positions`). `is_kept`: they are recorded."""

    def __init__(self) -> None:
        self.is_kept = False
        self._bps = self._window_ns = 0  # the window: 0 where time alone causes nothing
        self._of: list[SymbolPrice] = []

    def set_rule(self, bps: int | None, window_s: int) -> None:
        """When another is due; `bps` None: never. `window_s` 0: however long ago it was."""
        self.is_kept = bps is not None
        self._bps = bps or 0
        self._window_ns = window_s * _NS_PER_S

    def of(self, number: int) -> SymbolPrice:
        """The price of the symbol of that number."""
        while len(self._of) <= number:
            self._of.append(SymbolPrice())
        return self._of[number]

    def price(self, number: int) -> int:
        """In ticks; NO_PRICE where none was recorded."""
        known = self.of(number)
        return known.price

    def put(self, number: int, price: int, at_ns: int) -> int:
        """Another one was recorded."""
        known = self.of(number)
        known.price, known.at_ns = price, at_ns
        return 0

    def forget(self, number: int) -> None:
        """It says nothing any more: the symbol's ticks are others."""
        self.put(number, _NO_PRICE, 0)

    def due_at_ns(self, number: int, mark_price: int) -> int:
        """From which count of time on that mark is to be recorded; NEVER."""
        if not self.is_kept or mark_price == _NO_PRICE:
            return _NEVER
        known = self.of(number)
        price = known.price
        if mark_price == price:
            return _NEVER
        if price == _NO_PRICE or has_moved(price, mark_price, self._bps):
            return 0
        if self._window_ns == 0 or known.at_ns > _NEVER - self._window_ns:
            return _NEVER
        return known.at_ns + self._window_ns

    def is_due(self, number: int, mark_price: int, elapsed_ns: int) -> bool:
        """Has that mark to be recorded before anything is decided at that count of time?"""
        due_at_ns = self.due_at_ns(number, mark_price)
        return due_at_ns != _NEVER and due_at_ns <= elapsed_ns

    def dump(self) -> list[tuple[int, int, int]]:
        """Number, price and time of each that was recorded."""
        return [(n, of.price, of.at_ns) for n, of in enumerate(self._of) if of.price != NO_PRICE]

    def load(self, entries: list[tuple[int, int, int]], symbol_count: int) -> None:
        """What `dump` gave. Raises ValueError where that cannot be."""
        last = -1
        for number, price, at_ns in entries:
            if not last < number < symbol_count:
                raise ValueError(f"a price is recorded of symbol {number} of {symbol_count}")
            self.put(number, price, at_ns)
            last = number
