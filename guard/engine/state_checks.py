# cython: annotation_typing=False, nonecheck=True
"""What states say of an order: the guard's, the firm's, a desk's and so on. Pure; changes nothing.

Owns the functions of those rows of the table of checks (`guard.engine.checks`): who is halted, by a
person or by rules before version 3, and where positions may but be reduced.
"""

from guard.engine.day_loss import LOSS
from guard.engine.found import Found
from guard.engine.latches import OF_ALL
from guard.engine.state import GuardState
from guard.protocol.limits import NO_LIMIT, Scope
from guard.protocol.messages import U64_MAX
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

_FIRM, _DESK, _SYMBOL, _DESK_SYMBOL = map(int, list(Scope)[1:5])
_NO_LIMIT = NO_LIMIT


def disk_low(state: GuardState, _request: Request, outcome: Outcome, _found: Found) -> bool:
    """Are the entries of every desk halted?"""
    halt = state.entries_halt
    if halt is None:
        return False
    outcome.free_bytes, outcome.reserve_bytes = halt.free_bytes, halt.reserve_bytes
    return True


def firm_halted(state: GuardState, _request: Request, _outcome: Outcome, _found: Found) -> bool:
    """Has a person stopped the entries of every desk?"""
    return state.is_firm_stopped


def symbol_halted(state: GuardState, request: Request, _outcome: Outcome, _found: Found) -> bool:
    """Has a person stopped the entries in this symbol?"""
    return len(state.stopped_symbols) > 0 and request.symbol in state.stopped_symbols


def customer_halted(state: GuardState, _request: Request, _outcome: Outcome, found: Found) -> bool:
    """Has a person stopped the orders of its account's customer?"""
    account = found.account
    if account is None or len(state.stopped_names) == 0:
        return False
    return ("customer", account.customer) in state.stopped_names


def customer_reducing(
    state: GuardState, _request: Request, _outcome: Outcome, found: Found
) -> bool:
    """Does a person let its account's customer but reduce positions?"""
    account = found.account
    if account is None or len(state.reducing_names) == 0:
        return False
    return ("customer", account.customer) in state.reducing_names


def account_halted(_state: GuardState, _request: Request, _outcome: Outcome, found: Found) -> bool:
    """Has a person stopped the orders of its account?"""
    account = found.account
    return account is not None and account.is_stopped


def account_reducing(
    _state: GuardState, _request: Request, _outcome: Outcome, found: Found
) -> bool:
    """Does a person let its account but reduce its positions?"""
    account = found.account
    return account is not None and account.is_reducing


def trader_halted(state: GuardState, request: Request, _outcome: Outcome, _found: Found) -> bool:
    """Has a person stopped the orders of its trader?"""
    return len(state.stopped_names) > 0 and ("trader", request.trader) in state.stopped_names


def trader_reducing(state: GuardState, request: Request, _outcome: Outcome, _found: Found) -> bool:
    """Does a person let its trader but reduce positions?"""
    return len(state.reducing_names) > 0 and ("trader", request.trader) in state.reducing_names


def algo_halted(state: GuardState, request: Request, _outcome: Outcome, _found: Found) -> bool:
    """Has a person stopped the orders of its algorithm?"""
    return len(state.stopped_names) > 0 and ("algo", request.algo) in state.stopped_names


def algo_reducing(state: GuardState, request: Request, _outcome: Outcome, _found: Found) -> bool:
    """Does a person let its algorithm but reduce positions?"""
    return len(state.reducing_names) > 0 and ("algo", request.algo) in state.reducing_names


def desk_stopped(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Has a person stopped the orders of this desk?"""
    desk = found.desk
    assert desk is not None
    if not desk.is_stopped:
        return False
    outcome.asked = outcome.limit = 0
    outcome.used = min(desk.unpaid_fees_microcents, U64_MAX)
    return True


def day_loss_above_max(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Has a scope of the order lost more in a day than it may, which no person has lifted yet?"""
    if not state.has_losses:
        return False
    desk = found.desk
    assert desk is not None
    return (
        _has_lost(state, outcome, desk.name, request.symbol, _DESK_SYMBOL)
        or _has_lost(state, outcome, desk.name, OF_ALL, _DESK)
        or _has_lost(state, outcome, OF_ALL, request.symbol, _SYMBOL)
        or _has_lost(state, outcome, OF_ALL, OF_ALL, _FIRM)
    )


def _has_lost(state: GuardState, outcome: Outcome, desk: str, symbol: str, scope: int) -> bool:
    """Is the latch of a loss set of that very place? What it has lost is told of a desk's own."""
    if LOSS not in state.latches.of(desk, symbol):
        return False
    limit = state.loss_limit(desk, symbol)
    outcome.asked, outcome.limit, outcome.used = 0, _NO_LIMIT, 0
    if limit is not None:
        outcome.limit = limit.max_microcents
    if desk:
        outcome.used = max(0, -state.day_profit(desk, symbol))
    outcome.scope = scope
    return True


def firm_reducing(state: GuardState, _request: Request, _outcome: Outcome, _found: Found) -> bool:
    """May all desks but reduce their positions?"""
    return state.is_firm_reducing or state.is_latched(OF_ALL, OF_ALL)


def desk_reducing(state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """May this desk but reduce its positions?

    Since it owes fees, its reducing orders exceed a position, a latch is set, or a person says so.
    """
    desk = found.desk
    assert desk is not None
    if not (
        desk.is_halted
        or desk.is_reducing
        or state.positions.surplus_of(desk.share) > 0
        or state.is_latched(desk.name, OF_ALL)
    ):
        return False
    outcome.asked = outcome.limit = 0
    outcome.used = min(desk.unpaid_fees_microcents, U64_MAX)
    return True


def symbol_reducing(state: GuardState, request: Request, _outcome: Outcome, _found: Found) -> bool:
    """May positions in this symbol be but reduced?"""
    if len(state.reducing_symbols) > 0 and request.symbol in state.reducing_symbols:
        return True
    return state.has_latches and state.is_latched(OF_ALL, request.symbol)


def desk_symbol_reducing(
    state: GuardState, request: Request, _outcome: Outcome, found: Found
) -> bool:
    """Is a latch set of this desk in this symbol?"""
    desk = found.desk
    assert desk is not None
    return state.has_latches and state.is_latched(desk.name, request.symbol)


def desk_halted(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Are the entries of this desk halted?"""
    desk = found.desk
    assert desk is not None
    if not (desk.is_halted or desk.is_stopped):
        return False
    outcome.asked = outcome.limit = 0
    outcome.used = min(desk.unpaid_fees_microcents, U64_MAX)
    return True
