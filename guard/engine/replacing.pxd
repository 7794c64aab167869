# The types of replacing.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine cimport chains, limit_checks, positioning, settling
from guard.engine.limits cimport Effective
from guard.engine.positions cimport Positions
from guard.engine.remembered cimport RememberedOrders
from guard.engine.found cimport Desk, Found
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol cimport json_text, slots
from guard.protocol.layout cimport Layout
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from kernel.ledger_raises cimport raise_hold

cdef extern from *:
    """
    typedef unsigned __int128 replacing_u128;
    """
    ctypedef unsigned long long u128 "replacing_u128"

cdef Py_ssize_t _NO_ROW, _NO_POSITION, _SAME, _KEY_FIELDS, _ORIGINAL_FIELD
cdef i64 _OPEN, _FILLED, _CANCELED, _REFUSED, _REPLACED
cdef u64 _REPLACED_KIND, _ADMITTED, _REJECTED, _REFUSED_KIND, _ERROR
cdef u64 _OUTCOME_REPLACED, _OUTCOME_REJECTED, _REUSED, _ORDER_STAGE, _ORIGINAL_DETAIL
cdef u64 _MARKET, _BUY, _SETTLED_LATE
cdef Layout _CONTENT
cdef list _ORDER_FIELD_OF, _TEXTS_KEPT
cdef Py_ssize_t _DESK_AT, _DESK_TEXT, _ID_AT, _ORIGINAL_AT
cdef int _SINCE_RULES

@cython.locals(named=Request, count=Py_ssize_t)
cpdef Py_ssize_t find_original(GuardState state, Request request) except -2

@cython.locals(
    orders=RememberedOrders, named=Py_ssize_t, row=Py_ssize_t, order=Request, answer=Outcome,
    text=Py_ssize_t, place=Py_ssize_t, index=Py_ssize_t,
)
cpdef Py_ssize_t complete(GuardState state, Request request) except -2
@cython.locals(found=Found)
cpdef int complete_ahead(GuardState state, Request request) except -1

@cython.locals(
    orders=RememberedOrders, found=Found, now_ns=i64, own=Py_ssize_t, named=Py_ssize_t,
    first=Py_ssize_t, phase=i64, waits=Py_ssize_t, stands=Py_ssize_t, is_complete=bint,
)
cpdef int begin(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(orders=RememberedOrders)
cdef int _refuse_reused(
    GuardState state, Py_ssize_t own, Request request, Outcome outcome
) except -1

@cython.locals(field=Py_ssize_t)
cdef Py_ssize_t difference(Request known, Request request) except -2

@cython.locals(
    orders=RememberedOrders, filled=i64, left=i64, left_then=i64, order=Request
)
cdef int _measure(
    GuardState state, Found found, Py_ssize_t first, Py_ssize_t stands, Request request
) except -1

@cython.locals(is_no_higher=bint)
cdef bint _is_no_easier(Request order, Request request) except -1

@cython.locals(wide=u128, share=u64)
cdef u64 _share(u64 microcents, u64 lots, u64 quantity) except? 0

@cython.locals(
    desk=Desk, worth=Worth, positions=Positions, row=Py_ssize_t, others=i64, lots=i64
)
cdef i64 _reducible(GuardState state, Request request, i64 left) except? -1

@cython.locals(found=Found)
cdef int overrule(GuardState state, Request request) except -1

@cython.locals(
    orders=RememberedOrders, named=Py_ssize_t, desk=Desk, first=Py_ssize_t, filled=i64, held=i64,
    reservation_id=u64, left=i64, lots_filled=u64, then=i64, more=i64, worth=Worth,
    effective=Effective, left_then=i64,
)
cdef int apply_replace(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(
    orders=RememberedOrders, is_replaced=bint, row=Py_ssize_t, first=Py_ssize_t, by=i64,
    kept=Py_ssize_t, filled=i64, order=Request, released=i64,
)
cdef int decide_settled(GuardState state, Request request, Outcome outcome) except -1

@cython.locals(
    orders=RememberedOrders, now_ns=i64, row=Py_ssize_t, first=Py_ssize_t, is_replaced=bint,
    is_open=bint, held=i64, filled=i64, left=i64, hold=i64, gone=i64, ended=Py_ssize_t,
    expires_at_ns=i64,
)
cdef Py_ssize_t apply_settled(GuardState state, Request request, Outcome outcome) except -2

@cython.locals(
    orders=RememberedOrders, left=i64, hold=i64, held=i64, kept=Py_ssize_t, filled=i64,
    order=Request,
)
cdef int _check_settled(
    GuardState state, Py_ssize_t row, Py_ssize_t first, bint is_open, Request request,
    Outcome outcome,
) except -1

@cython.locals(orders=RememberedOrders, order=Request, since_ns=i64, expires_at_ns=i64)
cdef int _close_ended(GuardState state, Py_ssize_t row, Request request) except -1

@cython.locals(other=Py_ssize_t)
cpdef int put_chain(RememberedOrders orders, Py_ssize_t first, Outcome outcome) except -1

cdef int _fail(Outcome outcome, code) except -1
