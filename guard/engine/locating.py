"""How many lots of its locate an order uses, and what comes back. Pure but for the locates.

Owns the rule (`guard/PROTOCOL.md`, 3.5): an order is admitted with so many of its lots located, the
last of them that could be filled. All of these are used while it is open, less those that were
taken off; once it is closed, those that were filled: a late fill uses them again. So what was
neither filled nor can be comes back. A bust gives nothing back. Orders that replace each other use
the locate of the first one, as far as the larger of them can still be filled.

`guard.engine.apply` calls this around what it folds, where there are locates at all.
"""

from guard.engine import chains
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState


def used_by(state: GuardState, row: int) -> int:
    """How many lots the order in that row uses now of its locate, if that is still there."""
    orders = state.orders
    if row == NO_ROW or orders.phase(row) == OrderPhase.REFUSED:
        return 0
    lots = chains.lots(orders, row)
    orders.read(row)
    located = orders.known_outcome.located_lots
    locate = state.locates.get(orders.known.locate_id) if located else None
    # One that was added since, under the same id, is another one.
    if locate is None or orders.known_outcome.sequence < locate.sequence:
        return 0
    covered = orders.known.quantity - located
    if orders.phase(row) == OrderPhase.OPEN:
        return min(max(0, lots - covered), located)
    return min(max(0, orders.filled_quantity(row) - covered), located)


def note_change(state: GuardState, row: int, used_before: int) -> None:
    """A record has changed the order in that row, which used so many before."""
    used = used_by(state, row)
    if used != used_before:
        state.locates.use(state.orders.known.locate_id, used - used_before)
