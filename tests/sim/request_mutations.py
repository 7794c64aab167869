"""Planted bugs of requests about open orders: see `sim.mutations`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from guard.engine import cancel_all, chains, reducing, remembered_whole, replacing
from guard.engine.remembered import RememberedOrders
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.fields import REDUCE
from guard.protocol.messages import CancelScope
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from kernel.ledger_trial import LedgerTrial

Patch = AbstractContextManager[Any]


def reduction_counted_again() -> Patch:
    """A reduction that is sent again takes off its lots again."""
    find = RememberedOrders.find_fill

    def find_fill(self: RememberedOrders, request: Request, now_ns: int) -> int:
        return NO_ROW if request.kind == REDUCE else find(self, request, now_ns)

    return patch.object(RememberedOrders, "find_fill", find_fill)


def cancel_all_beyond_its_record() -> Patch:
    """It closes what was admitted behind the record that it names, too."""
    return patch.object(cancel_all, "_is_meant", _is_of_scope)


def _is_of_scope(state: GuardState, row: int, scope: CancelScope) -> bool:
    state.orders.read(row)
    return scope.of_symbol in (None, state.orders.known.symbol)


def cancel_all_collects_nothing() -> Patch:
    """What comes free by it pays no debt."""
    return patch.object(cancel_all, "_owing", lambda *_: [])


def reduction_works_on() -> Patch:
    """What was taken off still works."""
    return patch.object(reducing.positioning, "note_reduced", lambda *_: 0)


def late_reduction_not_flagged() -> Patch:
    """A reduction of an order that is closed says nothing of that."""
    return patch.object(reducing, "REDUCED_LATE", 0)


def reduction_forgotten_by_fills() -> Patch:
    """A fill knows nothing of what was taken off before it."""

    def left(self: RememberedOrders, row: int) -> int:
        return max(0, self.known.quantity - self.filled_quantity(row))

    return patch.object(RememberedOrders, "left", left)


def checkpoint_without_reductions() -> Patch:
    """Checkpoints do not keep what was taken off."""
    dump = remembered_whole.dump

    def narrow(orders: RememberedOrders) -> Any:
        was, orders.is_wide = orders.is_wide, False
        yield from dump(orders)
        orders.is_wide = was

    return patch.object(remembered_whole, "dump", narrow)


def replace_holds_no_more() -> Patch:
    """What a replace adds is not held."""
    return patch.object(replacing, "raise_hold", lambda *_: True)


def replace_works_no_more() -> Patch:
    """What a replace adds does not work."""
    return patch.object(replacing.positioning, "note_more", lambda *_: 0)


def rejected_replace_stands() -> Patch:
    """The order whose replace the venue has rejected stands no more."""
    settle = chains.settle

    def confused(
        orders: RememberedOrders, row: int, outcome: Outcome, is_replaced: bool, is_late: bool
    ) -> int:
        return settle(orders, row, outcome, True, is_late)

    return patch.object(chains, "settle", confused)


def fill_counted_under_either_id() -> Patch:
    """The same fill under the other id of an order counts again."""
    return patch.object(RememberedOrders, "fill_key", RememberedOrders.said_fill_key)


def any_replace_lowers_risk() -> Patch:
    """A dearer price is taken for less risk."""
    return patch.object(replacing, "_is_no_easier", lambda *_: True)


def tried_orders_stay() -> Patch:
    """What was held for orders that were then refused together stays held."""
    return patch.object(LedgerTrial, "undo", lambda _: None)


def orders_tried_alone() -> Patch:
    """No order's money counts against those that are to stand with it."""
    real = LedgerTrial.hold

    def hold(self: LedgerTrial, amount_microcents: int) -> int:
        number = real(self, amount_microcents)
        self._line.remaining, self._line.reserved = self._before[:2]
        return number

    return patch.object(LedgerTrial, "hold", hold)


REQUEST_MUTATIONS: tuple[Callable[[], Patch], ...] = (
    reduction_counted_again,
    cancel_all_beyond_its_record,
    reduction_works_on,
    late_reduction_not_flagged,
    reduction_forgotten_by_fills,
    checkpoint_without_reductions,
    replace_holds_no_more,
    replace_works_no_more,
    rejected_replace_stands,
    fill_counted_under_either_id,
    any_replace_lowers_risk,
    tried_orders_stay,
    orders_tried_alone,
)
