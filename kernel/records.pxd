# The types of records.py, for the compiler alone.

cimport cython

from kernel cimport little_endian as le

cdef class IntField:
    cdef Py_ssize_t _at
    cdef object _unpack_from

cdef class Record:
    cdef public bytes _row  # read-only by convention, as in the interpreted form

cdef class KernelModel(Record):
    pass

cdef class KernelInput(Record):
    pass

cdef class KernelDecision(Record):
    pass

@cython.locals(decision=KernelDecision)
cpdef KernelDecision decision_of_output_row(bytes output_row)
