# The types of zmtp.py, for the compiler alone.

cimport cython

from guard.server.sealing cimport Sealer
from kernel cimport little_endian as le

cdef int _NEED_DATA, _MESSAGE, _READY, _SEND, _END
cdef int _MORE, _LONG, _COMMAND
cdef Py_ssize_t _HEAD_BYTES_MAX, _REQUEST_ID_BYTES, _COMMAND_BYTES_MAX, _PLACE_BYTES
cdef int _SIZE_TOP_BITS_MAX, _NEWER_MINOR
cdef int _GREETING, _HANDSHAKE, _TRAFFIC, _ENDED
cdef int _START, _AFTER_EMPTY, _AFTER_ID, _AFTER_BOTH, _WRONG
cdef int _SKIP, _AS_BODY, _AS_FIRST_BYTE, _AS_ID, _AS_COMMAND, _AS_SEALED
cdef int _SEALED_MORE, _SEALED_COMMAND
cdef Py_ssize_t _CONTENT_AT, _OVERHEAD_BYTES, _SHORT_HEAD_BYTES
cdef bytes _EMPTY_FRAME, _ID_HEAD

@cython.final
cdef class ServerProtocol:
    cdef Py_ssize_t _body_bytes_max, _message_bytes_max, _frames_max
    cdef object _mechanism
    cdef int _phase
    cdef bytearray _greeting
    cdef readonly int event
    cdef readonly bytes envelope, body, to_send, socket_type, identity
    cdef readonly object key
    cdef readonly Sealer sealer
    cdef readonly Py_ssize_t body_bytes, frame_count
    cdef readonly str why
    cdef readonly int minor_version, ttl_tenths
    cdef readonly bint has_pinged
    cdef int _shape
    cdef Py_ssize_t _frames, _message_bytes
    cdef bytes _message_envelope, _request_id, _first
    cdef bint _is_in_frame, _is_last
    cdef int _use
    cdef Py_ssize_t _left_bytes, _frame_bytes
    cdef readonly bytearray place
    cdef readonly Py_ssize_t place_filled
    cdef bytearray _head
    cdef Py_ssize_t _head_filled

    cpdef bytes greeting(self)
    cpdef bytes as_sent(self, bytes command_frame)
    cpdef Py_ssize_t step(self, bytearray data, Py_ssize_t at, Py_ssize_t end) except -1
    @cython.locals(place=bytearray)
    cpdef Py_ssize_t room(self) except -1
    cpdef bint is_inside_message(self) except -1
    cpdef fill(self, Py_ssize_t count)
    @cython.locals(count=Py_ssize_t, told=bytearray, is_signed=bint)
    cdef Py_ssize_t _take_greeting(self, bytearray data, Py_ssize_t at, Py_ssize_t end) except -1
    @cython.locals(size_bytes=Py_ssize_t, head=bytearray)
    cdef Py_ssize_t _take_head(self, bytearray data, Py_ssize_t at, Py_ssize_t end) except -1
    @cython.locals(size=Py_ssize_t, index=Py_ssize_t)
    cdef Py_ssize_t _size(self, bytearray data, Py_ssize_t at, Py_ssize_t count) except -2
    cdef int _begin_frame(self, int flags, Py_ssize_t size) except -1
    cdef int _begin_command(self, int flags, Py_ssize_t size) except -1
    cdef int _begin_sealed(self, int flags, Py_ssize_t size) except -1
    @cython.locals(shape=int)
    cdef int _begin_message_frame(self, int more, Py_ssize_t size) except -1
    @cython.locals(left=Py_ssize_t, count=Py_ssize_t, use=int)
    cdef Py_ssize_t _take_content(self, bytearray data, Py_ssize_t at, Py_ssize_t end) except -1
    cdef int _copy(self, bytearray data, Py_ssize_t at, Py_ssize_t count) except -1
    @cython.locals(place=bytearray, more_bytes=Py_ssize_t)
    cdef int _grow(self) except -1
    @cython.locals(place=bytearray, sealed=bytearray)
    cdef int _end_frame(self) except -1
    @cython.locals(size=Py_ssize_t, is_kept=bint)
    cdef int _end_sealed(self, bytearray data, Py_ssize_t at, Py_ssize_t count) except -1
    @cython.locals(use=int)
    cdef int _end_whole(self, bytes content) except -1
    cdef int _end_message(self, bytes content) except -1
    cdef int _take_command(self, bytes body) except -1
    cdef int _take_handshake(self, bytes name, bytes data) except -1
    cdef int _end(self, str why, bytes to_send=*) except -1
