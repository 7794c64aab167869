# cython: annotation_typing=False, nonecheck=True
"""What has expired of the remembered orders and fills is forgotten. Pure but for those.

Owns how much at once: some steps behind each record, of its own desk and of another one; an order's
fills one by one, then itself, and with the first order of a chain the chain. Under rules before
version 2 (`Shares.is_split` is false) all of it went at once, before the record was applied.

How it fails: it does not.
"""

from typing import TYPE_CHECKING, Final

from guard.engine import remembered_orphans
from guard.engine.remembered_form import ORDER_ROW
from guard.engine.row_map import NO_ROW
from guard.engine.shares import DeskIds

if TYPE_CHECKING:
    from guard.engine.remembered import RememberedOrders

FORGET_STEPS: Final = 32
_NO_ROW, _STEPS = NO_ROW, FORGET_STEPS
(_EXPIRES, _NEXT_CLOSED, _FIRST_FILL, _CLOSED_BEFORE, _CLOSED_AT, _SHARE, _CHAIN) = map(
    ORDER_ROW.index,
    ("expires_at_ns", "next_closed", "first_fill", "closed_before", "closed_at_ns", "share",
     "chain"),
)  # fmt: skip
_NEXT_FILL, _FILL_EXPIRES = 0, 1


def forget_expired(orders: "RememberedOrders", now_ns: int) -> int:
    """Forgets all that may be forgotten by `now_ns`: as was done before rules version 2."""
    share = orders.shares.of(0)
    rows, fills = orders._orders, orders._fills
    while share.closed_first != _NO_ROW:
        if rows.value(share.closed_first, _EXPIRES) > now_ns:
            break
        forget_order(orders, share.closed_first)
    while orders._orphan_first != _NO_ROW:
        if fills.value(orders._orphan_first, _FILL_EXPIRES) > now_ns:
            break
        remembered_orphans.forget_oldest(orders)
    return 0


def forget_some(orders: "RememberedOrders", share: DeskIds, sequence: int, now_ns: int) -> int:
    """Forgets of what may be forgotten by `now_ns`, behind record `sequence`.

    `share`: of the record's desk. Another one's turn comes by the sequence.
    """
    shares, fills = orders.shares, orders._fills
    _forget_of(orders, share, now_ns)
    other = shares.of(sequence % len(shares.all))
    if other is not share:
        _forget_of(orders, other, now_ns)
    for _step in range(_STEPS):
        if orders._orphan_first == _NO_ROW or (
            fills.value(orders._orphan_first, _FILL_EXPIRES) > now_ns
        ):
            break
        remembered_orphans.forget_oldest(orders)
    return 0


def _forget_of(orders: "RememberedOrders", share: DeskIds, now_ns: int) -> int:
    """Some of a share's: an order's fills one by one, then itself."""
    rows = orders._orders
    for _step in range(_STEPS):
        row = share.closed_first
        if row == _NO_ROW or rows.value(row, _EXPIRES) > now_ns:
            break
        fill_row = rows.value(row, _FIRST_FILL)
        if fill_row == _NO_ROW:
            forget_order(orders, row)
        else:
            _forget_fill(orders, share, row, fill_row)
    return 0


def _forget_fill(orders: "RememberedOrders", share: DeskIds, row: int, fill_row: int) -> int:
    """The last one that is left of an order's."""
    rows, fills = orders._orders, orders._fills
    rows.put(row, _FIRST_FILL, fills.value(fill_row, _NEXT_FILL))
    fills.remove(fill_row)
    if orders.shares.is_split:
        share.fills -= 1
    return 0


def forget_order(orders: "RememberedOrders", row: int) -> int:
    """A closed one, with all that is left of its fills."""
    rows, shares = orders._orders, orders.shares
    share = shares.of(rows.value(row, _SHARE))
    fill_row = rows.value(row, _FIRST_FILL)
    while fill_row != _NO_ROW:
        _forget_fill(orders, share, row, fill_row)
        fill_row = rows.value(row, _FIRST_FILL)
    before, behind = rows.value(row, _CLOSED_BEFORE), rows.value(row, _NEXT_CLOSED)
    if row == share.closed_first:
        share.closed_first = behind
        before = _NO_ROW
    else:
        rows.put(before, _NEXT_CLOSED, behind)
    if row == share.closed_last:
        share.closed_last = before
    else:
        rows.put(behind, _CLOSED_BEFORE, before)
    if shares.is_split:
        shares.drop_id(share)
        closed_at_ns = rows.value(row, _CLOSED_AT)
        if closed_at_ns > orders.forgotten_close_ns:
            orders.forgotten_close_ns = closed_at_ns
    chain = rows.value(row, _CHAIN)
    if chain > 0:
        orders._chains.remove(chain - 1)
    rows.remove(row)
    orders._known_row = _NO_ROW
    return 0
