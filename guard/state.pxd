# The types of state.py, for the compiler alone. A dataclass takes its fields in the order in which
# they stand here, which must be that of the source.

from guard.orders cimport RememberedOrders
from kernel.ledger cimport BudgetEngine
from kernel.policy cimport PolicySnapshot

cdef class Desk:
    cdef public object name
    cdef public bint is_halted
    cdef public object unpaid_fees_microcents

cdef class GuardState:
    cdef public object log_id, key_id, epoch, rules_version, next_sequence, last_received_at_ns
    cdef public bint is_closed_cleanly
    cdef public object entries_halt, currency, remembered_orders_max, remembered_order_window_ns
    cdef public PolicySnapshot policy
    cdef public object policy_digest_hex
    cdef public dict instruments, desks
    cdef public BudgetEngine ledger
    cdef public RememberedOrders orders

    cpdef advance(self, sequence, received_at_ns)
    cpdef expires_at_ns(self, closed_at_ns, sent_at_ns)
    cpdef orphan_expires_at_ns(self, received_at_ns)
