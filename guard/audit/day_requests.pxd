# The types of day_requests.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.audit.day_counts cimport Alike, DayCounts
from guard.engine.found cimport Desk
from guard.engine.state cimport GuardState
from guard.protocol cimport slots
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from kernel cimport little_endian as le

cdef u64 _EXECUTED, _REPLACED, _REPLACE_REJECTED
cdef u64 _ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED, _REDUCED, _KERNEL, _STALE_ORDER, _EARLY
cdef Py_ssize_t _GATE_COUNT, _FIRST_GATE, _DESK_AT, _SYMBOL_AT, _KIND_BYTES, _NAME_BYTES_MAX

@cython.final
cdef class DayRequests:
    cdef DayCounts _counts
    cdef bytearray _kind

    @cython.locals(
        counts=DayCounts, kind=u64, executed_at_ns=i64, sent_at_ns=i64, alike=Alike,
        notional=object, fee=object,
    )
    cpdef bint observe(
        self, u64 sequence, Request request, Outcome answer, GuardState state
    ) except -1

    @cython.locals(gate=Py_ssize_t, count=u64)
    cdef int _note_gates(self, Outcome answer) except -1

    @cython.locals(desk=Desk)
    cdef _desk(self, Request request, GuardState state)

    @cython.locals(
        kind=bytearray, is_admitted=bint, symbol_bytes=Py_ssize_t, desk_bytes=Py_ssize_t,
        symbol=bytes, desk=bytes, key=bytes, found=Alike,
    )
    cdef Alike _alike(self, Request request, Outcome answer, GuardState state)
