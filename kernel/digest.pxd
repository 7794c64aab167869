# The types of digest.py, for the compiler alone: of a row's digests, which every record takes.

cimport cython
from libc.stdint cimport uint8_t as u8

from kernel cimport little_endian as le
from kernel cimport sha256 as hashing

cdef bytes INPUT_TAG, DECISION_TAG

@cython.locals(digest=hashing.Digest)
cpdef bytes input_digest_of_row(bytes row)

@cython.locals(digest=hashing.Digest)
cpdef bytes decision_digest_of_row(bytes row)

cdef int input_digest_into(const u8 *row70, u8 *out32) except -1
cdef int decision_digest_into(const u8 *row65, u8 *out32) except -1
