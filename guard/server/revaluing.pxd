# The types of revaluing.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64

from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.request cimport Request
from guard.server.marks cimport Marks

cdef i64 _NEVER

@cython.final
cdef class Revaluing:
    cdef readonly i64 next_due_ns
    cdef GuardState _state
    cdef Marks _marks
    cdef list _heap
    cdef dict _waiting
    cdef object _limits_digest_hex

    @cython.locals(state=GuardState, worth=Worth)
    cpdef bint is_due(self, Request order) except -1
    @cython.locals(state=GuardState, worth=Worth, due_at_ns=i64)
    cpdef int note(self, Request mark) except -1
    @cython.locals(state=GuardState)
    cpdef list take_due(self, Request order, i64 wall_ns)
