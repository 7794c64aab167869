# The types of redecide.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.engine cimport decide as deciding
from guard.engine.engine cimport Engine
from guard.engine.state cimport GuardState
from guard.protocol cimport json_reader
from guard.protocol.outcome cimport Outcome as RequestOutcome
from guard.protocol.request cimport Request
from guard.record.reader cimport RecordReader
from guard.record.rules cimport RecordRules
from guard.record.writer cimport RecordWriter

cdef u64 _EXECUTED, _REPLACED, _REPLACE_REJECTED
cdef u64 _ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED, _REDUCED

@cython.final
cdef class Replayed:
    cdef RecordWriter _writer
    cdef object _event, _policy_digest_hex
    cdef Request _request
    cdef RequestOutcome _answer
    cdef tuple _of_one
    cdef public bint is_request
    cdef public object group
    cdef public Py_ssize_t place

@cython.final
cdef class Redecider:
    cdef Engine _engine
    cdef GuardState _state
    cdef RecordRules _rules
    cdef RecordReader _reader
    cdef RecordWriter _writer
    cdef readonly Replayed replayed
    cdef u64[16] _kind_counts
    cdef list _reason_counts

    @cython.locals(places=i64[::1], index=Py_ssize_t, at=Py_ssize_t, end=Py_ssize_t)
    cpdef Py_ssize_t fold(
        self, bytes block, spans, Py_ssize_t first, Py_ssize_t count, tell
    ) except -1

    cpdef bint take(self, bytes data) except -1

    @cython.locals(state=GuardState, replayed=Replayed, request=Request)
    cpdef bint decide_again(self, bytes data) except -1

    @cython.locals(replayed=Replayed, answer=RequestOutcome, size=Py_ssize_t)
    cdef bint _gives(self, GuardState state, Request request, bytes data) except -1

    @cython.locals(answer=RequestOutcome)
    cpdef int apply(self) except -1
    @cython.locals(outcome=RequestOutcome)
    cpdef int apply_group(self, group) except -1
