# The types of status.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.remembered cimport RememberedOrders
from guard.engine.state cimport GuardState
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef Py_ssize_t _NO_ROW
cdef u64 _STATUS
cdef i64 _OPEN, _PHASE_REFUSED
cdef list _STATE_OF_PHASE

@cython.locals(orders=RememberedOrders, named=Py_ssize_t, row=Py_ssize_t, phase=i64)
cpdef int answer_status(GuardState state, Request request, Outcome outcome) except -1
