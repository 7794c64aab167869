# The types of fill_rows.py, for the compiler alone. Offsets are as in record_rows.pxd.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard cimport packing, text
from guard.record_reader cimport RecordReader
from kernel cimport little_endian as le

cdef Py_ssize_t _FIXED_BYTES, _NAME_BYTES_MAX, _IDENTIFIER_BYTES_MAX
cdef u64 _I64_MAX
cdef bytes _RECEIVED, _DESK, _ORDER_ID, _FILL_ID, _QUANTITY, _FEE, _PRICE
cdef bytes _EXECUTED, _ANSWER_DESK, _SEQUENCE, _OPEN, _HOLD, _RELEASED, _END, _NULL
cdef bytes _CONTENT_HEAD, _NIL, _NOTHING_UNPAID

cdef Py_ssize_t put_optional(u8 *out, Py_ssize_t at, u64 value) except -1

@cython.final
cdef class FillReader(RecordReader):
    cdef Py_ssize_t _desk_at, _desk_bytes
    cdef Py_ssize_t _order_at, _order_bytes, _fill_at, _fill_bytes

    cdef Py_ssize_t read(
        self, const u8 *block, Py_ssize_t at, Py_ssize_t end, u64 sequence, u8 *out,
        Py_ssize_t row,
    ) except -1

    cdef bint _read_names(self, const u8 *block) noexcept
    cdef bint _read_fill(self, const u8 *block, u8 *out, Py_ssize_t row) noexcept
    cdef bint _put_number(
        self, const u8 *block, bytes piece, u8 *out, Py_ssize_t at
    ) noexcept
    cdef bint _put_optional(
        self, const u8 *block, bytes piece, u8 *out, Py_ssize_t at
    ) noexcept
    cdef bint _read_answer(
        self, const u8 *block, u8 *out, Py_ssize_t row, u64 sequence
    ) noexcept
    cdef bint _is_again(
        self, const u8 *block, bytes piece, Py_ssize_t start, Py_ssize_t count
    ) noexcept

    @cython.locals(order_key_bytes=Py_ssize_t, at=Py_ssize_t, start=Py_ssize_t)
    cdef Py_ssize_t _put_memory(self, const u8 *block, u8 *out, Py_ssize_t row) except -1
