# The types of batch.py, for the compiler alone.

cimport cython

from guard.server.request_path cimport RequestPath
from wal.staging cimport Staging

cdef Py_ssize_t _UNBOUNDED

@cython.final
cdef class Gathering:
    cdef object _gateway, _counters
    cdef RequestPath _path
    cdef Staging _staging
    cdef readonly list answers
    cdef readonly Py_ssize_t answers_bytes
    cdef public Py_ssize_t staged_end
    cdef object _look_at_space
    cdef Py_ssize_t _batch

    cpdef list take(self)

    @cython.locals(
        gathered_max=Py_ssize_t, records_max=Py_ssize_t, bytes_max=Py_ssize_t, staging=Staging,
        requests_before=Py_ssize_t, messages=Py_ssize_t, gathered_bytes=Py_ssize_t,
        size=Py_ssize_t, messages_left=Py_ssize_t, received=tuple,
    )
    cpdef drain(self, Py_ssize_t messages_max, Py_ssize_t requests_max, bounds)

    cpdef take_in(self, tuple received)
