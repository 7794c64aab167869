# The types of ledger_lines.py, for the compiler alone. Every balance is an i64 from 0 on, and a
# tenant's three add up to a fourth, so that no sum of two of them exceeds an i64.

cimport cython
from libc.stdint cimport int64_t as i64

cdef extern from *:
    """
    typedef __int128 ledger_i128;
    """
    ctypedef long long i128 "ledger_i128"

cdef i64 I64_MAX

@cython.final
@cython.no_gc  # it refers to a text: no cycle can be
cdef class Tenant:
    cdef public i64 cap, committed, initial, remaining, reserved
    cdef public Py_ssize_t place
    cdef public object tenant_id

    cpdef bint overflows_holds(self, i64 amount_microcents) noexcept
    cpdef bint exceeds_cap(self, i64 amount_microcents) noexcept
    cpdef bint can_hold(self, i64 amount_microcents) noexcept
    cpdef bint overflows_spend(self, i64 amount_microcents) noexcept

    cpdef bint can_settle(
        self, i64 held_microcents, i64 released_microcents, i64 committed_microcents
    ) noexcept

    @cython.locals(wide_sum=i128)
    cpdef int check(self) except -1
