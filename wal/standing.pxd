# The types of standing.py, for the compiler alone.

from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from wal cimport diskcalls

cdef class Standing:
    cdef int _descriptor
    cdef bytes _path
    cdef u64 _device, _inode

    cpdef check(self, i64 size, i64 size_max)
