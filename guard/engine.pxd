# The types of engine.py, for the compiler alone.

from guard.state cimport GuardState

cdef class Engine:
    cdef public GuardState state
