# cython: annotation_typing=False, nonecheck=True
"""What limits of money say of an order: of exposure and of concentration. Pure; changes nothing.

Owns the functions of those rows of the table of checks (`guard.engine.checks`). What the order's
desk, its symbol and the firm have, and would have with it, `guard.engine.exposure` works out, once
for all of these rows: `price_of_positions_missing` stands before them and asks for it.

What an order does not add to cannot refuse it, be it beyond its limit already. Of the symbol and of
the firm, which other desks share, a reject says but what the order itself is worth.
"""

from guard.engine.day_loss import place_of
from guard.engine.exposure import CONCENTRATION_BPS, CONCENTRATION_FROM, OF_DESK, OF_FIRM
from guard.engine.found import Found
from guard.engine.measures import GROSS, LONG, NET, SHORT, OwnLimits
from guard.engine.positions import NO_POSITION
from guard.engine.state import GuardState
from guard.protocol.limits import UNSAID, Scope
from guard.protocol.messages import U64_MAX
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

_GROSS, _NET, _LONG, _SHORT, _FIGURES = GROSS, NET, LONG, SHORT, 4
_CONCENTRATION_BPS, _CONCENTRATION_FROM = CONCENTRATION_BPS, CONCENTRATION_FROM
_OF_DESK, _OF_FIRM, _PLACES = OF_DESK, OF_FIRM, 3
_NO_POSITION, _UNSAID, _U64_MAX, _BPS = NO_POSITION, UNSAID, U64_MAX, 10_000
_SCOPE_OF_PLACE = [int(Scope.DESK), int(Scope.SYMBOL), int(Scope.FIRM)]
_FIRM = int(Scope.FIRM)


def price_of_positions_missing(
    state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Is anything without a price that a limit of the order's scopes has to value?"""
    desk, worth, proposal = found.desk, found.worth, found.proposal
    assert desk is not None
    assert worth is not None
    positions = state.positions
    exposure = positions.exposure
    proposal.counts = False
    if not exposure.is_on or found.asked_lots == 0:
        return False
    row = positions.find(desk.share, worth.number)
    exposure.propose(proposal, row, desk.share, worth.number, request.side, found.asked_lots)
    book = exposure.book(worth.number)
    losses = exposure.losses
    if losses.is_on and book.price == 0 and losses.bounds(place_of(desk.share, worth.number)):
        outcome.scope = _FIRM
        return True
    if not proposal.counts:
        return False
    measure, book, firm = exposure.desk(desk.share), exposure.book(worth.number), exposure.firm
    is_missing = book.price == 0
    if measure.limits.are_said and measure.unpriced > 0:
        is_missing = True
    if firm.limits.are_said and firm.unpriced > 0:
        is_missing = True
    if not is_missing:
        return False
    outcome.scope = _FIRM
    return True


def gross_above_max(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Would all that could come to be held, of either sign, be worth more than it may?"""
    return _is_beyond(outcome, found, _GROSS)


def net_above_max(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Would what is held long less what is held short?"""
    return _is_beyond(outcome, found, _NET)


def long_above_max(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Would all that could be held long?"""
    return _is_beyond(outcome, found, _LONG)


def short_above_max(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Would all that could be sold short?"""
    return _is_beyond(outcome, found, _SHORT)


def _is_beyond(outcome: Outcome, found: Found, number: int) -> bool:
    proposal = found.proposal
    if not proposal.counts:
        return False
    for place in range(_PLACES):
        limits: OwnLimits | None = proposal.limits[place]
        if limits is None or limits.values[number] == _UNSAID:
            continue
        wide_before = proposal.before[place * _FIGURES + number]
        wide_after = proposal.after[place * _FIGURES + number]
        is_within = wide_after <= limits.values[number] or wide_after <= wide_before
        if is_within and not proposal.overflows:
            continue
        _say(outcome, found, place, limits.values[number], wide_before, wide_after)
        return True
    return False


def _say(
    outcome: Outcome, found: Found, place: int, limit: int, wide_before: int, wide_after: int
) -> int:
    """A desk's own figures; of what others share what the order itself is worth."""
    outcome.limit, outcome.scope = limit, _SCOPE_OF_PLACE[place]
    if place == _OF_DESK:
        outcome.asked = wide_after if wide_after <= _U64_MAX else _U64_MAX
        outcome.used = wide_before if wide_before > 0 else 0
    else:
        outcome.asked, outcome.used = found.proposal.value, 0
    return 0


def concentration_above_max(
    _state: GuardState, _request: Request, outcome: Outcome, found: Found
) -> bool:
    """Would more of a scope's gross be in the order's symbol than may be?"""
    proposal = found.proposal
    if not proposal.counts:
        return False
    for place in (_OF_DESK, _OF_FIRM):
        limits: OwnLimits | None = proposal.limits[place]
        if limits is None or limits.values[_CONCENTRATION_BPS] == _UNSAID:
            continue
        wide_whole = proposal.after[place * _FIGURES + _GROSS]
        wide_share = proposal.share[place]
        if (
            proposal.share[place] <= proposal.share_before[place]
            or wide_whole <= limits.values[_CONCENTRATION_FROM]
            or wide_share * _BPS <= wide_whole * limits.values[_CONCENTRATION_BPS]
        ):
            continue
        outcome.limit, outcome.scope = limits.values[_CONCENTRATION_BPS], _SCOPE_OF_PLACE[place]
        outcome.asked = outcome.used = 0
        if place == _OF_DESK:
            outcome.asked = (wide_share * _BPS + wide_whole - 1) // wide_whole
        return True
    return False
