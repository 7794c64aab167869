# The types of accounts.py, for the compiler alone. A dataclass takes its fields in the order in
# which they stand here, which must be that of the source.

cimport cython

from guard.protocol.request cimport Request
from kernel cimport little_endian as le

cdef Py_ssize_t _ACCOUNT_AT

cdef class Account:
    cdef public object name, desk, customer
    cdef public bint is_stopped, is_reducing

@cython.final
cdef class Accounts:
    cdef dict _by_name

    @cython.locals(name=bytes)
    cpdef Account of(self, Request request)
    cpdef Account get(self, str name)
