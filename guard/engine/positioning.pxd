# The types of positioning.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine cimport chains
from guard.engine.positions cimport Positions
from guard.engine.remembered cimport RememberedOrders
from guard.engine.found cimport Desk
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.request cimport Request

cdef u64 _BUY
cdef Py_ssize_t _NO_POSITION
cdef i64 _OPEN, _PHASE_REFUSED

@cython.locals(desk=Desk, worth=Worth, positions=Positions, row=Py_ssize_t, lots=i64)
cdef bint reduces(GuardState state, Request request) except -1

@cython.locals(desk=Desk, worth=Worth, row=Py_ssize_t)
cdef int note_admitted(GuardState state, Request request, bint is_exit) except -1

@cython.locals(desk=Desk, worth=Worth, row=Py_ssize_t)
cpdef int note_more(GuardState state, Request request, i64 lots, bint is_exit) except -1

@cython.locals(
    orders=RememberedOrders, positions=Positions, order=Request, desk_number=Py_ssize_t,
    worth=Worth, row=Py_ssize_t, lots=i64, left=i64, within=i64, is_exit=bint, price=u64,
    microcents=i64, confirmed=i64,
)
cdef int note_fill(
    GuardState state, Py_ssize_t order_row, i64 phase, Request request
) except -1

cdef int note_closed(GuardState state, Py_ssize_t order_row) except -1

@cython.locals(
    orders=RememberedOrders, order=Request, worth=Worth, row=Py_ssize_t, is_exit=bint
)
cpdef int note_reduced(GuardState state, Py_ssize_t order_row, i64 lots) except -1
