"""What an action on a recorded fill would do: the event, and the difference in words. Pure.

A part of `guard.admin.actions`, whose tables name these actions with all others.

How it fails: `AdminError` for what cannot be said of the fill.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.admin import messages as asked
from guard.admin.messages import AdminError
from guard.admin.plans import Plan, named
from guard.engine.actor import Actor
from guard.engine.amended_positions import words_at_end
from guard.engine.amendments import AmendmentError, Correction, FillName, assess
from guard.engine.events import FillAccepted, FillBusted, FillCorrected
from guard.engine.state import GuardState
from guard.protocol.instruments import counted, money_text

# Of what is said of a fill: the event that says it.
AMENDING: Final[dict[type, Any]] = {
    asked.AcceptFill: FillAccepted,
    asked.BustFill: FillBusted,
    asked.CorrectFill: FillCorrected,
}


def amended(state: GuardState, action: Any, actor: Actor) -> Any:
    """The event of an acceptance, a bust or a correction; None where it says nothing new."""
    name = FillName(action.desk, action.client_order_id, action.fill_id)
    kind: Any = AMENDING[type(action)]
    said = Correction()
    if isinstance(action, asked.CorrectFill):
        said = Correction(action.quantity, action.price, action.fee_microcents)
    try:
        fields = assess(state, kind, name, actor.received_at_ns, said)
    except AmendmentError as error:
        raise AdminError("invalid", "fill_id", str(error)) from error
    return None if fields is None else named(actor, kind, action, **fields)


def plan_amendment(state: GuardState, action: Any, actor: Actor) -> Plan:
    """What is said of a fill, in words."""
    name = FillName(action.desk, action.client_order_id, action.fill_id)
    if isinstance(action, asked.CorrectFill) and not any(
        value is not None for value in (action.quantity, action.price, action.fee_microcents)
    ):
        words = "nothing is corrected; allowed: one or more of quantity, price, fee_microcents"
        raise AdminError("missing", "quantity", words)
    event = amended(state, action, actor)
    if event is None:
        raise AdminError("already_so", "fill_id", f"fill {name}: the same was said before")
    changes = [_AMENDMENTS[type(action)](str(name), event)]
    if not isinstance(action, asked.AcceptFill):
        changes += words_at_end(state, name.key)
    return Plan(event, changes)


_AMENDMENTS: Final[dict[type, Callable[[str, Any], str]]] = {
    asked.AcceptFill: lambda name, event: (
        f"fill {name}: accepted, its fee of {_money(event.fee_microcents)} is charged"
    ),
    asked.BustFill: lambda name, event: (
        f"fill {name}: busted, {_money(event.returned_microcents)} return to the budget"
    ),
    asked.CorrectFill: lambda name, event: (
        f"fill {name}: {counted(event.quantity, 'lot')}, fee {_money(event.fee_microcents)}; "
        f"{_money(event.charged_microcents)} more charged, "
        f"{_money(event.returned_microcents)} return"
    ),
}


def _money(microcents: int) -> str:
    return money_text(microcents, ",")
