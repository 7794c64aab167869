"""Figures in the form that people read them. Pure.

Owns the text of money, counts, times and durations in tables and on the page. Money is exact, and
knows its text in two decimals, for where columns are read; no time zone but UTC.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from guard.protocol.instruments import MICROCENTS_PER_CURRENCY_UNIT, money_text

NOTHING: Final = "–"
WHOLE_SHARE: Final = 1_000_000  # of what is said in millionths
_BLOCKS: Final = "▁▂▃▄▅▆▇█"

_PER_CENT: Final = MICROCENTS_PER_CURRENCY_UNIT // 100  # hundredths of a unit of currency

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_SECOND: Final = 1_000_000_000
# From here on a time has no place in a calendar of four-digit years.
_TIME_NS_MAX: Final = 253_402_300_800 * _NS_PER_SECOND


class Money(str):
    """An amount's exact text; `short` is the same in two decimals."""

    __slots__ = ("short",)
    short: str

    def __new__(cls, microcents: int) -> "Money":
        made = super().__new__(cls, money_text(microcents, ","))
        made.short = _in_two_decimals(microcents)
        return made


class Spark(str):
    """A course of shares of a whole (in millionths), as blocks; `points`: the shares."""

    __slots__ = ("points",)
    points: tuple[int, ...]

    def __new__(cls, points: Iterable[int]) -> "Spark":
        shares = tuple(points)
        made = super().__new__(cls, "".join(map(_block, shares)))
        made.points = shares
        return made


def _block(millionths: int) -> str:
    """Nothing is a low line, what is not is at least the lowest block, the whole the highest."""
    if millionths <= 0:
        return "_"
    return _BLOCKS[min(millionths * len(_BLOCKS) // WHOLE_SHARE, len(_BLOCKS) - 1)]


def money(microcents: int | None) -> str:
    """In units of currency, all decimals that it has and at least two: `1,234.50`.

    A `Money`, where it is an amount.
    """
    return NOTHING if microcents is None else Money(microcents)


def shortened(text: str) -> str:
    """The text, in two decimals where it is an amount."""
    return text.short if isinstance(text, Money) else text


def _in_two_decimals(microcents: int) -> str:
    """Rounded, half away from zero; what is not nothing never looks so: `<0.01`."""
    cents = (2 * abs(microcents) + _PER_CENT) // (2 * _PER_CENT)
    if microcents and not cents:
        return "<0.01" if microcents > 0 else ">-0.01"
    sign = "-" if microcents < 0 else ""
    return f"{sign}{cents // 100:,}.{cents % 100:02}"


def count(number: int | None) -> str:
    """With separators for thousands."""
    return NOTHING if number is None else f"{number:,}"


def share(part: int, whole: int | None) -> str:
    """In per cent, rounded to one decimal, half up.

    A part that is not all of it, nor none, never looks so: `>99.9 %`, `<0.1 %`.
    """
    if not whole:
        return NOTHING
    per_mille = (2_000 * part + whole) // (2 * whole)
    if part and not per_mille:
        return "<0.1 %"
    if part < whole and per_mille == 1_000:
        return ">99.9 %"
    return f"{per_mille // 10:,}.{per_mille % 10} %"


def time(at_ns: int | None) -> str:
    """UTC to the millisecond: `2026-11-23 08:00:00.123`; plain nanoseconds beyond the calendar."""
    if at_ns is None:
        return NOTHING
    if not 0 <= at_ns < _TIME_NS_MAX:
        return f"{at_ns} ns"
    at = _EPOCH + timedelta(seconds=at_ns // _NS_PER_SECOND)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at_ns % _NS_PER_SECOND // 1_000_000:03}"


def duration(span_ns: int | None) -> str:
    """Three significant digits with the unit that fits: `1.23 ms`."""
    if span_ns is None:
        return NOTHING
    for unit_ns, unit in ((_NS_PER_SECOND, "s"), (1_000_000, "ms"), (1_000, "µs")):
        if abs(span_ns) >= unit_ns:
            whole = abs(span_ns) // unit_ns
            places = max(0, 3 - len(str(whole)))
            part = abs(span_ns) % unit_ns * 10**places // unit_ns
            sign = "-" if span_ns < 0 else ""
            decimals = f".{part:0{places}}" if places else ""
            return f"{sign}{whole:,}{decimals} {unit}"
    return f"{span_ns} ns"


def printable(text: str) -> str:
    """The text with everything that is not printable escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
