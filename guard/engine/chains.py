# cython: annotation_typing=False, nonecheck=True
"""Orders that replace each other: a chain. Pure but for what is remembered of it.

Owns what a chain is. All of its orders are one at the venue, under one hold: what was filled, what
is held and the facts reported are the first order's (`guard.engine.remembered`), for as long as any
of them is open. One of them *stands*; another one may be *pending*, until the venue says which it
is. While there are two, the larger one counts, of lots as of money. How many lots were taken off is
each order's own, since a replace says a new total.

A chain has a row of its own (`CHAIN_ROW`) from its first replace on, and is forgotten with its
first order.

How it fails: `InvariantError` for rows that are none of a chain's.
"""

from typing import TYPE_CHECKING

from guard.engine import settling
from guard.engine.remembered_form import CHAIN_ROW, ORDER_ROW, OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.shares import DeskIds
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

if TYPE_CHECKING:
    from guard.engine.remembered import RememberedOrders

_NO_ROW = NO_ROW
_FIRST, _STANDING, _PENDING, _LOTS, _LOTS_EVER = range(len(CHAIN_ROW))
_HOLD, _FILLED, _RELEASE_SEQUENCE, _RELEASED, _REDUCED, _CHAIN = map(
    ORDER_ROW.index,
    ("hold_microcents", "filled_quantity", "release_sequence", "released_microcents",
     "reduced_quantity", "chain"),
)  # fmt: skip
_REPLACED = int(OrderPhase.REPLACED)
_LATE = -1  # in the place of what is open of one that was settled too late


def standing(orders: "RememberedOrders", first: int) -> int:
    """The row of the order that stands in that one's chain; its own where it is of none."""
    chain = orders.chain_of(first)
    return first if chain == 0 else orders._chains.value(chain - 1, _STANDING)


def pending(orders: "RememberedOrders", first: int) -> int:
    """The row of the one that waits for the venue's word; NO_ROW."""
    chain = orders.chain_of(first)
    return _NO_ROW if chain == 0 else orders._chains.value(chain - 1, _PENDING)


def lots_ever(orders: "RememberedOrders", first: int) -> int:
    """How many lots of the chain were admitted at most, at any time."""
    return orders._chains.value(orders.chain_of(first) - 1, _LOTS_EVER)


def admitted_of(orders: "RememberedOrders", first: int, lots: int, within: int) -> int:
    """How many of so many lots, `within` of which the order has left, were admitted at any time.

    Of a chain all that was ever admitted counts: the venue may have filled it before it was less.
    """
    if orders.chain_of(first) == 0:
        return within
    left_ever = lots_ever(orders, first) - orders.filled_quantity(first)
    return min(max(left_ever, 0), lots)


def lots(orders: "RememberedOrders", first: int) -> int:
    """How many lots the order may be filled with: of a chain the larger of its orders."""
    chain = orders.chain_of(first)
    if chain != 0:
        return orders._chains.value(chain - 1, _LOTS)
    orders.read(first)
    return lots_of(orders, first, orders.known)


def lots_of(orders: "RememberedOrders", row: int, order: Request) -> int:
    """How many lots that order asked for, less what was taken off; what is filled included."""
    off = orders._orders.value(row, _REDUCED)
    return order.quantity - off if off < order.quantity else 0


def lots_left(lots: int, filled: int) -> int:
    """What is open of so many."""
    return lots - filled if filled < lots else 0


def hold_of(orders: "RememberedOrders", row: int, filled: int) -> int:
    """What that order alone would hold with so many lots filled."""
    return _lots_and_hold(orders, row, filled, 0)[1]


def _lots_and_hold(orders: "RememberedOrders", row: int, filled: int, off: int) -> tuple[int, int]:
    """Of that order its lots, with so many more taken off, and what it would hold."""
    order, answer = Request(), Outcome()
    orders.read_into(row, order, answer)
    quantity, lots = order.quantity, lots_of(orders, row, order) - off
    left = lots_left(lots, filled)
    return lots, settling.hold_after(answer.notional_microcents, quantity - left, quantity)


def larger(
    orders: "RememberedOrders", first: int, filled: int, own: int = NO_ROW, off: int = 0
) -> tuple[int, int]:
    """How many lots of the chain may be filled at most, and what it holds with so many filled: as
    its larger order says, be it of lots or of money.

    `off`: how many more lots are taken off the order in row `own`.
    """
    stands, waits = standing(orders, first), pending(orders, first)
    lots, hold = _lots_and_hold(orders, stands, filled, off if stands == own else 0)
    if waits != _NO_ROW:
        of_other, held = _lots_and_hold(orders, waits, filled, off if waits == own else 0)
        lots = of_other if of_other > lots else lots
        hold = held if held > hold else hold
    return lots, hold


def held_with(orders: "RememberedOrders", first: int, left: int) -> int:
    """What the chain holds with so many lots left."""
    chain = orders.chain_of(first)
    filled = orders._chains.value(chain - 1, _LOTS) - left
    return larger(orders, first, filled)[1]


def begin(orders: "RememberedOrders", first: int) -> int:
    """The number of that order's chain, which begins with it if it is of none. It is read then."""
    chain = orders.chain_of(first)
    orders.read(first)
    if chain != 0:
        return chain
    # Nobody looks for it: it must be another one than that of each other chain.
    key = orders.known_outcome.sequence.to_bytes(8, "little")
    if orders._chains.find(key) != _NO_ROW:  # of an order of the same record
        key += first.to_bytes(8, "little")
    lots = lots_of(orders, first, orders.known)
    chain = orders._chains.add(key, b"", (first, first, _NO_ROW, lots, lots)) + 1
    orders._orders.put(first, _CHAIN, chain)
    orders.is_wide = orders.has_chains = True
    return chain


def add(
    orders: "RememberedOrders", share: DeskIds, first: int, request: Request, outcome: Outcome
) -> int:
    """Remembers an admitted replace: it waits beside the order that stands. Its row."""
    chain = begin(orders, first)
    row = orders.add(share, request, outcome, True)
    share.open_count -= 1  # the chain is one open order
    rows, chains = orders._orders, orders._chains
    rows.put(row, _HOLD, 0)
    rows.put(row, _CHAIN, -chain)
    chains.put(chain - 1, _PENDING, row)
    if request.quantity > chains.value(chain - 1, _LOTS):
        chains.put(chain - 1, _LOTS, request.quantity)
    if request.quantity > chains.value(chain - 1, _LOTS_EVER):
        chains.put(chain - 1, _LOTS_EVER, request.quantity)
    return row


def _count_lots(orders: "RememberedOrders", first: int) -> int:
    return orders._chains.put(orders.chain_of(first) - 1, _LOTS, larger(orders, first, 0)[0])


def take_off(orders: "RememberedOrders", row: int, lots: int) -> int:
    """So many more lots of that order were taken off."""
    orders._orders.put(row, _REDUCED, orders.reduced_quantity(row) + lots)
    return _count_lots(orders, orders.first_of(row))


def settle(
    orders: "RememberedOrders", row: int, outcome: Outcome, is_replaced: bool, is_late: bool
) -> int:
    """The venue has spoken of the pending order in that row; the row of the one that stands no
    more, or never did.

    What was answered is kept in the integers that an order which is not a chain's first has no use
    for.
    """
    first = orders.first_of(row)
    rows, chains, chain = orders._orders, orders._chains, orders.chain_of(first)
    sequence: int = outcome.sequence
    rows.put(row, _RELEASE_SEQUENCE, sequence if is_replaced else -sequence)
    rows.put(row, _HOLD, outcome.hold_microcents)
    rows.put(row, _RELEASED, outcome.released_microcents)
    rows.put(row, _FILLED, _LATE if is_late else outcome.open_quantity)
    ended = row
    if is_replaced:
        ended = chains.value(chain - 1, _STANDING)
        chains.put(chain - 1, _STANDING, row)
    chains.put(chain - 1, _PENDING, _NO_ROW)
    _count_lots(orders, first)
    return ended


def settled_by(orders: "RememberedOrders", row: int) -> int:
    """The record that said which of a replace became: below zero where it was rejected; 0: none."""
    return orders._orders.value(row, _RELEASE_SEQUENCE)


def put_settled(orders: "RememberedOrders", row: int, outcome: Outcome) -> int:
    """Puts what was answered then; whether it was too late."""
    rows = orders._orders
    open_quantity = rows.value(row, _FILLED)
    sequence = settled_by(orders, row)
    outcome.sequence = sequence if sequence > 0 else -sequence
    outcome.hold_microcents = rows.value(row, _HOLD)
    outcome.released_microcents = rows.value(row, _RELEASED)
    outcome.open_quantity = open_quantity if open_quantity != _LATE else 0
    return 1 if open_quantity == _LATE else 0


def sequence_of(orders: "RememberedOrders", row: int) -> int:
    """The record of the order in that row."""
    order, answer = Request(), Outcome()
    orders.read_into(row, order, answer)
    return answer.sequence
