"""What no guard writes of money that people move, beside requests: grants, holds, fees. Pure.

Owns that part of the rules for records (`guard.record.rules`) of which the state says the amounts:
what of a grant or of a freed hold pays a debt, and what was said of a fill.

How it fails: `RecordError` naming the field, the value and what is allowed.
"""

from typing import Any

from msgspec import UNSET

from guard.engine.amendments import COLLECTING_SINCE_RULES, AmendmentError, assess_again
from guard.engine.events import DeskToppedUp, HoldFreed
from guard.engine.state import GuardState
from guard.record.checking import check_is
from guard.record.codec import RecordError


def check(state: GuardState, event: Any) -> None:
    """A top-up, a freed hold, or what was said of a fill."""
    if isinstance(event, DeskToppedUp):
        _check_topped_up(state, event)
    elif isinstance(event, HoldFreed):
        _check_hold_freed(state, event)
    else:
        _check_amendment(state, event)


def _check_topped_up(state: GuardState, event: DeskToppedUp) -> None:
    """What of it paid a debt: as much as there is, by the rules since there are any for it."""
    desk = state.desks.get(event.desk)
    if desk is None:
        return  # the ledger says so
    wanted = 0
    if state.rules_version >= COLLECTING_SINCE_RULES:
        free = state.ledger.remaining_microcents(event.desk) or 0
        wanted = desk.debt_paid_by(free + event.amount_microcents)
    check_is("collected_microcents", event.collected_microcents, wanted or UNSET)


def _check_hold_freed(state: GuardState, event: HoldFreed) -> None:
    """As much of what it frees as is owed pays the debt."""
    desk = state.desks.get(event.desk)
    if desk is not None:
        free = state.ledger.remaining_microcents(event.desk) or 0
        wanted = desk.debt_paid_by(free + event.released_microcents)
        check_is("collected_microcents", event.collected_microcents, wanted or UNSET)


def _check_amendment(state: GuardState, event: Any) -> None:
    """It is what the rules give for what was said of the fill."""
    try:
        wanted = assess_again(state, event)
    except AmendmentError as error:
        raise RecordError(str(error)) from error
    if wanted is None:
        name = f"{event.desk}/{event.client_order_id}/{event.fill_id}"
        raise RecordError(f"fill {name}: the same has been said of it before")
    for field, value in wanted.items():
        check_is(field, getattr(event, field), value)
