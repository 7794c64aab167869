# The types of ledger.py, for the compiler alone. Every balance is an i64 from 0 on, and a tenant's
# three add up to a fourth, so that no sum of two of them exceeds an i64.

cimport cython
from libc.stdint cimport int64_t as i64

cdef extern from *:
    """
    typedef __int128 ledger_i128;
    """
    ctypedef long long i128 "ledger_i128"

cdef i64 I64_MAX
cdef int _HELD, _OVERFLOW, _ABOVE_CAP, _TOO_LITTLE
cdef int _SETTLED, _HOLD_EXCEEDED, _COMMIT_OVERFLOW, _OVERRUN

@cython.final
cdef class _Tenant:
    cdef public i64 cap, committed, initial, remaining, reserved

@cython.final
@cython.no_gc  # it refers to a text and a tenant, which refer to nothing: no cycle can be
@cython.freelist(1024)
cdef class _Hold:
    cdef public i64 microcents
    cdef public _Tenant tenant
    cdef public object tenant_id

@cython.final
cdef class BudgetEngine:
    # Read-only by convention, as in the interpreted form.
    cdef public dict _tenants, _holds, _caps
    cdef public i64 _next_id
    cdef public object _version, _certified_microcents

    @cython.locals(tenant=_Tenant)
    cpdef bint can_reserve(self, tenant_id, i64 amount_microcents) except -1

    cpdef i64 reserve_id(self, tenant_id, i64 amount_microcents) except -1

    @cython.locals(reservation_id=i64)
    cdef i64 _open_hold(self, tenant_id, _Tenant tenant, i64 amount_microcents) except -1

    @cython.locals(hold=_Hold, tenant=_Tenant)
    cpdef i64 release_hold(self, i64 reservation_id) except? -1

    @cython.locals(hold=_Hold)
    cpdef bint settle_hold(
        self, i64 reservation_id, i64 released_microcents, i64 committed_microcents
    ) except -1

    @cython.locals(hold=_Hold, tenant=_Tenant)
    cdef int _end_part(
        self, i64 reservation_id, i64 released_microcents, i64 committed_microcents
    ) except -1

    @cython.locals(tenant=_Tenant)
    cpdef remaining_microcents(self, tenant_id)

    @cython.locals(tenant=_Tenant)
    cpdef committed_microcents(self, tenant_id)

cdef int _reserve_outcome(_Tenant tenant, i64 amount_microcents) noexcept
cdef int _settle_outcome(
    _Hold hold, i64 released_microcents, i64 committed_microcents
) noexcept

@cython.locals(wide_sum=i128)
cdef int _check_tenant(_Tenant tenant) except -1
