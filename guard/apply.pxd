# The types of apply.py, for the compiler alone: of what the events of requests do.

cimport cython

from guard.orders cimport OrderState, RememberedOrders
from guard.state cimport GuardState
from kernel.ledger cimport BudgetEngine

@cython.locals(orders=RememberedOrders)
cpdef apply_outcome(GuardState state, sequence, outcome)

@cython.locals(remembered=OrderState, orders=RememberedOrders)
cpdef _remember_rejected(GuardState state, order, answer, event)

@cython.locals(ledger=BudgetEngine, orders=RememberedOrders)
cpdef _apply_order(GuardState state, event)

@cython.locals(ledger=BudgetEngine, orders=RememberedOrders, order=OrderState)
cpdef _apply_fill(GuardState state, event)

cdef _check_freed(OrderState order, event)

@cython.locals(orders=RememberedOrders)
cpdef _note_fill(GuardState state, OrderState order, event)

@cython.locals(ledger=BudgetEngine, orders=RememberedOrders, order=OrderState)
cpdef _apply_release(GuardState state, event)
