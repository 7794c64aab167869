"""Open orders and positions for who asks: a page of them, from the daemon, as seldom as may be.

Owns the bound on what browsers, however many, can ask of the daemon: one question at a time, and
none twice within `KEPT_NS`. Everybody who asks the same gets the same answer.

How it fails: `Busy` where too many wait, and what `Asker.ask` raises.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from guard.admin.messages import AnyRequest, ListOpenOrders, ListPositions, OpenOrder, PositionLine
from guard.audit.units import price, quantity
from guard.observe.asking import Asker

KEPT_NS: Final = 2_000_000_000
SHOWN_MAX: Final = 100
WAITING_MAX: Final = 8
ANSWERS_MAX: Final = 64
LOOKS_MAX: Final = 5  # each at 20,000 remembered orders, or rows of positions, at most

Instruments = dict[str, Any]


class Busy(RuntimeError):  # noqa: N818 — it is a state, and no error
    """Too many wait for an answer."""


def _order_row(order: OpenOrder, instruments: Instruments) -> dict[str, Any]:
    instrument = instruments.get(order.symbol)
    asked = quantity(order.quantity, instrument)
    return {
        **msgspec.to_builtins(order),
        "asked": f"{order.side} {asked} {order.symbol} at {price(order.price, instrument)}",
        "filled": quantity(order.filled_quantity, instrument),
    }


def _position_row(line: PositionLine, instruments: Instruments) -> dict[str, Any]:
    instrument = instruments.get(line.symbol)
    at = line.price_ticks
    return {
        **msgspec.to_builtins(line),
        "position": quantity(line.position_lots, instrument),
        "buying": quantity(line.working_buys, instrument),
        "selling": quantity(line.working_sells, instrument),
        "price": None if at is None else price(at, instrument),
    }


class Listing(NamedTuple):
    """What is listed: the query, where its reply has the rows, and how one is worded."""

    query: Callable[[str | None, int, int], AnyRequest]  # of a desk, from a cursor, so many
    name: str
    row: Callable[[Any, Instruments], dict[str, Any]]


OPEN_ORDERS: Final = Listing(
    lambda desk, cursor, limit: ListOpenOrders(desk=desk, cursor=cursor, limit=limit),
    "orders",
    _order_row,
)
POSITIONS: Final = Listing(
    lambda desk, cursor, limit: ListPositions(desk=desk, cursor=cursor, limit=limit),
    "positions",
    _position_row,
)


class Pages:
    """Asks for one listing, and remembers the answers for a moment."""

    def __init__(self, listing: Listing, asker: Asker, monotonic_ns: Callable[[], int]) -> None:
        self._listing = listing
        self._asker = asker
        self._monotonic_ns = monotonic_ns
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._answers: dict[str | None, tuple[int, dict[str, Any]]] = {}

    async def page(self, desk: str | None, instruments: Instruments) -> dict[str, Any]:
        """Some rows of a desk (None: of all), and whether there are more."""
        if self._waiting >= WAITING_MAX:
            what = self._listing.name
            raise Busy(f"too many questions about {what}; ask again in a moment")
        self._waiting += 1
        try:
            async with self._lock:
                kept = self._answers.get(desk)
                if kept is not None and self._monotonic_ns() - kept[0] < KEPT_NS:
                    return kept[1]
                answer = await self._ask(desk, instruments)
                if len(self._answers) >= ANSWERS_MAX:
                    self._answers.clear()
                self._answers[desk] = (self._monotonic_ns(), answer)
                return answer
        finally:
            self._waiting -= 1

    async def _ask(self, desk: str | None, instruments: Instruments) -> dict[str, Any]:
        listing, cursor = self._listing, 0
        found: list[dict[str, Any]] = []
        has_more = True
        for _ in range(LOOKS_MAX):
            query = listing.query(desk, cursor, SHOWN_MAX - len(found))
            reply = await self._asker.ask(query)
            found += [listing.row(line, instruments) for line in getattr(reply, listing.name)]
            has_more = reply.next_cursor is not None
            if not has_more or len(found) >= SHOWN_MAX:
                break
            cursor = reply.next_cursor
        return {"desk": desk, listing.name: found, "has_more": has_more}


def pages_of(asker: Asker, monotonic_ns: Callable[[], int]) -> dict[str, Pages]:
    """One of each listing, by the name of its path."""
    listings = {"open-orders": OPEN_ORDERS, "positions": POSITIONS}
    return {name: Pages(listing, asker, monotonic_ns) for name, listing in listings.items()}
