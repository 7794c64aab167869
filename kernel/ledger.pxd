# The types of ledger.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64

from kernel.holds cimport Hold, OpenHolds
from kernel.ledger_lines cimport Tenant

@cython.final
cdef class BudgetEngine:
    # Read-only by convention, as in the interpreted form.
    cdef public dict _tenants, _caps
    cdef public OpenHolds _holds
    cdef public i64 _next_id
    cdef public object _version, _certified_microcents

    @cython.locals(tenant=Tenant)
    cpdef bint can_reserve(self, tenant_id, i64 amount_microcents) except -1

    @cython.locals(tenant=Tenant)
    cpdef i64 reserve_id(self, tenant_id, i64 amount_microcents) except -1

    cpdef Tenant line(self, tenant_id)

    cpdef i64 reserve_line(self, Tenant tenant, i64 amount_microcents) except -1

    @cython.locals(reservation_id=i64)
    cdef i64 _open_hold(self, Tenant tenant, i64 amount_microcents) except -1

    cdef Hold _hold(self, reservation_id)

    @cython.locals(hold=Hold, tenant=Tenant, microcents=i64)
    cpdef i64 release_hold(self, i64 reservation_id) except? -1

    @cython.locals(hold=Hold)
    cpdef bint can_settle(
        self, i64 reservation_id, i64 released_microcents, i64 committed_microcents
    ) except -1

    @cython.locals(hold=Hold)
    cpdef bint settle_hold(
        self, i64 reservation_id, i64 released_microcents, i64 committed_microcents
    ) except -1

    @cython.locals(tenant=Tenant)
    cdef int _end_part(
        self, Hold hold, i64 released_microcents, i64 committed_microcents
    ) except -1

    @cython.locals(tenant=Tenant)
    cpdef remaining_microcents(self, tenant_id)

    @cython.locals(tenant=Tenant)
    cpdef committed_microcents(self, tenant_id)
