# cython: annotation_typing=False, nonecheck=True
"""The marks: of each symbol the last reference price that counts, and since when it is known.

Owns them, in memory alone: they are no records, and gone with the process. What a decision knows of
one it takes from its order's request, where `say` puts it and from where it gets into the record.
The last one counts, whatever its time. There is at most one for each instrument.

Where the limits say how far a mark may jump at once, one that lies further from the mark in force
is but a candidate (`guard/PROTOCOL.md`, 3.5): it counts once another source says so, too, or once
it has stood for so long that nobody has said otherwise. Its own source takes it back by a mark near
the one in force; where another source sends such a one, both wait for the last word: the candidate
counts if it is sent again and then stands, and goes where it is not.

How old a mark is: the time since it came, and what it was late by when it came (`as_of_ns`, by the
system's clock), where it says so. A time in the future makes it no younger.
"""

from guard.engine.prices import has_moved
from guard.protocol.ranges import TIME_NS_MAX
from guard.protocol.request import TEXTS, Request
from kernel import little_endian as le

_AGE_MAX = TIME_NS_MAX
_SYMBOL_AT, _CLIENT_AT = TEXTS["symbol"][0], TEXTS["client"][0]


class Mark:
    """A symbol's: the price in ticks, when it came by the process's clock, and how late it was.

    `jump`: the candidate's price, 0 where there is none; it came, last, at `jump_arrived_ns`, was
    so late then, and has stood since `stands_since_ns`, for `confirm_ns` at most. `jump_by`: its
    source. `is_denied`: another source has said otherwise since.
    """

    def __init__(self) -> None:
        self.price = self.arrived_ns = self.late_ns = 0
        self.jump = self.jump_arrived_ns = self.jump_late_ns = 0
        self.stands_since_ns = self.confirm_ns = 0
        self.jump_by = b""
        self.is_denied = False

    def age_ns(self, wall_ns: int) -> int:
        """How old it is, of the ages that a record can say."""
        since_ns = wall_ns - self.arrived_ns
        if since_ns <= 0:
            return self.late_ns if self.late_ns > 0 else 1
        return self.late_ns + since_ns if self.late_ns <= _AGE_MAX - since_ns else _AGE_MAX

    def take(self, price: int, wall_ns: int, late_ns: int) -> int:
        """It is that from now on."""
        self.price, self.arrived_ns, self.late_ns = price, wall_ns, late_ns
        return 0

    def settle(self, wall_ns: int) -> int:
        """What the candidate comes to by itself: it counts, or goes, once it has stood so long."""
        if self.jump == 0 or wall_ns - self.stands_since_ns < self.confirm_ns:
            return 0
        if not self.is_denied:
            self.take(self.jump, self.jump_arrived_ns, self.jump_late_ns)
        self.jump = 0
        return 0

    def offer(
        self, price: int, wall_ns: int, late_ns: int, source: bytes, jump_bps: int, confirm_ns: int
    ) -> int:
        """One came, where those that jump further than that do not count at once."""
        self.confirm_ns = confirm_ns
        self.settle(wall_ns)
        if self.price == 0 or not has_moved(self.price, price, jump_bps):
            if self.jump != 0 and source == self.jump_by:
                self.jump = 0
            elif self.jump != 0:
                self.is_denied, self.stands_since_ns = True, wall_ns
            return self.take(price, wall_ns, late_ns)
        is_same = self.jump != 0 and not has_moved(self.jump, price, jump_bps)
        if is_same and source != self.jump_by:
            self.jump = 0
            return self.take(price, wall_ns, late_ns)
        if not is_same or self.is_denied:
            self.stands_since_ns, self.jump_by = wall_ns, source
        self.is_denied = False
        self.jump, self.jump_arrived_ns, self.jump_late_ns = price, wall_ns, late_ns
        return 0


class Marks:
    """Those of all symbols. `waiting`: those that have a candidate, by symbol."""

    def __init__(self) -> None:
        self._marks: dict[bytes, Mark] = {}
        self.received = 0  # how many came since the start
        self.waiting: dict[bytes, Mark] = {}

    def __len__(self) -> int:
        return len(self._marks)

    def put(
        self, request: Request, wall_ns: int, clock_ns: int, jump_bps: int, confirm_ns: int
    ) -> int:
        """Takes a `mark` of an instrument that there is. `clock_ns`: the system's clock.

        `jump_bps`: further than that it does not count at once; below 0: wherever it is, it does.
        Gives the price that counts then.
        """
        symbol = le.bytes_at(request.texts, _SYMBOL_AT, request.symbol_bytes)
        mark = self._marks.get(symbol)
        if mark is None:
            mark = self._marks[symbol] = Mark()
        late_ns = 0
        if request.as_of_ns != 0 and clock_ns > request.as_of_ns:
            late_ns = clock_ns - request.as_of_ns
        self.received += 1
        if jump_bps < 0:
            mark.jump = 0
            mark.take(request.price, wall_ns, late_ns)
        else:
            source = le.bytes_at(request.texts, _CLIENT_AT, request.client_bytes)
            mark.offer(request.price, wall_ns, late_ns, source, jump_bps, confirm_ns)
        if mark.jump != 0:
            self.waiting[symbol] = mark
        elif self.waiting:
            self.waiting.pop(symbol, None)
        return mark.price

    def settle(self, wall_ns: int) -> list[str]:
        """What candidates come to by themselves: the symbols whose mark is another one now."""
        moved = []
        for symbol, mark in list(self.waiting.items()):
            price = mark.price
            mark.settle(wall_ns)
            if mark.jump == 0:
                del self.waiting[symbol]
            if mark.price != price:
                moved.append(symbol.decode())
        return moved

    def say(self, order: Request, wall_ns: int) -> int:
        """Says the mark of an order's symbol, and its age, in the order's request; and what it has
        jumped to, if that waits."""
        if not self._marks:
            return 0
        mark = self._marks.get(le.bytes_at(order.texts, _SYMBOL_AT, order.symbol_bytes))
        if mark is not None:
            order.mark_price = mark.price
            order.mark_age_ns = mark.age_ns(wall_ns)
            order.mark_jump = mark.jump
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
