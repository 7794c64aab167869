# cython: annotation_typing=False, nonecheck=True
"""The sums of what positions are worth: of a desk or the firm, and of a symbol. Pure.

Owns how what one row or symbol comes to is added to what its scope has (`guard.engine.exposure`
says of which, and when), and the price at which a symbol's lots are valued. What does not fit an
i64 of a row or of a symbol stays at its end, which is beyond every limit; the sums are wider than
any number of those.
"""

from typing import Final

from guard.engine.worth import Worth
from guard.protocol.limits import UNSAID

# What a scope has, as the own keys of limits stand that bound it.
GROSS, NET, LONG, SHORT = range(4)
NO_ROW: Final = -1

_GROSS, _NET, _LONG, _SHORT, _NO_ROW = GROSS, NET, LONG, SHORT, NO_ROW
_I64_MAX, _U64_MAX = 2**63 - 1, 2**64 - 1
_I64_LOW = -_I64_MAX
UNKNOWN: Final = _I64_LOW - 1  # in place of what a row has made since the day's turn
_UNKNOWN = UNKNOWN


class OwnLimits:
    """What a scope says of what it has itself (`guard.protocol.limits.OWN_KEYS`)."""

    def __init__(self) -> None:
        self.values = [-1] * 16
        self.are_said = False

    def set(self, values: tuple[int, ...]) -> None:
        """As `guard.protocol.limits.own_values` gives them."""
        for index, value in enumerate(values):
            self.values[index] = value
        self.are_said = any(value != UNSAID for value in values)


class DayProfit:
    """What rows have made since the day's turn; `unknown`: of how many of them it is not known."""

    def __init__(self) -> None:
        self._sum = 0
        self.unknown = 0

    def clear(self) -> int:
        """There are none."""
        self._sum = 0
        self.unknown = 0
        return 0

    def change(self, before: int, after: int) -> int:
        """A row had made that and has made this; UNKNOWN for what is not known."""
        if after == _UNKNOWN:
            self.unknown += 1
            after = 0
        if before == _UNKNOWN:
            self.unknown -= 1
            before = 0
        wide = after
        self._sum = self._sum + wide - before
        return 0

    def profit(self) -> int:
        """All of it; the end of an i64 where it is beyond, the low end where it is not known."""
        return bounded(self._sum) if self.unknown == 0 else _I64_LOW


class Measure:
    """What a desk or the firm has, in microcents, and what its scope's limits are.

    `net_long`, `net_short`: the sums of both sides with their signs. `equity`: realised and
    unrealised profit; `day`: since the day's turn. `unpriced`: rows that have no price.
    """

    def __init__(self) -> None:
        self.gross = self.longs = self.shorts = self.net_long = self.net_short = 0
        self.equity = self.unpriced = 0
        self.day = DayProfit()
        self.limits = OwnLimits()

    def clear(self) -> int:
        """It has nothing."""
        self.gross = self.longs = self.shorts = self.net_long = self.net_short = 0
        self.equity = self.unpriced = 0
        return self.day.clear()

    def change(self, long_before: int, short_before: int, long_after: int, short_after: int) -> int:
        """One of what it sums up, a row or a symbol, had these sides and has those."""
        wide = long_after
        self.net_long = self.net_long + wide - long_before
        wide = short_after
        self.net_short = self.net_short + wide - short_before
        wide = long_after if long_after > 0 else 0
        self.longs = self.longs + wide - (long_before if long_before > 0 else 0)
        wide = short_after if short_after > 0 else 0
        self.shorts = self.shorts + wide - (short_before if short_before > 0 else 0)
        wide = long_after if long_after > short_after else short_after
        wide = wide - (long_before if long_before > short_before else short_before)
        self.gross = self.gross + wide
        return 0

    def change_equity(self, before: int, after: int) -> int:
        """A row's profit was that and is this."""
        wide = after
        self.equity = self.equity + wide - before
        return 0

    def figure(self, number: int) -> int:
        """What it has of that; the end of an i64 where it is beyond."""
        if number == _GROSS:
            return bounded(self.gross)
        if number == _LONG:
            return bounded(self.longs)
        if number == _SHORT:
            return bounded(self.shorts)
        return bounded(self.net_long if self.net_long > self.net_short else self.net_short)

    def profit(self) -> int:
        """Realised and unrealised; the end of an i64 where it is beyond."""
        return bounded(self.equity)


class SymbolBook:
    """A symbol: its price, the lots of all desks together, and their sides.

    `first`: of its rows, NO_ROW. `unpriced`: how many of them have anything and no price. `day`:
    what all desks together have made in it since the day's turn.
    """

    def __init__(self) -> None:
        self.worth: Worth | None = None
        self.price = 0
        self.worst_long = self.worst_short = 0
        self.long_side = self.short_side = 0
        self.first = NO_ROW
        self.unpriced = 0
        self.day = DayProfit()
        self.limits = OwnLimits()

    def clear(self) -> int:
        """No desk has any."""
        self.worst_long = self.worst_short = 0
        self.long_side = self.short_side = self.unpriced = 0
        self.first = _NO_ROW
        return self.day.clear()

    def figure(self, number: int) -> int:
        """What all desks together have in it."""
        long = self.long_side if self.long_side > 0 else 0
        short = self.short_side if self.short_side > 0 else 0
        if number == _LONG:
            return long
        if number == _SHORT:
            return short
        return long if long > short else short

    def value(self, wide_lots: int) -> int:
        """What so many lots are worth, with their sign, rounded up; 0 where there is no price."""
        worth = self.worth
        if worth is None or self.price == 0 or wide_lots == 0:
            return 0
        is_short = wide_lots < 0
        if is_short:
            wide_lots = -wide_lots
        lots = wide_lots if wide_lots < _U64_MAX else _U64_MAX
        if is_short:
            return -worth.traded_microcents(lots, self.price, False)
        return worth.traded_microcents(lots, self.price, True)

    def owed(self, position: int) -> int:
        """What it takes to get rid of a position, below zero where that pays."""
        wide_lots = position
        return self.value(-wide_lots)

    def profit(self, position: int, cost: int, realised: int, owed: int) -> int:
        """Realised, and, where there is a price, what the position has made beside it."""
        wide = realised
        if self.price != 0 and position > 0:
            wide = wide - owed - cost
        elif self.price != 0 and position < 0:
            wide = wide + cost - owed
        return bounded(wide)


def is_at_end(microcents: int) -> bool:
    """Does it stand where what does not fit is put, too?"""
    return microcents in (_I64_MAX, _I64_LOW)


def bounded(wide: int) -> int:
    """The end of the range of a row's integers where it is beyond that."""
    if wide > _I64_MAX:
        return _I64_MAX
    return wide if wide > _I64_LOW else _I64_LOW
