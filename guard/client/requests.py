"""What a caller writes, turned into requests.

Owns the keyword arguments of `order()` and `fill()` and their conversion. Two forms of a size are
told apart by type alone: an `int` is in lots or ticks, as on the wire; a `Decimal` is in units of
the instrument or of its price, and is converted exactly by the symbol's `InstrumentSpec`. Ranges
are the guard's to judge (one judge, one answer); it refuses by an `error` that names the field.
"""

import inspect
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NotRequired, TypedDict, TypeVar, get_type_hints

import msgspec

from guard.client.options import specs_by_symbol
from guard.client.values import InstrumentSpec
from guard.protocol.messages import Fill, Mark, Order, OrderType, Side, TimeInForce

MethodT = TypeVar("MethodT", bound=Callable[..., Any])


class OrderFields(TypedDict):
    """The keys of an order (`guard/PROTOCOL.md`, 3.1). Defaults are those of the protocol."""

    client_order_id: str
    desk: str
    symbol: str
    side: Side
    quantity: int | Decimal
    price: int | Decimal
    venue: int
    risk_bps: int
    confidence_bps: int
    minimum_quality_bps: NotRequired[int]
    max_p95_latency_ms: NotRequired[int]
    required_capabilities: NotRequired[int]
    allowed_providers: NotRequired[int]
    required_regions: NotRequired[int]
    max_fee_microcents: NotRequired[int]
    allow_substitute: NotRequired[bool]
    order_type: NotRequired[OrderType]
    time_in_force: NotRequired[TimeInForce]
    currency: NotRequired[str | None]
    sent_at_ns: NotRequired[int | None]
    locate_id: NotRequired[str]
    account: NotRequired[str]
    trader: NotRequired[str]
    algo: NotRequired[str]


class FillFields(TypedDict):
    """The keys of a fill (`guard/PROTOCOL.md`, 4).

    `symbol` is not sent: it is needed where quantity or price is a Decimal.
    """

    desk: str
    client_order_id: str
    fill_id: str
    quantity: int | Decimal
    fee_microcents: int
    price: NotRequired[int | Decimal | None]
    executed_at_ns: NotRequired[int | None]
    symbol: NotRequired[str | None]


def lists_keywords(request: type[Order | Fill], fields: Any) -> Callable[[MethodT], MethodT]:
    """For a method with `**fields`: `help()` and an editor show each keyword and its default.

    `fields` is the TypedDict; the defaults are those of the request's type, None for what it lacks.
    """
    defaults = {
        field.name: field.default
        for field in msgspec.structs.fields(request)
        if field.default is not msgspec.NODEFAULT
    }
    keywords = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=(
                inspect.Parameter.empty if name in fields.__required_keys__ else defaults.get(name)
            ),
            annotation=annotation,
        )
        for name, annotation in get_type_hints(fields).items()
    ]

    def listed(method: MethodT) -> MethodT:
        found = inspect.signature(method)
        (itself, *_) = found.parameters.values()
        signature = found.replace(parameters=[itself, *keywords])
        method.__signature__ = signature  # type: ignore[attr-defined]
        return method

    return listed


class RequestBuilder:
    """Builds orders, fills and marks, by the instruments that it was given."""

    def __init__(self, instruments: Iterable[InstrumentSpec]) -> None:
        self._specs = specs_by_symbol(instruments)

    def order(self, fields: OrderFields) -> Order:
        """TypeError for a missing, unknown or mistyped argument, SizeError for an inexact size."""
        order = Order(**fields)  # type: ignore[arg-type]  # its sizes may be Decimals until here
        order.quantity = self._lots(fields["quantity"], order.symbol)
        order.price = self._ticks(fields["price"], order.symbol)
        return order

    def fill(self, fields: FillFields) -> Fill:
        """TypeError for a missing, unknown or mistyped argument, SizeError for an inexact size."""
        symbol = fields.get("symbol")
        on_the_wire = {name: value for name, value in fields.items() if name != "symbol"}
        fill = Fill(**on_the_wire)  # type: ignore[arg-type]  # its sizes may be Decimals until here
        fill.quantity = self._lots(fields["quantity"], symbol)
        price = fields.get("price")
        if price is not None:
            fill.price = self._ticks(price, symbol)
        return fill

    def mark(
        self,
        symbol: str,
        price: int | Decimal,
        as_of_ns: int | None,
        bid: int | Decimal | None,
        ask: int | Decimal | None,
    ) -> Mark:
        """TypeError for a mistyped price, SizeError for an inexact one."""
        sides = [None if side is None else self._ticks(side, symbol) for side in (bid, ask)]
        return Mark(symbol, self._ticks(price, symbol), as_of_ns, *sides)

    def _lots(self, quantity: int | Decimal, symbol: str | None) -> int:
        if isinstance(quantity, Decimal):
            return self._spec("quantity", symbol).lots(quantity)
        return _require_integer(quantity, "quantity", "lots")

    def _ticks(self, price: int | Decimal, symbol: str | None) -> int:
        if isinstance(price, Decimal):
            return self._spec("price", symbol).ticks(price)
        return _require_integer(price, "price", "ticks")

    def _spec(self, name: str, symbol: str | None) -> InstrumentSpec:
        if symbol is None:
            raise TypeError(f"{name}: a Decimal needs the symbol too; give symbol=...")
        if not isinstance(symbol, str):
            raise TypeError(f"symbol: {symbol!r} is a {type(symbol).__name__}; allowed: a str")
        if symbol not in self._specs:
            raise ValueError(
                f"{name}: a Decimal needs the sizes of {symbol!r}; "
                "give the client its InstrumentSpec (instruments=[...])"
            )
        return self._specs[symbol]


def _require_integer(value: int, name: str, unit: str) -> int:
    if type(value) is not int:
        raise TypeError(
            f"{name}: {value!r} is a {type(value).__name__}; "
            f"allowed: an int (of {unit}), or a Decimal"
        )
    return value
