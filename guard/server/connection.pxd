# The types of connection.py, for the compiler alone.

cimport cython

from guard.server cimport rawio
from guard.server.sealing cimport Sealer
from guard.server.zmtp cimport ServerProtocol

cdef int _IDLE, _FRONT, _MORE, _GONE
cdef Py_ssize_t _READ_BYTES, _DIRECT_BYTES_MIN, _OVERHEAD, _FLUSH_BYTES, _PONG_BACKLOG_BYTES_MAX
cdef Py_ssize_t _FORGET, _HEAD_COUNT
cdef int _NEED_DATA, _MESSAGE, _READY, _SEND, _END
cdef int _EAGAIN
cdef bytes _LAST_LONG
cdef list _HEADS

@cython.final
cdef class Backlog:
    cdef public Py_ssize_t client_bytes_max, all_bytes_max, bytes, dropped_slow, dropped_gone

@cython.locals(head=bytes)
cpdef bytes frame_head(bytes envelope, Py_ssize_t size)

@cython.final
cdef class Connection:
    cdef readonly object socket
    cdef readonly int descriptor
    cdef readonly ServerProtocol protocol
    cdef readonly str address
    cdef readonly object credentials
    cdef public object key
    cdef public object permit
    cdef object _bounded
    cdef readonly tuple front
    cdef public str why
    cdef public bint is_open, is_readable, has_hung_up, is_ready, is_queued, is_held
    cdef public bint is_parked, is_touched
    cdef public bint is_writing_watched
    cdef public Py_ssize_t accepted_tick, heard_tick, begun_tick, pinged_tick, place_bytes
    cdef readonly Py_ssize_t front_bytes
    cdef Py_ssize_t _batch, _batch_messages, _batch_bytes
    cdef rawio.Link _link
    cdef bytearray _kept
    cdef Py_ssize_t _kept_at
    cdef Backlog _backlog
    cdef list _pieces
    cdef Py_ssize_t _piece, _piece_sent
    cdef readonly Py_ssize_t unsent_bytes

    cpdef bint charge(
        self, Py_ssize_t batch, Py_ssize_t size, Py_ssize_t messages_left, Py_ssize_t bytes_left
    ) except -1
    cpdef tuple take_front(self)
    @cython.locals(protocol=ServerProtocol, kept=bytearray, event=int, has_read=bint,
                   found=int, frame_count=Py_ssize_t)
    cpdef int fetch(self, bytearray scratch) except -1
    @cython.locals(protocol=ServerProtocol, room=Py_ssize_t, count=Py_ssize_t, at=Py_ssize_t,
                   is_direct=bint, place=bytearray)
    cdef int _read(self, bytearray scratch) except -1
    cdef int _end_reading(self, Py_ssize_t count) except -1
    @cython.locals(protocol=ServerProtocol)
    cdef bint _react(self, int event) except -1
    cpdef greet(self)
    cpdef bint ping(self, bytes command) except -1
    cpdef note_under_way(self, permit, Py_ssize_t count)
    @cython.locals(size=Py_ssize_t, left_bytes=Py_ssize_t, backlog=Backlog, sealer=Sealer)
    cpdef bint put(self, bytes envelope, bytes body) except -1
    @cython.locals(size=Py_ssize_t)
    cdef int _put(self, bytes head, bytes body) except -1
    @cython.locals(sent=Py_ssize_t)
    cpdef int flush(self) except -1
    @cython.locals(pieces=list, piece=Py_ssize_t, sent=Py_ssize_t, freed=Py_ssize_t,
                   size=Py_ssize_t)
    cdef int _forget_sent(self, Py_ssize_t count) except -1
    @cython.locals(unsent=int, body=bytes)
    cpdef int close(self) except -1
