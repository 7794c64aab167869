# The types of record_rows.py, for the compiler alone. Offsets are within one block or one buffer of
# rows, in which room for a row was made before it is written.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard cimport text
from guard.fill_rows cimport FillReader
from guard.order_rows cimport DecidedReader
from kernel cimport little_endian as le

ctypedef u8 *BufferPointer

cdef Py_ssize_t _HEAD_BYTES, _DATA_BYTES_MAX, _ROW_BYTES_MAX, _FIRST_ROOM
cdef u8 _RAW, _DECIDED, _FILLED

@cython.final
cdef class RecordRows:
    cdef DecidedReader _orders
    cdef FillReader _fills
    cdef bytearray _out
    cdef Py_ssize_t _size

    cpdef bytes currency(self)

    cpdef bytes take(self)

    @cython.locals(
        size=Py_ssize_t, places=i64[::1], index=Py_ssize_t, at=Py_ssize_t, end=Py_ssize_t,
    )
    cpdef add(self, bytes block, spans, Py_ssize_t first, Py_ssize_t count, u64 sequence)

    @cython.locals(out=BufferPointer, row=Py_ssize_t, kind=u8, length=Py_ssize_t)
    cdef bint _add_plain(
        self, const u8 *block, Py_ssize_t at, Py_ssize_t end, u64 sequence
    ) except -1

    @cython.locals(length=Py_ssize_t, out=BufferPointer)
    cdef _add_raw(self, const u8 *block, Py_ssize_t at, Py_ssize_t end)

    cdef void _put_head(self, u8 *out, u8 kind, Py_ssize_t length) noexcept

    @cython.locals(missing=Py_ssize_t)
    cdef _make_room(self, Py_ssize_t byte_count)
