# The types of apply.py, for the compiler alone: of what the events of requests do.

cimport cython

from guard.orders cimport OrderState, RememberedOrders
from kernel.ledger cimport BudgetEngine

@cython.locals(orders=RememberedOrders)
cpdef apply_outcome(state, sequence, outcome)

@cython.locals(remembered=OrderState, orders=RememberedOrders)
cpdef _remember_rejected(state, order, answer, event)

@cython.locals(ledger=BudgetEngine, orders=RememberedOrders)
cpdef _apply_order(state, event)

@cython.locals(ledger=BudgetEngine, orders=RememberedOrders, order=OrderState)
cpdef _apply_fill(state, event)

@cython.locals(orders=RememberedOrders)
cpdef _note_fill(state, OrderState order, event)

@cython.locals(ledger=BudgetEngine, orders=RememberedOrders, order=OrderState)
cpdef _apply_release(state, event)
