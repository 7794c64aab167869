"""`cancel_all`: all open orders of a scope, up to a record, are off. Pure but for the state.

Owns the rule (`guard/PROTOCOL.md`, 5.3): one record closes each order of the scope that is open and
whose own record is not behind the named one, and frees what it holds, as a cancel does. Orders that
replace each other are closed as one, unless the record of one that works is behind that. What comes
free pays what its desk owes. The record says how many orders that were, and what came free; which
ones follows from the state, and is held against the record wherever it is applied.

Its work is linear in the orders that are looked at: those remembered, of which the open ones of the
scope's desk, or of all desks, are read. It is bounded: where more than `LOOKED_MAX` would be read,
or more than `ORDERS_MAX` closed, the request is refused.

How it fails: `InvariantError` for a record that closes other orders than there are, or frees
another amount.
"""

from typing import Final, NamedTuple

from guard.engine import chains, locating
from guard.engine.apply import close_canceled
from guard.engine.found import Desk
from guard.engine.remembered_rows import is_member, live_rows
from guard.engine.request_events import CanceledAllRecorded
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.messages import I64_MAX, CancelScope
from guard.protocol.request import Request
from kernel import Charged, InvariantError

SINCE_RULES: Final = 3
# Others wait while one record does it: some microseconds for each order that is read, and some ten
# for each that is closed.
LOOKED_MAX: Final = 16_384
ORDERS_MAX: Final = 1_024


class Ending(NamedTuple):
    """What would be closed: the orders' rows, what each desk has held for them, what would be paid
    of debts.
    """

    rows: list[int]
    released: dict[int, int]  # microcents, by the number of the desk's share
    collected_microcents: int

    @property
    def released_microcents(self) -> int:
        """All together; the end of the range where it is beyond."""
        return min(sum(self.released.values()), I64_MAX)


def assess(
    state: GuardState,
    scope: CancelScope,
    orders_max: int = ORDERS_MAX,
    looked_max: int = LOOKED_MAX,
) -> Ending | None:
    """What there is to close; None where it is more than one record may look at, or close."""
    if _open_count(state, scope) > looked_max:
        return None
    rows = _rows_of(state, scope, orders_max)
    if len(rows) > orders_max:
        return None
    released: dict[int, int] = {}
    for row in rows:
        number = state.orders.share_number(row)
        released[number] = released.get(number, 0) + state.orders.hold_microcents(row)
    collected = sum(
        desk.debt_paid_by(_free(state, desk) + released[desk.share])
        for desk in _owing(state, released)
    )
    return Ending(rows, released, collected)


def _open_count(state: GuardState, scope: CancelScope) -> int:
    """How many open orders have to be read."""
    shares = state.orders.shares
    if scope.of_desk is not None:
        return int(shares.of(state.desks[scope.of_desk].share).open_count)
    return sum(share.open_count for share in shares.all)


def _rows_of(state: GuardState, scope: CancelScope, orders_max: int) -> list[int]:
    """The rows of the scope's open orders, as they were admitted; one too many ends the search."""
    orders = state.orders
    end, left = orders.row_end(), _open_count(state, scope)
    number = 0 if scope.of_desk is None else state.desks[scope.of_desk].share
    found: list[tuple[int, int]] = []
    row = orders.find_open(0, end) if left else NO_ROW
    while row != NO_ROW and len(found) <= orders_max:
        is_other = is_member(orders, row) or (number and orders.share_number(row) != number)
        if not is_other:
            left -= 1
            if _is_meant(state, row, scope):
                found.append((orders.known_outcome.sequence, row))
        row = orders.find_open(row + 1, end) if left else NO_ROW
    return [row for _, row in sorted(found)]


def _is_meant(state: GuardState, row: int, scope: CancelScope) -> bool:
    orders = state.orders
    orders.read(row)
    answer = orders.known_outcome
    return (
        answer.sequence <= scope.through_sequence
        and (not orders.has_chains or _is_whole(state, row, scope.through_sequence))
        and scope.of_symbol in (None, orders.known.symbol)
        and scope.of_venue in (None, answer.venue)
    )


def _is_whole(state: GuardState, row: int, through_sequence: int) -> bool:
    """Of orders that replace each other: is none that works behind that record?"""
    orders = state.orders
    rows = live_rows(orders, row)
    return all(chains.sequence_of(orders, one) <= through_sequence for one in rows)


def _owing(state: GuardState, released: dict[int, int]) -> list[Desk]:
    """The desks among these that owe fees."""
    return [
        desk
        for desk in state.desks.values()
        if desk.unpaid_fees_microcents and desk.share in released
    ]


def _free(state: GuardState, desk: Desk) -> int:
    line = state.ledger.line(desk.name)
    assert line is not None  # opened with the desk
    return int(line.remaining)


def apply_canceled_all(state: GuardState, event: CanceledAllRecorded) -> None:
    """Folds a record into the state."""
    sequence, answer = state.next_sequence, event.answer
    ending = assess(state, event.cancel_all)
    said = (answer.orders, answer.released_microcents, answer.collected_microcents or 0)
    if ending is None or said != (
        len(ending.rows), ending.released_microcents, ending.collected_microcents,
    ):  # fmt: skip
        raise InvariantError(f"record {sequence} closes {said}, there is {ending and ending[1:]}")
    request = Request()
    request.received_at_ns = event.received_at_ns
    for row in ending.rows:
        used = locating.used_by(state, row) if state.has_locates else 0
        close_canceled(state, row, request, sequence)
        if used:
            locating.note_change(state, row, used)
    for desk in _owing(state, ending.released):
        collected = desk.debt_paid_by(_free(state, desk))
        if collected and not isinstance(state.ledger.charge(desk.name, collected), Charged):
            raise InvariantError(f"record {sequence} collects {collected} of {desk.name}")
        desk.collect(collected)
