# The types of decide_entry.py, for the compiler alone. Every integer of an order is bounded when it
# is decoded; one that a damaged log holds beyond its type is an OverflowError in both forms.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint16_t as u16, uint32_t as u32, uint64_t as u64

from guard.orders cimport OrderState, RememberedOrders
from kernel cimport little_endian as le
from kernel.ledger cimport BudgetEngine
from kernel.policy cimport PolicySnapshot

ctypedef u8[70] InputRow
ctypedef const u8 *RowPointer

cdef u32 _TOKENS_PER_ORDER
cdef u8 _REJECT, _SUBSTITUTE

@cython.locals(orders=RememberedOrders, known=OrderState, instruments=dict, desks=dict)
cpdef decide_order(state, order, origin)

cdef _answer_known_order(state, OrderState known, order, origin)

@cython.locals(orders=RememberedOrders)
cdef _refuse_by_window(state, order, now_ns)

cdef _reject(order, sequence, stage, reason, detail)
cdef _refuse_before_kernel(state, order, refused, origin)
cdef _decide_by_kernel(state, desk, order, notional_microcents, refused, origin)

@cython.locals(input_row=bytes, output_row=bytes)
cdef _ask_kernel(state, PolicySnapshot policy, order, notional_microcents)

@cython.locals(row=InputRow)
cdef bytes _input_row(u64 sequence, i64 notional_microcents, tuple fields)

@cython.locals(output_row=bytes, row=RowPointer, action=u8, reason_code=u16, venue=u32)
cdef _answer_by_kernel(state, PolicySnapshot policy, order, notional_microcents, rows)

@cython.locals(ledger=BudgetEngine)
cdef _refuse_by_ledger(state, desk, notional_microcents)
