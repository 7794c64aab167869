# cython: annotation_typing=False
"""What so many lots of an instrument are worth at a price, in microcents. Pure.

Owns the arithmetic of notionals in 64-bit integers (`guard.protocol.instruments` has them exact),
each with the side to which it is rounded; what does not fit is the greatest integer.
"""

from guard.protocol.instruments import Instrument

_I64_MAX, _U64_MAX = 2**63 - 1, 2**64 - 1


class Worth:
    """What an instrument's lots are worth: its ratio, 0 where that is none of 64-bit integers.

    `number`: the symbol's, among those that have positions.
    """

    def __init__(self, instrument: Instrument, number: int = 0) -> None:
        self._instrument = instrument
        self.number = number
        is_small = instrument.numerator <= _U64_MAX and instrument.denominator <= _U64_MAX
        self._numerator = instrument.numerator if is_small else 0
        self._denominator = instrument.denominator if is_small else 0
        self.limit_class = 0

    def notional_microcents(self, quantity_lots: int, price_ticks: int) -> int:
        """As `Instrument.notional_microcents`; 2^64 - 1 where it is that or more."""
        wide_quantity = quantity_lots
        size = wide_quantity * price_ticks
        if size <= _U64_MAX and self._denominator:
            worth = size * self._numerator
            if self._denominator == 1:
                return worth if worth <= _U64_MAX else _U64_MAX
            notional = worth // self._denominator
            if notional * self._denominator != worth:
                notional += 1
            return notional if notional <= _U64_MAX else _U64_MAX
        exact = self._instrument.notional_microcents(quantity_lots, price_ticks)
        return min(exact, _U64_MAX)

    def traded_microcents(self, quantity_lots: int, price_ticks: int, is_up: bool) -> int:
        """What so many lots were bought or sold for, rounded; 2^63 - 1 where it is that or more."""
        notional = self.notional_microcents(quantity_lots, price_ticks)
        if notional > _I64_MAX:
            return _I64_MAX
        if is_up or self._denominator == 1:
            return notional
        wide_quantity = quantity_lots
        size = wide_quantity * price_ticks
        if size <= _U64_MAX and self._denominator:
            return size * self._numerator // self._denominator
        return _rounded_down(self._instrument, quantity_lots, price_ticks)


def _rounded_down(of: Instrument, quantity_lots: int, price_ticks: int) -> int:
    """Of any size: these are Python's integers in either form."""
    return quantity_lots * price_ticks * of.numerator // of.denominator
