# The types of recent.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8

from guard.protocol cimport json_text as text
from guard.protocol.request cimport Request
from kernel cimport little_endian as le

ctypedef u8 *BufferPointer

cdef Py_ssize_t _KEY_BYTES_MAX
cdef Py_ssize_t _DESK_AT, _SYMBOL_AT, _RECENT_MAX, _PLACE_MASK
cdef i64 _NEVER

@cython.final
cdef class Recent:
    cdef public i64 window_ns
    cdef list _keys
    cdef bytearray _times, _before, _newest, _buffer
    cdef bytes _asked
    cdef i64 _first, _end
    cdef set _tried

    @cython.locals(buffer=BufferPointer, at=Py_ssize_t)
    cdef bytes _key(self, Request request)

    @cython.locals(key=bytes, known=bytes, number=i64, place=Py_ssize_t)
    cpdef i64 since(self, Request request) except -2

    @cython.locals(elapsed_ns=i64, at_ns=i64)
    cpdef int note(self, Request request) except -1

    @cython.locals(place=Py_ssize_t, chain=Py_ssize_t)
    cdef int _append(self, bytes key, i64 elapsed_ns) except -1
