"""What became of the admitted orders, and which of them is most like another order. Pure.

Owns the distance between two orders: how their sizes differ, how their prices stand to the
market's, how far apart in time they came. Only orders of one desk, symbol, side, type and time in
force are compared; where the desk has none such, those of all desks.

How it works: orders of the same size class stand in a list by time, and those of exactly the same
size in another. Of each list that is looked at only the few next before and after are compared, so
that a search takes the same time however many there are. Whole numbers alone: the same log gives
the same likeness on every machine.
"""

from bisect import bisect_left
from typing import Any, Final, TypeAlias

# Desk (empty: any), symbol, side, order type, time in force.
Stratum: TypeAlias = tuple[str, str, int, int, int]

NOT_CLOSED: Final = -1
ONE: Final = 256  # the scaled logarithm's 1: a doubling
# Next before and after in each list; so many found are enough; so many size classes away and on.
NEXT_MAX: Final = 16
ENOUGH: Final = 8
CLASSES_AWAY_MAX: Final = 64  # from one lot to 2^32
CLASS_WIDTH: Final = ONE // 2
# What weighs as much as an e-fold of size: 0.5 % of price, and some 30 times the time apart.
PRICE_WEIGHT_DIVISOR: Final = 13  # millionths per 1/256 doubling
TIME_WEIGHT: Final = (3, 10)
NS_PER_MS: Final = 1_000_000


class Life:
    """An admitted order: what it was, and what became of it, in ns since it was admitted.

    `away_millionths`: how far its price stood from the market's. `fills`: when, lots, fee.
    """

    __slots__ = (
        "admitted_ns", "away_millionths", "closed_after_ns", "fills", "is_canceled", "quantity",
        "replaced_after_ns", "sequence", "stratum",
    )  # fmt: skip

    def __init__(
        self, stratum: Stratum, sequence: int, admitted_ns: int, quantity: int, away_millionths: int
    ) -> None:
        self.stratum = stratum
        self.sequence = sequence
        self.admitted_ns = admitted_ns
        self.quantity = quantity
        self.away_millionths = away_millionths
        self.closed_after_ns = NOT_CLOSED
        self.is_canceled = False
        self.fills: list[tuple[int, int, int]] = []
        self.replaced_after_ns: dict[str, int] | None = None  # of one that is tried out


def scaled_log2(number: int) -> int:
    """256 times the binary logarithm of a positive number, with straight lines between powers."""
    power = number.bit_length() - 1
    return power * ONE + (number * ONE >> power) - ONE


def distance(life: Life, at_ns: int, log_quantity: int, away_millionths: int) -> int:
    """How unlike the order and one of that size, price and time are; 0 at the least."""
    size = abs(scaled_log2(life.quantity) - log_quantity)
    price = abs(life.away_millionths - away_millionths) // PRICE_WEIGHT_DIVISOR
    apart_ms = abs(at_ns - life.admitted_ns) // NS_PER_MS
    time = scaled_log2(1_000 + apart_ms) - scaled_log2(1_000)
    return size + price + time * TIME_WEIGHT[0] // TIME_WEIGHT[1]


class _ByTime:
    """Lives in the order of their times."""

    __slots__ = ("lives", "times_ns")

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self.times_ns: list[int] = []

    def next_to(self, at_ns: int) -> list[Life]:
        middle = bisect_left(self.times_ns, at_ns)
        return self.lives[max(0, middle - NEXT_MAX) : middle + NEXT_MAX]


class LikeOrders:
    """Orders among which the likest is looked for."""

    def __init__(self, lives: list[Life]) -> None:
        """`lives` in the order of their times."""
        self._of_size: dict[tuple[Stratum, int], _ByTime] = {}
        self._of_class: dict[tuple[Stratum, int], _ByTime] = {}
        self._strata: set[Stratum] = set()
        for life in lives:
            size_class = scaled_log2(life.quantity) // CLASS_WIDTH
            for stratum in (life.stratum, ("", *life.stratum[1:])):
                self._strata.add(stratum)
                _add(self._of_size, (stratum, life.quantity), life)
                _add(self._of_class, (stratum, size_class), life)

    def likest(
        self,
        stratum: Stratum,
        at_ns: int,
        quantity: int,
        away_millionths: int,
        *,
        of_any_desk: bool,
        but: Life | None = None,
    ) -> Life | None:
        """The order most like one of that kind, other than `but`; None where there is none."""
        for each in (stratum, ("", *stratum[1:])):
            if each in self._strata and not (of_any_desk and each[0]):
                found = self._near(each, at_ns, quantity)
                if but is not None:
                    found = [life for life in found if life is not but]
                if found:
                    return _nearest(found, at_ns, quantity, away_millionths)
        return None

    def _near(self, stratum: Stratum, at_ns: int, quantity: int) -> list[Life]:
        found = _next_to(self._of_size.get((stratum, quantity)), at_ns)
        size_class = scaled_log2(quantity) // CLASS_WIDTH
        away = 0
        while len(found) < ENOUGH and away <= CLASSES_AWAY_MAX:
            for each in {size_class - away, size_class + away}:
                found += _next_to(self._of_class.get((stratum, each)), at_ns)
            away += 1
        return found


def _add(lists: dict[Any, _ByTime], key: Any, life: Life) -> None:
    into = lists.get(key)
    if into is None:
        into = lists[key] = _ByTime()
    into.lives.append(life)
    into.times_ns.append(life.admitted_ns)


def _next_to(by_time: _ByTime | None, at_ns: int) -> list[Life]:
    return [] if by_time is None else by_time.next_to(at_ns)


def _nearest(found: list[Life], at_ns: int, quantity: int, away_millionths: int) -> Life:
    log_quantity = scaled_log2(quantity)
    return min(
        found,
        key=lambda life: (distance(life, at_ns, log_quantity, away_millionths), life.sequence),
    )
