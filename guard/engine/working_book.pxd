# The types of working_book.py, for the compiler alone. A symbol's number stays below 2^30.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.protocol.request cimport Request

cdef u64 _SYMBOL_FACTOR, _VENUE_FACTOR, _BUY, _MARKET
cdef i64 _I64_MAX
cdef Py_ssize_t _IDLE_PRICES_MAX

@cython.final
cdef class Ladder:
    cdef readonly dict counts
    cdef readonly list heap
    cdef readonly Py_ssize_t places

    @cython.locals(count=Py_ssize_t)
    cpdef int add(self, i64 place) except -1

    @cython.locals(count=Py_ssize_t)
    cpdef int take(self, i64 place) except -1

    cdef i64 best(self) except? -1

cdef i64 place_of(u64 side, u64 order_type, i64 price) noexcept

@cython.final
cdef class WorkingBook:
    cdef readonly bint is_kept
    cdef dict _sides

    cpdef begin(self, bint is_kept)

    @cython.locals(key=u64, side=Ladder)
    cpdef int add(self, u64 symbol, u64 venue, Request order) except -1

    @cython.locals(key=u64, side=Ladder)
    cpdef int take(self, u64 symbol, u64 venue, Request order) except -1

    @cython.locals(other_side=u64, side=Ladder, place=i64, best=i64)
    cpdef bint meets(self, u64 symbol, u64 venue, Request order) except -1
