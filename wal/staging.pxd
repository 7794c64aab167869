# The types of staging.py, for the compiler alone. Who has a record's text in C calls `append_text`.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from wal cimport linetext
from wal cimport rawbytes as raw
from wal.entryhash cimport Digest, EntryHash

ctypedef u8 *BufferPointer

cdef Py_ssize_t _CAPACITY_MIN, _CAPACITY_KEPT_MAX

@cython.final
cdef class Staging:
    cdef readonly u64 sequence
    cdef readonly bytes entry_hash
    cdef readonly Py_ssize_t record_count, byte_count, taken_bytes
    cdef public bint is_open
    cdef Py_ssize_t _bytes_max
    cdef object _refuse
    cdef EntryHash _hasher
    cdef bytearray _lines, _other

    cpdef rekey(self, hasher)

    cpdef str append(self, u64 sequence, bytes data)

    @cython.locals(
        digest=Digest, out=BufferPointer, previous_hash=bytes, at=Py_ssize_t, end=Py_ssize_t,
    )
    cdef int append_text(self, u64 sequence, const u8 *data, Py_ssize_t size) except -1

    @cython.locals(lines=bytearray)
    cpdef take(self)

    @cython.locals(larger=bytearray)
    cdef int _make_room(self, Py_ssize_t bytes_needed) except -1
