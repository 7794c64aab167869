# The types of day_loss.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64

cdef int _DESK_SHIFT
cdef i64 _LOSS_OF_ALL

cpdef i64 place_of(i64 desk, i64 symbol) noexcept

@cython.final
cdef class Losses:
    cdef readonly bint is_on, has_moved
    cdef readonly dict limits
    cdef dict _beyond
    cdef list _moved

    cpdef set(self, dict limits)
    cpdef forget(self)
    cpdef bint bounds(self, i64 place) except -1
    cpdef i64 lost(self, i64 place) except? -1
    @cython.locals(limit=object)
    cpdef int look(self, i64 place, i64 profit) except -1
    cdef _note(self, place)
