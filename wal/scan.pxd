# The types of scan.py, for the compiler alone. Nothing here changes what the code means: places are
# within one block, and a sequence is below 10^19 wherever it is compared.

cimport cython
from libc.stdint cimport int64_t as i64, uint8_t as u8, uint64_t as u64

from wal cimport rawbytes as raw
from wal.entryhash cimport Digest, EntryHash

ctypedef const u8 *RowPointer
ctypedef u8[48] Kinds

cdef Py_ssize_t _DEPTH_MAX, _SPANS_PER_LINE, _HASH_LENGTH, _DIGITS_MAX, _DIGITS_IN_ROW_MAX
cdef bytes _SEQUENCE, _PREVIOUS, _HASH, _DATA, _CLOSING, _TRUE, _FALSE, _NULL
cdef u8 _OBJECT, _ARRAY

@cython.locals(byte=u8, digit=Py_ssize_t)
cdef Py_ssize_t string_end(const u8 *text, Py_ssize_t at, Py_ssize_t size) noexcept

@cython.locals(start=Py_ssize_t)
cdef Py_ssize_t digits_end(const u8 *text, Py_ssize_t at) noexcept

@cython.locals(start=Py_ssize_t)
cdef Py_ssize_t number_end(const u8 *text, Py_ssize_t at) noexcept

@cython.locals(byte=u8)
cdef Py_ssize_t scalar_end(const u8 *text, Py_ssize_t at, Py_ssize_t size) noexcept

@cython.locals(kinds=Kinds, depth=Py_ssize_t, byte=u8, is_closed=bint)
cdef Py_ssize_t value_end(const u8 *text, Py_ssize_t at, Py_ssize_t size) noexcept

cdef Py_ssize_t name_end(const u8 *text, Py_ssize_t at, Py_ssize_t size) noexcept

@cython.locals(start=Py_ssize_t, found=u64)
cdef Py_ssize_t count_end(const u8 *text, Py_ssize_t at, u64 count) noexcept

@cython.final
cdef class LineScanner:
    cdef EntryHash _hasher
    cdef public u64 sequence
    cdef public bytes entry_hash
    cdef public Py_ssize_t stopped_at

    @cython.locals(
        size=Py_ssize_t, at=Py_ssize_t, count=Py_ssize_t, hash_at=Py_ssize_t, data_at=Py_ssize_t,
        end=Py_ssize_t, places=i64[::1], text=RowPointer,
    )
    cpdef Py_ssize_t scan(
        self, bytes block, Py_ssize_t start, spans, Py_ssize_t lines_max
    ) except -1

    @cython.locals(length=Py_ssize_t)
    cdef Py_ssize_t _opening_end(self, const u8 *text, Py_ssize_t at, Py_ssize_t size) noexcept

    @cython.locals(digest=Digest)
    cdef bint _is_chained(
        self, bytes block, Py_ssize_t hash_at, Py_ssize_t data_at, Py_ssize_t end
    ) except -1
