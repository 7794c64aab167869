# The types of holds.py, for the compiler alone. Numbers and amounts are i64 from 1 on, and a slab
# has 1,024 rows of 16 bytes, so that nothing wraps.

cimport cython
from libc.stdint cimport int64_t as i64

from kernel cimport little_endian as le
from kernel.ledger_lines cimport Tenant

cdef Py_ssize_t _NUMBER_BITS, _NUMBERS_PER_SLAB, _ROWS_PER_HOLD_MAX, _NO_ROW
cdef Py_ssize_t _TENANT_AT, _MICROCENTS_AT, _ROW_BYTES, _SLAB_BYTES, _GIVEN_BYTES

@cython.final
@cython.no_gc  # it refers to bytes: no cycle can be
cdef class Slab:
    cdef readonly bytearray rows
    cdef readonly Py_ssize_t open_count

    @cython.locals(
        rows=bytearray, at=Py_ssize_t, low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t
    )
    cdef Py_ssize_t row_at(self, Py_ssize_t place) except -2

    @cython.locals(rows=bytearray, kept=bytearray, end=Py_ssize_t, at=Py_ssize_t)
    cdef int make_sparse(self) except -1

@cython.final
@cython.no_gc  # it refers to a slab and a tenant, neither of which refers back
@cython.freelist(8)
cdef class Hold:
    cdef readonly i64 number, microcents
    cdef readonly Tenant tenant
    cdef Slab slab
    cdef Py_ssize_t row_at

@cython.final
cdef class OpenHolds:
    cdef list _tenants
    cdef dict _slabs
    cdef i64 _newest_number
    cdef Slab _newest
    cdef Py_ssize_t _open_count
    cdef i64 _changes

    cpdef add_tenant(self, Tenant tenant)

    @cython.locals(slab=Slab, place=Py_ssize_t, at=Py_ssize_t)
    cpdef int add(self, i64 number, Tenant tenant, i64 microcents) except -1

    @cython.locals(slab=Slab, at=Py_ssize_t)
    cpdef Hold get(self, i64 number)

    @cython.locals(rows=bytearray, microcents=i64, tenant=Tenant)
    cdef Hold _hold_at(self, i64 slab_number, Slab slab, Py_ssize_t at)
    cdef int _check_unchanged(self, i64 changes) except -1

    @cython.locals(slab=Slab)
    cpdef int lower(self, Hold hold, i64 by_microcents) except -1

    cdef Slab _begin_slab(self, i64 slab_number)
    cdef int _settle_slab(self, i64 slab_number, Slab slab) except -1

@cython.locals(rows=bytearray, given=bytearray, end=Py_ssize_t, at=Py_ssize_t, microcents=i64, tenant=Py_ssize_t)
cdef bytes _given_rows(Slab slab, i64 first_number, list names, list tenant_places)
