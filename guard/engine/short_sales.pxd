# The types of short_sales.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.limits cimport Effective
from guard.engine.positions cimport Positions
from guard.engine.found cimport Desk, Found
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef extern from *:
    """
    typedef __int128 short_sales_i128;
    """
    ctypedef long long i128 "short_sales_i128"

cdef Py_ssize_t _SHORT_SALES, _NO_POSITION
cdef i64 _LOCATED, _REFUSED
cdef u64 _BUY, _SELL

@cython.locals(effective=Effective)
cdef bint short_sale_not_allowed(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective)
cdef bint _say(Outcome outcome, Found found) except -1
@cython.locals(
    desk=Desk, worth=Worth, positions=Positions, row=Py_ssize_t, wide_before=i128, wide_after=i128
)
cdef i64 _short_lots(GuardState state, Request request, Found found) except -1
@cython.locals(effective=Effective)
cdef bint _needs_locate(Found found) except -1
cdef bint locate_missing(GuardState, Request, Outcome, Found) except -1
cdef bint locate_unknown(GuardState, Request, Outcome, Found) except -1
cdef bint locate_exceeded(GuardState, Request, Outcome, Found) except -1
cdef i64 located_lots(GuardState state, Request request, Found found) except -1
