# The types of state.py, for the compiler alone. A dataclass takes its fields in the order in which
# they stand here, which must be that of the source.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.engine.accounts cimport Accounts
from guard.engine.found cimport Desk, Found
from guard.engine.limits cimport Limits
from guard.engine.positions cimport Positions
from guard.engine.prices cimport Prices
from guard.engine.remembered cimport RememberedOrders
from guard.engine.shares cimport DeskIds
from guard.engine.working_book cimport WorkingBook
from guard.engine.worth cimport Worth
from guard.protocol.request cimport Request
from kernel.ledger cimport BudgetEngine
from kernel.policy cimport PolicySnapshot

cdef i64 _LAST_NS, _OPEN
cdef Py_ssize_t _NO_ROW

cdef class GuardState:
    cdef public object log_id, key_id, epoch
    cdef public int rules_version
    cdef public u64 next_sequence
    cdef public i64 last_received_at_ns, session_clock_ns
    cdef public bint is_closed_cleanly
    cdef public object entries_halt, currency
    cdef public i64 remembered_orders_max, remembered_order_window_ns
    cdef public bint refuses_unknown_venues
    cdef public PolicySnapshot policy
    cdef public object policy_digest_hex
    cdef public dict instruments, desks
    cdef public BudgetEngine ledger
    cdef public RememberedOrders orders
    cdef public Positions positions
    cdef public bint is_firm_stopped
    cdef public set stopped_symbols
    cdef public bint is_firm_reducing
    cdef public set reducing_symbols
    cdef public dict actions
    cdef public object facts
    cdef public bint has_facts
    cdef public i64 facts_expire_at_ns
    cdef public Limits limits
    cdef public bint has_limits
    cdef public i64 elapsed_ns
    cdef public object executions
    cdef public object latches
    cdef public bint has_latches
    cdef public object people
    cdef public i64 due_at_ns
    cdef public bint has_overrides
    cdef public Prices prices
    cdef public bint has_losses
    cdef public dict losses_due
    cdef public WorkingBook book
    cdef public object locates
    cdef public bint has_locates
    cdef public Accounts accounts
    cdef public set stopped_names, reducing_names
    cdef public Found found

    cdef Desk desk_of(self, Request request)
    cpdef Worth worth_of(self, Request request)

    cpdef bint has_venue(self, u64 venue) except -1

    @cython.locals(found=Found)
    cpdef venue_of(self, u64 venue)
    cdef i64 clock_of(self, Request request) noexcept

    cpdef int advance(self, u64 sequence, i64 received_at_ns) except -1

    @cython.locals(desk=Desk)
    cpdef DeskIds share_of(self, Request request)

    @cython.locals(closed_at_ns=i64, since_ns=i64)
    cdef int close_order(
        self, Py_ssize_t row, i64 phase, Request request, i64 sent_at_ns
    ) except -1

    @cython.locals(orders=RememberedOrders, worth=Worth)
    cpdef int note_working(self, Py_ssize_t row, bint is_begun) except -1

    cpdef latch_surplus(self, dict before)
    cpdef bint is_latched(self, desk, symbol) except -1

    cpdef int forget_facts(self, i64 now_ns) except -1
    cpdef note_facts(self)
    cdef _forget_facts(self, now_ns)
    cpdef i64 cancel_expires_at_ns(self, i64 received_at_ns) except? -1

    cpdef i64 orphan_expires_at_ns(self, i64 received_at_ns) except? -1

    @cython.locals(window_ns=i64)
    cdef i64 _window_behind(self, i64 since_ns, i64 more_ns) noexcept
