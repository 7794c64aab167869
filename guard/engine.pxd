# The types of engine.py, for the compiler alone.

cdef class Engine:
    cdef public object state
