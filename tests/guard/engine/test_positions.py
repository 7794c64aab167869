"""The arithmetic of positions: against fractions, at the ends of the range, and in a dump."""

import io
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.engine.positions import BUY, NO_POSITION, POSITION_ROW, SELL, Positions
from guard_support import I64_MAX
from kernel import InvariantError

ROW_BYTES = 8 * len(POSITION_ROW)
AT = {name: place for place, name in enumerate(POSITION_ROW)}


def values(positions: Positions, row: int = 0) -> dict[str, int]:
    return {name: positions.value(row, AT[name]) for name in POSITION_ROW[1:]}


def positions_of(*symbols: str) -> Positions:
    positions = Positions()
    positions.begin(1, list(symbols))
    return positions


class Plain:
    """The rule of the page, worked out with fractions and without bounds."""

    def __init__(self) -> None:
        self.position = self.confirmed = self.cost = self.realised = 0

    def trade(self, side: int, lots: int, confirmed: int, microcents: int) -> None:
        sign = 1 if side == BUY else -1
        if self.position * sign >= 0:
            self.cost += microcents
        else:
            size, is_long = abs(self.position), self.position > 0
            closed = min(size, lots)
            got = Fraction(microcents * closed, lots)
            part = Fraction(self.cost * closed, size)
            if is_long:  # what is sold rounds down, what it cost up
                got, part = Fraction(floor(got)), Fraction(ceil(part))
                self.realised += int(got - part)
            else:
                got, part = Fraction(ceil(got)), Fraction(floor(part))
                self.realised += int(part - got)
            self.cost = microcents - int(got) if lots > size else self.cost - int(part)
        self.position += sign * lots
        self.confirmed += sign * confirmed


TRADES = st.tuples(
    st.sampled_from([BUY, SELL]), st.integers(1, 50), st.integers(0, 50), st.integers(0, 1_000)
)


@given(trades=st.lists(TRADES, max_size=40))
def test_every_trade_is_as_the_page_says(trades: list[tuple[int, int, int, int]]) -> None:
    positions, plain = positions_of("X"), Plain()
    row = positions.obtain(1, 0)
    cash = 0
    for side, lots, confirmed, microcents in trades:
        positions.trade(row, side, lots, min(confirmed, lots), microcents)
        plain.trade(side, lots, min(confirmed, lots), microcents)
        cash += microcents if side == SELL else -microcents
        found = values(positions)
        assert found["position_lots"] == plain.position
        assert found["confirmed_lots"] == plain.confirmed
        assert (found["cost_microcents"], found["realised_microcents"]) == (
            plain.cost,
            plain.realised,
        )
        # Nothing is lost between profit and cost.
        sign = 1 if plain.position > 0 else -1
        assert found["realised_microcents"] - sign * found["cost_microcents"] == cash
        assert found["bought_lots"] - found["sold_lots"] == plain.position


@given(trades=st.lists(TRADES, min_size=1, max_size=20), place=st.integers(0, 19))
def test_what_is_undone_leaves_lots_and_cash_as_if_it_had_not_been(
    trades: list[tuple[int, int, int, int]], place: int
) -> None:
    undone = trades[place % len(trades)]
    positions, other = positions_of("X"), positions_of("X")
    for one in (positions, other):
        one.obtain(1, 0)
    for at, (side, lots, confirmed, microcents) in enumerate(trades):
        positions.trade(0, side, lots, confirmed, microcents)
        if at != place % len(trades):
            other.trade(0, side, lots, confirmed, microcents)
    positions.undo(0, *undone)
    found, wanted = values(positions), values(other)
    for name in ("position_lots", "confirmed_lots", "bought_lots", "sold_lots"):
        assert found[name] == wanted[name]
    sign = 1 if found["position_lots"] > 0 else -1
    assert found["realised_microcents"] - sign * found["cost_microcents"] == (
        wanted["realised_microcents"] - sign * wanted["cost_microcents"]
    )


@pytest.mark.parametrize(
    ("position", "confirmed", "buy", "sell"),
    [(10, 10, 0, 10), (10, 4, 0, 4), (4, 10, 0, 4), (-3, -7, 3, 0), (5, -5, 0, 0), (0, 9, 0, 0)],
)
def test_no_more_can_be_reduced_than_is_there_and_confirmed(
    position: int, confirmed: int, buy: int, sell: int
) -> None:
    positions = positions_of("X")
    row = positions.obtain(1, 0)
    positions.put(row, AT["position_lots"], position)
    positions.put(row, AT["confirmed_lots"], confirmed)
    assert (positions.reducible(row, BUY), positions.reducible(row, SELL)) == (buy, sell)


def test_what_fits_no_integer_stays_at_its_end() -> None:
    positions = positions_of("X")
    row = positions.obtain(1, 0)
    for _ in range(3):
        positions.trade(row, SELL, I64_MAX, 0, I64_MAX)
    found = values(positions)
    assert (found["position_lots"], found["sold_lots"]) == (-I64_MAX, I64_MAX)
    assert found["cost_microcents"] == I64_MAX
    positions.trade(row, BUY, I64_MAX, I64_MAX, I64_MAX)
    assert values(positions)["position_lots"] == 0
    positions.trade(row, BUY, I64_MAX, I64_MAX, 1)
    positions.trade(row, SELL, 1, 0, I64_MAX)
    assert values(positions)["realised_microcents"] == I64_MAX - 1
    positions.trade(row, SELL, 1, 0, I64_MAX)
    assert values(positions)["realised_microcents"] == I64_MAX


def test_working_lots_never_fall_below_none() -> None:
    positions = positions_of("X")
    row = positions.obtain(1, 0)
    positions.work(row, SELL, 7, True)
    positions.work(row, SELL, 3, False)
    assert (positions.working(row, SELL), positions.exiting(row, SELL)) == (10, 7)
    assert (positions.working(row, BUY), positions.exiting(row, BUY)) == (0, 0)
    with pytest.raises(InvariantError, match="-1 lots would work in position row 0"):
        positions.work(row, SELL, -11, False)
    with pytest.raises(InvariantError, match="-1 lots would work in position row 0"):
        positions.work(row, SELL, -8, True)


def test_rows_are_found_again_however_many_there_are() -> None:
    positions = positions_of(*map(str, range(40)))
    rows = {}
    for desk in range(1, 121):
        for symbol in range(40):
            assert positions.find(desk, symbol) == NO_POSITION
            rows[desk, symbol] = positions.obtain(desk, symbol)
    assert list(rows.values()) == list(range(4_800))
    for names, row in rows.items():
        assert positions.find(*names) == positions.obtain(*names) == row
        assert positions.key_of(row) == names
    assert positions.find(121, 0) == positions.find(0, 40) == NO_POSITION
    # 96 bytes a row, and a slot of the index for at least two of them.
    assert positions.memory_bytes() == 5 * 1_024 * ROW_BYTES + 8 * 16_384
    for row in (-1, 4_800):
        with pytest.raises(InvariantError, match="there is no position in row"):
            positions.value(row, 0)


def dumped(positions: Positions) -> bytes:
    return b"".join(positions.dump())


def loaded(data: bytes, count: int, symbols: int = 40) -> Positions:
    positions = positions_of(*map(str, range(symbols)))
    positions.load(io.BytesIO(data).read, count)
    return positions


@pytest.mark.parametrize("count", [0, 1, 1_024, 1_025, 3_000])
def test_a_dump_gives_the_same_again(count: int) -> None:
    positions = positions_of(*map(str, range(40)))
    for number in range(count):
        row = positions.obtain(1 + number // 40, number % 40)
        positions.trade(row, number % 2, 1 + number, number, 5 * number)
        positions.work(row, number % 2, number, number % 3 == 0)
    data = dumped(positions)
    assert len(data) == ROW_BYTES * count
    again = loaded(data, count)
    assert (dumped(again), again.count) == (data, count)
    for number in range(count):
        assert again.find(1 + number // 40, number % 40) == number
    assert again.obtain(99, 39) == count


def changed(field: str, value: int) -> bytes:
    data = bytearray(dumped(two_rows()))
    at = ROW_BYTES + 8 * AT[field]
    data[at : at + 8] = value.to_bytes(8, "little", signed=True)
    return bytes(data)


def two_rows() -> Positions:
    positions = positions_of(*map(str, range(40)))
    positions.obtain(1, 0)
    positions.obtain(1, 1)
    return positions


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (changed("key", 1 << 32), "position row 1 is of desk 1 and symbol 0"),  # the first one's
        (changed("key", (1 << 32) + 40), "position row 1 is of desk 1 and symbol 40"),
        (changed("key", -1), "position row 1 is of desk -1"),
        (changed("working_buys", -1), "working_buys of position row 1 is below zero"),
        (changed("exiting_sells", -5), "exiting_sells of position row 1 is below zero"),
        (changed("cost_microcents", -1), "cost_microcents of position row 1 is below zero"),
        (dumped(two_rows())[:-1], "bytes are dumped of 2 positions"),
    ],
)
def test_a_dump_that_does_not_hold_together(data: bytes, said: str) -> None:
    with pytest.raises(InvariantError, match=said):
        loaded(data, 2)


def test_symbols_have_numbers_in_the_order_in_which_they_came() -> None:
    positions: Any = positions_of("B", "A")
    assert [positions.number_of(symbol) for symbol in ("A", "C", "B", "C")] == [1, 2, 0, 2]
