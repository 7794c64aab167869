# cython: annotation_typing=False, nonecheck=True
"""What the limits say of short sales. Pure; changes nothing.

Owns the functions of those rows of the table of checks (`guard.engine.checks`). A sell is short by
as many lots as it and all working sells are beyond what its desk has and may reduce of the symbol
(`guard.engine.positions`); so a forged or unknown fill covers none. `short_sale_not_allowed` stands
first and works that out for all of them (`Found.short_lots`).

What a locate is: `guard.engine.locates`.
"""

from guard.engine.found import Found
from guard.engine.locates import Locate
from guard.engine.positions import BUY, NO_POSITION, SELL
from guard.engine.state import GuardState
from guard.protocol import limits
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

_SHORT_SALES = limits.SHORT_SALES
_LOCATED, _REFUSED = (
    limits.CHOICES_OF_KEY[limits.SHORT_SALES].index(word) for word in ("locate", "refused")
)
_BUY, _SELL, _NO_POSITION = BUY, SELL, NO_POSITION


def short_sale_not_allowed(
    state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Would it sell short, where nobody may?"""
    effective = found.limits
    if effective is None or request.side == _BUY or effective.values[_SHORT_SALES] < _LOCATED:
        return False
    found.short_lots = _short_lots(state, request, found)
    if found.short_lots == 0 or effective.values[_SHORT_SALES] != _REFUSED:
        return False
    return _say(outcome, found)


def _say(outcome: Outcome, found: Found) -> bool:
    """Refused: how many lots would be sold short, and whose limit it is."""
    effective = found.limits
    assert effective is not None
    outcome.asked, outcome.scope = found.short_lots, effective.scopes[_SHORT_SALES]
    return True


def _short_lots(state: GuardState, request: Request, found: Found) -> int:
    """How many lots of a sell, or of what a replace of one adds, are beyond what covers it."""
    desk, worth, positions = found.desk, found.worth, state.positions
    assert desk is not None
    assert worth is not None
    row = positions.find(desk.share, worth.number)
    wide_before = 0
    if row != _NO_POSITION:
        wide_before = positions.position(row)
        if wide_before > 0:
            wide_before = positions.reducible(row, _SELL)
        wide_before = wide_before - positions.working(row, _SELL)
    wide_after = wide_before - found.asked_lots
    if wide_after >= 0:
        return 0
    return found.asked_lots if wide_before <= 0 else -wide_after


def _needs_locate(found: Found) -> bool:
    """Would it sell short, where that takes a locate?"""
    effective = found.limits
    if found.short_lots == 0 or effective is None:
        return False
    return effective.values[_SHORT_SALES] == _LOCATED


def locate_missing(_state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Does it name no locate, where it needs one?"""
    return _needs_locate(found) and request.fill_id_bytes == 0 and _say(outcome, found)


def locate_unknown(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Is there no such locate of its desk in its symbol?"""
    if not _needs_locate(found) or request.fill_id_bytes == 0:
        return False
    return locate_of(state, request) is None and _say(outcome, found)


def locate_exceeded(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Are fewer lots left of its locate than it would sell short?"""
    if not _needs_locate(found):
        return False
    locate = locate_of(state, request)
    if locate is None or found.short_lots <= locate.quantity - locate.used:
        return False
    _say(outcome, found)
    outcome.limit, outcome.used = locate.quantity, locate.used
    return True


def locate_of(state: GuardState, request: Request) -> Locate | None:
    """The locate that an order names, if it is of its desk and symbol."""
    locate = state.locates.get(request.locate_id) if state.has_locates else None
    if locate is None or locate.desk != request.desk or locate.symbol != request.symbol:
        return None
    return locate


def located_lots(state: GuardState, request: Request, found: Found) -> int:
    """Of an order that is admitted: how many of its lots are its locate's."""
    if not _needs_locate(found) or locate_of(state, request) is None:
        return 0
    return found.short_lots
