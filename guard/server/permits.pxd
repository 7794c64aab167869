# The types of permits.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64, uint64_t as u64

from guard.protocol cimport json_reader
from guard.protocol.request cimport Request

cdef int _NOT_PERMITTED, _RATE_EXCEEDED
cdef u64 _ORDER, _REPLACE, _OF_DESKS
cdef Py_ssize_t _DESK_AT
cdef i64 _NS_PER_S

@cython.final
cdef class Permit:
    cdef readonly bytes client
    cdef readonly str name, person
    cdef readonly object terms, roles, desks, may
    cdef public Py_ssize_t denied, under_way, pings
    cdef readonly Py_ssize_t in_flight_max
    cdef u64 _kinds
    cdef object _desk_names
    cdef bytes _last_desk
    cdef Py_ssize_t _orders_per_s, _orders
    cdef i64 _second

    @cython.locals(kind=u64, second=i64, is_entry=bint)
    cpdef int refusal(self, Request request, Py_ssize_t orders=*) except -1
    @cython.locals(last=bytes, count=Py_ssize_t, desk=bytes)
    cdef bint _may_trade(self, Request request) except -1
