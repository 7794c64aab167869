# The types of marks.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.protocol.request cimport Request
from kernel cimport little_endian as le

cdef Py_ssize_t _SYMBOL_AT
cdef i64 _AGE_MAX

@cython.final
cdef class Mark:
    cdef public u64 price
    cdef public i64 arrived_ns, late_ns

    @cython.locals(since_ns=i64)
    cpdef i64 age_ns(self, i64 wall_ns) except -1

@cython.final
cdef class Marks:
    cdef dict _marks
    cdef public Py_ssize_t received

    @cython.locals(symbol=bytes, mark=Mark)
    cpdef int put(self, Request request, i64 wall_ns, i64 clock_ns) except -1

    @cython.locals(mark=Mark, since_ns=i64)
    cpdef int say(self, Request order, i64 wall_ns) except -1
