# The types of engine.py, for the compiler alone.

from guard.engine cimport apply as applying
from guard.engine cimport decide as deciding
from guard.engine.state cimport GuardState
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef class Engine:
    cdef public GuardState state

    cpdef bint decide(self, Request request, Outcome outcome) except -1
    cpdef int apply(self, Request request, Outcome outcome) except -1
