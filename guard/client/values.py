"""Decimal to integer and back, exactly or not at all.

Owns what stands between a trader's numbers ("0.5 at 6190.01") and the wire's (lots, ticks and
microcents). Nothing here rounds: a value that is no whole multiple of its increment is refused by
a `SizeError` that names the field, the value and the increment. Floats are refused by a
`TypeError`: what a float meant cannot be known. Pure, and independent of the decimal context.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from guard.protocol.instruments import MICROCENTS_PER_CURRENCY_UNIT, Instrument, define_instrument
from guard.protocol.messages import I64_MAX

# No size or amount on this wire comes near it; it stops Decimal("1E+999999") from becoming a
# number of a million digits.
DECIMAL_EXPONENT_MAX = 64


class SizeError(ValueError):
    """The value is no whole multiple of its increment, or lies outside its range."""


def _exact(value: Decimal, name: str) -> Fraction:
    """`value` as a fraction. TypeError for anything but a Decimal, SizeError for NaN and giants."""
    if not isinstance(value, Decimal):
        raise TypeError(
            f"{name}: {value!r} is a {type(value).__name__}; allowed: a Decimal, made from text"
        )
    if (
        not value.is_finite()
        or max(abs(value.adjusted()), abs(int(value.as_tuple().exponent))) > DECIMAL_EXPONENT_MAX
    ):
        raise SizeError(
            f"{name}: {value} is not allowed; allowed: a finite number of at most "
            f"{DECIMAL_EXPONENT_MAX} digits on either side of the point"
        )
    return Fraction(value)


def _whole_multiple(value: Decimal, name: str, increment: str, increment_name: str) -> int:
    count = _exact(value, name) / Fraction(increment)
    if count.denominator != 1 or not 1 <= count.numerator <= I64_MAX:
        raise SizeError(
            f"{name}: {value} is not allowed; allowed: a whole multiple of the {increment_name} "
            f"{increment}, from 1 to {I64_MAX} times"
        )
    return count.numerator


def _as_decimal(value: int, increment: str) -> Decimal:
    """value × increment, with the increment's own number of decimal places."""
    places = len(increment.partition(".")[2])
    unscaled = value * int(increment.replace(".", ""))
    # Built from digits: arithmetic on Decimals would round to the context's precision.
    return Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -places))


def decimal_to_microcents(amount: Decimal) -> int:
    """An amount of currency in microcents (1 unit = 100,000,000), exactly; negative is allowed.

    Raises SizeError if it is finer than a microcent or does not fit a signed 64-bit integer, and
    TypeError for anything but a Decimal.
    """
    microcents = _exact(amount, "amount") * MICROCENTS_PER_CURRENCY_UNIT
    if microcents.denominator != 1:
        raise SizeError(
            f"amount: {amount} is not allowed; allowed: a whole multiple of the microcent "
            "0.00000001"
        )
    if not -I64_MAX - 1 <= microcents.numerator <= I64_MAX:
        raise SizeError(
            f"amount: {amount} is not allowed; allowed: {-I64_MAX - 1} to {I64_MAX} microcents"
        )
    return microcents.numerator


def microcents_to_decimal(amount_microcents: int) -> Decimal:
    """Microcents in units of currency, exactly, always with 8 decimal places."""
    if type(amount_microcents) is not int:
        raise TypeError(f"amount_microcents: {amount_microcents!r} is not allowed; allowed: an int")
    return _as_decimal(amount_microcents, "0.00000001")


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """The sizes of one symbol, as plain decimal text, the same as in the guard's configuration.

    `tick_size` is the step of a price, `lot_size` the step of a quantity, `multiplier` what one
    unit at a price of 1 is worth in currency. Raises ValueError, or TypeError, for a bad one.
    """

    symbol: str
    tick_size: str
    lot_size: str
    multiplier: str = "1"
    _instrument: Instrument = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("symbol", "tick_size", "lot_size", "multiplier"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(
                    f"{name}: {value!r} is a {type(value).__name__}; allowed: text"
                    + ("" if name == "symbol" else ', a plain decimal such as "0.01"')
                )
        instrument = define_instrument(self.symbol, self.tick_size, self.lot_size, self.multiplier)
        object.__setattr__(self, "_instrument", instrument)

    def lots(self, quantity: Decimal) -> int:
        """The quantity (in units of the instrument) in lots. SizeError if that is not exact."""
        return _whole_multiple(quantity, "quantity", self.lot_size, "lot size")

    def ticks(self, price: Decimal) -> int:
        """The price in ticks. SizeError if that is not exact."""
        return _whole_multiple(price, "price", self.tick_size, "tick size")

    def quantity(self, lots: int) -> Decimal:
        """A number of lots as a quantity in units of the instrument."""
        return _as_decimal(lots, self.lot_size)

    def price(self, ticks: int) -> Decimal:
        """A number of ticks as a price."""
        return _as_decimal(ticks, self.tick_size)

    def notional_microcents(self, lots: int, ticks: int) -> int:
        """What the guard will hold for such an order, rounded up to a microcent as it does."""
        return self._instrument.notional_microcents(lots, ticks)
