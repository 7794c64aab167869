# The types of limits.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint32_t as u32, uint64_t as u64

from guard.engine.accounts cimport Account, Accounts
from guard.engine.recent cimport Recent
from guard.protocol.request cimport Request
from kernel cimport little_endian as le

cdef i64 _NS_PER_MS
cdef Py_ssize_t _ACCOUNT_AT, _TRADER_AT, _ALGO_AT

@cython.final
cdef class Effective:
    cdef i64[64] values
    cdef u8[64] scopes
    cdef public object venues, drop_copy_venues
    cdef public u64 venue_scope, symbol_refusal, symbol_scope
    cdef public list buckets
    cdef readonly list order_buckets, replace_buckets, notional_buckets
    cdef u32[::1] _venue_row
    cdef Py_ssize_t _venue_count

    @cython.locals(index=Py_ssize_t)
    cpdef allow(self, object venues, u64 scope)
    @cython.locals(low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t)
    cpdef bint allows(self, u64 venue) except -1
    cpdef add_bucket(self, object bucket)
    cpdef tuple content(self)
    cpdef i64 value(self, Py_ssize_t number) noexcept
    cpdef i64 scope(self, Py_ssize_t number) noexcept
    cpdef put(self, Py_ssize_t number, i64 value, i64 scope)

@cython.final
cdef class Limits:
    cdef public list tree
    cdef readonly i64 times_set
    cdef public object digest_hex
    cdef public dict buckets
    cdef public bint counts_orders, counts_facts, has_drop_copy, bounds_money
    cdef public bint watches_own_orders
    cdef public bint guards_marks
    cdef public object repeated
    cdef public dict loss_scopes
    cdef public Recent recent
    cdef public bint has_named
    cdef dict _scopes, _desk_classes, _symbol_classes
    cdef dict _account_classes, _trader_classes, _algo_classes, _customer_classes, _named, _shared
    cdef list _desks, _symbols, _table, _names

    cpdef set(self, list tree, digest_hex)

    @cython.locals(row=list, found=Effective)
    cpdef Effective effective(self, Py_ssize_t desk_class, Py_ssize_t symbol_class)

    cpdef Effective of_order(
        self,
        Py_ssize_t desk_class,
        Py_ssize_t symbol_class,
        Request request,
        Accounts accounts,
    )

    @cython.locals(
        name=bytes, key=tuple, found=Effective, account=i64, trader=i64, algo=i64, customer=i64,
        known=Account,
    )
    cdef Effective _of_named(
        self, Py_ssize_t desk_class, Py_ssize_t symbol_class, Request request, Accounts accounts
    )
