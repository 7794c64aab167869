# The types of day_rows.py, for the compiler alone. A row's offsets are within its buffer, as
# guard.order_rows and guard.fill_rows have written it.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint16_t as u16, uint64_t as u64

from guard.audit.day_counts cimport Alike, DayCounts
from guard.engine.state cimport GuardState
from kernel cimport little_endian as le

cdef u8 _DECIDED, _REJECT
cdef Py_ssize_t _FIXED_BYTES, _FILL_BYTES, _HEAD_BYTES, _COUNTS_BYTES, _GATES
cdef Py_ssize_t _KIND_BYTES, _NAME_BYTES_MAX, _NAMES_KEPT_MAX

@cython.final
cdef class DayRows:
    cdef DayCounts _counts
    cdef bytearray _kind
    cdef dict _desks

    cpdef int observe_row(self, bytes rows, Py_ssize_t at, GuardState state) except -1

    @cython.locals(
        counts=DayCounts, sequence=u64, received_at_ns=i64, sent_at_ns=i64, gate=Py_ssize_t,
        count=u16, alike=Alike, notional=object, fee=object,
    )
    cdef int _observe_order(self, const u8 *rows, Py_ssize_t row, GuardState state) except -1

    @cython.locals(
        counts=DayCounts, sequence=u64, received_at_ns=i64, executed_at_ns=i64, name=bytes
    )
    cdef int _observe_fill(self, const u8 *rows, Py_ssize_t row, GuardState state) except -1

    @cython.locals(
        counts=DayCounts, names_at=Py_ssize_t, symbol_bytes=Py_ssize_t, desk_bytes=Py_ssize_t,
        kind=bytearray, names=bytes, key=bytes, found=Alike, is_refusal=bint,
    )
    cdef Alike _alike_of_row(self, const u8 *rows, Py_ssize_t row, GuardState state)
