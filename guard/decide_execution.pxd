# The types of decide_execution.py, for the compiler alone.

cimport cython

from guard.orders cimport OrderState, RememberedOrders
from kernel.ledger cimport BudgetEngine

@cython.locals(orders=RememberedOrders, order=OrderState)
cpdef decide_fill(state, fill, origin)

cpdef tuple _share_freed(OrderState order, fill)

@cython.locals(ledger=BudgetEngine)
cpdef _unpaid_fee(state, fill, released_microcents)

cpdef list _fill_flags(OrderState order, fill)

@cython.locals(orders=RememberedOrders, order=OrderState)
cpdef decide_cancel(state, cancel, origin)
