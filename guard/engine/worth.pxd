# The types of worth.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

cdef extern from *:
    """
    typedef unsigned __int128 worth_u128;
    """
    ctypedef unsigned long long u128 "worth_u128"

cdef u64 _U64_MAX
cdef i64 _I64_MAX

@cython.final
cdef class Worth:
    cdef object _instrument
    cdef readonly Py_ssize_t number
    cdef u64 _numerator, _denominator
    cdef public Py_ssize_t limit_class

    @cython.locals(wide_quantity=u128, size=u128, worth=u128, notional=u128)
    cpdef u64 notional_microcents(self, u64 quantity_lots, u64 price_ticks) except? 0

    @cython.locals(notional=u64, wide_quantity=u128, size=u128)
    cpdef i64 traded_microcents(
        self, u64 quantity_lots, u64 price_ticks, bint is_up
    ) except? -1
