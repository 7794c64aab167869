# The types of marks.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.prices cimport has_moved
from guard.protocol.request cimport Request
from kernel cimport little_endian as le

cdef Py_ssize_t _SYMBOL_AT, _CLIENT_AT
cdef i64 _AGE_MAX

@cython.final
cdef class Mark:
    cdef public u64 price, jump
    cdef public i64 arrived_ns, late_ns, jump_arrived_ns, jump_late_ns, stands_since_ns, confirm_ns
    cdef public bytes jump_by
    cdef public bint is_denied

    @cython.locals(since_ns=i64)
    cpdef i64 age_ns(self, i64 wall_ns) except -1
    cpdef int take(self, u64 price, i64 wall_ns, i64 late_ns) except -1
    cpdef int settle(self, i64 wall_ns) except -1
    @cython.locals(is_same=bint)
    cpdef int offer(
        self, u64 price, i64 wall_ns, i64 late_ns, bytes source, u64 jump_bps, i64 confirm_ns
    ) except -1

@cython.final
cdef class Marks:
    cdef dict _marks
    cdef public Py_ssize_t received
    cdef readonly dict waiting

    @cython.locals(symbol=bytes, mark=Mark, late_ns=i64)
    cpdef u64 put(
        self, Request request, i64 wall_ns, i64 clock_ns, i64 jump_bps, i64 confirm_ns
    ) except? 0

    @cython.locals(mark=Mark, price=u64)
    cpdef list settle(self, i64 wall_ns)

    @cython.locals(mark=Mark)
    cpdef int say(self, Request order, i64 wall_ns) except -1
