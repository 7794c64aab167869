"""What is done with all that is remembered at once. Pure.

Owns how `guard.engine.remembered` is dumped and loaded for checkpoints, and the two changes that
touch every closed order: the split into shares where rules version 2 begins, and the end of the
waiting where a person has accepted an earlier clock. Each walks over all there is, at a start.

Before rules version 2 a dump has one queue, and the first eight integers of an order's row: that a
log's old checkpoints are told by the digest of it.

How it fails: `InvariantError` for a dump that does not hold together.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from guard.engine.remembered_form import NARROW_FIELDS, fill_sequence
from guard.engine.row_map import NO_ROW, Reader
from guard.engine.shares import SHARE_FIELDS, Shares
from guard.protocol.outcome import Outcome
from guard.protocol.ranges import TIME_NS_MAX
from guard.protocol.request import Request
from kernel import InvariantError

if TYPE_CHECKING:
    from guard.engine.remembered import RememberedOrders

SHARES_MAX: Final = 1_000_000  # more desks than the head of a checkpoint has room for
_QUEUES: Final = struct.Struct("<qqqqqq")
_SHARED: Final = struct.Struct("<qqqqq")  # orphans, the newest close forgotten, how many shares
_SHARE_VALUES: Final = struct.Struct(f"<{len(SHARE_FIELDS)}q")
_FIELDS_BEFORE_SHARES: Final = 8
# Of an order's row, as `guard.engine.remembered.ORDER_ROW` has them.
_PHASE, _EXPIRES, _NEXT_CLOSED, _FIRST_FILL = 0, 3, 6, 7
_CLOSED_BEFORE, _CLOSED_AT, _FILL_COUNT, _SHARE, _CHAIN = 8, 9, 10, 11, 13
_FIRST, _STANDING, _PENDING = 0, 1, 2  # of a chain's, as CHAIN_ROW
_NEXT_FILL, _FILL_EXPIRES = 0, 1
_OPEN = 1


def dump(orders: "RememberedOrders") -> Iterator[bytes]:
    """All that is remembered, in pieces: equal for equal histories."""
    orphans = (orders._orphan_first, orders._orphan_last, orders._orphan_count)
    shares = orders.shares
    if shares.is_split:
        yield _SHARED.pack(*orphans, orders.forgotten_close_ns, len(shares.all))
        for share in shares.all:
            yield _SHARE_VALUES.pack(*share.values())
        yield from orders._orders.dump(0 if orders.is_wide else NARROW_FIELDS)
    else:
        first = shares.of(0)
        yield _QUEUES.pack(
            first.closed_first, first.closed_last, *orphans, first.last_expires_at_ns
        )
        yield from orders._orders.dump(_FIELDS_BEFORE_SHARES)
    yield from orders._fills.dump()
    if orders.has_chains:
        yield from orders._chains.dump()


def load(
    orders: "RememberedOrders", read: Reader, is_split: bool, is_wide: bool, has_chains: bool
) -> None:
    """Becomes what `dump` wrote; `is_split`: as its shares were; the others: as they were."""
    shares = orders.shares = Shares()
    shares.is_split = is_split
    first = shares.of(0)
    if is_split:
        *orphans, orders.forgotten_close_ns, share_count = _SHARED.unpack(read(_SHARED.size))
        if not 0 < share_count <= SHARES_MAX:
            raise InvariantError(f"{share_count} shares are dumped; from 1 to {SHARES_MAX}")
        for number in range(share_count):
            share = first if number == 0 else shares.of(shares.open_desk())
            share.take_values(_SHARE_VALUES.unpack(read(_SHARE_VALUES.size)))
    else:
        first.closed_first, first.closed_last, *orphans, first.last_expires_at_ns = _QUEUES.unpack(
            read(_QUEUES.size)
        )
    orders._orphan_first, orders._orphan_last, orders._orphan_count = orphans
    orders._known_row = NO_ROW
    orders.is_wide, orders.has_chains = is_wide, has_chains
    narrow = NARROW_FIELDS if is_split else _FIELDS_BEFORE_SHARES
    orders._orders.load(read, 0 if is_wide else narrow)
    orders._fills.load(read)
    if has_chains:
        orders._chains.load(read)
        _check_chains(orders)
    if is_split and sum(share.ids for share in shares.all) != len(orders):
        raise InvariantError(f"the dumped shares are not of {len(orders)} orders")
    _count_open(orders)
    _find_outlasting(orders)


def _check_chains(orders: "RememberedOrders") -> None:
    """Each has its first order, and the others of it lead there."""
    rows, chains = orders._orders, orders._chains
    count = 0
    for chain in chains.rows():
        first = chains.value(chain, _FIRST)
        if rows.value(first, _CHAIN) != chain + 1:
            raise InvariantError(f"a dumped chain begins in row {first}, which is of another")
        for other in (chains.value(chain, _STANDING), chains.value(chain, _PENDING)):
            if other not in (NO_ROW, first) and rows.value(other, _CHAIN) != -chain - 1:
                raise InvariantError(f"the order in row {other} is not of its dumped chain")
    for row in rows.rows():
        count += rows.value(row, _CHAIN) > 0
    if count != len(chains):
        raise InvariantError(f"{len(chains)} chains are dumped, and {count} orders begin one")


def _count_open(orders: "RememberedOrders") -> None:
    """Walks over the orders, once, for how many of each share are open, a chain as one."""
    shares, end = orders.shares, orders.row_end()
    row = orders.find_open(0, end)
    while row != NO_ROW:
        number = orders.share_number(row)
        if not 0 <= number < len(shares.all):
            raise InvariantError(f"an open order is of share {number} of {len(shares.all)}")
        shares.of(number).open_count += orders._orders.value(row, _CHAIN) >= 0
        row = orders.find_open(row + 1, end)


def _find_outlasting(orders: "RememberedOrders") -> None:
    """Walks over the orphans, once, for what `_outlasting` lists of them."""
    count, fills = orders._orphan_count, orders._fills
    orders._outlasting = []
    if count > len(fills):
        raise InvariantError(f"{count} orphans are among {len(fills)} dumped fills")
    row, last, last_expires_at_ns = orders._orphan_first, NO_ROW, 0
    for _ in range(count):
        expires_at_ns = fills.value(row, _FILL_EXPIRES)
        if last_expires_at_ns > expires_at_ns:
            sequence = fill_sequence(fills.payload(last))
            orders._outlasting.append((last, sequence, last_expires_at_ns))
        last, last_expires_at_ns = row, expires_at_ns
        row = fills.value(row, _NEXT_FILL)
    if row != NO_ROW or last != orders._orphan_last:
        raise InvariantError(f"the queue of {count} dumped orphans ends elsewhere")
    orders._last_orphan_sequence = 0 if last == NO_ROW else fill_sequence(fills.payload(last))


def split(orders: "RememberedOrders", numbers: Mapping[str, int], now_ns: int) -> None:
    """Gives each desk a share with what is remembered of it: rules version 2 begins at `now_ns`.

    `numbers`: of the desks' shares, which are open and empty. When an order of before was closed
    is not known, nor what was forgotten: all of that was by `now_ns`, so nothing sent until then is
    new any more.
    """
    shares, rows, fills = orders.shares, orders._orders, orders._fills
    first = shares.of(0)
    row, first.closed_first, first.closed_last = first.closed_first, NO_ROW, NO_ROW
    first.last_expires_at_ns = first.open_count = 0
    orders.forgotten_close_ns = now_ns
    for each in rows.rows():
        share = shares.of(numbers.get(rows.key(each).split(b"\0")[0].decode(), 0))
        fill_row, count = rows.value(each, _FIRST_FILL), 0
        while fill_row != NO_ROW:
            fill_row, count = fills.value(fill_row, _NEXT_FILL), count + 1
        share.ids, share.fills = share.ids + 1, share.fills + count
        share.open_count += rows.value(each, _PHASE) == _OPEN
        if count >= shares.fills_per_order_near and rows.value(each, _PHASE) == _OPEN:
            share.crowded += 1
        for field, value in (
            (_CLOSED_BEFORE, NO_ROW), (_CLOSED_AT, 0), (_FILL_COUNT, count), (_SHARE, share.number)
        ):  # fmt: skip
            rows.set_value(each, field, value)
    request, outcome = Request(), Outcome()
    while row != NO_ROW:
        behind = rows.value(row, _NEXT_CLOSED)
        orders.read_into(row, request, outcome)
        rows.set_value(row, _CLOSED_AT, request.sent_at_ns)
        _enqueue(orders, row, rows.value(row, _EXPIRES))
        row = behind
    shares.set_ids_max(shares.ids_max)


def end_waiting(orders: "RememberedOrders", now_ns: int, window_ns: int) -> None:
    """Nothing was closed later than `now_ns`, whatever a clock that was ahead has said.

    So nothing need be remembered for longer than if it were closed now; what was sent later,
    counted from then.
    """
    request, outcome = Request(), Outcome()
    rows = orders._orders
    for share in orders.shares.all:
        row, share.closed_first, share.closed_last = share.closed_first, NO_ROW, NO_ROW
        share.last_expires_at_ns = 0
        while row != NO_ROW:
            behind = rows.value(row, _NEXT_CLOSED)
            closed_at_ns = rows.value(row, _CLOSED_AT)
            if closed_at_ns > now_ns:
                orders.read_into(row, request, outcome)
                closed_at_ns = max(request.sent_at_ns, now_ns)
                rows.set_value(row, _CLOSED_AT, closed_at_ns)
            last_ns = max(closed_at_ns, now_ns) + window_ns + 1
            _enqueue(orders, row, min(rows.value(row, _EXPIRES), last_ns, TIME_NS_MAX))
            row = behind
    row, last_ns = orders._orphan_first, min(now_ns + window_ns, TIME_NS_MAX)
    while row != NO_ROW:
        if orders._fills.value(row, _FILL_EXPIRES) > last_ns:
            orders._fills.set_value(row, _FILL_EXPIRES, last_ns)
        row = orders._fills.value(row, _NEXT_FILL)
    _find_outlasting(orders)


def _enqueue(orders: "RememberedOrders", row: int, expires_at_ns: int) -> None:
    """Puts a closed order at the end of its desk's queue."""
    orders._orders.set_value(row, _NEXT_CLOSED, NO_ROW)
    orders._enqueue(orders.shares.of(orders._orders.value(row, _SHARE)), row, expires_at_ns)
