# The types of sha256.py, for the compiler alone. Who has bytes in C calls the first two.

cimport cython
from libc.stdint cimport uint8_t as u8

from kernel cimport libcrypto as lib
from kernel cimport little_endian as le

ctypedef u8[32] Digest

cdef lib.Functions _functions
cdef bytes _MESSAGE, _DIGEST

cdef int sha256_into(const u8 *data, Py_ssize_t size, u8 *digest32) except -1

cdef int sha256_tagged_into(
    const u8 *tag, Py_ssize_t tag_size, const u8 *data, Py_ssize_t size, u8 *digest32
) except -1

@cython.locals(digest=Digest)
cpdef bytes sha256_digest(bytes data)

@cython.locals(probe=Digest)
cpdef bint use_library(path)
