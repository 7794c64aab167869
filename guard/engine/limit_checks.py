# cython: annotation_typing=False, nonecheck=True
"""What the limits say of an order: the functions of those rows of the table of checks. Pure.

Owns one function a row of `guard.engine.checks` that asks a limit (`guard.engine.limits`), and at
which price an order is valued. Each looks at what was found for the order's desk and symbol, says
whether the order is refused, and puts what was asked, the limit, what of it is used and whose limit
it is into the outcome. Where the log has no limits, none of them refuses.

Of a rate that others share (the firm's, a symbol's, a trader's) a reject does not say what is used:
that is other desks' business.
"""

from guard.engine.found import Found
from guard.engine.limits import Effective
from guard.engine.prices import has_moved
from guard.engine.rates import Bucket
from guard.engine.recent import NEVER
from guard.engine.state import GuardState
from guard.protocol import limits
from guard.protocol.limits import NO_LIMIT, UNSAID, Scope
from guard.protocol.messages import I64_MAX
from guard.protocol.outcome import Outcome
from guard.protocol.reasons import Refusal
from guard.protocol.request import Request
from kernel import little_endian as le
from kernel.layout import DECISION

_UNSAID, _NO_LIMIT, _I64_MAX, _NEVER = UNSAID, NO_LIMIT, I64_MAX, NEVER
(
    _QUANTITY_MIN, _QUANTITY_MAX, _QUANTITY_STEP, _PRICE_STEP, _VALUE_MIN, _VALUE_MAX,
    _PRICE_COLLAR, _REFERENCE_AGE_MAX, _MARKET_BUFFER, _DUPLICATE_WINDOW, _SIDES, _ORDER_TYPES,
    _TIMES_IN_FORCE, *_,
) = range(len(limits.KEYS))  # fmt: skip
_MARK_JUMP = limits.MARK_JUMP
_MARKET = limits.WORDS_OF_KEY[limits.ORDER_TYPES].index("market")
_SELL = limits.WORDS_OF_KEY[limits.SIDES].index("sell")
_RESTRICTED, _NOT_ALLOWED = int(Refusal.SYMBOL_RESTRICTED), int(Refusal.SYMBOL_NOT_ALLOWED)
_DESK, _DESK_SYMBOL, _ACCOUNT = int(Scope.DESK), int(Scope.DESK_SYMBOL), int(Scope.ACCOUNT)
_BPS, _NS_PER_MS = 10_000, 1_000_000
_VENUE_AT = DECISION.field("selected_model_id").offset


def moved_up(price: int, bps: int) -> int:
    """A price so much higher, rounded up; I64_MAX where it is that or more."""
    wide_price = price
    moved = (wide_price * (_BPS + bps) + _BPS - 1) // _BPS
    return moved if moved < _I64_MAX else _I64_MAX


def notional_microcents(request: Request, found: Found) -> int:
    """What an order is worth at its valuation price.

    A reducing order is worth what its own price says, where that is less: no mark keeps anybody
    from getting out.
    """
    worth = found.worth
    assert worth is not None
    price = valuation_price(request, found)
    if found.is_exit and request.price < price:
        price = request.price
    return worth.notional_microcents(request.quantity, price)


def valuation_price(request: Request, found: Found) -> int:
    """Of all prices at which an order may trade, the one at which it is worth most.

    A buy's limit; of a sell, which may trade above its limit, the collar's upper end, if there is a
    collar, or the reference; of a market order the reference moved by the buffer. Without any
    reference its own price, which then is refused where one is needed.
    """
    effective = found.limits
    if effective is None or request.mark_price == 0:
        return request.price
    return valued_at(effective, request)


def valued_at(effective: Effective, request: Request) -> int:
    """The same, under these limits and with a reference."""
    price, mark_price = request.price, request.mark_price
    if request.order_type == _MARKET:
        buffer_bps = effective.values[_MARKET_BUFFER]
        return moved_up(mark_price, buffer_bps if buffer_bps > 0 else 0)
    if request.side != _SELL:
        return price
    collar_bps = effective.values[_PRICE_COLLAR]
    if collar_bps in (_UNSAID, _NO_LIMIT):
        collar_bps = 0
    highest = moved_up(mark_price, collar_bps)
    return highest if highest > price else price


def _say(outcome: Outcome, found: Found, number: int, asked: int, used: int) -> bool:
    """Refused: what was asked, the limit of that key, what of it is used, and whose it is."""
    effective = found.limits
    assert effective is not None
    outcome.asked, outcome.limit, outcome.used = asked, effective.values[number], used
    outcome.scope = effective.scopes[number]
    return True


def limit_unsaid(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Is there a limit that must be said, and that no scope says or waives?"""
    effective = found.limits
    if effective is None:
        return False
    unsaid = -1
    if effective.values[_QUANTITY_MAX] == _UNSAID:
        unsaid = _QUANTITY_MAX
    elif effective.values[_VALUE_MAX] == _UNSAID:
        unsaid = _VALUE_MAX
    elif effective.values[_PRICE_COLLAR] == _UNSAID:
        unsaid = _PRICE_COLLAR
    elif (
        effective.values[_PRICE_COLLAR] != _NO_LIMIT
        and effective.values[_REFERENCE_AGE_MAX] == _UNSAID
    ):
        unsaid = _REFERENCE_AGE_MAX
    if unsaid < 0:
        return False
    outcome.asked = unsaid
    return True


def symbol_restricted(
    _state: GuardState, _request: Request, outcome: Outcome, found: Found
) -> bool:
    """Does the symbol stand on a list of those that may not be traded?"""
    return _is_symbol_refused(outcome, found, _RESTRICTED)


def symbol_not_allowed(
    _state: GuardState, _request: Request, outcome: Outcome, found: Found
) -> bool:
    """Is there a list of symbols that may be traded, on which it does not stand?"""
    return _is_symbol_refused(outcome, found, _NOT_ALLOWED)


def _is_symbol_refused(outcome: Outcome, found: Found, refusal: int) -> bool:
    effective = found.limits
    if effective is None or effective.symbol_refusal != refusal:
        return False
    outcome.scope = effective.symbol_scope
    return True


def _is_word_barred(outcome: Outcome, found: Found, number: int, word: int) -> bool:
    effective = found.limits
    if effective is None or effective.values[number] >> word & 1:
        return False  # what is unsaid has all bits
    outcome.scope = effective.scopes[number]
    return True


def side_not_allowed(_state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """May the desk not trade on that side?"""
    return _is_word_barred(outcome, found, _SIDES, request.side)


def venue_not_allowed(_state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """May the desk not trade on the venue that is asked for?"""
    return _is_venue_barred(outcome, found, request.venue)


def chosen_venue_not_allowed(
    _state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """May it not trade on the venue that the kernel chose in its place?"""
    if found.limits is None or found.limits.venues is None or found.is_overruled:
        return False
    return _is_venue_barred(outcome, found, le.load_u32(outcome.output_row, _VENUE_AT))


def _is_venue_barred(outcome: Outcome, found: Found, venue: int) -> bool:
    effective = found.limits
    if effective is None or effective.allows(venue):
        return False
    outcome.asked, outcome.scope = venue, effective.venue_scope
    return True


def order_type_not_allowed(
    _state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """May the desk not send that type of order? Market orders only where a buffer is said."""
    effective = found.limits
    if effective is None:
        return False
    if _is_word_barred(outcome, found, _ORDER_TYPES, request.order_type):
        return True
    if request.order_type != _MARKET or effective.values[_MARKET_BUFFER] != _UNSAID:
        return False
    outcome.scope = 0
    return True


def time_in_force_not_allowed(
    _state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """May the desk not send orders that live so long?"""
    return _is_word_barred(outcome, found, _TIMES_IN_FORCE, request.time_in_force)


def _is_below(outcome: Outcome, found: Found, number: int, asked: int) -> bool:
    effective = found.limits
    if effective is None or effective.values[number] == _UNSAID:
        return False
    limit = effective.values[number]
    return asked < limit and _say(outcome, found, number, asked, 0)


def _is_above(outcome: Outcome, found: Found, number: int, asked: int) -> bool:
    effective = found.limits
    if effective is None or effective.values[number] == _UNSAID:
        return False
    limit = effective.values[number]
    return asked > limit and _say(outcome, found, number, asked, 0)


def _is_off_step(outcome: Outcome, found: Found, number: int, asked: int) -> bool:
    effective = found.limits
    if effective is None or effective.values[number] == _UNSAID:
        return False
    step = effective.values[number]
    return asked % step != 0 and _say(outcome, found, number, asked, asked % step)


def quantity_below_min(
    _state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Are there fewer lots than an order must have?"""
    return _is_below(outcome, found, _QUANTITY_MIN, request.quantity)


def quantity_above_max(
    _state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Are there more lots than an order may have?"""
    return _is_above(outcome, found, _QUANTITY_MAX, request.quantity)


def quantity_off_step(_state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Is its quantity no multiple of the step?"""
    return _is_off_step(outcome, found, _QUANTITY_STEP, request.quantity)


def price_off_step(_state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Is a limit order's price no multiple of the step?"""
    if request.order_type == _MARKET:
        return False
    return _is_off_step(outcome, found, _PRICE_STEP, request.price)


def value_below_min(_state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Is the order worth less than one must be, at the price at which it is worth most?"""
    notional = outcome.notional_microcents
    worth, effective = found.worth, found.limits
    if found.is_exit and effective is not None and effective.values[_VALUE_MIN] != _UNSAID:
        assert worth is not None
        notional = worth.notional_microcents(request.quantity, valuation_price(request, found))
    return _is_below(outcome, found, _VALUE_MIN, notional)


def value_above_max(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Is the order worth more than one may be, at the price at which it is worth most?"""
    return _is_above(outcome, found, _VALUE_MAX, outcome.notional_microcents)


def _needs_reference(request: Request, found: Found) -> bool:
    """A market order does, and whatever has a collar."""
    effective = found.limits
    if effective is None:
        return False
    collar_bps = effective.values[_PRICE_COLLAR]
    return request.order_type == _MARKET or collar_bps not in (_UNSAID, _NO_LIMIT)


def reference_missing(_state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Is a reference price needed, and none known?"""
    if request.mark_price != 0 or not _needs_reference(request, found):
        return False
    effective = found.limits
    assert effective is not None
    outcome.scope = effective.scopes[_PRICE_COLLAR]
    return True


def reference_stale(_state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Is the reference price that is needed older than it may be?"""
    if not _needs_reference(request, found):
        return False
    effective = found.limits
    assert effective is not None
    age_max_ms = effective.values[_REFERENCE_AGE_MAX]
    if age_max_ms in (_UNSAID, _NO_LIMIT):
        return False
    age_ns = request.mark_age_ns
    if age_ns <= age_max_ms * _NS_PER_MS:
        return False
    age_ms = age_ns // _NS_PER_MS + (1 if age_ns % _NS_PER_MS else 0)
    return _say(outcome, found, _REFERENCE_AGE_MAX, age_ms, 0)


def reference_unconfirmed(
    _state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Has the symbol's mark jumped further than counts at once, to what nothing confirms yet?"""
    effective = found.limits
    if effective is None or request.mark_jump == 0:
        return False
    jump_bps = effective.values[_MARK_JUMP]
    if jump_bps in (_UNSAID, _NO_LIMIT):
        return False
    if not has_moved(request.mark_price, request.mark_jump, jump_bps):
        return False
    return _say(outcome, found, _MARK_JUMP, request.mark_jump, request.mark_price)


def price_outside_collar(
    state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Does a limit order's price lie further from the reference than it may?

    An order that but reduces is not refused for want of a fresh one, and where the mark has jumped
    to what is not confirmed, its collar reaches from the lower of both to the higher.
    """
    effective = found.limits
    if effective is None or request.order_type == _MARKET:
        return False
    collar_bps = effective.values[_PRICE_COLLAR]
    if collar_bps in (_UNSAID, _NO_LIMIT):
        return False
    price, mark_price = request.price, request.mark_price
    if found.is_exit and (mark_price == 0 or reference_stale(state, request, outcome, found)):
        return False
    if found.is_exit and request.mark_jump != 0:
        jump = request.mark_jump
        low, high = (jump, mark_price) if jump < mark_price else (mark_price, jump)
        if low <= price <= high:
            return False
        mark_price = low if price < low else high
    if not has_moved(mark_price, price, collar_bps):
        return False
    return _say(outcome, found, _PRICE_COLLAR, price, mark_price)


def order_rate_exceeded(
    _state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Have as many orders been admitted within a window as may be?"""
    effective = found.limits
    if effective is None or found.is_replace:
        return False
    return _is_over_rate(request, outcome, effective.order_buckets, 1)


def replace_rate_exceeded(
    _state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Have as many replaces been admitted within a window as may be?"""
    effective = found.limits
    if effective is None or not found.is_replace:
        return False
    return _is_over_rate(request, outcome, effective.replace_buckets, 1)


def notional_rate_exceeded(
    _state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Would more be admitted within a window, by value, than may be?"""
    effective = found.limits
    if effective is None or found.asked_microcents == 0:
        return False
    return _is_over_rate(request, outcome, effective.notional_buckets, found.asked_microcents)


def _is_over_rate(request: Request, outcome: Outcome, buckets: list[Bucket], amount: int) -> bool:
    for index in range(len(buckets)):
        bucket = buckets[index]
        used = bucket.used(request.elapsed_ns)
        if amount <= bucket.max - used:
            continue
        is_own = bucket.scope in (_DESK, _DESK_SYMBOL, _ACCOUNT)
        outcome.asked, outcome.limit, outcome.used = amount, bucket.max, used if is_own else 0
        outcome.scope = bucket.scope
        return True
    return False


def duplicate_order(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Was the same admitted under another id a short while ago?"""
    effective = found.limits
    if effective is None or effective.values[_DUPLICATE_WINDOW] == _UNSAID or found.is_replace:
        return False
    window_ms = effective.values[_DUPLICATE_WINDOW]
    since_ns = state.limits.recent.since(request)
    if since_ns == _NEVER or since_ns >= window_ms * _NS_PER_MS:
        return False
    return _say(outcome, found, _DUPLICATE_WINDOW, since_ns // _NS_PER_MS, 0)


def note_admitted(
    state: GuardState, request: Request, outcome: Outcome, effective: Effective
) -> int:
    """Takes an admitted order into the rates that it counts in, and what comes again is held to."""
    if effective.values[_DUPLICATE_WINDOW] != _UNSAID:
        state.limits.recent.note(request)
    _take(effective.order_buckets, request.elapsed_ns, 1)
    return _take(effective.notional_buckets, request.elapsed_ns, outcome.notional_microcents)


def note_replaced(request: Request, microcents: int, effective: Effective) -> int:
    """The same of an admitted replace, which needs so much more."""
    _take(effective.replace_buckets, request.elapsed_ns, 1)
    if microcents > 0:
        _take(effective.notional_buckets, request.elapsed_ns, microcents)
    return 0


def _take(buckets: list[Bucket], elapsed_ns: int, amount: int) -> int:
    for index in range(len(buckets)):
        bucket = buckets[index]
        bucket.take(elapsed_ns, amount)
    return 0
