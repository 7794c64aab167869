# cython: annotation_typing=False, nonecheck=True
"""What an order's own words, and its id, say against it. Pure; changes nothing.

Owns the functions of those rows of the table of checks (`guard.engine.checks`): is it too old, is
there room to remember it, are its desk, symbol and venue known, can it be counted. The first ones
find what the names stand for (`guard.engine.state.Found`), which all behind them use.
"""

from guard.engine import early, limit_checks, settling
from guard.engine.found import Found
from guard.engine.state import GuardState
from guard.protocol.messages import I64_MAX, U32_MAX
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

_I64_MAX, _U32_MAX = I64_MAX, U32_MAX
_NS_PER_MS = 1_000_000


def stale_order(state: GuardState, request: Request, outcome: Outcome, _found: Found) -> bool:
    """Would the id be forgotten too early?"""
    sent_at_ns = request.sent_at_ns
    if sent_at_ns == 0:
        return False
    window_ns = state.remembered_order_window_ns
    now_ns = state.clock_of(request)
    if abs(now_ns - sent_at_ns) <= window_ns:
        if sent_at_ns > state.orders.forgotten_close_ns:
            return False
        # Under whichever window it was forgotten: an id that was sent until then may have been.
        window_ns = state.orders.forgotten_close_ns
    outcome.asked, outcome.limit, outcome.used = sent_at_ns, window_ns, now_ns
    return True


def window_full(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Is there no room to remember the id?"""
    orders = state.orders
    shares = orders.shares
    share = shares.of(0)
    ids_max = state.remembered_orders_max
    if shares.is_split:
        share = state.share_of(request)
        ids_max = shares.ids_limit(share)
        if found.is_exit or found.is_lowering:
            ids_max += shares.exits_extra
    if not orders.is_full(share, ids_max, request.received_at_ns):
        return False
    outcome.asked, outcome.limit = 1, ids_max
    outcome.used = share.ids if shares.is_split else ids_max
    return True


def unknown_desk(state: GuardState, request: Request, _outcome: Outcome, found: Found) -> bool:
    """Is there no such desk?"""
    found.desk = state.desk_of(request)
    found.account = None if request.account_bytes == 0 else state.accounts.of(request)
    return found.desk is None


def account_missing(_state: GuardState, request: Request, _outcome: Outcome, found: Found) -> bool:
    """Does it name no account, of a desk that has accounts?"""
    desk = found.desk
    assert desk is not None
    return desk.has_accounts and request.account_bytes == 0


def account_unknown(_state: GuardState, request: Request, _outcome: Outcome, found: Found) -> bool:
    """Does it name an account that there is not, or another desk's?"""
    if request.account_bytes == 0:
        return False
    desk, account = found.desk, found.account
    assert desk is not None
    return account is None or account.desk != desk.name


def unknown_symbol(state: GuardState, request: Request, _outcome: Outcome, found: Found) -> bool:
    """Is there no such instrument?"""
    found.worth = state.worth_of(request)
    return found.worth is None


def quantity_out_of_range(
    _state: GuardState, request: Request, outcome: Outcome, _found: Found
) -> bool:
    """Are there more lots than the kernel's input can say?"""
    if request.quantity <= _U32_MAX:
        return False
    outcome.asked, outcome.limit, outcome.used = request.quantity, _U32_MAX, 0
    return True


def notional_overflow(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Is the order worth more than can be counted?"""
    worth = found.worth
    assert worth is not None
    if state.has_limits:
        assert found.desk is not None
        desk_class, symbol_class = found.desk.limit_class, worth.limit_class
        found.limits = state.limits.of_order(desk_class, symbol_class, request, state.accounts)
    else:
        found.limits = None
    notional = limit_checks.notional_microcents(request, found)
    if found.is_lowering and notional > found.lowered_microcents:
        notional = found.lowered_microcents
    outcome.notional_microcents = notional
    if notional <= _I64_MAX:
        found.asked_microcents = _more(request, found, notional) if found.is_replace else notional
        return False
    outcome.asked, outcome.limit, outcome.used = notional, _I64_MAX, 0
    return True


def _more(request: Request, found: Found, notional: int) -> int:
    """What a replace that is worth so much needs beyond what its order holds."""
    quantity = request.quantity
    filled = found.filled_lots if found.filled_lots < quantity else quantity
    held = settling.hold_after(notional, filled, quantity)
    return held - found.held_microcents if held > found.held_microcents else 0


def order_too_old(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Was it first sent longer ago than its desk allows?"""
    desk = found.desk
    assert desk is not None
    sent_at_ns, age_max_ms = request.sent_at_ns, desk.max_order_age_ms
    now_ns = state.clock_of(request)
    if age_max_ms == 0 or sent_at_ns == 0 or now_ns - sent_at_ns <= age_max_ms * _NS_PER_MS:
        return False
    outcome.asked, outcome.limit, outcome.used = sent_at_ns, age_max_ms, now_ns
    return True


def order_age_unknown(
    _state: GuardState, request: Request, _outcome: Outcome, found: Found
) -> bool:
    """Does its desk ask for an age, and does it say none?"""
    desk = found.desk
    assert desk is not None
    return desk.max_order_age_ms != 0 and request.sent_at_ns == 0


def fill_window_full(state: GuardState, request: Request, outcome: Outcome, _found: Found) -> bool:
    """Is there little room left to remember the fills that its desk's orders would get?"""
    shares = state.orders.shares
    share = state.share_of(request)
    if share.fills < shares.fills_near and share.crowded == 0:
        return False
    outcome.asked, outcome.limit, outcome.used = 1, shares.fills_max, share.fills
    if share.crowded:
        outcome.limit = shares.fills_per_order_max
        outcome.used = shares.fills_per_order_near
    return True


def unknown_venue(state: GuardState, request: Request, outcome: Outcome, _found: Found) -> bool:
    """Is there no such venue, and may the order not simply go to another one?"""
    if request.allow_substitute and not state.refuses_unknown_venues:
        return False
    if state.has_venue(request.venue):
        return False
    outcome.asked = request.venue
    return True


def canceled_before_arrival(
    state: GuardState, request: Request, outcome: Outcome, _found: Found
) -> bool:
    """Was it canceled before it came?"""
    if not state.has_facts:
        return False
    outcome.original_wal_sequence = early.early_cancel(state, request)
    return outcome.original_wal_sequence != 0
