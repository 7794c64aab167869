"""A slice of a desk's budget as the records that a guard writes of it, and back. Pure.

Owns the names: a grant is a `desk_topped_up`, a return a `budget_lowered`, done once under an
action's id that says desk, direction and number. So the log alone tells which movements it holds,
and a movement that is asked for again is answered with its first record.
"""

import re
from typing import Any, Final

from guard.admin.messages import LowerBudget, TopUp
from guard.cluster.slices import SliceGranted, SliceRecord, SliceReturned

_BUDGET: Final = "budget/"
_ACTION_ID: Final = re.compile(r"slice-(grant|return)-(.{1,32})-([1-9][0-9]{0,17})")
_EVENTS: Final = {"grant": "desk_topped_up", "return": "budget_lowered"}


def budget_of(desk: str) -> str:
    """The resource that a desk's budget is, in the firm's table."""
    return _BUDGET + desk


def action_of(record: SliceRecord, why: str) -> TopUp | LowerBudget:
    """The operator's action that writes the record."""
    desk = record.resource.removeprefix(_BUDGET)
    is_grant = isinstance(record, SliceGranted)
    kind = TopUp if is_grant else LowerBudget
    direction = "grant" if is_grant else "return"
    return kind(
        action_id=f"slice-{direction}-{desk}-{record.number}",
        why=why,
        desk=desk,
        amount_microcents=record.amount,
    )


def movement_of(event: dict[str, Any]) -> SliceRecord | None:
    """The slice's movement that an event of a log is; None for any other."""
    found = _ACTION_ID.fullmatch(str(event.get("action_id", "")))
    if found is None or event.get("event") != _EVENTS[found[1]] or event.get("desk") != found[2]:
        return None
    kind = SliceGranted if found[1] == "grant" else SliceReturned
    return kind(budget_of(found[2]), int(found[3]), int(event["amount_microcents"]))
