# The types of entryhash.py, for the compiler alone.

cimport cython
from libc.stdint cimport uint8_t as u8

from wal cimport libcrypto as lib
from wal cimport rawbytes as raw

ctypedef u8[32] Digest

cdef lib.Functions _functions
cdef bytes _MESSAGE, _DIGEST

@cython.locals(probe=Digest)
cpdef bint use_library(path)

@cython.final
cdef class EntryHash:
    cdef object _copy_inner, _copy_outer
    cdef lib.Prepared _prepared

    @cython.locals(digest=Digest)
    cpdef bytes digest(self, bytes previous_hash, bytes data)

    cdef int digest_into(
        self, bytes previous_hash, const u8 *text, Py_ssize_t start, Py_ssize_t end, u8 *digest32
    ) except -1
