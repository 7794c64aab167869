# The types of answering.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard cimport packing
from guard.elements cimport Elements
from guard.engine cimport Engine
from guard.order_lane cimport OrderLane
from guard.state cimport GuardState
from kernel cimport little_endian as le
from wal.staging cimport Staging

cdef Py_ssize_t _REPLY_BYTES_MAX, _REPLIES_BYTES

cpdef record_outcome(Engine engine, writer, decided)

@cython.final
cdef class Answering:
    cdef Engine _engine
    cdef GuardState _state
    cdef Staging _staging
    cdef object _writer, _counters, _wall_ns
    cdef bint _has_lane
    cdef OrderLane _lane
    cdef Elements _elements
    cdef bytearray _replies
    cdef readonly Py_ssize_t requests
    cdef public int refused

    @cython.locals(state=GuardState, count=Py_ssize_t)
    cpdef answer(self, bytes body, Py_ssize_t frame_count)

    @cython.locals(
        elements=Elements, lane=OrderLane, reply_at=Py_ssize_t, records=Py_ssize_t,
        at=Py_ssize_t, end=Py_ssize_t, index=Py_ssize_t, reply=bytes,
    )
    cdef bytes _answer_each(
        self, bytes body, Py_ssize_t count, i64 received_at_ns, u64 batch_first_sequence
    )

    cdef int _make_room(self, Py_ssize_t end) except -1
    cdef _answer(self, request, origin)
    cdef bint _is_refused(self, request) except -1

cpdef answer_of(outcome)
