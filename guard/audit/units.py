"""Quantities and prices in an instrument's own decimals, masks and limits as what they mean. Pure.

Owns the text of an order's numbers for people: `100 × 190.00` instead of lots and ticks, `all` and
`none` instead of masks and of the greatest numbers, which say that there is no limit.
"""

from decimal import Context, Decimal
from typing import Any, Final

from guard.audit.formats import count, money
from guard.protocol.instruments import counted
from guard.protocol.messages import U64_MAX

BITS_SHOWN_MAX: Final = 8

# A number of 64 bits times a size of 18 digits on either side of the point is exact in it.
_EXACT = Context(prec=80)


def in_units(number: int, size: str) -> str:
    """So many times a size (`"0.01"`), with the decimals that the size has."""
    product = _EXACT.multiply(Decimal(number), Decimal(size))
    return f"{product:,f}"


def quantity(lots: int, instrument: dict[str, Any] | None) -> str:
    """A quantity in units of the instrument; in lots where nobody knows it."""
    return counted(lots, "lot") if instrument is None else in_units(lots, instrument["lot_size"])


def price(ticks: int, instrument: dict[str, Any] | None) -> str:
    """A price; in ticks where nobody knows the instrument."""
    if instrument is None:
        return f"{count(ticks)} ticks"
    return in_units(ticks, instrument["tick_size"])


def fee_limit(microcents: int, currency: str) -> str:
    """The most that an order may cost."""
    return "no limit" if microcents == U64_MAX else f"{money(microcents)} {currency}"


def bits(mask: int) -> str:
    """The numbers of the bits that are set; `all`, `none`; more than a few as the mask."""
    if mask == U64_MAX:
        return "all"
    numbers = [str(number) for number in range(mask.bit_length()) if mask >> number & 1]
    return (", ".join(numbers) or "none") if len(numbers) <= BITS_SHOWN_MAX else hex(mask)
