"""The sums that limits of money look at, against sums over all rows; and in both forms the same."""

import random
from fractions import Fraction
from typing import NamedTuple

import pytest

from guard.engine.measures import GROSS, LONG, NET, NO_ROW, SHORT, SymbolBook
from guard.engine.positions import BUY, NO_POSITION, SELL, Positions
from guard.engine.worth import Worth
from guard.protocol.instruments import define_instrument
from guard.protocol.messages import I64_MAX

SIZES = (("A", "0.01", "1"), ("B", "0.01", "0.00000001"), ("C", "0.0000003", "0.007"))


class Row(NamedTuple):
    position: int
    buys: int
    sells: int
    cost: int
    realised: int


def bounded(value: int) -> int:
    return max(-I64_MAX, min(value, I64_MAX))


def up(value: Fraction) -> int:
    return bounded(-(-value.numerator // value.denominator))


class Sums:
    """What rows with these sides come to."""

    def __init__(self, sides: list[tuple[int, int]]) -> None:
        self.figures = [0] * 4
        self.figures[GROSS] = sum(max(pair) for pair in sides)
        self.figures[LONG] = sum(max(0, long) for long, _ in sides)
        self.figures[SHORT] = sum(max(0, short) for _, short in sides)
        net_long, net_short = (sum(pair[side] for pair in sides) for side in (0, 1))
        self.figures[NET] = max(net_long, net_short)

    def bounded(self) -> list[int]:
        return [min(figure, I64_MAX) for figure in self.figures]


def rows_of(kept: Positions) -> dict[tuple[int, int], Row]:
    """By desk and symbol."""
    found = {}
    for row in range(kept.count):
        numbers = (kept.value(row, field) for field in (1, 3, 4, 9, 10))
        found[kept.key_of(row)] = Row(*numbers)
    return found


def profit(of: Row, tick: Fraction) -> int:
    if not tick:
        return of.realised
    made = -up(-of.position * tick) - of.cost
    if of.position <= 0:
        made = of.cost - up(-of.position * tick)
    return bounded(of.realised + made)


def check(kept: Positions, ticks: dict[int, Fraction]) -> None:
    """All sums are those over the rows; `ticks`: what a lot is worth, by symbol, 0: not known."""
    exposure, rows = kept.exposure, rows_of(kept)
    worst = {key: (row.position + row.buys, row.position - row.sells) for key, row in rows.items()}
    desks = sorted({desk for desk, _ in rows})
    for desk in desks:
        of_desk = {symbol: pair for (number, symbol), pair in worst.items() if number == desk}
        sides = [(up(w[0] * ticks[s]), up(-w[1] * ticks[s])) for s, w in of_desk.items()]
        measure = exposure.desk(desk)
        assert [measure.figure(number) for number in range(4)] == Sums(sides).bounded()
        assert measure.unpriced == sum(not ticks[s] and any(w) for s, w in of_desk.items())
        own = sum(profit(row, ticks[s]) for (number, s), row in rows.items() if number == desk)
        assert measure.profit() == bounded(own)
    whole = []
    for symbol, tick in ticks.items():
        pairs = [pair for (_, number), pair in worst.items() if number == symbol]
        longs, shorts = (sum(pair[side] for pair in pairs) for side in (0, 1))
        whole.append((up(longs * tick), up(-shorts * tick)))
        figures = [exposure.book(symbol).figure(number) for number in range(4)]
        wanted = Sums(whole[-1:])
        assert figures == [max(0, figure) for figure in wanted.figures]
        assert exposure.book(symbol).unpriced == sum(not tick and any(pair) for pair in pairs)
    firm = exposure.firm
    assert [firm.figure(number) for number in range(4)] == Sums(whole).bounded()
    assert firm.profit() == bounded(sum(profit(row, ticks[s]) for (_, s), row in rows.items()))


def begun() -> tuple[Positions, list[Fraction]]:
    kept = Positions()
    kept.begin(1, [name for name, *_ in SIZES])
    lots = []
    for number, (name, tick, lot) in enumerate(SIZES):
        instrument = define_instrument(name, tick, lot, "1")
        kept.exposure.book(number).worth = Worth(instrument, number)
        lots.append(Fraction(instrument.numerator, instrument.denominator))
    return kept, lots


@pytest.mark.parametrize("seed", range(12))
def test_the_sums_are_those_over_all_rows(seed: int) -> None:
    rng = random.Random(seed)
    kept, lots = begun()
    ticks = dict.fromkeys(range(3), Fraction(0))
    kept.count_exposure(seed % 3 != 0)
    for step in range(150):
        desk, symbol, side = rng.randint(1, 3), rng.randrange(3), rng.choice((BUY, SELL))
        row = kept.obtain(desk, symbol)
        size = rng.choice((1, 7, 1_000, 10**6))
        kind = rng.random()
        if kind < 0.3:
            kept.work(row, side, size, False)
        elif kind < 0.45:
            kept.work(row, side, -rng.randint(0, kept.working(row, side)), False)
        elif kind < 0.8:
            kept.trade(row, side, size, size, rng.randint(0, 10**9))
        elif kind < 0.85:
            kept.undo(row, side, size, size, rng.randint(0, 10**9))
        else:
            price = rng.choice((0, 1, 20_000, 6_000_000))
            ticks[symbol] = lots[symbol] * price
            kept.revalue(symbol, price)
        if step == 75:
            kept.count_exposure(True)  # as where limits come that bound money
        if kept.exposure.is_on:
            check(kept, ticks)
    before = kept.exposure.dump()
    kept.count_exposure(True)
    assert kept.exposure.dump() == before
    assert kept.exposure.memory_bytes() > 0


def test_nothing_is_kept_where_it_is_off() -> None:
    kept, _ = begun()
    row = kept.obtain(1, 0)
    kept.work(row, BUY, 10, False)
    kept.revalue(0, 5)
    assert kept.exposure.dump() == [(0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 5, 0), *[(0,) * 6] * 2]
    assert kept.exposure.memory_bytes() == 0
    assert kept.exposure.book(0).first == NO_ROW
    assert kept.find(2, 0) == NO_POSITION


def test_the_ends_of_what_can_be_counted() -> None:
    kept, _ = begun()
    kept.count_exposure(True)
    for desk in (1, 2):
        for symbol in (0, 1):
            row = kept.obtain(desk, symbol)
            kept.trade(row, BUY, I64_MAX, 0, 0)
            kept.work(row, BUY, I64_MAX, False)
            kept.work(row, SELL, I64_MAX, False)
    for symbol in (0, 1):
        kept.revalue(symbol, I64_MAX)
    firm = kept.exposure.firm
    assert [firm.figure(number) for number in range(4)] == [I64_MAX, I64_MAX, I64_MAX, 0]
    assert firm.profit() == I64_MAX
    for desk in (1, 2):
        for symbol in (0, 1):
            row = kept.find(desk, symbol)
            kept.undo(row, BUY, I64_MAX, 0, 0)
            kept.work(row, BUY, -I64_MAX, False)
            kept.work(row, SELL, -I64_MAX, False)
    # Nothing is left of it: what was at its end was taken off as it was put on.
    assert [firm.figure(number) for number in range(4)] == [0, 0, 0, 0]
    assert firm.unpriced == 0


def test_a_symbol_without_sizes_is_worth_nothing() -> None:
    assert SymbolBook().figure(GROSS) == 0
