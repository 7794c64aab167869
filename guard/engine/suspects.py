"""Open orders that should not be open any more: *suspect* ones. Pure; changes nothing.

Owns the rule (`guard/PROTOCOL.md`, 3.5): an `ioc` or `fok` order that is still open
`immediate_order_s` after the guard received it, and a `day` order that is open when the session of
its venue has ended, where the limits say so at all; and an order with a replace of which the venue
has not spoken `immediate_order_s` after the guard received that. The venue has ended it, or has
spoken, and nobody has told the guard. It is shown and told, and nothing else: what it holds stays
held, until the venue's word is reported, a cancel, or a person, frees it, or the close of a day
that releases `day` orders. No decision asks.

How it fails: it does not.
"""

from typing import Any

from msgspec import UNSET

from guard.engine import chains
from guard.engine.remembered_rows import id_of, is_member
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.limits import IMMEDIATE_ORDER, NO_LIMIT, UNSAID, LimitScope
from guard.protocol.messages import TIMES_IN_FORCE
from guard.protocol.outcome import Outcome
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.protocol.request import Request

_IMMEDIATE = {TIMES_IN_FORCE.index(word) for word in (b"ioc", b"fok")}
_DAY = TIMES_IN_FORCE.index(b"day")
_DAY_NS = 86_400 * NANOSECONDS_PER_SECOND


def session_end_ns(since_ns: int, second: int) -> int:
    """When a session that ends at that second of each UTC day ends next, behind that time."""
    end_ns = since_ns // _DAY_NS * _DAY_NS + second * NANOSECONDS_PER_SECOND
    return end_ns if end_ns > since_ns else end_ns + _DAY_NS


def is_suspect(state: GuardState, row: int, now_ns: int) -> bool:
    """Is the open order in that row suspect by now? Of a chain: in its first order's."""
    if not state.has_limits:
        return False
    orders, order, answer = state.orders, Request(), Outcome()
    waits = chains.pending(orders, row)
    orders.read_into(chains.standing(orders, row), order, answer)
    if order.time_in_force == _DAY and answer.received_at_ns != 0:
        second = _end_of(state, answer.venue)
        if second is not None and now_ns >= session_end_ns(answer.received_at_ns, second):
            return True
    is_immediate = order.time_in_force in _IMMEDIATE
    if waits != NO_ROW:
        orders.read_into(waits, order, answer)
    received_at_ns = answer.received_at_ns
    if (waits == NO_ROW and not is_immediate) or received_at_ns == 0:
        return False
    desk, worth = state.desks.get(id_of(orders, row)[0]), state.worth_of(order)
    if desk is None or worth is None:
        return False
    seconds = state.limits.effective(desk.limit_class, worth.limit_class).value(IMMEDIATE_ORDER)
    if seconds in (UNSAID, NO_LIMIT):
        return False
    return now_ns - received_at_ns >= seconds * NANOSECONDS_PER_SECOND


def _end_of(state: GuardState, venue: int) -> int | None:
    """The second of the day at which that venue's session ends; None where no limit says so."""
    firm = state.limits.scope_of("", "")
    ends = () if firm is None else firm.session_ends or ()
    return next((end.second for end in ends if end.venue == venue), None)


def suspects(state: GuardState, now_ns: int, most: int) -> tuple[list[dict[str, Any]], int]:
    """The first so many of the suspect orders by now, in their order, and how many there are."""
    orders, found, count = state.orders, list[dict[str, Any]](), 0
    row = orders.find_open(0, orders.row_end()) if state.has_limits else NO_ROW
    while row != NO_ROW:
        if not is_member(orders, row) and is_suspect(state, row, now_ns):
            count += 1
            if count <= most:
                desk, client_order_id = id_of(orders, row)
                held = orders.hold_microcents(row)
                found.append(
                    {"desk": desk, "client_order_id": client_order_id, "held_microcents": held}
                )
        row = orders.find_open(row + 1, orders.row_end())
    return found, count


class SuspectSweep:
    """Looks at all open orders, a part of them at a time, and counts the suspect ones.

    `count`: of the last sweep that came to its end.
    """

    def __init__(self, state: GuardState, rows_max: int) -> None:
        """`rows_max`: how many remembered orders a step looks at."""
        self._state, self._rows_max = state, rows_max
        self._row = self._counted = self.count = 0
        self._tree: list[LimitScope] = []  # of the limits that were in force at the last step
        self._is_said = False

    def step(self, now_ns: int) -> None:
        """Looks at the next ones, where any scope says a limit at all."""
        orders, tree = self._state.orders, self._state.limits.tree
        if tree is not self._tree:
            self._tree = tree
            self._is_said = any(
                scope.immediate_order_s is not UNSET or scope.session_ends for scope in tree
            )
        if not self._is_said:
            self._row = self._counted = self.count = 0
            return
        end = min(self._row + self._rows_max, orders.row_end())
        row = orders.find_open(self._row, end)
        while row != NO_ROW:
            if not is_member(orders, row):
                self._counted += is_suspect(self._state, row, now_ns)
            row = orders.find_open(row + 1, end)
        self._row = end
        if end >= orders.row_end():
            self.count, self._row, self._counted = self._counted, 0, 0
