# The types of gathering.py, for the compiler alone.

cimport cython

from guard.server.request_path cimport RequestPath
from wal.staging cimport Staging

@cython.final
cdef class Gathering:
    cdef object _gateway, _counters
    cdef RequestPath _path
    cdef Staging _staging
    cdef readonly list answers
    cdef readonly Py_ssize_t answers_bytes

    cpdef list take(self)

    @cython.locals(
        gathered_max=Py_ssize_t, records_max=Py_ssize_t, bytes_max=Py_ssize_t, staging=Staging,
        requests_before=Py_ssize_t, messages=Py_ssize_t,
    )
    cpdef drain(self, Py_ssize_t messages_max, Py_ssize_t requests_max, bounds)

    cpdef take_in(self, tuple received)
