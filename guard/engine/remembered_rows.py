"""What is seldom asked of what is remembered: by a fill's key, and for a row's names. Pure.

Owns the look-ups that no order's way needs (`guard.engine.remembered` has those): for facts that
came early, for what people say of fills, and for who lists orders and
fills.

How it fails: `InvariantError` for an early fill that is none.
"""

from typing import TYPE_CHECKING

from guard.engine.row_map import NO_ROW
from kernel import InvariantError

if TYPE_CHECKING:
    from guard.engine.remembered import RememberedOrders

_NEVER = 2**63 - 1
_EXPIRES, _FILL_EXPIRES = 3, 1  # of `guard.engine.remembered`'s rows


def id_of(orders: "RememberedOrders", row: int) -> tuple[str, str]:
    """The desk and the client order id of that row's order."""
    desk, _, client_order_id = orders._orders.key(row).decode().partition("\0")
    return desk, client_order_id


def expires_at_ns(orders: "RememberedOrders", row: int) -> int:
    """From when on that row's order may be forgotten."""
    return orders._orders.value(row, _EXPIRES)


def key_of_fill(orders: "RememberedOrders", fill_row: int) -> bytes:
    """The key of the fill in that row."""
    return orders._fills.key(fill_row)


def fill_row_end(orders: "RememberedOrders") -> int:
    """Behind the last row that a fill ever had."""
    return orders._fills.row_end()


def key_of_used_fill(orders: "RememberedOrders", fill_row: int) -> bytes | None:
    """The key of the fill in that row; None where no fill is."""
    try:
        return orders._fills.key(fill_row)
    except InvariantError:  # what a row map says of a row that is not in use
        return None


def fill_id_of(orders: "RememberedOrders", fill_row: int) -> str:
    """The name of that row's fill within its order."""
    return key_of_fill(orders, fill_row).decode().rpartition("\0")[2]


def find_order(orders: "RememberedOrders", order_key: bytes) -> int:
    """The row of the order remembered under that key, be it one that may be forgotten."""
    return orders._orders.find(order_key)


def find_fill(orders: "RememberedOrders", fill_key: bytes) -> int:
    """The row of the fill remembered under that key, be it one that may be forgotten."""
    return orders._fills.find(fill_key)


def forget_early_fill(orders: "RememberedOrders", fill_key: bytes) -> None:
    """Forgets it: it has expired, or is to be recorded again with its order."""
    row = orders._fills.find(fill_key)
    if row == NO_ROW or orders._fills.value(row, _FILL_EXPIRES) == _NEVER:
        raise InvariantError(f"no early fill is remembered under {fill_key!r}")
    orders._fills.remove(row)
