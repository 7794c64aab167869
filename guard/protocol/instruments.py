"""Instruments: from lots and ticks to money, exactly.

Owns the sizes of an instrument and the notional of an order in it. Pure. Sizes are plain decimal
text (`"0.00000001"`), so that nothing is ever rounded on its way in; the only rounding is the one
that the notional's definition asks for, upwards, to a whole microcent.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from guard.protocol.messages import I64_MAX

MICROCENTS_PER_CURRENCY_UNIT = 100_000_000

# Bounds that keep every product below a few hundred bits: far beyond any market's sizes.
DECIMAL_DIGITS_MAX = 18
_DECIMAL = re.compile(rf"\d{{1,{DECIMAL_DIGITS_MAX}}}(?:\.\d{{1,{DECIMAL_DIGITS_MAX}}})?")

NAME_PATTERN = re.compile(r"[A-Za-z0-9._:/-]{1,32}")


def parse_decimal(text: str, field: str) -> Fraction:
    """A plain decimal (`"12.50"`) as an exact fraction.

    Raises ValueError naming `field` for signs, commas, exponents, blanks or more than 18 digits on
    a side.
    """
    if not _DECIMAL.fullmatch(text) or not text.isascii():
        raise ValueError(
            f'{field}: {text!r} is not allowed; allowed: a plain decimal such as "12.50", no '
            f"commas, at most {DECIMAL_DIGITS_MAX} digits on either side of the point"
        )
    return Fraction(text)


def parse_money_microcents(text: str, field: str) -> int:
    """Decimal money text (`"2000000.00"`) in microcents.

    Raises ValueError naming `field` where it is no plain decimal, finer than a microcent, or above
    2^63 - 1 microcents.
    """
    microcents = parse_decimal(text, field) * MICROCENTS_PER_CURRENCY_UNIT
    if microcents.denominator != 1:
        raise ValueError(f"{field}: {text!r} is not allowed; allowed: at most 8 decimal places")
    if microcents.numerator > I64_MAX:
        raise ValueError(
            f"{field}: {text!r} is not allowed; allowed: at most {I64_MAX} microcents "
            f"({I64_MAX // MICROCENTS_PER_CURRENCY_UNIT} units of currency)"
        )
    return microcents.numerator


def money_text(microcents: int, separator: str = "") -> str:
    """An amount as decimal text (`"2000000.00"`), exact, as `parse_money_microcents` reads it.

    `separator`: between thousands, for people.
    """
    sign = "-" if microcents < 0 else ""
    whole, part = divmod(abs(microcents), MICROCENTS_PER_CURRENCY_UNIT)
    return f"{sign}{f'{whole:,}'.replace(',', separator)}.{f'{part:08}'.rstrip('0').ljust(2, '0')}"


def counted(number: int, unit: str) -> str:
    """So many of a unit whose plural has an s: `1 lot`, `2,000 lots`."""
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable symbol; a lot at one tick is worth `numerator / denominator` microcents."""

    symbol: str
    tick_size: str
    lot_size: str
    multiplier: str
    numerator: int
    denominator: int

    def notional_microcents(self, quantity_lots: int, price_ticks: int) -> int:
        """ceil(quantity × price × tick × lot × multiplier) in microcents, of any size."""
        return -(-quantity_lots * price_ticks * self.numerator // self.denominator)


def define_instrument(symbol: str, tick_size: str, lot_size: str, multiplier: str) -> Instrument:
    """Builds an instrument from decimal text.

    Raises ValueError naming the field: a bad symbol, a size that is no plain decimal or zero.
    """
    if not NAME_PATTERN.fullmatch(symbol):
        raise ValueError(
            f"symbol: {symbol!r} is not allowed; allowed: 1 to 32 characters of A-Z a-z 0-9 ._:/-"
        )
    worth = Fraction(MICROCENTS_PER_CURRENCY_UNIT)
    for field, text in (
        ("tick_size", tick_size),
        ("lot_size", lot_size),
        ("multiplier", multiplier),
    ):
        size = parse_decimal(text, field)
        if size == 0:
            raise ValueError(f"{field}: {text!r} is not allowed; allowed: above zero")
        worth *= size
    return Instrument(symbol, tick_size, lot_size, multiplier, worth.numerator, worth.denominator)
