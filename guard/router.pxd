# The types of router.py, for the compiler alone.

cimport cython

from guard cimport rawzmq as raw

cdef int _EAGAIN, _EHOSTUNREACH, _POLLIN
cdef Py_ssize_t _UNCOUNTED_MAX

cdef class RouterFrames:
    cdef public object _socket
    cdef raw.Port _port
    cdef public Py_ssize_t replies_dropped_slow, replies_dropped_gone
    cdef Py_ssize_t _client_backlog_bytes_max, _backlog_bytes_max, _forget_at
    cdef dict _tallies

    @cython.locals(port=raw.Port, routing_id=bytes, first=bytes, second=bytes,
                   frame_count=Py_ssize_t)
    cpdef receive(self)

    cdef bytes _next(self)

    @cython.locals(error=int)
    cpdef send(self, bytes routing_id, bint has_delimiter, bytes body)

    @cython.locals(error=int)
    cpdef send_all(self, answers, encode_late, after_each=*)

    @cython.locals(port=raw.Port, error=int)
    cdef int _put_reply(self, routing_id, bint has_delimiter, body) except -1

    @cython.locals(left_bytes=Py_ssize_t, bytes_max=Py_ssize_t)
    cdef _tally_with_room(self, bytes routing_id, Py_ssize_t size)

    cdef _forget(self)

    cdef _count_dropped(self, int error)
