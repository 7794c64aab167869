# The types of writer.py, for the compiler alone.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.protocol cimport json_text as text
from guard.protocol cimport layout as tables
from guard.protocol cimport slots
from guard.protocol.layout cimport Layout
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from guard.record.kernel_rows cimport RowText
from kernel cimport digest as kernel_digest
from kernel cimport little_endian as le
from kernel.sha256 cimport Digest

ctypedef u8 *BufferPointer

cdef u64 _EXECUTED, _REPLACED, _REPLACE_REJECTED, _REPLACE
cdef Layout _EXECUTION, _REPLACED_LAYOUT, _REPLACE_REJECTED_LAYOUT, _REPLACES
cdef u64 _ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED, _REDUCED, _REUSED
cdef Layout _ORDER_DECIDED, _ORDER_REFUSED, _ADMIT, _REJECT, _REJECT_REUSED, _FILL, _RELEASE
cdef Layout _REDUCTION
cdef list _TAIL, _TAIL_SLOTS
cdef Py_ssize_t _TAIL_COUNT
cdef bytes _METADATA, _END, _DECISION_DIGEST, _INPUT, _DECISION
cdef Py_ssize_t _POLICY_EPOCH_AT, _CATALOG_EPOCH_AT
cdef RowText _INPUT_TEXT, _DECISION_TEXT

@cython.final
cdef class RecordWriter:
    cdef readonly bytearray buffer
    cdef bytes _audit
    cdef str _policy_digest_hex
    cdef u64 _policy_epoch, _catalog_epoch

    @cython.locals(kind=u64, at=Py_ssize_t)
    cdef Py_ssize_t write(
        self, Request request, Outcome outcome, str policy_digest_hex
    ) except -2

    @cython.locals(index=Py_ssize_t, value=u64)
    cdef Py_ssize_t write_event(self, Request request, Outcome outcome, Py_ssize_t at) except -2

    @cython.locals(out=BufferPointer, kind=u64)
    cdef Py_ssize_t _put_event(self, Request request, Outcome outcome, Py_ssize_t at) except -2

    cpdef bytes data(self, Request request, Outcome outcome, str policy_digest_hex)
    cpdef bytes event(self, Request request, Outcome outcome)
    cpdef bytes opening(self, bytes input_row, bytes decision_row, str policy_digest_hex)

    @cython.locals(
        out=BufferPointer, policy_epoch=u64, catalog_epoch=u64, at=Py_ssize_t, digest=Digest,
    )
    cdef Py_ssize_t put_opening(
        self, const u8 *input_row, const u8 *decision_row, str policy_digest_hex
    ) except -2
