# The types of decision_rows.py, for the compiler alone. Nothing here changes what the code means.

cimport cython
from libc.stdint cimport int64_t as i64, uint8_t as u8

from guard.record.kernel_rows cimport RowText
from kernel cimport little_endian as le
from kernel.digest cimport decision_digest_of_row, input_digest_of_row
from wal cimport rawbytes as raw
from wal cimport scan

ctypedef const u8 *RowPointer

cdef Py_ssize_t _RECORDS_MAX, _INPUT_BYTES, _DECISION_BYTES, _OUTPUT_BYTES, _HEX_LENGTH
cdef RowText _INPUT_TEXT, _DECISION_TEXT
cdef bytes _DECISION_DIGEST, _INPUT_OPENING, _DECISION_OPENING, _METADATA

@cython.final
cdef class DecisionRows:
    cdef bytes _bundle, _old_bundle
    cdef object _decide_rows
    cdef bytearray _inputs, _decisions, _outputs
    cdef Py_ssize_t[256] _digest_places
    cdef public list reason_counts

    @cython.locals(
        size=Py_ssize_t, places=i64[::1], text=RowPointer, parsed=Py_ssize_t, at=Py_ssize_t,
        end=Py_ssize_t, right=Py_ssize_t,
    )
    cpdef Py_ssize_t check(
        self, bytes block, spans, Py_ssize_t first, Py_ssize_t count
    ) except -1

    @cython.locals(length=Py_ssize_t)
    cdef bint _parse(
        self, const u8 *text, Py_ssize_t at, Py_ssize_t end, Py_ssize_t size, Py_ssize_t index
    ) except -1

    @cython.locals(at=Py_ssize_t, place=Py_ssize_t, start=Py_ssize_t, row=bytes)
    cdef bint _is_right(self, bytes block, Py_ssize_t index) except -1
