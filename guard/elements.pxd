# The types of elements.py, for the compiler alone.

cimport cython
from libc.stdint cimport uint8_t as u8

from guard cimport packing

cdef Py_ssize_t NOT_PLAIN, _BODY_BYTES_MAX, _REQUESTS_MAX, _TYPE_COUNT
cdef list _TYPES
cdef bytes _TYPE_KEY

@cython.final
cdef class Elements:
    cdef Py_ssize_t[256] ends
    cdef bint is_array
    cdef Py_ssize_t first_at

    @cython.locals(end=Py_ssize_t, head=u8, count=Py_ssize_t, at=Py_ssize_t, index=Py_ssize_t)
    cdef Py_ssize_t split(self, bytes body) except -2

@cython.locals(count=Py_ssize_t, index=Py_ssize_t)
cdef Py_ssize_t request_end(const u8 *body, Py_ssize_t at, Py_ssize_t end) except -2

@cython.locals(index=Py_ssize_t)
cdef bint begins_with_type(const u8 *body, Py_ssize_t at, Py_ssize_t end) except -1
