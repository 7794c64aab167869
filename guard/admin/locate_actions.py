"""Locates: the events that add one and take one away, and what there is of them. Pure.

A part of `guard.admin.actions`, whose tables name these actions with all others.

How it fails: `AdminError` for what cannot be.
"""

from typing import Any

from guard.admin.errors import AdminError
from guard.admin.locate_messages import (
    AddLocate,
    ListLocates,
    LocateLine,
    LocatesReply,
    RemoveLocate,
)
from guard.admin.plans import Plan, named
from guard.engine.actor import Actor
from guard.engine.locate_events import LocateAdded, LocateRemoved
from guard.engine.locates import LOCATES_MAX
from guard.engine.state import GuardState
from guard.protocol.instruments import counted


def locate_added(_state: GuardState, action: AddLocate, actor: Actor) -> Any:
    """The event of that."""
    return named(
        actor,
        LocateAdded,
        action,
        locate_id=action.locate_id,
        desk=action.desk,
        symbol=action.symbol,
        quantity_lots=action.quantity_lots,
    )


def plan_addition(state: GuardState, action: AddLocate, actor: Actor) -> Plan:
    """A locate that is new. Raises AdminError."""
    known: Any = (("desk", action.desk, state.desks), ("symbol", action.symbol, state.instruments))
    for field, name, names in known:
        if name not in names:
            raise AdminError(f"unknown_{field}", field, f"there is no {field} {name!r}")
    if state.locates.get(action.locate_id) is not None:
        words = f"locate {action.locate_id!r} is there already; allowed: an id that none has"
        raise AdminError("locate_exists", "locate_id", words)
    if len(state.locates) >= LOCATES_MAX:
        words = f"{LOCATES_MAX} locates are there; allowed: once some are removed"
        raise AdminError("too_many", "locate_id", words)
    lots = counted(action.quantity_lots, "lot")
    change = f"locate {action.locate_id}: desk {action.desk} may sell {lots} of {action.symbol}"
    return Plan(locate_added(state, action, actor), [f"{change} short"])


def locate_removed(_state: GuardState, action: RemoveLocate, actor: Actor) -> Any:
    """The event of that."""
    return named(actor, LocateRemoved, action, locate_id=action.locate_id)


def plan_removal(state: GuardState, action: RemoveLocate, actor: Actor) -> Plan:
    """A locate that ends. Raises AdminError where there is none."""
    found = state.locates.get(action.locate_id)
    if found is None:
        words = f"there is no locate {action.locate_id!r}"
        raise AdminError("unknown_locate", "locate_id", words)
    used = f"{found.used:,} of {counted(found.quantity, 'lot')} used"
    change = f"locate {action.locate_id} of desk {found.desk} in {found.symbol}: removed, {used}"
    return Plan(locate_removed(state, action, actor), [change])


def locates_reply(state: GuardState, query: ListLocates, _now_ns: int) -> LocatesReply:
    """A page of what there is."""
    found = [
        LocateLine(*entry)
        for entry in state.locates.entries()
        if entry[0] > (query.after_locate or "") and query.desk in (None, entry[1])
    ]
    page = found[: query.limit]
    after = page[-1].locate_id if len(found) > len(page) else None
    return LocatesReply(page, after, state.next_sequence - 1)
