# The types of rates.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64

cdef i64 _PARTS, _NS_PER_MS, _I64_MAX

@cython.final
cdef class Bucket:
    cdef public i64 kind, scope, window_ms, max
    cdef i64 _part_ns, _newest, _ends_at_ns, _total
    cdef Py_ssize_t _place
    cdef i64[17] _amounts

    cpdef i64 used(self, i64 elapsed_ns) noexcept

    @cython.locals(passed=i64, used=i64, step=i64)
    cdef i64 _used_in(self, i64 part) noexcept

    cpdef i64 take(self, i64 elapsed_ns, i64 amount) except? -1

    @cython.locals(passed=i64, step=i64)
    cdef int _turn_to(self, i64 part) except -1

    cdef int _begin(self, i64 part) except -1
