"""Halts, reducing, and what lifts them: their events, and what each would change. Pure.

A part of `guard.admin.actions`, whose tables name these actions with all others.

How it fails: `AdminError` for what cannot be done on this state.
"""

from typing import Any

from guard.admin import messages as asked
from guard.admin.errors import AdminError
from guard.admin.plans import Plan, named
from guard.admin.trading import said_before, said_of
from guard.engine.actor import Actor
from guard.engine.apply_trading import (
    FREE_NAMES,
    NAMES_STOPPED_MAX,
    STOPPED_BY_NAME,
    is_customer,
)
from guard.engine.events import DeskResumed, TradingHalted, TradingReduced, TradingResumed
from guard.engine.state import GuardState
from guard.protocol.instruments import money_text


def halted(_state: GuardState, action: asked.Halt, actor: Actor) -> Any:
    """The event of a halt."""
    return named(actor, TradingHalted, action, scope=action.scope, name=action.name)


def reduced(_state: GuardState, action: asked.Reducing, actor: Actor) -> Any:
    """The event that lets positions there be reduced, and no more."""
    return named(actor, TradingReduced, action, scope=action.scope, name=action.name)


def resumed(_state: GuardState, action: asked.Resume, actor: Actor) -> Any:
    """The event that lifts either, or with fees forgiven both and what fees had set."""
    if action.forgive_fees:
        return named(actor, DeskResumed, action, desk=action.name)
    return named(actor, TradingResumed, action, scope=action.scope, name=action.name)


def plan_halt(state: GuardState, action: asked.Halt, actor: Actor) -> Plan:
    """A halt. Raises AdminError where it is halted already."""
    return Plan(halted(state, action, actor), [_change(state, action, "halted")])


def plan_reducing(state: GuardState, action: asked.Reducing, actor: Actor) -> Plan:
    """The same of letting positions but be reduced."""
    return Plan(reduced(state, action, actor), [_change(state, action, "reducing")])


def _change(state: GuardState, action: asked.Halt | asked.Reducing, after: str) -> str:
    place = _scope_words(state, action.scope, action.name)
    _check_room(state, action)
    return f"{place}: {said_before(state, action.scope, action.name, place, after)} -> {after}"


def _check_room(state: GuardState, action: asked.Halt | asked.Reducing) -> None:
    """Is there room for one more name that is kept as such? Raises AdminError."""
    if action.scope not in STOPPED_BY_NAME:
        return
    count = len(state.stopped_names) + len(state.reducing_names)
    is_new = said_of(state, action.scope, action.name) == "active"
    if is_new and count >= NAMES_STOPPED_MAX:
        words = f"{NAMES_STOPPED_MAX} customers, traders and algorithms are stopped; no more may be"
        raise AdminError("too_many", "name", words)


def plan_resume(state: GuardState, action: asked.Resume, actor: Actor) -> Plan:
    """What lifts either. Raises AdminError where nobody has set one."""
    place = _scope_words(state, action.scope, action.name)
    event = resumed(state, action, actor)
    if action.forgive_fees:
        if action.scope != "desk":
            raise AdminError(
                "invalid", "forgive_fees", "forgive_fees is true; allowed for a desk alone"
            )
        owed = money_text(state.desks[action.name].unpaid_fees_microcents, ",")
        return Plan(event, [f"{place}: halted -> active; unpaid fees of {owed} are forgiven"])
    desk = state.desks.get(action.name) if action.scope == "desk" else None
    is_owing = desk is not None and desk.is_halted
    was = said_of(state, action.scope, action.name)
    if was == "active":
        why = "; it owes fees: forgive_fees lifts that" if is_owing else ""
        raise AdminError("not_halted", "name", f"{place} is not halted by a person{why}")
    after = "reducing, since it owes fees" if is_owing else "active"
    return Plan(event, [f"{place}: {was} -> {after}"])


def _scope_words(state: GuardState, scope: str, name: str) -> str:
    """A scope by its name. Raises AdminError where there is none of that name."""
    if scope == "firm":
        if name:
            raise AdminError("invalid", "name", f"name is {name!r}; the firm has no name")
        return "firm"
    if scope in FREE_NAMES:  # which nobody defines
        if not name:
            raise AdminError("invalid", "name", f"name is ''; allowed: the name of a {scope}")
        return f"{scope} {name}"
    if scope == "account":
        is_known = state.accounts.get(name) is not None
    elif scope == "customer":
        is_known = is_customer(state, name)
    else:
        is_known = name in (state.desks if scope == "desk" else state.instruments)
    if not is_known:
        raise AdminError(f"unknown_{scope}", "name", f"there is no {scope} {name!r}")
    return f"{scope} {name}"
