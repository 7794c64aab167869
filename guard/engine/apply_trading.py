"""Apply what people say of trading: halted, reducing, or neither. Pure but for the state.

A part of `guard.engine.apply_event`, whose table names these with all others.

How it fails: `InvariantError` where the event cannot follow from the state.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.engine.found import Desk
from guard.engine.state import GuardState
from guard.engine.trading_events import TradingHalted, TradingReduced, TradingResumed
from kernel import InvariantError

NAMED_SINCE_RULES: Final = 3  # customers, accounts, traders, algorithms
NAMES_STOPPED_MAX: Final = 16_384  # of those that have no entry of their own
FREE_NAMES: Final = ("trader", "algo")  # which nobody defines
STOPPED_BY_NAME: Final = ("customer", *FREE_NAMES)


def _apply_halted(state: GuardState, event: TradingHalted) -> None:
    _set(state, event.scope, event.name, is_stopped=True)


def _apply_reduced(state: GuardState, event: TradingReduced) -> None:
    _set(state, event.scope, event.name, is_reducing=True)


def _apply_resumed(state: GuardState, event: TradingResumed) -> None:
    _set(state, event.scope, event.name)


def _set(
    state: GuardState, scope: str, name: str, *, is_stopped: bool = False, is_reducing: bool = False
) -> None:
    """What a person says of a scope: one of the two, or neither."""
    if scope == "desk":
        desk: Desk | None = state.desks.get(name)
        if desk is None:
            raise InvariantError(f"desk {name} was never opened")
        desk.is_stopped, desk.is_reducing = is_stopped, is_reducing
    elif scope == "symbol":
        if name not in state.instruments:
            raise InvariantError(f"symbol {name} was never defined")
        _keep(state.stopped_symbols, name, is_stopped)
        _keep(state.reducing_symbols, name, is_reducing)
    elif scope == "firm":
        if name:
            raise InvariantError(f"the firm is named {name!r}; it has no name")
        state.is_firm_stopped, state.is_firm_reducing = is_stopped, is_reducing
    else:
        _set_named(state, scope, name, is_stopped, is_reducing)


def _set_named(
    state: GuardState, scope: str, name: str, is_stopped: bool, is_reducing: bool
) -> None:
    """The same of a customer, an account, a trader, an algorithm."""
    if state.rules_version < NAMED_SINCE_RULES:
        raise InvariantError(
            f"{scope} {name}: known since version {NAMED_SINCE_RULES} of the rules"
        )
    if scope == "account":
        account = state.accounts.get(name)
        if account is None:
            raise InvariantError(f"account {name} was never set")
        account.is_stopped, account.is_reducing = is_stopped, is_reducing
        return
    if not name:
        raise InvariantError(f"a {scope} without a name")
    if scope == "customer" and not is_customer(state, name):
        raise InvariantError(f"no account is of customer {name}")
    _keep(state.stopped_names, (scope, name), is_stopped)
    _keep(state.reducing_names, (scope, name), is_reducing)
    if len(state.stopped_names) + len(state.reducing_names) > NAMES_STOPPED_MAX:
        raise InvariantError(f"{scope} {name} is one more than {NAMES_STOPPED_MAX}")


def is_customer(state: GuardState, name: str) -> bool:
    """Has a customer of that name an account, or is stopped since it had one?"""
    key = ("customer", name)
    is_stopped = key in state.stopped_names or key in state.reducing_names
    return is_stopped or state.accounts.has_customer(name)


def _keep(names: set[Any], name: Any, is_kept: bool) -> None:
    (names.add if is_kept else names.discard)(name)


APPLY_TRADING: Final[dict[type, Callable[[GuardState, Any], None]]] = {
    TradingHalted: _apply_halted,
    TradingReduced: _apply_reduced,
    TradingResumed: _apply_resumed,
}
