"""Which fees wait for a person: of fills that were recorded as `uncharged`. Pure.

Owns the answer to `uncharged_fills`: those fills alone that `accept_fill` would charge now, each
with what that is. Fills for desks that do not exist, and such as were accepted, busted or
forgotten since, are not among them.

How it works: what is remembered of fills is looked through row by row, so many rows at most for one
query, which takes some milliseconds; where the next one goes on, its cursor says.
"""

from typing import Final

from guard.admin.errors import AdminError
from guard.admin.shown_orders import UnchargedFill, UnchargedFillsReply
from guard.engine import remembered_rows
from guard.engine.amendments import AmendmentError, FillName, assess_acceptance
from guard.engine.state import GuardState
from guard.protocol.fields import FLAG_SETS, UNCHARGED
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

SCANNED_FILLS_MAX: Final = 2_000


def uncharged_fills(
    state: GuardState, desk: str | None, cursor: int, limit: int, now_ns: int
) -> UnchargedFillsReply:
    """A page. Raises AdminError for a desk that is not there."""
    if desk is not None and desk not in state.desks:
        raise AdminError("unknown_desk", "desk", f"there is no desk {desk!r}")
    orders, fill, answer = state.orders, Request(), Outcome()
    rows_end = remembered_rows.fill_row_end(orders)
    row, end = cursor, min(cursor + SCANNED_FILLS_MAX, rows_end)
    found: list[UnchargedFill] = []
    while row < end and len(found) < limit:
        key = remembered_rows.key_of_used_fill(orders, row)
        if key is not None and remembered_rows.is_beside(orders, row):
            key = None
        if key is not None and (desk is None or key.startswith(f"{desk}\0".encode())):
            orders.read_fill(row, fill, answer)
            if answer.flags & UNCHARGED:
                name = FillName(*key.decode().split("\0"))
                fee_microcents = _waiting_microcents(state, name, now_ns)
                if fee_microcents is not None:
                    flags, sequence = FLAG_SETS[answer.flags], answer.sequence
                    line = UnchargedFill(*name, fee_microcents, fill.quantity, flags, sequence)
                    found.append(line)
        row += 1
    next_cursor = row if row < rows_end else None
    return UnchargedFillsReply(found, next_cursor, state.next_sequence - 1)


def _waiting_microcents(state: GuardState, name: FillName, now_ns: int) -> int | None:
    """What would be charged if a person accepted the fill now; None where none can."""
    try:
        fields = assess_acceptance(state, name, now_ns)
    except AmendmentError:
        return None
    return None if fields is None else fields["fee_microcents"]
