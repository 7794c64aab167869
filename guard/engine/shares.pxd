# The types of shares.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64

cdef i64 _UNKNOWN
cdef Py_ssize_t _NO_ROW

@cython.final
cdef class DeskIds:
    cdef readonly Py_ssize_t number
    cdef public i64 ids, fills, crowded, open_count, last_expires_at_ns
    cdef public Py_ssize_t closed_first, closed_last

@cython.final
cdef class Shares:
    cdef public bint is_split
    cdef readonly list all
    cdef readonly i64 ids_max, unknown_max, minimum, pool, pool_used, exits_extra
    cdef public i64 fills_max, fills_near, fills_per_order_max, fills_per_order_near

    cpdef DeskIds of(self, Py_ssize_t number)

    @cython.locals(used=i64, left=i64)
    cpdef i64 ids_limit(self, DeskIds share) except? -1

    cpdef int add_id(self, DeskIds share) except -1
    cpdef int drop_id(self, DeskIds share) except -1
