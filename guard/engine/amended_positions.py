"""What is said of a fill afterwards moves positions, too. Pure but for the positions.

Owns the rule for fills that a person busts or corrects: one that counted is traded back for what it
was traded for, and where it was corrected traded again as it was said. Neither frees a hold, nor
makes anything work. Of a corrected fill no more lots are confirmed than when it was recorded. Where
an execution of another symbol or side counts in a fill's place (`guard.engine.execution`), that is
what is traded back.

A fill counted that was recorded since positions are kept and whose order was known then: of an
order that was refused only while that is remembered. What did not count is not traded back.

How it fails: it does not.
"""

from typing import Final, NamedTuple

from guard.engine import chains, remembered_rows
from guard.engine.execution_rows import Answered, lots_moved, other_leg, read
from guard.engine.positions import BUY, NO_POSITION, POSITION_ROW
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.fields import EXECUTED, REDUCED_LATE, REFUSED
from guard.protocol.messages import I64_MAX
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

_ENDING: Final = tuple(map(POSITION_ROW.index, ("position_lots", "bought_lots", "sold_lots")))


class Traded(NamedTuple):
    """A fill's lots and its price in ticks; None: its order's."""

    quantity: int
    price: int | None


def note_amended(
    state: GuardState, fill_key: bytes, fill_sequence: int, before: Traded, after: Traded | None
) -> None:
    """The fill counted as `before`, and counts as `after` from now on; None: not at all."""
    positions, orders = state.positions, state.orders
    if not positions.is_kept or fill_sequence < positions.since_sequence:
        return
    order_row = remembered_rows.find_order(orders, fill_key.rpartition(b"\0")[0])
    if order_row == NO_ROW:
        return
    orders.read(order_row)
    order, desk_number = orders.known, orders.share_number(order_row)
    worth = state.worth_of(order)
    if worth is None or desk_number == 0 or orders.known_outcome.sequence > fill_sequence:
        return
    confirmed = confirmed_lots(state, order_row, fill_key, fill_sequence)
    if confirmed is None:
        return
    row = positions.obtain(desk_number, worth.number)
    is_corrected = state.facts.amendment_of(fill_key, fill_sequence).is_corrected
    leg = None if is_corrected else other_leg(state, order_row, fill_key)
    waiting = state.executions.unconfirmed.pop(fill_key, None)
    if waiting is not None:  # what of it is confirmed has not counted yet
        positions.pend(row, order.side, -waiting.lots)
    if leg is not None:
        _trade_back(state, desk_number, leg)
    own_before = before if leg is None else None
    for traded, move in ((own_before, positions.undo), (after, positions.trade)):
        if traded is not None:
            price = order.price if traded.price is None else traded.price
            microcents = worth.traded_microcents(traded.quantity, price, order.side == BUY)
            lots = min(confirmed, traded.quantity) if waiting is None else 0
            move(row, order.side, traded.quantity, lots, microcents)
    if waiting is not None and after is not None:
        lots = min(confirmed, after.quantity)
        positions.pend(row, order.side, lots)
        state.executions.unconfirmed[fill_key] = waiting._replace(lots=lots)


def _trade_back(state: GuardState, desk_number: int, leg: Answered) -> None:
    """What an execution of another symbol or side has moved, as far as there is such a symbol."""
    positions = state.positions
    number = positions.symbols.get(leg.symbol)
    worth = None if number is None else positions.exposure.book(number).worth
    if worth is None:
        return
    microcents = worth.traded_microcents(leg.quantity, leg.price, leg.side == BUY)
    row = positions.obtain(desk_number, worth.number)
    positions.undo(row, leg.side, leg.quantity, 0, microcents)


def words_at_end(state: GuardState, fill_key: bytes) -> list[str]:
    """A sentence where the position of a fill stands at the end of what is counted.

    What was beyond the end was not counted: moved back from there the position is another one.
    """
    positions = state.positions
    order_row = remembered_rows.find_order(state.orders, fill_key.rpartition(b"\0")[0])
    if not positions.is_kept or order_row == NO_ROW:
        return []
    state.orders.read(order_row)
    symbol = state.orders.known.symbol
    worth, desk_number = state.worth_of(state.orders.known), state.orders.share_number(order_row)
    row = NO_POSITION if worth is None else positions.find(desk_number, worth.number)
    if row == NO_POSITION or all(abs(positions.value(row, at)) < I64_MAX for at in _ENDING):
        return []
    desk = fill_key.partition(b"\0")[0].decode()
    return [
        f"position of {desk} in {symbol}: it was counted as far as 2^63-1, and what was beyond is "
        "lost, so that it may be wrong from here on: hold it against the venue's"
    ]


def confirmed_lots(
    state: GuardState, order_row: int, fill_key: bytes, fill_sequence: int
) -> int | None:
    """How many lots of a fill were within its order; None where it counted nothing."""
    orders, fill, answer = state.orders, Request(), Outcome()
    fill_row = remembered_rows.find_fill(orders, fill_key)
    if orders.phase(order_row) == OrderPhase.REFUSED:
        orders.read_fill(fill_row, fill, answer)
        return 0 if answer.flags & (REFUSED | EXECUTED) else None
    order_key, _, fill_id = fill_key.rpartition(b"\0")
    order, venue = orders.known, orders.known_outcome.venue
    is_chain = orders.chain_of(order_row) != 0
    left = chains.lots_ever(orders, order_row) if is_chain else order.quantity
    confirmed, at_most, is_there = 0, I64_MAX, False
    # Each has what those that came before it have left, reductions too.
    for row in reversed(list(remembered_rows.all_of(orders, order_row))):
        if remembered_rows.is_beside(orders, row):
            lots = lots_moved(state, row, order_key)
            execution_id, at_venue, said = read(state, row)
            is_own = (execution_id.encode(), at_venue) == (fill_id, venue)
            is_own = is_own and (said.symbol, said.side) == (order.symbol, order.side)
            at_most = said.quantity if is_own else at_most
        else:
            orders.read_fill(row, fill, answer)
            is_own = row == fill_row
            is_reported = bool(answer.flags & EXECUTED)
            # What was taken off late was not; of a chain all that was ever admitted counts.
            is_idle = orders.is_reduction(row) and (is_chain or answer.flags == REDUCED_LATE)
            lots = 0 if is_idle or is_reported else fill.quantity
            if is_own and not is_reported:  # an execution before it was busted
                confirmed, at_most = 0, I64_MAX
            is_there |= is_own
        if is_own:
            confirmed += min(lots, left)
        left = max(0, left - lots)
    return min(confirmed, at_most) if is_there else None
