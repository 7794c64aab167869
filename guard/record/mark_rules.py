"""What no guard writes of marks: of those that jump, and of prices that they make due. Pure.

A part of `guard.record.rules`, which says what these rules are for and how they fail. Whether a
mark was confirmed nobody can tell from a log, as marks are no records; that the price to which it
is said to have jumped lies as far from it as the limits in force say, everybody can.
"""

from typing import Any

from msgspec import UNSET

from guard.engine.events import Revalued
from guard.engine.limits import Effective
from guard.engine.prices import has_moved
from guard.engine.state import GuardState
from guard.protocol.limits import MARK_JUMP, NO_LIMIT, UNSAID
from guard.protocol.request import Request
from guard.record.checking import refused


def _jump_bps(effective: Effective) -> int | None:
    """How far a mark may jump at once; None: anywhere."""
    bps = effective.value(MARK_JUMP)
    return None if bps in (UNSAID, NO_LIMIT) else bps


def has_jumped(state: GuardState, request: Request) -> bool:
    """May an order's record say that its mark has jumped there?"""
    worth = state.worth_of(request)
    if worth is None or request.mark_price == 0:
        return False
    bps = _jump_bps(state.limits.effective(0, worth.limit_class))
    return bps is not None and has_moved(request.mark_price, request.mark_jump, bps)


def check_jump(state: GuardState, event: Any) -> None:
    """The same in words."""
    if event.mark_jump is UNSET:
        return
    symbol = event.order.symbol
    bps = _jump_bps(state.limits.effective(0, state.limits.symbol_class(symbol)))
    if event.mark_price is UNSET or symbol not in state.instruments or bps is None:
        allowed = "left out, but for a mark whose limits say mark_jump_bps"
        raise refused("mark_jump", event.mark_jump, allowed)
    if not has_moved(event.mark_price, event.mark_jump, bps):
        allowed = f"more than {bps} bps from mark_price, {event.mark_price}"
        raise refused("mark_jump", event.mark_jump, allowed)


def check_due_price(state: GuardState, event: Any) -> None:
    """No order stands where its own mark had to be recorded before it."""
    symbol = event.order.symbol
    if event.mark_price is UNSET or event.elapsed_ns is UNSET or (symbol not in state.instruments):
        return
    number = state.positions.number_of(symbol)
    if state.prices.is_due(number, event.mark_price, event.elapsed_ns):
        allowed = f"the mark of a record revalued of {symbol} before it"
        raise refused("mark_price", event.mark_price, allowed)


def check_revalued(state: GuardState, event: Revalued) -> None:
    """A price is recorded when it is due, and not else."""
    if event.symbol not in state.instruments:
        raise refused("symbol", event.symbol, "the name of an instrument")
    if event.elapsed_ns < state.elapsed_ns:
        raise refused("elapsed_ns", event.elapsed_ns, f"from {state.elapsed_ns} on")
    number = state.positions.number_of(event.symbol)
    if not state.prices.is_due(number, event.price, event.elapsed_ns):
        allowed = "one that revalue_bps or revalue_s make due"
        raise refused("price", event.price, allowed)
