"""Open orders for who asks: a page of them, from the daemon, as seldom as may be.

Owns the bound on what browsers, however many, can ask of the daemon: one question at a time, and
none twice within `KEPT_NS`. Everybody who asks the same gets the same answer.

How it fails: `Busy` where too many wait, and what `Asker.ask` raises.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from guard.admin.messages import ListOpenOrders
from guard.audit.units import price, quantity
from guard.observe.asking import Asker

KEPT_NS: Final = 2_000_000_000
SHOWN_MAX: Final = 100
WAITING_MAX: Final = 8
ANSWERS_MAX: Final = 64
LOOKS_MAX: Final = 5  # each at 20,000 remembered orders at most


class Busy(RuntimeError):  # noqa: N818 — it is a state, and no error
    """Too many wait for an answer."""


class OpenOrders:
    """Asks for open orders, and remembers the answers for a moment."""

    def __init__(self, asker: Asker, monotonic_ns: Callable[[], int]) -> None:
        self._asker = asker
        self._monotonic_ns = monotonic_ns
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._answers: dict[str | None, tuple[int, dict[str, Any]]] = {}

    async def page(self, desk: str | None, instruments: dict[str, Any]) -> dict[str, Any]:
        """Some of a desk's open orders (None: of all), and whether there are more."""
        if self._waiting >= WAITING_MAX:
            raise Busy("too many questions about open orders; ask again in a moment")
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

    async def _ask(self, desk: str | None, instruments: dict[str, Any]) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        cursor: int | None = 0
        for _ in range(LOOKS_MAX):
            query = ListOpenOrders(desk=desk, cursor=cursor or 0, limit=SHOWN_MAX - len(found))
            reply = await self._asker.ask(query)
            for order in reply.orders:
                row = msgspec.to_builtins(order)
                instrument = instruments.get(order.symbol)
                row["asked"] = (
                    f"{order.side} {quantity(order.quantity, instrument)} {order.symbol} at "
                    f"{price(order.price, instrument)}"
                )
                row["filled"] = quantity(order.filled_quantity, instrument)
                found.append(row)
            cursor = reply.next_cursor
            if cursor is None or len(found) >= SHOWN_MAX:
                break
        return {"desk": desk, "orders": found, "has_more": cursor is not None}
