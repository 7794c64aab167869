# The types of prices.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

cdef extern from *:
    """
    typedef unsigned __int128 prices_u128;
    """
    ctypedef unsigned long long u128 "prices_u128"

cdef i64 _NEVER, _NS_PER_S
cdef u64 _NO_PRICE, _BPS

@cython.locals(wide_distance=u128, wide_price=u128)
cpdef bint has_moved(u64 price, u64 other, u64 bps) noexcept

@cython.final
cdef class SymbolPrice:
    cdef public u64 price
    cdef public i64 at_ns

@cython.final
cdef class Prices:
    cdef readonly bint is_kept
    cdef u64 _bps
    cdef i64 _window_ns
    cdef list _of

    cpdef SymbolPrice of(self, Py_ssize_t number)
    @cython.locals(known=SymbolPrice)
    cpdef u64 price(self, Py_ssize_t number) except? 0
    @cython.locals(known=SymbolPrice)
    cpdef int put(self, Py_ssize_t number, u64 price, i64 at_ns) except -1
    @cython.locals(known=SymbolPrice, price=u64)
    cpdef i64 due_at_ns(self, Py_ssize_t number, u64 mark_price) except? -1
    @cython.locals(due_at_ns=i64)
    cpdef bint is_due(self, Py_ssize_t number, u64 mark_price, i64 elapsed_ns) except -1
