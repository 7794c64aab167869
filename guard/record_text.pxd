# The types of record_text.py, for the compiler alone. An offset below 0 says that a string is not
# plain; an integer that does not fit 64 bits is an OverflowError, as in the interpreted form.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard cimport text
from kernel cimport digest as kernel_digest
from kernel cimport little_endian as le
from kernel.sha256 cimport Digest

ctypedef const u8 *RowPointer
ctypedef u8 *BufferPointer

cdef Py_ssize_t _DECISION_BYTES, _INPUT_BYTES, _DETAIL_MAX, _DIGEST_HEX_LENGTH, _NOT_PLAIN

@cython.final
cdef class RecordText:
    cdef bytearray buffer
    cdef bytes _audit
    cdef object _policy_digest_hex
    cdef u64 _policy_epoch, _catalog_epoch

    @cython.locals(at=Py_ssize_t)
    cpdef decision(
        self, event, bytes input_row, bytes output_row, policy_digest_hex
    )

    @cython.locals(at=Py_ssize_t)
    cpdef opening(self, bytes input_row, bytes output_row, policy_digest_hex)

    @cython.locals(
        out=BufferPointer, policy_epoch=u64, catalog_epoch=u64, at=Py_ssize_t, digest=Digest,
    )
    cdef Py_ssize_t put_opening(
        self, const u8 *input_row, const u8 *decision_row, policy_digest_hex
    ) except -2

cdef bint are_rows(bytes input_row, bytes output_row, policy_digest_hex) except -1

cdef Py_ssize_t _put_input(u8 *out, Py_ssize_t at, const u8 *row) noexcept

cdef Py_ssize_t _put_decision(u8 *out, Py_ssize_t at, const u8 *row) except -2

cdef Py_ssize_t _put_event(u8 *out, Py_ssize_t at, event) except -2
cdef Py_ssize_t _put_order(u8 *out, Py_ssize_t at, tuple fields) except -2

cdef Py_ssize_t put_admit(
    u8 *out, Py_ssize_t at, u64 wal_sequence, u64 reservation_id, u64 venue, bint substituted,
    u64 notional_microcents, u64 fee_microcents, str reason, bint repeat,
) except -2

@cython.locals(detail=dict)
cdef Py_ssize_t _put_reject(u8 *out, Py_ssize_t at, tuple fields) except -2
