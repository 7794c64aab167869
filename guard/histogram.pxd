# histogram.py for the compiled modules: where a value of at most 63 bits goes.

from libc.stdint cimport uint64_t as u64


cdef inline Py_ssize_t bucket_of(u64 value, int precision_bits) noexcept nogil:
    cdef int shift = 0
    while value >> (shift + precision_bits):
        shift += 1
    return (<Py_ssize_t>shift << (precision_bits - 1)) + <Py_ssize_t>(value >> shift)
