# The types of limit_checks.py, for the compiler alone: one line a rule.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.limits cimport Effective
from guard.engine.limits cimport Limits
from guard.engine.prices cimport has_moved
from guard.engine.rates cimport Bucket
from guard.engine.recent cimport Recent
from guard.engine.found cimport Found
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from kernel cimport little_endian as le

cdef extern from *:
    """
    typedef unsigned __int128 limits_u128;
    """
    ctypedef unsigned long long u128 "limits_u128"

cdef i64 _NEVER, _UNSAID, _NO_LIMIT, _I64_MAX, _NS_PER_MS, _DESK, _DESK_SYMBOL, _ACCOUNT
cdef u64 _MARKET, _SELL, _RESTRICTED, _NOT_ALLOWED, _BPS
cdef Py_ssize_t _VENUE_AT, _MARK_JUMP
cdef Py_ssize_t _QUANTITY_MIN, _QUANTITY_MAX, _QUANTITY_STEP, _PRICE_STEP, _VALUE_MIN, _VALUE_MAX
cdef Py_ssize_t _PRICE_COLLAR, _REFERENCE_AGE_MAX, _MARKET_BUFFER, _DUPLICATE_WINDOW, _SIDES
cdef Py_ssize_t _ORDER_TYPES, _TIMES_IN_FORCE

@cython.locals(wide_price=u128, moved=u128)
cpdef u64 moved_up(u64 price, u64 bps) noexcept

@cython.locals(worth=Worth, price=u64)
cdef u64 notional_microcents(Request request, Found found) except? 0
@cython.locals(effective=Effective)
cdef u64 valuation_price(Request request, Found found) except? 0
@cython.locals(price=u64, mark_price=u64, buffer_bps=i64, collar_bps=i64, highest=u64)
cpdef u64 valued_at(Effective effective, Request request) except? 0

@cython.locals(effective=Effective)
cdef bint _say(
    Outcome outcome, Found found, Py_ssize_t number, u64 asked, u64 used
) except -1
@cython.locals(effective=Effective)
cdef bint _is_symbol_refused(Outcome outcome, Found found, u64 refusal) except -1
@cython.locals(effective=Effective)
cdef bint _is_word_barred(
    Outcome outcome, Found found, Py_ssize_t number, u64 word
) except -1
@cython.locals(effective=Effective)
cdef bint _is_venue_barred(Outcome outcome, Found found, u64 venue) except -1
@cython.locals(effective=Effective, limit=u64)
cdef bint _is_below(Outcome outcome, Found found, Py_ssize_t number, u64 asked) except -1
@cython.locals(effective=Effective, limit=u64)
cdef bint _is_above(Outcome outcome, Found found, Py_ssize_t number, u64 asked) except -1
@cython.locals(effective=Effective, step=u64)
cdef bint _is_off_step(Outcome outcome, Found found, Py_ssize_t number, u64 asked) except -1
@cython.locals(effective=Effective, collar_bps=i64)
cdef bint _needs_reference(Request request, Found found) except -1
@cython.locals(index=Py_ssize_t, bucket=Bucket, used=i64, is_own=bint)
cdef bint _is_over_rate(Request request, Outcome outcome, list buckets, i64 amount) except -1
@cython.locals(index=Py_ssize_t, bucket=Bucket)
cdef int _take(list buckets, i64 elapsed_ns, i64 amount) except -1
cpdef int note_replaced(Request request, i64 microcents, Effective effective) except -1
cpdef int note_admitted(
    GuardState state, Request request, Outcome outcome, Effective effective
) except -1

@cython.locals(effective=Effective, unsaid=i64)
cdef bint limit_unsaid(GuardState, Request, Outcome, Found) except -1
cdef bint symbol_restricted(GuardState, Request, Outcome, Found) except -1
cdef bint symbol_not_allowed(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint side_not_allowed(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint venue_not_allowed(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint chosen_venue_not_allowed(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint order_type_not_allowed(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint time_in_force_not_allowed(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint quantity_below_min(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint quantity_above_max(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint quantity_off_step(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint price_off_step(GuardState, Request, Outcome, Found) except -1
@cython.locals(notional=u64, worth=Worth, effective=Effective)
cdef bint value_below_min(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint value_above_max(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint reference_missing(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective, age_max_ms=i64, age_ns=i64, age_ms=i64)
cdef bint reference_stale(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective, jump_bps=i64)
cdef bint reference_unconfirmed(GuardState, Request, Outcome, Found) except -1
@cython.locals(
    effective=Effective, collar_bps=i64, price=u64, mark_price=u64, jump=u64, low=u64, high=u64
)
cdef bint price_outside_collar(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint order_rate_exceeded(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint replace_rate_exceeded(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint notional_rate_exceeded(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective, window_ms=i64, since_ns=i64)
cdef bint duplicate_order(GuardState, Request, Outcome, Found) except -1
