"""Fills that name no order of ours: a queue of their own, the oldest first. Pure.

Owns the queue's ends in `guard.engine.remembered`, which has the rows. Each is remembered for as
long as a closed order, and not less long than those before it. One whose window was longer than
that of the one behind it stands in a list (`_outlasting`), so that this can be told.

How it fails: it does not.
"""

from typing import TYPE_CHECKING

from guard.engine.remembered_form import fill_sequence
from guard.engine.row_map import NO_ROW
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

if TYPE_CHECKING:
    from guard.engine.remembered import RememberedOrders

_NEXT_FILL, _FILL_EXPIRES = 0, 1  # of `guard.engine.remembered`'s rows of fills


def add(
    orders: "RememberedOrders",
    request: Request,
    outcome: Outcome,
    expires_at_ns: int,
    fills_max: int,
) -> None:
    """Remembers one; beyond `fills_max` of them the oldest goes."""
    row = orders._add_fill(request, outcome, NO_ROW, expires_at_ns)
    if orders._orphan_last == NO_ROW:
        orders._orphan_first = row
    else:
        orders._fills.set_value(orders._orphan_last, _NEXT_FILL, row)
        _note_outlasting(orders, expires_at_ns)
    orders._orphan_last = row
    orders._last_orphan_sequence = outcome.sequence
    orders._orphan_count += 1
    if orders._orphan_count > fills_max:
        forget_oldest(orders)


def forget_oldest(orders: "RememberedOrders") -> None:
    """Forgets the one that came first."""
    row = orders._orphan_first
    if orders._outlasting and orders._outlasting[0][0] == row:
        del orders._outlasting[0]
    orders._orphan_first = orders._fills.value(row, _NEXT_FILL)
    if orders._orphan_first == NO_ROW:
        orders._orphan_last = NO_ROW
    orders._fills.remove(row)
    orders._orphan_count -= 1


def is_outlasted(orders: "RememberedOrders", row: int, now_ns: int) -> bool:
    """Has one that came before this one, which has expired, not expired itself?"""
    if not orders._outlasting:
        return False
    sequence = fill_sequence(orders._fills.payload(row))
    return any(
        expires_at_ns > now_ns
        for _, earlier, expires_at_ns in orders._outlasting
        if earlier < sequence
    )


def _note_outlasting(orders: "RememberedOrders", expires_at_ns: int) -> None:
    """Lists the last one, if it outlasts the next one, which expires then."""
    last_expires_at_ns = orders._fills.value(orders._orphan_last, _FILL_EXPIRES)
    if last_expires_at_ns > expires_at_ns:
        orders._outlasting.append(
            (orders._orphan_last, orders._last_orphan_sequence, last_expires_at_ns)
        )
