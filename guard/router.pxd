# The types of router.py, for the compiler alone.

cimport cython

from guard cimport rawzmq as raw

cdef int _EAGAIN, _EHOSTUNREACH, _POLLIN
cdef Py_ssize_t _UNCOUNTED_MAX, _MESSAGE_BYTES, _SKIPPED_MAX, _SURE_BYTES

@cython.final
cdef class Waiting:
    cdef readonly bytes routing_id
    cdef readonly object messages
    cdef readonly Py_ssize_t byte_count
    cdef readonly bint is_over, is_ended

cdef class RouterFrames:
    cdef public object _socket
    cdef raw.Port _port
    cdef public Py_ssize_t replies_dropped_slow, replies_dropped_gone
    cdef Py_ssize_t _client_backlog_bytes_max, _backlog_bytes_max, _forget_at
    cdef dict _tallies
    cdef Py_ssize_t _client_ahead_bytes_max, _ahead_bytes_max, _frame_count
    cdef dict _waiting
    cdef object _rotation
    cdef tuple _begun
    cdef readonly Py_ssize_t ahead_bytes, floods_dropped, floods_disconnected

    @cython.locals(waiting=Waiting, routing_id=bytes)
    cpdef receive(self)

    @cython.locals(waiting=Waiting, routing_id=bytes, received=tuple)
    cpdef bint read_ahead(self, Py_ssize_t messages_max) except -1

    @cython.locals(received=tuple, size=Py_ssize_t)
    cdef tuple _next_of(self, Waiting waiting)

    @cython.locals(waiting=Waiting, size=Py_ssize_t, left_bytes=Py_ssize_t)
    cdef _keep(self, tuple received)

    cdef bytes _next_routing_id(self)

    @cython.locals(port=raw.Port, first=bytes, second=bytes)
    cdef tuple _take_rest(self, bytes routing_id)

    @cython.locals(descriptor=int)
    cdef tuple _skip_all(self, bytes routing_id, Waiting waiting)

    @cython.locals(port=raw.Port, left=Py_ssize_t)
    cdef tuple _skip_rest(self)

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

@cython.locals(body=bytes)
cdef Py_ssize_t _size_of(tuple received) except -1
