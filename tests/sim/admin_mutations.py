"""Planted bugs of what operators do: see `sim.mutations`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from guard.admin import actions
from guard.engine import amendments, apply_event
from guard.engine.events import BudgetLowered, TradingHalted
from guard.recovery import recover
from guard.server.closing import DayCloser
from guard.server.pipeline import Pipeline
from sim import start_events

Patch = AbstractContextManager[Any]


def action_answered_before_sync() -> Patch:
    """An operator hears of an action that a crash may still take."""
    return patch.object(
        Pipeline, "when_durable", lambda self, call: call(self._writer.durable_head)
    )


def halt_recorded_alone() -> Patch:
    """A halt is in the log, and orders go on."""
    return patch.dict(apply_event._APPLY, {TradingHalted: lambda *_: None})


def halt_forgotten_by_recovery() -> Patch:
    """What a person has halted trades again once the guard has started from a checkpoint."""
    real = recover.decode_state

    def decode(*given: Any) -> Any:
        state = real(*given)
        state.stopped_symbols.clear()
        state.is_firm_stopped = False
        for desk in state.desks.values():
            desk.is_stopped = False
        return state

    return patch.object(recover, "decode_state", decode)


def other_action_under_an_id() -> Patch:
    """An id that was used is a repeat, whatever is asked for under it."""
    return patch.object(actions, "_is_same", lambda *_: True)


def budget_lowered_in_the_log_alone() -> Patch:
    """A budget is lower, says the log, and the desk goes on spending."""
    return patch.dict(apply_event._APPLY, {BudgetLowered: lambda *_: None})


def day_closed_over_its_orders() -> Patch:
    """The last of a day's orders is left open."""
    real = DayCloser._release_some

    def release(self: DayCloser) -> None:
        self._end = max(0, self._end - 1)
        real(self)

    return patch.object(DayCloser, "_release_some", release)


def busted_fill_still_traded() -> Patch:
    """A busted fill is paid back, and what it bought is kept."""
    return patch.object(amendments, "note_amended", lambda *_: None)


def operator_undone_by_a_start() -> Patch:
    """A start makes everything what the configuration's file says."""
    return patch.object(start_events, "split_kept", lambda found, *_: (found, []))


ADMIN_MUTATIONS: tuple[Callable[[], Patch], ...] = (
    action_answered_before_sync,
    halt_recorded_alone,
    halt_forgotten_by_recovery,
    other_action_under_an_id,
    budget_lowered_in_the_log_alone,
    day_closed_over_its_orders,
    busted_fill_still_traded,
    operator_undone_by_a_start,
)
