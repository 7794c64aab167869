# The types of found.py, for the compiler alone. A dataclass takes its fields in the order in which
# they stand here, which must be that of the source.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.engine.accounts cimport Account
from guard.engine.exposure cimport Proposal
from guard.engine.limits cimport Effective, Limits
from guard.engine.positions cimport Positions
from guard.engine.worth cimport Worth
from guard.protocol cimport slots
from guard.protocol.request cimport Request
from kernel cimport little_endian as le
from kernel.ledger_lines cimport Tenant
from kernel.policy cimport PolicySnapshot

cdef Py_ssize_t _DESK_AT, _SYMBOL_AT, _DESK, _SYMBOL

cdef class Desk:
    cdef public object name
    cdef public bint is_halted
    cdef public object unpaid_fees_microcents
    cdef public bint is_stopped
    cdef public i64 max_order_age_ms
    cdef public Py_ssize_t share
    cdef public i64 fee_bound_bps, fee_minimum_microcents

    cdef public object returned_microcents
    cdef public Py_ssize_t limit_class
    cdef public bint is_reducing, has_accounts

    cpdef debt_paid_by(self, free_microcents)
    cpdef collect(self, microcents)

@cython.final
cdef class Found:
    cdef public Desk desk
    cdef public Worth worth
    cdef public Tenant line
    cdef public Account account
    cdef public Effective limits
    cdef readonly Proposal proposal
    cdef public Request request, named, completed
    cdef public Py_ssize_t completed_row
    cdef public u64 completed_sequence
    cdef public bint is_exit, is_overruled
    cdef public u64 overruled_fee_microcents, asked_lots, asked_microcents, short_lots
    cdef public bint is_replace, is_lowering
    cdef public u64 reservation_id, held_microcents, filled_lots, left_lots, reducible_lots
    cdef public u64 lowered_microcents
    cdef public object overridden
    cdef public dict venues
    cdef public PolicySnapshot venues_of
    cdef dict _desks, _worths
    cdef Request _last
    cdef Desk _last_desk
    cdef Worth _last_worth

    @cython.locals(name=bytes, desk=Desk)
    cdef Desk desk_in(self, dict desks, Request request)

    @cython.locals(name=bytes, worth=Worth)
    cdef Worth worth_in(
        self, dict instruments, Positions positions, Limits limits, Request request
    )
