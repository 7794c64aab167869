# The types of revaluing.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.limits cimport Effective
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.request cimport Request
from guard.server.marks cimport Marks

cdef i64 _NEVER, _NO_JUMP, _NO_LIMIT, _NS_PER_MS
cdef Py_ssize_t _MARK_JUMP, _MARK_CONFIRM

@cython.final
cdef class Revaluing:
    cdef readonly i64 next_due_ns
    cdef GuardState _state
    cdef Marks _marks
    cdef list _heap
    cdef dict _waiting
    cdef i64 _limits_set

    @cython.locals(state=GuardState, worth=Worth)
    cpdef bint is_due(self, Request order) except -1
    @cython.locals(
        state=GuardState, worth=Worth, effective=Effective, jump_bps=i64, confirm_ns=i64,
        clock_ns=i64, due_at_ns=i64, price=u64
    )
    cpdef u64 take_mark(self, Request mark, i64 wall_ns) except? 0
    cpdef int settle(self, Request order, i64 wall_ns) except -1
    @cython.locals(state=GuardState)
    cpdef list take_due(self, Request order, i64 wall_ns)
