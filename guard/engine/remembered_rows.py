"""What is seldom asked of what is remembered: by a fill's key, and for a row's names. Pure.

Owns the look-ups that no order's way needs (`guard.engine.remembered` has those): for facts that
came early, for what people say of fills, and for who lists orders and
fills.

How it fails: `InvariantError` for an early fill that is none.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from guard.engine.row_map import NO_ROW
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from kernel import InvariantError

if TYPE_CHECKING:
    from guard.engine.remembered import RememberedOrders

_NEVER = 2**63 - 1
# Of `guard.engine.remembered`'s rows.
_PHASE, _EXPIRES, _RELEASE_SEQUENCE, _FIRST_FILL, _FILL_COUNT, _SHARE = 0, 3, 4, 7, 10, 11
_CHAIN, _FILL_EXPIRES, _NEXT_CLOSED = 13, 1, 6
_STANDING, _PENDING = 1, 2  # of a chain's
_OPEN = 1
# How the payload of what stands beside fills begins: an array of twelve, as no fill's does.
BESIDE_MARK: Final = 0x9C


def id_of(orders: "RememberedOrders", row: int) -> tuple[str, str]:
    """The desk and the client order id of that row's order."""
    desk, _, client_order_id = orders._orders.key(row).decode().partition("\0")
    return desk, client_order_id


def ended_by(orders: "RememberedOrders", sequence: int) -> list[tuple[str, str, int]]:
    """The orders that record `sequence` canceled: desk, id, and what each freed in microcents."""
    rows, row, found = orders._orders, 0, []
    while (row := rows.find_value(_RELEASE_SEQUENCE, sequence, row, rows.row_end())) != NO_ROW:
        found.append((*id_of(orders, row), orders.released_microcents(row)))
        row += 1
    return found


def key_of(orders: "RememberedOrders", row: int) -> bytes:
    """The key of that row's order."""
    return orders._orders.key(row)


def is_member(orders: "RememberedOrders", row: int) -> bool:
    """Is that row's order one of a chain that another one begins, which has all there is of it?"""
    return orders._orders.value(row, _CHAIN) < 0


def live_rows(orders: "RememberedOrders", first: int) -> list[int]:
    """The rows of those that work of that order's chain: of the one that stands and of the one that
    waits for the venue's word; its own where it is of none."""
    chain = orders.chain_of(first)
    if not chain:
        return [first]
    rows = (orders._chains.value(chain - 1, field) for field in (_STANDING, _PENDING))
    return [row for row in rows if row != NO_ROW]


def works(orders: "RememberedOrders", row: int) -> bool:
    """Does the open order in that row work at its venue, or another one of its chain in its
    place?"""
    return row in live_rows(orders, orders.first_of(row))


def last_sent_at_ns(orders: "RememberedOrders", row: int, sent_at_ns: int) -> int:
    """When the last one was sent of that order, sent then, and those that close with it."""
    order = Request()
    for other in live_rows(orders, row):
        if other != row:
            orders.read_into(other, order, Outcome())
            sent_at_ns = max(sent_at_ns, order.sent_at_ns)
    return sent_at_ns


def fill_key_of(orders: "RememberedOrders", fill_key: bytes) -> bytes:
    """The key under which a fill is remembered that is said to be of that one's order: of a chain
    it is the first order's."""
    order_key, _, fill_id = fill_key.rpartition(b"\0")
    row = find_order(orders, order_key) if orders.has_chains else NO_ROW
    if row == NO_ROW or not is_member(orders, row) or find_fill(orders, fill_key) != NO_ROW:
        return fill_key
    return key_of(orders, orders.first_of(row)) + b"\0" + fill_id


def expires_at_ns(orders: "RememberedOrders", row: int) -> int:
    """From when on that row's order may be forgotten."""
    return orders._orders.value(row, _EXPIRES)


def next_closed(orders: "RememberedOrders", row: int) -> int:
    """The row of the order of its desk that was closed next; NO_ROW where none was yet."""
    return orders._orders.value(row, _NEXT_CLOSED)


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


def reduce_id_of(orders: "RememberedOrders", fact_row: int) -> str:
    """The name of that row's reduction within its order."""
    return fill_id_of(orders, fact_row).removeprefix("\1")


def find_order(orders: "RememberedOrders", order_key: bytes) -> int:
    """The row of the order remembered under that key, be it one that may be forgotten."""
    return orders._orders.find(order_key)


def find_fill(orders: "RememberedOrders", fill_key: bytes) -> int:
    """The row of the fill remembered under that key, be it one that may be forgotten."""
    return orders._fills.find(fill_key)


def is_fill_remembered(orders: "RememberedOrders", fill_key: bytes, sequence: int) -> bool:
    """Is the fill that record `sequence` says remembered under that key?"""
    row = orders._fills.find(fill_key)
    if row == NO_ROW:
        return False
    answer = Outcome()
    orders.read_fill(row, Request(), answer)
    return answer.sequence == sequence


def all_of(orders: "RememberedOrders", row: int) -> Iterator[int]:
    """The rows of that order's facts and of what is remembered beside them, the newest first."""
    fill_row = orders.first_fill(row)
    while fill_row != NO_ROW:
        yield fill_row
        fill_row = orders.next_fill(fill_row)


def facts_of(orders: "RememberedOrders", row: int) -> Iterator[int]:
    """The rows of that order's fills and reductions, the newest first."""
    return (one for one in all_of(orders, row) if not is_beside(orders, one))


def fills_of(orders: "RememberedOrders", row: int) -> Iterator[int]:
    """Those of its fills alone."""
    return (fact for fact in facts_of(orders, row) if not orders.is_reduction(fact))


def reductions_of(orders: "RememberedOrders", row: int) -> Iterator[int]:
    """Those of its reductions alone."""
    return (fact for fact in facts_of(orders, row) if orders.is_reduction(fact))


def beside_of(orders: "RememberedOrders", row: int) -> Iterator[int]:
    """The rows of what is remembered beside that order's facts, the newest first."""
    return (one for one in all_of(orders, row) if is_beside(orders, one))


def is_beside(orders: "RememberedOrders", row: int) -> bool:
    """Does that row, which is in use, hold neither a fill nor a reduction?"""
    return orders._fills.payload(row)[0] == BESIDE_MARK


def payload_beside(orders: "RememberedOrders", beside_row: int) -> bytes:
    """What was remembered in that row beside the fills of its order."""
    if not is_beside(orders, beside_row):
        raise InvariantError(f"row {beside_row} holds a fill")
    return orders._fills.payload(beside_row)


def add_beside(orders: "RememberedOrders", row: int, key: bytes, payload: bytes) -> None:
    """Remembers it beside the order's fills, in their number, for as long as the order."""
    if payload[0] != BESIDE_MARK:
        raise InvariantError("what is remembered beside fills begins as one")
    rows, shares = orders._orders, orders.shares
    added = orders._fills.add(key, payload, (rows.value(row, _FIRST_FILL), _NEVER))
    rows.set_value(row, _FIRST_FILL, added)
    share, count = shares.of(rows.value(row, _SHARE)), rows.value(row, _FILL_COUNT) + 1
    share.fills += 1
    rows.set_value(row, _FILL_COUNT, count)
    if count == shares.fills_per_order_near:
        share.crowded += rows.value(row, _PHASE) == _OPEN


def forget_early_fill(orders: "RememberedOrders", fill_key: bytes) -> None:
    """Forgets it: it has expired, or is to be recorded again with its order."""
    row = orders._fills.find(fill_key)
    if row == NO_ROW or orders._fills.value(row, _FILL_EXPIRES) == _NEVER:
        raise InvariantError(f"no early fill is remembered under {fill_key!r}")
    orders._fills.remove(row)
