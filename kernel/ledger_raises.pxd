# The types of ledger_raises.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64

from kernel.holds cimport Hold, OpenHolds
from kernel.ledger cimport BudgetEngine
from kernel.ledger_lines cimport Tenant

@cython.locals(holds=OpenHolds, hold=Hold, tenant=Tenant)
cpdef bint raise_hold(BudgetEngine ledger, i64 reservation_id, i64 by_microcents) except -1
