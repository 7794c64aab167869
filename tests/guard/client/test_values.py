"""Decimals become lots, ticks and microcents exactly, or are refused."""

import decimal
from decimal import Decimal

import pytest

from guard.client import InstrumentSpec, SizeError, decimal_to_microcents, microcents_to_decimal
from guard.client.requests import OrderFields, RequestBuilder
from guard.protocol.messages import Fill

BITCOIN = InstrumentSpec("BTC-PERP", tick_size="0.01", lot_size="0.1", multiplier="1")
ORDER: OrderFields = {
    "client_order_id": "A-1",
    "desk": "desk-alpha",
    "symbol": "BTC-PERP",
    "side": "buy",
    "quantity": Decimal("0.5"),
    "price": Decimal("6190.01"),
    "venue": 10,
    "risk_bps": 200,
    "confidence_bps": 9_000,
}


def test_sizes_convert_exactly_both_ways() -> None:
    assert BITCOIN.lots(Decimal("0.5")) == 5
    assert BITCOIN.lots(Decimal("5E+1")) == 500
    assert BITCOIN.ticks(Decimal("6190.01")) == 619_001
    assert BITCOIN.ticks(Decimal("6190.0100")) == 619_001
    assert str(BITCOIN.quantity(5)) == "0.5"
    assert str(BITCOIN.price(619_001)) == "6190.01"
    assert BITCOIN.notional_microcents(5, 619_001) == 309_500_500_000
    quarter = InstrumentSpec("ES", tick_size="0.25", lot_size="1", multiplier="50")
    assert quarter.ticks(Decimal("6190.75")) == 24_763
    assert str(quarter.price(24_763)) == "6190.75"


@pytest.mark.parametrize(
    ("method", "text", "named"),
    [
        (
            "lots",
            "0.55",
            "quantity: 0.55 is not allowed; allowed: a whole multiple of the lot size 0.1",
        ),
        (
            "ticks",
            "6190.015",
            "price: 6190.015 is not allowed; allowed: a whole multiple of the tick",
        ),
        ("ticks", "0", "whole multiple of the tick size 0.01, from 1"),
        ("lots", "-0.1", "quantity: -0.1 is not allowed"),
        ("lots", "922337203685477580.8", "from 1 to 9223372036854775807 times"),
        ("lots", "NaN", "finite"),
        ("ticks", "Infinity", "finite"),
        ("ticks", "1E+999999", "finite"),
        ("ticks", "1E-999999", "finite"),
    ],
)
def test_an_inexact_size_is_refused_and_named(method: str, text: str, named: str) -> None:
    with pytest.raises(SizeError) as caught:
        getattr(BITCOIN, method)(Decimal(text))
    assert named in str(caught.value)


def test_no_conversion_depends_on_the_decimal_context() -> None:
    with decimal.localcontext(decimal.Context(prec=3, traps=[decimal.Inexact])):
        assert microcents_to_decimal(-(2**63)) == Decimal("-92233720368.54775808")
        assert decimal_to_microcents(Decimal("-92233720368.54775808")) == -(2**63)
        assert BITCOIN.ticks(Decimal("92233720368547.01")) == 9_223_372_036_854_701


def test_money_converts_exactly_both_ways() -> None:
    assert decimal_to_microcents(Decimal("2000000.00")) == 200_000_000_000_000
    assert str(microcents_to_decimal(14_001)) == "0.00014001"
    assert str(microcents_to_decimal(0)) == "0E-8"
    for amount in (1, -1, 99_999_999, 10**8, 2**63 - 1, -(2**63)):
        assert decimal_to_microcents(microcents_to_decimal(amount)) == amount
    for text in ("0.000000001", "92233720368.54775808", "NaN", "1E+70"):
        with pytest.raises(SizeError):
            decimal_to_microcents(Decimal(text))


@pytest.mark.parametrize("value", [0.5, 5, "0.5", True])
def test_only_decimals_are_converted(value: object) -> None:
    with pytest.raises(TypeError, match="allowed: a Decimal"):
        BITCOIN.lots(value)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="allowed: a Decimal"):
        decimal_to_microcents(value)  # type: ignore[arg-type]


def test_money_in_replies_is_an_int() -> None:
    with pytest.raises(TypeError):
        microcents_to_decimal(1.0)  # type: ignore[arg-type]


def test_a_bad_instrument_is_refused() -> None:
    with pytest.raises(ValueError, match="tick_size"):
        InstrumentSpec("X", tick_size="0", lot_size="1")
    with pytest.raises(ValueError, match="lot_size"):
        InstrumentSpec("X", tick_size="1", lot_size="1e3")
    with pytest.raises(
        TypeError, match=r"lot_size: 0\.1 is a float; allowed: text, a plain decimal"
    ):
        InstrumentSpec("X", tick_size="1", lot_size=0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"symbol: 5 is a int; allowed: text$"):
        InstrumentSpec(5, tick_size="1", lot_size="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stands twice"):
        RequestBuilder([BITCOIN, BITCOIN])


def test_an_order_takes_decimals_or_integers_and_nothing_else() -> None:
    builder = RequestBuilder([BITCOIN])
    order = builder.order(ORDER)
    assert (order.quantity, order.price) == (5, 619_001)
    order = builder.order({**ORDER, "quantity": 7, "price": 3})
    assert (order.quantity, order.price) == (7, 3)
    for bad in (0.5, True, "5"):
        with pytest.raises(TypeError, match=r"quantity: .* allowed: an int"):
            builder.order({**ORDER, "quantity": bad})  # type: ignore[typeddict-item]
        with pytest.raises(TypeError, match=r"price: .* allowed: an int"):
            builder.order({**ORDER, "price": bad})  # type: ignore[typeddict-item]
    with pytest.raises(ValueError, match="quantity: a Decimal needs the sizes of 'ETH'"):
        builder.order({**ORDER, "symbol": "ETH"})
    with pytest.raises(TypeError, match="colour"):
        builder.order({**ORDER, "colour": "red"})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(TypeError, match="desk"):
        builder.order({"client_order_id": "A-1"})  # type: ignore[typeddict-item]


def test_a_fill_needs_its_symbol_for_decimals_alone() -> None:
    builder = RequestBuilder([BITCOIN])
    fill = builder.fill(
        {
            "desk": "desk-alpha",
            "client_order_id": "A-1",
            "fill_id": "F-1",
            "quantity": Decimal("0.2"),
            "price": Decimal("6190.00"),
            "fee_microcents": -5,
            "symbol": "BTC-PERP",
        }
    )
    assert fill == Fill("desk-alpha", "A-1", "F-1", 2, -5, 619_000)
    without = builder.fill(
        {
            "desk": "desk-alpha",
            "client_order_id": "A-1",
            "fill_id": "F-1",
            "quantity": 2,
            "price": None,
            "executed_at_ns": None,
            "fee_microcents": -5,
        }
    )
    assert without == Fill("desk-alpha", "A-1", "F-1", 2, -5)
    with pytest.raises(TypeError, match="needs the symbol"):
        builder.fill(
            {
                "desk": "desk-alpha",
                "client_order_id": "A-1",
                "fill_id": "F-1",
                "quantity": Decimal("0.2"),
                "fee_microcents": 0,
            }
        )
