# The types of apply.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine cimport limit_checks
from guard.engine.limits cimport Effective
from guard.engine cimport forgetting, positioning, replacing, settling
from guard.engine.remembered cimport RememberedOrders
from guard.engine.shares cimport DeskIds
from guard.engine.found cimport Desk
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from kernel.ledger_lines cimport Tenant

cdef Py_ssize_t _NO_ROW
cdef int _TIMED_SINCE
cdef u64 _EXECUTED, _BY_EXECUTION, _REPLACED, _REPLACE_REJECTED
cdef u64 _I64_MAX, _ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED, _REDUCED
cdef i64 _OPEN, _PHASE_FILLED, _CANCELED, _PHASE_REFUSED
cdef list _NOT_REMEMBERED
cdef u64 _UNCHARGED, _EARLY, _FILL_KIND, _ORDER_KIND, _REPLACE_KIND
cdef int _EARLY_FACTS

@cython.locals(
    sequence=u64, kind=u64, is_split=bint, row=Py_ssize_t, locating_row=Py_ssize_t, located=i64,
    share=DeskIds,
)
cpdef int apply(GuardState state, Request request, Outcome outcome) except -1

cpdef int apply_admitted(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(desk=Desk, line=Tenant, notional=u64, reservation_id=u64, is_exit=bint)
cdef int _apply_order(GuardState state, Request request, Outcome outcome) except -1

cpdef int apply_rejected(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(worth=Worth)
cpdef int count_working(
    GuardState state, Request request, Outcome outcome, bint is_exit
) except -1

@cython.locals(worth=Worth, lots=i64, used=i64)
cpdef int uncount_working(
    GuardState state, Request request, Outcome outcome, bint is_exit
) except -1

@cython.locals(worth=Worth, effective=Effective)
cdef int _note_limits(
    GuardState state, Desk desk, Request request, Outcome outcome
) except -1

cdef _check_due(GuardState state, Request request)

@cython.locals(
    orders=RememberedOrders, received_at_ns=i64, paid=i64, row=Py_ssize_t, phase=i64, hold=i64,
    desk=Desk, expires_at_ns=i64,
)
cdef int _apply_fill(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(orders=RememberedOrders)
cdef bint _keep_fill(
    GuardState state, Request request, Outcome outcome, i64 expires_at_ns
) except -1

cdef _take_due(GuardState state)

@cython.locals(desk=Desk)
cdef int _collect(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(desk=Desk)
cdef int _note_debt(GuardState state, Request request, Outcome outcome) except -1

cdef int _apply_reported(
    GuardState state, Py_ssize_t row, i64 phase, Request request, Outcome outcome
) except -1

@cython.locals(fee=i64)
cdef i64 paid_microcents(Request request, Outcome outcome) noexcept

@cython.locals(orders=RememberedOrders, filled=u64)
cdef int _note_fill(
    GuardState state, Py_ssize_t row, Request request, Outcome outcome
) except -1

cdef int _charge(GuardState state, Request request, i64 paid) except -1

@cython.locals(orders=RememberedOrders, row=Py_ssize_t, held=u64)
cpdef int apply_release(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(orders=RememberedOrders, hold=i64)
cpdef int close_canceled(
    GuardState state, Py_ssize_t row, Request request, u64 sequence
) except -1

@cython.locals(desk=Desk, expires_at_ns=i64)
cdef int _keep_cancel(GuardState state, Request request, Outcome outcome) except -1
