# cython: annotation_typing=False, nonecheck=True
"""What the limits of positions and of open orders say of an order. Pure; changes nothing.

Owns the functions of those rows of the table of checks (`guard.engine.checks`), as
`guard.engine.limit_checks` has the others'. A position is that of a desk in a symbol
(`guard.engine.positions`), whichever scope says its limit, and counts with all that works on the
order's side: at its worst. Open orders are those of a desk (`guard.engine.shares`). So what a
reject says is the desk's own.

Sums are wide: what does not fit is beyond every limit, "none" too, and never wraps.
"""

from guard.engine.found import Found
from guard.engine.positions import BUY, NO_POSITION
from guard.engine.state import GuardState
from guard.protocol import limits
from guard.protocol.limits import UNSAID
from guard.protocol.messages import U64_MAX
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

_UNSAID, _NO_POSITION, _BUY, _U64_MAX = UNSAID, NO_POSITION, BUY, U64_MAX
_LONG_MAX, _SHORT_MAX = limits.POSITION_LONG_MAX, limits.POSITION_SHORT_MAX
_OPEN_ORDERS_MAX = limits.OPEN_ORDERS_MAX


def long_above_max(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Would the position be longer than it may be, with all that works to buy?"""
    return request.side == _BUY and _is_beyond(state, request, outcome, found, _LONG_MAX)


def short_above_max(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Would it be shorter, with all that works to sell?"""
    return request.side != _BUY and _is_beyond(state, request, outcome, found, _SHORT_MAX)


def _is_beyond(
    state: GuardState, request: Request, outcome: Outcome, found: Found, number: int
) -> bool:
    effective, desk, worth = found.limits, found.desk, found.worth
    if effective is None or effective.values[number] == _UNSAID:
        return False
    assert desk is not None
    assert worth is not None
    positions = state.positions
    row = positions.find(desk.share, worth.number)
    wide_before = 0
    if row != _NO_POSITION:
        wide_before = positions.position(row)
        if request.side != _BUY:
            wide_before = -wide_before
        wide_before += positions.working(row, request.side)
    wide_asked = wide_before + found.asked_lots
    limit = effective.values[number]
    if wide_asked <= limit or found.asked_lots == 0:
        return False
    outcome.asked = wide_asked if wide_asked <= _U64_MAX else _U64_MAX
    outcome.limit = limit
    outcome.used = wide_before if wide_before > 0 else 0
    outcome.scope = effective.scopes[number]
    return True


def exit_beyond_position(
    _state: GuardState, _request: Request, outcome: Outcome, found: Found
) -> bool:
    """Would the replace of an order that but reduces a position do more than that?"""
    if not found.is_replace or found.reservation_id != 0 or found.is_exit:
        return False
    outcome.asked, outcome.limit, outcome.used = found.left_lots, found.reducible_lots, 0
    return True


def open_orders_above_max(
    state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Has the desk as many open orders as it may have?"""
    effective = found.limits
    if effective is None or effective.values[_OPEN_ORDERS_MAX] == _UNSAID or found.is_replace:
        return False
    share = state.share_of(request)
    limit = effective.values[_OPEN_ORDERS_MAX]
    if share.open_count < limit:
        return False
    outcome.asked, outcome.limit, outcome.used = 1, limit, share.open_count
    outcome.scope = effective.scopes[_OPEN_ORDERS_MAX]
    return True
