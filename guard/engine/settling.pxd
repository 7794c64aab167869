# The types of settling.py, for the compiler alone. Balances are i64 from 0 on.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.remembered cimport RememberedOrders
from guard.engine.found cimport Desk
from guard.engine.state cimport GuardState
from guard.protocol cimport slots
from guard.protocol.layout cimport Layout
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from kernel.ledger_lines cimport Tenant

cdef extern from *:
    """
    typedef unsigned __int128 settling_u128;
    """
    ctypedef unsigned long long u128 "settling_u128"

cdef Py_ssize_t _SAME
cdef i64 _I64_MAX, _PHASE_OPEN, _PHASE_REFUSED
cdef int _TEXT, _OPTIONAL_TEXT

@cython.locals(index=Py_ssize_t, slot=Py_ssize_t, kind=int)
cpdef Py_ssize_t first_difference(
    Layout content, Py_ssize_t first, Request one, Request other
) except -2

@cython.locals(orders=RememberedOrders)
cpdef bint is_fill_window_full(GuardState state, Py_ssize_t row, Request request) except -1

@cython.locals(desk=Desk, line=Tenant, free=i64)
cpdef i64 collected(
    GuardState state, Request request, i64 released, i64 paid
) except -1

@cython.locals(orders=RememberedOrders, held=u64, left=u64)
cpdef int check_freed(
    GuardState state, Py_ssize_t row, i64 phase, u64 lots, Outcome outcome
) except -1

@cython.locals(released=i64)
cpdef int settle(GuardState state, i64 hold, i64 paid, Outcome outcome) except -1

@cython.locals(wide_first=u128, freed=i64)
cpdef i64 hold_after(i64 first_microcents, u64 filled, u64 quantity) except -1

@cython.locals(fee=i64, desk=Desk, line=Tenant, available=i64, room=i64, payable=i64)
cpdef i64 unpaid_fee(GuardState state, Request request, i64 released_microcents) except -1
