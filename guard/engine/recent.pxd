# The types of recent.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64

from guard.protocol.request cimport Request
from kernel cimport little_endian as le

cdef Py_ssize_t _DESK_AT, _SYMBOL_AT, _RECENT_MAX
cdef i64 _NEVER

@cython.final
cdef class Recent:
    cdef public i64 window_ns
    cdef dict _at_ns
    cdef object _queue
    cdef bytearray _numbers

    @cython.locals(numbers=bytearray, desk=bytes, symbol=bytes)
    cdef bytes _key(self, Request request)

    cdef i64 since(self, Request request) except -2

    @cython.locals(elapsed_ns=i64, key=bytes)
    cpdef int note(self, Request request) except -1
