# The types of sealing.py, for the compiler alone.

cimport cython
from libc.stdint cimport uint64_t as u64

from guard.server cimport sodium

cdef Py_ssize_t _NOT_AUTHENTIC, _HEAD_BYTES, _OVERHEAD_BYTES
cdef Py_ssize_t _SHORT_HEAD_BYTES, _LONG_HEAD_BYTES, _NONCE_AT, _COUNTER_AT, _COUNTER_BYTES
cdef int _MORE, _LONG
cdef bytes _NAME

@cython.final
cdef class Sealer:
    cdef bytes _key
    cdef bytearray _sent_nonce, _received_nonce
    cdef u64 _sent, _received
    cdef sodium.Function _sealing, _opening

    @cython.locals(name=bytes, nonce=bytearray, index=Py_ssize_t, counter=u64, size=Py_ssize_t)
    cpdef Py_ssize_t open(self, bytearray place, Py_ssize_t at, Py_ssize_t count) except -2
    @cython.locals(nonce=bytearray, left=u64, index=Py_ssize_t)
    cpdef bytes seal(self, int flags, bytes payload)
    @cython.locals(sealed=bytes, at=Py_ssize_t, size=Py_ssize_t)
    cpdef bytes seal_envelope(self, bytes envelope)
