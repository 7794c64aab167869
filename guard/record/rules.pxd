# The types of rules.py, for the compiler alone. Sequences and times fit an i64: the types of a
# record's fields hold them to it.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol cimport json_reader
from guard.protocol.request cimport Request

cdef i64 _UNKNOWN
cdef Py_ssize_t _REASON_LENGTH_MAX, _CLIENT_BYTES_MAX, _CURRENCY_AT
cdef u64 _ORDER, _REPLACE, _FIRST_NEW
cdef int _LIMITS_SINCE
cdef i64 _CLOCK_TOLERANCE_NS

@cython.final
cdef class RecordRules:
    cdef GuardState _state
    cdef object _key_id
    cdef i64 _batch_first_sequence, _checkpoint_from, _session_from

    @cython.locals(state=GuardState, batch=i64, last_ns=i64)
    cpdef bint follows(
        self, i64 sequence, i64 received_at_ns, i64 batch_first_sequence
    ) except -1

    @cython.locals(
        state=GuardState, clock_ns=i64, count=Py_ssize_t, currency=bytes, is_order=bint
    )
    cpdef bint takes(self, Request request) except -1

    @cython.locals(state=GuardState)
    cdef bint _may_fact_say(self, Request request) except -1
    @cython.locals(state=GuardState)
    cdef bint _may_say(self, Request request) except -1

    @cython.locals(worth=Worth)
    cdef bint _is_revaluation_due(self, Request request) except -1

    cpdef int note_batch(self, i64 batch_first_sequence) except -1
