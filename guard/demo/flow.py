"""The demo's order flow: recorded market events → requests of four desks.

Owns the reading of the recording (`guard/data/README.md` gives its columns and origin) and the
rules by which its orders, which belong to nobody, are given to desks and venues: by order id, so
that every run plays the same. Risk and confidence grow and shrink with an order's distance from
the last trade, as a desk's own model would have it. Pure but for reading the packaged file.
"""

import csv
import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from importlib import resources
from pathlib import Path
from typing import Final

from guard.client import InstrumentSpec
from guard.protocol.messages import Cancel, Fill, Mark, Order, OrderType, TimeInForce

RECORDING: Final = "coinbase-btc-usd-2018-07-13.csv.gz"
INSTRUMENT: Final = InstrumentSpec("BTC-USD", "0.01", "0.00000001", "1")
DESKS: Final = ("desk-alpha", "desk-beta", "desk-gamma", "desk-delta")
VENUES: Final = (10, 20, 30)

FIRST_PRICE_USD: Final = Decimal("6190")
MARKET_PROTECTION: Final = Decimal("0.02")  # how far from the last trade a market order may go
TAKER_FEE: Final = Decimal("0.0010")
MAKER_FEE: Final = Decimal("-0.0001")  # a rebate
MICROCENTS_PER_USD: Final = 100_000_000
TAKER: Final = "taker"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Step:
    """One request of the flow, the recorded order that it concerns, and when it was recorded."""

    order_id: int
    request: Order | Fill | Cancel
    at_ns: int


def read_steps(file: Path | None = None) -> Iterator[Step]:
    """The recording, in its order, as requests. `file`: another one of the same columns."""
    last_price = FIRST_PRICE_USD
    source = resources.files("guard") / "data" / RECORDING if file is None else file
    with source.open("rb") as packed, gzip.open(packed, "rt", newline="") as text:
        for row in csv.DictReader(text):
            if row["event"] == "received":
                yield _order_step(row, last_price)
            elif row["event"] == "match":
                last_price = Decimal(row["price_usd"])
                yield from _fill_steps(row)
            elif row["event"] == "done" and row["reason"] == "canceled":
                order_id = int(row["order_id"])
                desk, name = _names(order_id)
                yield Step(order_id, Cancel(desk, name), _time_ns(row))


def with_marks(steps: Iterable[Step]) -> Iterator[Step | Mark]:
    """The steps, each trade's price behind it as the symbol's mark, and one mark before all."""
    yield Mark(INSTRUMENT.symbol, INSTRUMENT.ticks(FIRST_PRICE_USD))
    for step in steps:
        yield step
        fill = step.request
        if isinstance(fill, Fill) and fill.fill_id.endswith(TAKER) and fill.price is not None:
            yield Mark(INSTRUMENT.symbol, fill.price)


def _time_ns(row: dict[str, str]) -> int:
    """When the event was recorded: nanoseconds since 1970-01-01 UTC, exact to the microsecond."""
    return (datetime.fromisoformat(row["time"]) - _EPOCH) // timedelta(microseconds=1) * 1_000


def _names(order_id: int) -> tuple[str, str]:
    return DESKS[order_id % len(DESKS)], f"gdax-{order_id}"


def _order_step(row: dict[str, str], last_price: Decimal) -> Step:
    order_id = int(row["order_id"])
    desk, name = _names(order_id)
    is_market = row["order_type"] == "market"
    price = _protective_price(row["side"], last_price) if is_market else Decimal(row["price_usd"])
    away_bps = min(int(abs(price / last_price - 1) * 10_000), 10_000)
    order_type: OrderType = "market" if is_market else "limit"
    time_in_force: TimeInForce = "ioc" if is_market else "gtc"
    order = Order(
        client_order_id=name,
        desk=desk,
        symbol=INSTRUMENT.symbol,
        side="buy" if row["side"] == "buy" else "sell",
        quantity=INSTRUMENT.lots(_size(row, price)),
        price=INSTRUMENT.ticks(price),
        venue=VENUES[order_id // len(DESKS) % len(VENUES)],
        risk_bps=min(300 + 2 * away_bps, 10_000),
        confidence_bps=max(9_800 - away_bps // 4 - order_id % 97 * 5, 0),
        order_type=order_type,
        time_in_force=time_in_force,
    )
    _add_wishes(order, order_id)
    return Step(order_id, order, _time_ns(row))


def _add_wishes(order: Order, order_id: int) -> None:
    """Some orders ask for more than the default, so that every gate of the policy has work."""
    if order_id % 11 == 0:
        order.allow_substitute = False
    if order_id % 13 == 0:
        order.max_p95_latency_ms = 50
    if order_id % 17 == 0:
        order.max_fee_microcents = 12_000_000
    if order_id % 19 == 0:
        order.required_regions = 2
    if order_id % 23 == 0:
        order.allowed_providers = 0b100
    if order_id % 101 == 0:
        order.minimum_quality_bps = 9_950
    if order_id % 103 == 0:
        order.required_capabilities = 1


def _protective_price(side: str, last_price: Decimal) -> Decimal:
    factor = 1 + MARKET_PROTECTION if side == "buy" else 1 - MARKET_PROTECTION
    return (last_price * factor).quantize(Decimal("0.01"), ROUND_DOWN)


def _size(row: dict[str, str], price: Decimal) -> Decimal:
    """The order's size in BTC; of a market order that names funds only, what they buy."""
    if row["size_btc"]:
        return Decimal(row["size_btc"])
    funds = Decimal(row["funds_usd"])
    return (funds / price).quantize(Decimal(INSTRUMENT.lot_size), ROUND_DOWN)


def _fill_steps(row: dict[str, str]) -> Iterator[Step]:
    """A match fills the resting order and the one that took it."""
    price, size = Decimal(row["price_usd"]), Decimal(row["size_btc"])
    worth_microcents = price * size * MICROCENTS_PER_USD
    for column, fee in (("maker_order_id", MAKER_FEE), ("taker_order_id", TAKER_FEE)):
        order_id = int(row[column])
        desk, name = _names(order_id)
        fill = Fill(
            desk=desk,
            client_order_id=name,
            fill_id=f"{row['trade_id']}-{column[:5]}",
            quantity=INSTRUMENT.lots(size),
            fee_microcents=int(worth_microcents * fee),
            price=INSTRUMENT.ticks(price),
        )
        yield Step(order_id, fill, _time_ns(row))
