"""What no guard writes of losses beyond their limits: a record that is missing, early, late. Pure.

A part of `guard.record.rules`, which says what these rules are for and how they fail.
"""

from typing import Any

from guard.engine.latches import LATCHES_SINCE_RULES, place_words
from guard.engine.loss_events import LossBreached
from guard.engine.state import GuardState
from guard.record.checking import check_is
from guard.record.codec import RecordError
from guard.record.people_rules import DECIDE_NOTHING
from guard.record.words import refusal


def check_loss(state: GuardState, event: Any) -> None:
    """A loss is said where it is due, as it is, and before anything else is decided."""
    tag = event.__struct_config__.tag
    if type(event) is not LossBreached:
        if state.losses_due and type(event) not in DECIDE_NOTHING:
            first = next(iter(state.losses_due.values()))
            where = place_words(first.desk, first.symbol)
            raise RecordError(refusal("event", tag, f"loss_breached of {where}, which is due"))
        return
    if state.rules_version < LATCHES_SINCE_RULES:
        allowed = f"since version {LATCHES_SINCE_RULES} of the rules"
        raise RecordError(refusal("event", tag, allowed))
    due = {(limit.desk, limit.symbol): limit for limit in state.losses_due.values()}
    limit = due.get((event.desk, event.symbol))
    if limit is None:
        where = place_words(event.desk, event.symbol)
        allowed = "where a place has come to lose more than it may, and no record has said so"
        raise RecordError(refusal("event", f"{tag} of {where}", allowed))
    check_is("loss_microcents", event.loss_microcents, state.loss_beyond(event.desk, event.symbol))
    check_is("limit_microcents", event.limit_microcents, limit.max_microcents)
