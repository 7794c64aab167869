# The types of kernel_rows.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.protocol cimport json_text as text
from guard.protocol cimport message_pack as pack
from guard.protocol.json_reader cimport JsonReader
from kernel cimport little_endian as le

cdef Py_ssize_t NOT_PLAIN
cdef u64 _I64_LIMIT

@cython.final
cdef class RowText:
    cdef Py_ssize_t count
    cdef list keys, words
    cdef Py_ssize_t[16] offsets, widths, signs
    cdef JsonReader _reader

    @cython.locals(index=Py_ssize_t, value=u64, words=list)
    cdef Py_ssize_t put(self, u8 *out, Py_ssize_t at, const u8 *row) except -2

    @cython.locals(index=Py_ssize_t, key=bytes, words=list)
    cdef Py_ssize_t read(
        self, const u8 *source, Py_ssize_t at, Py_ssize_t end, u8 *row, Py_ssize_t to
    ) except -2

    @cython.locals(number=Py_ssize_t, word=bytes)
    cdef Py_ssize_t _read_word(
        self, list words, const u8 *source, Py_ssize_t at, Py_ssize_t end
    ) except -2

    @cython.locals(reader=JsonReader, width=Py_ssize_t)
    cdef Py_ssize_t _read_number(
        self, Py_ssize_t index, const u8 *source, Py_ssize_t at, Py_ssize_t end
    ) noexcept

cdef bytes word_of(list words, u64 number)
cdef u64 load(const u8 *row, Py_ssize_t at, Py_ssize_t width) noexcept
cdef void store(u8 *out, Py_ssize_t at, u64 value, Py_ssize_t width) noexcept

