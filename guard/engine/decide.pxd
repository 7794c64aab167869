# The types of decide.py, for the compiler alone. No integer of a request is beyond its field's range
# (`guard.protocol.fields`), and balances are i64 from 0 on, as kernel.ledger_lines says.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.engine cimport chains, positioning, replacing, self_match, settling, short_sales, status
from guard.engine.checks cimport Check
from guard.engine.remembered cimport RememberedOrders
from guard.engine.found cimport Desk, Found
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.layout cimport Layout
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from kernel cimport little_endian as le
from kernel.ledger cimport BudgetEngine
from kernel.ledger_lines cimport Tenant
from kernel.policy cimport PolicySnapshot

cdef extern from *:
    """
    typedef unsigned __int128 decide_u128;
    """
    ctypedef unsigned long long u128 "decide_u128"

ctypedef u8 *Row

cdef u64 _TOKENS_PER_ORDER, _REUSED, _ORDER_STAGE, _ORIGINAL_DETAIL
cdef Py_ssize_t _OUTPUT_BYTES, _NO_ROW, _ORDER_KEY_FIELDS, _FILL_KEY_FIELDS
cdef Py_ssize_t _ORIGINAL_FIELD
cdef u64 _REPLACE, _REPLACED, _REPLACE_REJECTED
cdef u8 _REJECT, _SUBSTITUTE
cdef i64 _I64_MAX
cdef Py_ssize_t _ACTION_AT, _REASON_AT, _VENUE_AT, _COST_AT, _SEQUENCE_AT, _REQUESTED_AT
cdef Py_ssize_t _INPUT_TOKENS_AT, _OUTPUT_TOKENS_AT, _VALUE_AT, _BUDGET_AT, _RISK_AT
cdef Py_ssize_t _CONFIDENCE_AT, _QUALITY_AT, _LATENCY_AT, _CAPABILITIES_AT, _PROVIDERS_AT
cdef Py_ssize_t _REGIONS_AT
cdef u64 _EXECUTED, _EXECUTION, _BY_EXECUTION, _DIFFERS
cdef u64 _ADMITTED, _REJECTED, _REFUSED_ORDER, _FILLED, _RELEASED, _STATUS, _ERROR, _PONG, _STATS
cdef u64 _REDUCED, _REDUCE
cdef u64 _ORDER, _FILL, _CANCEL, _STATUS_KIND, _PING, _STATS_KIND
cdef i64 _OPEN, _PHASE_FILLED, _CANCELED, _PHASE_REFUSED
cdef u64 _OVERFILL, _LATE, _UNKNOWN, _REFUSED, _UNCHARGED, _EARLY, _UNCOUNTED
cdef u64 _BPS
cdef int _BOUNDED_FEES
cdef u64 _FILL_WINDOW_FULL, _FILL_ID_REUSED, _UNKNOWN_ORDER, _ORDER_REFUSED, _ORDER_FILLED
cdef list _BEFORE_KERNEL, _BEHIND_KERNEL, _OF_LOWERING
cdef Layout _ORDER_CONTENT, _FILL_CONTENT

@cython.locals(kind=u64)
cpdef int decide(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(kind=u64)
cpdef bint is_recorded(Outcome outcome) noexcept

cdef int decide_order(GuardState state, Request request, Outcome outcome) except -1
@cython.locals(known_row=Py_ssize_t)
cpdef bint answer_known(GuardState state, Request request, Outcome outcome) except -1
@cython.locals(found=Found)
cpdef int decide_unknown(
    GuardState state, Request request, Outcome outcome, overridden
) except -1

@cython.locals(
    found=Found, reason=u64, checks=list, index=Py_ssize_t, check=Check, row=Row,
)
cdef int _decide_new(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(found=Found, row=Row)
cdef int _admit(GuardState state, Request request, Outcome outcome) except -1

cdef void _refuse(Outcome outcome, u64 kind, u64 reason) noexcept

@cython.locals(asked=u64, limit=u64, used=u64, is_barred=bint)
cdef bint _is_barred_too(
    Check check, GuardState state, Request request, Outcome outcome
) except -1

@cython.locals(orders=RememberedOrders, field=Py_ssize_t)
cdef int _answer_known_order(
    GuardState state, Py_ssize_t row, Request request, Outcome outcome
) except -1

@cython.locals(policy=PolicySnapshot)
cdef int ask_kernel(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(row=Row)
cdef void put_input(Request request, Outcome outcome) noexcept

@cython.locals(
    orders=RememberedOrders, now_ns=i64, fill_row=Py_ssize_t, row=Py_ssize_t, phase=i64,
    left=u64, filled=u64, quantity=u64, held=i64, first=u64, after=i64, is_due=bint,
)
cdef int decide_fill(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(orders=RememberedOrders)
cdef int _follow_execution(
    GuardState state, Py_ssize_t row, Request request, Outcome outcome
) except -1

@cython.locals(released=i64, fee=i64, unpaid=i64, paid=i64)
cdef int _decide_fee(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(
    desk=Desk, order=Request, worth=Worth, price=u64, wide_bound=u128, wide_minimum=u128,
    wide_fee=u128,
)
cdef bint _is_chargeable(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(known=Request, field=Py_ssize_t)
cdef int _answer_known_fill(
    GuardState state, Py_ssize_t row, Request request, Outcome outcome
) except -1

@cython.locals(orders=RememberedOrders, row=Py_ssize_t, phase=i64, released=i64, sequence=u64)
cdef int decide_cancel(GuardState state, Request request, Outcome outcome) except -1

cdef _flag_rate(GuardState state, Py_ssize_t row, Request request, Outcome outcome)
