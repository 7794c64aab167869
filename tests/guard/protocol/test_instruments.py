"""Instruments: from lots and ticks to microcents, exactly."""

import re
from decimal import ROUND_CEILING, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.protocol.instruments import (
    counted,
    define_instrument,
    parse_decimal,
    parse_money_microcents,
)

SIZES = st.decimals(min_value="0.000000000000000001", max_value=10**6, places=18).map(
    lambda size: f"{size:f}"
)


@pytest.mark.parametrize(
    ("tick", "lot", "multiplier", "quantity", "price", "notional"),
    [
        ("0.01", "1", "1", 100, 19_000, 1_900_000_000_000),
        ("0.01", "0.00000001", "1", 1, 1, 1),
        ("0.01", "0.00000001", "1", 100, 1, 1),
        ("0.01", "0.00000001", "1", 101, 1, 2),
        ("0.01", "0.00000001", "1", 2**32 - 1, 2**63 - 1, -(-(2**32 - 1) * (2**63 - 1) // 100)),
        ("0.25", "1", "50", 3, 18_000, 3 * 18_000 * 1_250_000_000),
        ("1", "1", "1", 1, 1, 100_000_000),
        ("0.000000000000000001", "0.000000000000000001", "1", 1, 1, 1),
        ("3", "0.333333333333333333", "1", 1, 1, 100_000_000),
    ],
)
def test_notionals(
    tick: str, lot: str, multiplier: str, quantity: int, price: int, notional: int
) -> None:
    instrument = define_instrument("X", tick, lot, multiplier)
    assert instrument.notional_microcents(quantity, price) == notional


@given(SIZES, SIZES, SIZES, st.integers(1, 2**32 - 1), st.integers(1, 2**63 - 1))
def test_the_notional_against_decimal(
    tick: str, lot: str, multiplier: str, quantity: int, price: int
) -> None:
    with localcontext() as context:
        context.prec = 200
        exact = Decimal(tick) * Decimal(lot) * Decimal(multiplier) * 100_000_000
        expected = (exact * quantity * price).to_integral_value(ROUND_CEILING)
    instrument = define_instrument("X", tick, lot, multiplier)
    assert instrument.notional_microcents(quantity, price) == int(expected)


@pytest.mark.parametrize("field", ["tick_size", "lot_size", "multiplier"])
@pytest.mark.parametrize("text", ["", "-1", "1e3", "1.", ".1", " 1", "1\n", "\u0663", "9" * 19])
def test_sizes_are_plain_decimals(field: str, text: str) -> None:
    sizes = {"tick_size": "1", "lot_size": "1", "multiplier": "1"} | {field: text}
    with pytest.raises(ValueError, match=f"^{field}: .* is not allowed; allowed: a plain decimal"):
        define_instrument("X", **sizes)
    with pytest.raises(ValueError, match=f"^{field}: '0.00' is not allowed; allowed: above zero"):
        define_instrument("X", **sizes | {field: "0.00"})


@pytest.mark.parametrize("symbol", ["", "x" * 33, "a b", "é", "a\n"])
def test_symbols(symbol: str) -> None:
    with pytest.raises(ValueError, match=r"^symbol: "):
        define_instrument(symbol, "1", "1", "1")


def test_the_text_is_kept_as_it_was_given() -> None:
    one, two = (define_instrument("X", tick, "1", "1") for tick in ("0.010", "0.01"))
    assert (one.tick_size, two.tick_size) == ("0.010", "0.01")
    assert (one.numerator, one.denominator) == (two.numerator, two.denominator) == (1_000_000, 1)
    assert one != two


@given(st.integers(0, 2**63 - 1))
def test_money_makes_the_round_trip(microcents: int) -> None:
    whole, part = divmod(microcents, 100_000_000)
    assert parse_money_microcents(f"{whole}.{part:08}", "x") == microcents


@given(st.text(max_size=25) | st.text("0123456789.", max_size=40))
def test_any_text_is_a_decimal_or_names_the_field(text: str) -> None:
    if re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", text):
        assert parse_decimal(text, "field") == Decimal(text)
    else:
        with pytest.raises(ValueError, match=r"^field: "):
            parse_decimal(text, "field")


def test_one_of_a_unit_is_no_plural() -> None:
    assert [counted(number, "lot") for number in (0, 1, 2_000)] == ["0 lots", "1 lot", "2,000 lots"]
