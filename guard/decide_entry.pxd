# The types of decide_entry.py, for the compiler alone. Every integer of an order is bounded when it
# is decoded; one that a damaged log holds beyond its type is an OverflowError in both forms.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint16_t as u16, uint32_t as u32, uint64_t as u64

from guard.orders cimport OrderState
from guard.state cimport Desk, GuardState
from kernel cimport little_endian as le
from kernel.ledger cimport BudgetEngine
from kernel.policy cimport PolicySnapshot

ctypedef u8[70] InputRow
ctypedef const u8 *RowPointer

cdef u32 _TOKENS_PER_ORDER
cdef Py_ssize_t _OUTPUT_BYTES
cdef u8 _REJECT, _SUBSTITUTE

@cython.locals(known=OrderState, desk=Desk, fields=tuple)
cpdef decide_order(GuardState state, order, origin)

cdef _answer_known_order(GuardState state, OrderState known, order, origin)

cdef _refuse_by_window(GuardState state, sent_at_ns, now_ns)

cdef _reject(order, sequence, stage, reason, detail)
cdef _refuse_before_kernel(GuardState state, order, refused, origin)
cdef _decide_by_kernel(
    GuardState state, Desk desk, order, tuple fields, notional_microcents, refused, origin
)

@cython.locals(input_row=bytes, output_row=bytes)
cdef _ask_kernel(GuardState state, PolicySnapshot policy, tuple fields, notional_microcents)

@cython.locals(row=InputRow)
cdef bytes _input_row(u64 sequence, i64 notional_microcents, tuple fields)

cdef void put_input_row(
    u8 *row, u64 sequence, i64 notional_microcents, u32 quantity, u32 venue, u16 risk_bps,
    u16 confidence_bps, u16 minimum_quality_bps, u32 max_p95_latency_ms,
    u64 required_capabilities, u64 allowed_providers, u64 required_regions,
    u64 max_fee_microcents,
) noexcept

@cython.locals(output_row=bytes, row=RowPointer, action=u8, reason_code=u16, venue=u32)
cdef _answer_by_kernel(GuardState state, PolicySnapshot policy, order, notional_microcents, rows)

@cython.locals(ledger=BudgetEngine)
cdef _refuse_by_ledger(GuardState state, desk, notional_microcents)
