# The types of decide_execution.py, for the compiler alone.

cimport cython

from guard.orders cimport OrderState, RememberedOrders
from guard.state cimport GuardState
from kernel.ledger cimport BudgetEngine

@cython.locals(orders=RememberedOrders, order=OrderState)
cpdef decide_fill(GuardState state, fill, origin)

cpdef tuple _share_freed(OrderState order, fill)

@cython.locals(ledger=BudgetEngine)
cpdef _unpaid_fee(GuardState state, fill, released_microcents)

cpdef list _fill_flags(OrderState order, fill)

@cython.locals(orders=RememberedOrders, order=OrderState)
cpdef decide_cancel(GuardState state, cancel, origin)
