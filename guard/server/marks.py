# cython: annotation_typing=False, nonecheck=True
"""The marks: of each symbol the last reference price that was sent, and since when it is known.

Owns them, in memory alone: they are no records, and gone with the process. What a decision knows of
one it takes from its order's request, where `say` puts it and from where it gets into the record.
The last one counts, whatever its time. There is at most one for each instrument.

How old a mark is: the time since it came, and what it was late by when it came (`as_of_ns`, by the
system's clock), where it says so. A time in the future makes it no younger.
"""

from guard.protocol.ranges import TIME_NS_MAX
from guard.protocol.request import TEXTS, Request
from kernel import little_endian as le

_AGE_MAX = TIME_NS_MAX
_SYMBOL_AT = TEXTS["symbol"][0]


class Mark:
    """A symbol's: the price in ticks, when it came by the process's clock, and how late it was."""

    def __init__(self) -> None:
        self.price = self.arrived_ns = self.late_ns = 0

    def age_ns(self, wall_ns: int) -> int:
        """How old it is, of the ages that a record can say."""
        since_ns = wall_ns - self.arrived_ns
        if since_ns <= 0:
            return self.late_ns if self.late_ns > 0 else 1
        return self.late_ns + since_ns if self.late_ns <= _AGE_MAX - since_ns else _AGE_MAX


class Marks:
    """Those of all symbols."""

    def __init__(self) -> None:
        self._marks: dict[bytes, Mark] = {}
        self.received = 0  # how many came since the start

    def __len__(self) -> int:
        return len(self._marks)

    def put(self, request: Request, wall_ns: int, clock_ns: int) -> int:
        """Takes a `mark` of an instrument that there is. `clock_ns`: the system's clock."""
        symbol = le.bytes_at(request.texts, _SYMBOL_AT, request.symbol_bytes)
        mark = self._marks.get(symbol)
        if mark is None:
            mark = self._marks[symbol] = Mark()
        mark.price = request.price
        mark.arrived_ns = wall_ns
        mark.late_ns = 0
        if request.as_of_ns != 0 and clock_ns > request.as_of_ns:
            mark.late_ns = clock_ns - request.as_of_ns
        self.received += 1
        return 0

    def say(self, order: Request, wall_ns: int) -> int:
        """Says the mark of an order's symbol, and its age, in the order's request."""
        if not self._marks:
            return 0
        mark = self._marks.get(le.bytes_at(order.texts, _SYMBOL_AT, order.symbol_bytes))
        if mark is not None:
            order.mark_price = mark.price
            order.mark_age_ns = mark.age_ns(wall_ns)
        return 0

    def of(self, symbol: str, wall_ns: int) -> tuple[int, int]:
        """The price and the age of the mark of a symbol that has one."""
        mark = self._marks[symbol.encode()]
        return mark.price, mark.age_ns(wall_ns)

    def shown(self, wall_ns: int) -> dict[str, tuple[int, int]]:
        """By symbol the price in ticks, and its age in nanoseconds."""
        return {
            symbol.decode(): (mark.price, mark.age_ns(wall_ns))
            for symbol, mark in sorted(self._marks.items())
        }
