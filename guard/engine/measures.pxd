# The types of measures.py, for the compiler alone. A row's and a symbol's amounts are i64, sums of
# them 128 bits wide.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.worth cimport Worth

cdef extern from *:
    """
    typedef __int128 measures_i128;
    """
    ctypedef long long i128 "measures_i128"

cdef Py_ssize_t _GROSS, _NET, _LONG, _SHORT, _NO_ROW
cdef i64 _I64_MAX, _I64_LOW, _UNKNOWN
cdef u64 _U64_MAX

@cython.final
cdef class OwnLimits:
    cdef i64[16] values
    cdef readonly bint are_said

@cython.final
cdef class DayProfit:
    cdef i128 _sum
    cdef readonly i64 unknown

    cpdef int clear(self) except -1
    @cython.locals(wide=i128)
    cpdef int change(self, i64 before, i64 after) except -1
    cpdef i64 profit(self) except? -1

@cython.final
cdef class Measure:
    cdef i128 gross, longs, shorts, net_long, net_short, equity
    cdef readonly i64 unpriced
    cdef readonly DayProfit day
    cdef readonly OwnLimits limits

    cpdef int clear(self) except -1
    @cython.locals(wide=i128)
    cdef int change(
        self, i64 long_before, i64 short_before, i64 long_after, i64 short_after
    ) except -1
    @cython.locals(wide=i128)
    cdef int change_equity(self, i64 before, i64 after) except -1
    cpdef i64 figure(self, Py_ssize_t number) except? -1
    cpdef i64 profit(self) except? -1

@cython.final
cdef class SymbolBook:
    cdef public Worth worth
    cdef readonly u64 price
    cdef i128 worst_long, worst_short
    cdef readonly i64 long_side, short_side, unpriced
    cdef readonly DayProfit day
    cdef readonly Py_ssize_t first
    cdef readonly OwnLimits limits

    cpdef int clear(self) except -1
    @cython.locals(long=i64, short=i64)
    cpdef i64 figure(self, Py_ssize_t number) except? -1
    @cython.locals(worth=Worth, is_short=bint, lots=u64)
    cdef i64 value(self, i128 wide_lots) except? -1
    @cython.locals(wide_lots=i128)
    cdef i64 owed(self, i64 position) except? -1
    @cython.locals(wide=i128)
    cdef i64 profit(self, i64 position, i64 cost, i64 realised, i64 owed) except? -1

cpdef bint is_at_end(i64 microcents) noexcept
cpdef i64 bounded(i128 wide) noexcept
