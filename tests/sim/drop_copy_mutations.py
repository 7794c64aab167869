"""Planted bugs of executions and latches: see `sim.mutations`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from guard.admin import latch_actions
from guard.engine import amendments, apply_event, decide, execution
from guard.engine.executions import Executions
from guard.engine.people_events import LatchLifted

Patch = AbstractContextManager[Any]


def trade_moved_by_its_fill_again() -> Patch:
    """A fill moves what its execution has moved before it."""
    return patch.object(decide.execution, "reported_before", lambda *_: None)


def trade_moved_by_its_execution_again() -> Patch:
    """An execution moves what its fill has moved before it."""
    real = execution.assess

    def assess(state: Any, row: int, request: Any) -> Any:
        found = real(state, row, request)
        return found._replace(more=request.quantity)

    return patch.object(execution, "assess", assess)


def other_venue_unseen() -> Patch:
    """An execution counts as its order's, wherever it was."""
    real = execution.assess

    def assess(state: Any, row: int, request: Any) -> Any:
        state.orders.read(row)
        request.venue, said = state.orders.known_outcome.venue or request.venue, request.venue
        try:
            return real(state, row, request)
        finally:
            request.venue = said

    return patch.object(execution, "assess", assess)


def difference_not_latched() -> Patch:
    """A desk trades on where its fills and executions differ."""
    return patch.object(execution, "_latch", lambda *_: None)


def busted_execution_still_traded() -> Patch:
    """An execution that did not happen stays in the position."""
    real = amendments._apply_busted_execution

    def apply_(state: Any, name: Any, event: Any) -> None:
        key = amendments._key(state, name)
        kept = state.executions.unreported[key]
        state.executions.unreported[key] = kept._replace(quantity=0, confirmed=0, microcents=0)
        real(state, name, event)

    return patch.object(amendments, "_apply_busted_execution", apply_)


def execution_price_forgotten() -> Patch:
    """What a fill without a price has cost is taken back at its order's."""
    return patch.object(execution, "price_by_execution", lambda *_: None)


def checkpoint_without_executions() -> Patch:
    """Checkpoints do not keep the executions whose fill has not come."""
    return patch.object(Executions, "dump", lambda _: iter(()))


def stray_content_not_compared() -> Patch:
    """Another execution of an order that nobody knows gets the first one's answer."""
    return patch.object(execution, "_digest", lambda _: 0)


def latch_lifted_in_the_log_alone() -> Patch:
    """A latch that a person has lifted bars entries still."""
    return patch.dict(apply_event._APPLY, {LatchLifted: lambda *_: None})


def latch_lifted_too_early() -> Patch:
    """A person may lift it while what has set it is so still."""
    return patch.object(latch_actions, "why_it_stays", lambda *_: "")


DROP_COPY_MUTATIONS: tuple[Callable[[], Patch], ...] = (
    trade_moved_by_its_fill_again,
    trade_moved_by_its_execution_again,
    other_venue_unseen,
    difference_not_latched,
    busted_execution_still_traded,
    execution_price_forgotten,
    checkpoint_without_executions,
    stray_content_not_compared,
    latch_lifted_in_the_log_alone,
    latch_lifted_too_early,
)
