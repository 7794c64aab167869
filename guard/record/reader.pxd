# The types of reader.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.protocol cimport slots
from guard.protocol.json_reader cimport JsonReader
from guard.protocol.layout cimport Layout
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef Py_ssize_t NOT_PLAIN, _METADATA_BYTES
cdef u64 _EXECUTED, _EXECUTION_KIND, _OUTCOME_REPLACED, _OUTCOME_REJECTED
cdef u64 _REPLACE_KIND, _REPLACED_KIND, _REPLACE_REJECTED_KIND
cdef Layout _REPLACED, _REPLACED_REQUEST, _REPLACE_REJECTED, _REPLACE_REJECTED_REQUEST, _REPLACES
cdef bytes _REPLACES_PIECE
cdef Py_ssize_t _REPLACES_BYTES_MAX
cdef Layout _EXECUTION, _EXECUTION_REQUEST
cdef u64 _ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED, _ORDER_KIND, _FILL_KIND, _CANCEL_KIND
cdef u64 _REDUCED, _REDUCE_KIND
cdef Layout _ORDER_DECIDED, _ORDER_REFUSED, _ADMIT, _REJECT, _REJECT_REUSED, _FILL, _RELEASE
cdef Layout _FILL_REQUEST, _RELEASE_REQUEST, _REDUCTION, _REDUCTION_REQUEST
cdef list _TAIL, _TAIL_SLOTS, _TAIL_MAXES
cdef Py_ssize_t _TAIL_COUNT, _TAIL_BYTES_MAX
cdef bytes _AUDIT, _END, _METADATA
cdef Py_ssize_t _DIGITS_MAX
cdef int _END_CODE, _QUOTE_CODE
cdef Outcome _unused

@cython.final
cdef class RecordReader:
    cdef JsonReader _json

    @cython.locals(at=Py_ssize_t, end=Py_ssize_t, is_decision=bint, is_asked=bint)
    cpdef bint read(self, bytes data, Request request, Outcome outcome) except -1

    @cython.locals(end=Py_ssize_t)
    cpdef bint read_event(self, bytes event, Request request, Outcome outcome) except -1

    @cython.locals(at=Py_ssize_t, end=Py_ssize_t, outcome=Outcome)
    cpdef bint read_request(self, bytes data, Request request) except -1

    @cython.locals(
        index=Py_ssize_t, end=Py_ssize_t, cut=Py_ssize_t, at=Py_ssize_t, piece=bytes, digits=bytes
    )
    cdef bytes _without_tail(self, bytes data, Request request)

    @cython.locals(behind=Py_ssize_t)
    cdef Py_ssize_t _read_event(
        self, bytes data, Py_ssize_t at, Py_ssize_t end, Request request, Outcome outcome
    ) except -2

    @cython.locals(behind=Py_ssize_t)
    cdef Py_ssize_t _read_answer(
        self, bytes data, Py_ssize_t at, Py_ssize_t end, Request request, Outcome outcome, u64 kind
    ) except -2

cdef u64 _order_kind(Request request) noexcept

cdef Py_ssize_t event_at(bytes data) except -2
