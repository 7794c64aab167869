# The types of listener.py, for the compiler alone.

cimport cython

from guard.server cimport rawio
from guard.server.connection cimport Backlog, Connection
from guard.server.zmtp cimport ServerProtocol

cdef int _EVENTS_MAX, _FETCHES_MAX, _URGENT_RUN_MAX, _FRONT, _MORE, _GONE
cdef unsigned int _WRITABLE, _HUNG_UP, _WATCHED
cdef bytes _PING
cdef object _BY_UNSENT

cdef class Listener:
    cdef object _policy, _is_urgent, _on_connected, _on_gone
    cdef readonly Backlog backlog
    cdef readonly str endpoint
    cdef object _epoll
    cdef rawio.Poller _poller
    cdef readonly int descriptor
    cdef object _arrivals
    cdef bint _is_closing
    cdef dict _connections, _partial
    cdef Py_ssize_t _partial_bytes, _ahead_bytes, _ahead_bytes_max
    cdef bytearray _scratch
    cdef object _ready, _urgent
    cdef list _held
    cdef Connection _visited
    cdef int _visit_messages, _visit_left, _urgent_run, _fetches_left
    cdef bint _has_looked
    cdef Py_ssize_t _tick
    cdef object _loop, _timer
    cdef readonly Py_ssize_t holds
    cdef readonly bint hears_pings
    cdef readonly dict gone

    cpdef begin_turn(self)
    cpdef bint has_ready(self) except -1
    cpdef bint has_input(self) except -1
    cpdef look(self)
    @cython.locals(peer=Connection, visited=Connection, found=int)
    cpdef receive(self)
    cpdef hold(self, Connection peer)
    @cython.locals(peer=Connection, held=list)
    cpdef release_held(self)
    @cython.locals(peer=Connection, envelope=bytes, touched=list)
    cpdef send_all(self, answers, encode_late, after_each=*)
    @cython.locals(events=list, peer=Connection, descriptor=int, mask=cython.uint,
                   has_arrivals=bint)
    cdef _look(self)
    cdef tuple _take(self, Connection peer)
    cdef bint _may_visit(self, Connection peer) except -1
    @cython.locals(found=int)
    cdef _queue_next(self, Connection peer)
    cdef _queue(self, Connection peer)
    cdef bint _is_front_urgent(self, Connection peer) except -1
    @cython.locals(found=int, was_ready=bint)
    cdef int _fetch(self, Connection peer) except -1
    @cython.locals(place=bytearray, size=Py_ssize_t)
    cdef _count_partial(self, Connection peer)
    @cython.locals(left=int)
    cdef _flush(self, Connection peer)
    cdef _end(self, Connection peer, str why)
    @cython.locals(protocol=ServerProtocol, now=Py_ssize_t, silent=Py_ssize_t)
    cdef str _judge(self, Connection peer)
