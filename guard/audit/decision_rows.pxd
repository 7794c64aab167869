# The types of decision_rows.py, for the compiler alone. Nothing here changes what the code means.

cimport cython
from libc.stdint cimport int64_t as i64, uint8_t as u8, uint16_t as u16, uint64_t as u64

from kernel cimport little_endian as le
from kernel.digest cimport decision_digest_of_row, input_digest_of_row
from wal cimport rawbytes as raw
from wal cimport scan

ctypedef const u8 *RowPointer
ctypedef u8 *BufferPointer

cdef Py_ssize_t _RECORDS_MAX, _INPUT_BYTES, _DECISION_BYTES, _OUTPUT_BYTES, _HEX_LENGTH
cdef u64 _U64_MAX, _I64_LIMIT, _TENTH
cdef u8 _SIGNED
cdef bytes _DECISION_DIGEST, _INPUT_OPENING, _DECISION_OPENING
cdef bytes _METADATA, _COMMA, _INPUT_WIDTHS, _DECISION_WIDTHS
cdef list _INPUT_KEYS, _DECISION_KEYS, _ACTIONS, _REASONS

cdef void store_value(u8 *out, Py_ssize_t at, u64 value, u8 width) noexcept

@cython.final
cdef class DecisionRows:
    cdef bytes _bundle, _old_bundle
    cdef object _decide_rows
    cdef bytearray _inputs, _decisions, _outputs
    cdef Py_ssize_t[256] _digest_places
    cdef u64 _value
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

    @cython.locals(row=BufferPointer, field=Py_ssize_t, key=bytes, length=Py_ssize_t, width=u8)
    cdef Py_ssize_t _parse_input(
        self, const u8 *text, Py_ssize_t at, Py_ssize_t to, Py_ssize_t size
    ) except -2

    @cython.locals(row=BufferPointer, field=Py_ssize_t, key=bytes, length=Py_ssize_t, width=u8)
    cdef Py_ssize_t _parse_decision(
        self, const u8 *text, Py_ssize_t at, Py_ssize_t to, Py_ssize_t size
    ) except -2

    @cython.locals(word=bytes, length=Py_ssize_t)
    cdef Py_ssize_t _parse_word(
        self, const u8 *text, Py_ssize_t at, list words, Py_ssize_t size
    ) except -2

    @cython.locals(is_negative=bint, digit=u8, value=u64, digits=int)
    cdef Py_ssize_t _parse_number(self, const u8 *text, Py_ssize_t at, u8 width) noexcept

    @cython.locals(at=Py_ssize_t, place=Py_ssize_t, start=Py_ssize_t, row=bytes)
    cdef bint _is_right(self, bytes block, Py_ssize_t index) except -1
