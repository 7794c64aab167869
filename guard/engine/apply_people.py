"""Apply the events of what takes two people. Pure.

A part of `guard.engine.apply_event`, which says how events are applied and how they fail.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from guard.engine import overrides
from guard.engine.building import build_policy
from guard.engine.people import PEOPLE_SINCE_RULES, forget_proposal, note_proposed
from guard.engine.people_events import (
    ApprovalsSet,
    LooseningReverted,
    OrderOverridden,
    OverrideExpired,
    PositionOpened,
    ProposalExpired,
    ProposalWithdrawn,
    Proposed,
)
from guard.engine.positions import BUY, SELL
from guard.engine.state import GuardState
from guard.protocol.limits import digest_hex
from kernel import InvariantError, Lowered


def _apply_approvals(state: GuardState, event: ApprovalsSet) -> None:
    if state.rules_version < PEOPLE_SINCE_RULES:
        raise InvariantError(f"approvals_set: since version {PEOPLE_SINCE_RULES} of the rules")
    state.people.terms = event


def _apply_reverted(state: GuardState, event: LooseningReverted) -> None:
    loosened = state.people.loosened.pop((event.what, event.desk), None)
    if loosened is None or event.due_ns != loosened.until_ns:
        raise InvariantError(f"{event.what} {event.desk} reverts, and was not loosened until then")
    if event.what == "limits":
        state.set_limits(loosened.base, digest_hex(loosened.base))
    elif event.what == "policy":
        state.policy = build_policy(loosened.base)
        state.policy_digest_hex = state.policy.digest.hex()
    elif event.what == "cap":
        state.ledger.set_max_reserved_microcents(event.desk, loosened.base)
    elif event.lowered_microcents:
        result = state.ledger.lower_tenant(event.desk, event.lowered_microcents)
        if not isinstance(result, Lowered):
            raise InvariantError(f"revert of {event.desk}: the ledger answers {result!r}")


def _apply_position_opened(state: GuardState, event: PositionOpened) -> None:
    """As a trade, confirmed: from now on orders may reduce it."""
    desk = state.desks.get(event.desk)
    if event.approval is UNSET or not event.lots:
        raise InvariantError(f"{event.lots} lots of {event.symbol} are opened by one person, or 0")
    if desk is None or event.symbol not in state.instruments:
        raise InvariantError(f"{event.desk}/{event.symbol} is no desk, or no symbol")
    positions, lots = state.positions, abs(event.lots)
    row = positions.obtain(desk.share, positions.number_of(event.symbol))
    positions.trade(row, BUY if event.lots > 0 else SELL, lots, lots, event.cost_microcents)


def _apply_overridden(state: GuardState, event: OrderOverridden) -> None:
    if event.approval is UNSET or event.until_ns is UNSET:
        raise InvariantError("an order is overridden by one person, or for ever")
    if event.desk not in state.desks:
        raise InvariantError(f"an order of {event.desk} is overridden, which is no desk")
    overrides.add(state, event)


def _apply_override_expired(state: GuardState, event: OverrideExpired) -> None:
    found = state.people.overrides.get(event.order_digest_hex)
    if found is None or found.event.until_ns != event.due_ns:
        raise InvariantError(f"override {event.order_digest_hex} expires, and is not due")
    overrides.forget(state, event.order_digest_hex)


APPLY_PEOPLE: Final[dict[type, Callable[[GuardState, Any], None]]] = {
    ApprovalsSet: _apply_approvals,
    Proposed: note_proposed,
    ProposalWithdrawn: forget_proposal,
    ProposalExpired: forget_proposal,
    LooseningReverted: _apply_reverted,
    PositionOpened: _apply_position_opened,
    OrderOverridden: _apply_overridden,
    OverrideExpired: _apply_override_expired,
}
