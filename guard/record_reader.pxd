# The types of record_reader.py, for the compiler alone. Nothing here changes what the code means.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from kernel cimport little_endian as le
from wal cimport rawbytes as raw

cdef u64 _U64_MAX, _I64_LIMIT, _TENTH, _TIME_NS_MAX
cdef u8 _SIGNED
cdef Py_ssize_t _WORD_BYTES_MAX, _LOCAL_BYTES
cdef bytes _LOCAL, _COMMA, _CLIENT, _BATCH, _INPUT_WIDTHS, _DECISION_WIDTHS
cdef list _INPUT_KEYS, _DECISION_KEYS, _ACTIONS, _REASONS

cdef void store_value(u8 *out, Py_ssize_t at, u64 value, u8 width) noexcept

cdef class RecordReader:
    cdef u64 value
    cdef Py_ssize_t at, end, last, client_at, client_bytes

    @cython.locals(length=Py_ssize_t)
    cdef bint is_next(self, const u8 *text, bytes piece) noexcept

    @cython.locals(at=Py_ssize_t)
    cdef bint number(self, const u8 *text, bytes piece, u8 width) noexcept

    cdef bint is_number(self, const u8 *text, bytes piece, u64 value) noexcept

    @cython.locals(at=Py_ssize_t)
    cdef bint string(self, const u8 *text, bytes piece, Py_ssize_t bytes_max) noexcept

    @cython.locals(index=Py_ssize_t, word=bytes)
    cdef Py_ssize_t word(self, const u8 *text, bytes piece, list words) except -2

    cdef bint is_again(
        self, const u8 *text, bytes piece, Py_ssize_t start, Py_ssize_t count,
        Py_ssize_t bytes_max,
    ) noexcept

    cdef bint origin(self, const u8 *text, bytes piece, u8 *row, Py_ssize_t to) noexcept

    @cython.locals(field=Py_ssize_t, key=bytes, length=Py_ssize_t, width=u8)
    cdef Py_ssize_t read_input(
        self, const u8 *text, Py_ssize_t at, Py_ssize_t size, u8 *row, Py_ssize_t to
    ) except -2

    @cython.locals(field=Py_ssize_t, key=bytes, length=Py_ssize_t, width=u8)
    cdef Py_ssize_t read_decision(
        self, const u8 *text, Py_ssize_t at, Py_ssize_t size, u8 *row, Py_ssize_t to
    ) except -2

    @cython.locals(word=bytes, length=Py_ssize_t)
    cdef Py_ssize_t _read_word(
        self, const u8 *text, Py_ssize_t at, list words, Py_ssize_t size
    ) except -2

    @cython.locals(is_negative=bint, digit=u8, value=u64, digits=int)
    cdef Py_ssize_t read_number(self, const u8 *text, Py_ssize_t at, u8 width) noexcept
