"""Planted bugs of limits, marks and rates: see `sim.mutations`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from guard.engine import limit_checks
from guard.engine.day_loss import Losses
from guard.engine.measures import SymbolBook
from guard.engine.positions import Positions
from guard.engine.state import GuardState
from guard.engine.working_book import WorkingBook
from guard.protocol.reasons import Refusal
from guard.server.marks import Mark, Marks
from guard.server.request_path import RequestPath
from guard.server.revaluing import Revaluing

Patch = AbstractContextManager[Any]


def mark_not_said() -> Patch:
    """What the mark was does not reach the order."""
    return patch.object(Marks, "say", lambda *_: 0)


def sell_valued_at_its_limit() -> Patch:
    """A sell holds what its limit is worth, be that one tick."""
    return patch.object(limit_checks, "valued_at", lambda _, request: request.price)


def price_not_recorded() -> Patch:
    """Positions keep the price that was recorded first."""
    return patch.object(Revaluing, "is_due", lambda *_: False)


def fills_add_no_exposure() -> Patch:
    """What is filled is no longer worth anything."""
    return patch.object(Positions, "trade", _uncounted(Positions.trade))


def _uncounted(trade: Callable[..., int]) -> Callable[..., int]:
    def of(self: Positions, *arguments: int) -> int:
        is_on, self.exposure.is_on = self.exposure.is_on, False
        try:
            return trade(self, *arguments)
        finally:
            self.exposure.is_on = is_on

    return of


def time_begins_anew() -> Patch:
    """Each process counts the log's time from its own start."""
    return patch.object(RequestPath, "_elapsed_at", lambda self, wall_ns: wall_ns)


def closed_orders_work() -> Patch:
    """An order that is closed is still one that others meet."""
    return patch.object(WorkingBook, "take", lambda *_: 0)


def book_lost_at_a_start() -> Patch:
    """A start knows of no order that works."""
    return patch.object(GuardState, "list_working", _begun_empty)


def _begun_empty(self: GuardState) -> None:
    self.book.begin(self.limits.watches_own_orders)


def loss_not_looked_at() -> Patch:
    """Nobody ever loses more than may be."""
    return patch.object(Losses, "look", lambda *_: 0)


def day_never_turns() -> Patch:
    """What was made or lost yesterday counts today."""
    return patch.object(GuardState, "turn_day", lambda _: None)


def jump_counts_at_once() -> Patch:
    """A mark counts however far it lies from the last one."""

    def offer(self: Mark, price: int, wall_ns: int, late_ns: int, *_: Any) -> int:
        return self.take(price, wall_ns, late_ns)

    return patch.object(Mark, "offer", offer)


def jump_never_counts() -> Patch:
    """A mark that has jumped waits for ever, unless another client confirms it."""
    return patch.object(Mark, "settle", lambda *_: 0)


def unrealised_loss_forgotten() -> Patch:
    """A day's profit is what was realised alone."""
    return patch.object(
        SymbolBook, "profit", lambda _self, _position, _cost, realised, _owed: realised
    )


# No order is refused for one of these.
LIMITS_BLIND = (
    Refusal.PRICE_OUTSIDE_COLLAR,
    Refusal.ORDER_RATE_EXCEEDED,
    Refusal.DUPLICATE_ORDER,
    Refusal.POSITION_LONG_ABOVE_MAX,
    Refusal.POSITION_SHORT_ABOVE_MAX,
    Refusal.OPEN_ORDERS_ABOVE_MAX,
    Refusal.EXPOSURE_GROSS_ABOVE_MAX,
    Refusal.EXPOSURE_NET_ABOVE_MAX,
    Refusal.EXPOSURE_LONG_ABOVE_MAX,
    Refusal.DAY_LOSS_ABOVE_MAX,
    Refusal.REFERENCE_UNCONFIRMED,
)
LIMIT_MUTATIONS: tuple[Callable[[], Patch], ...] = (
    mark_not_said,
    sell_valued_at_its_limit,
    time_begins_anew,
    price_not_recorded,
    fills_add_no_exposure,
    closed_orders_work,
    book_lost_at_a_start,
    loss_not_looked_at,
    day_never_turns,
    unrealised_loss_forgotten,
    jump_counts_at_once,
    jump_never_counts,
)
