# The types of replay_lane.py, for the compiler alone. A row's offsets are within its buffer, as
# guard.order_rows has written it.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint16_t as u16, uint32_t as u32, uint64_t as u64

from guard.fill_lane cimport FillLane
from guard.orders cimport RememberedOrders
from guard.orders_codec cimport decode_order
from guard.record_rules cimport RecordRules
from guard.state cimport Desk, GuardState
from kernel cimport little_endian as le
from kernel.ledger cimport BudgetEngine
from kernel.ledger_lines cimport Tenant
from kernel.policy cimport PolicySnapshot

cdef Py_ssize_t _HEAD_BYTES, _FIXED_BYTES, _INPUT_AT, _INPUT_BYTES, _DECISION_AT, _DECISION_BYTES
cdef Py_ssize_t _DIGEST_AT, _DIGEST_BYTES, _NAMES_KEPT_MAX
cdef Py_ssize_t _COUNTS_BYTES, _REASONS_MAX
cdef u8 _DECIDED, _FILLED, _REJECT
cdef u16 _RISK_LIMIT, _CONFIDENCE_LIMIT

@cython.final
cdef class ReplayLane:
    cdef GuardState _state
    cdef RecordRules _rules
    cdef object _digest_hex
    cdef bytes _digest, _input, _output_row
    cdef dict _names
    cdef public FillLane fills
    cdef public Py_ssize_t order_count
    cdef public list reason_counts

    @cython.locals(size=Py_ssize_t, row=Py_ssize_t, kind=u8, is_order=bint, is_taken=bint)
    cpdef Py_ssize_t fold(self, bytes rows, Py_ssize_t at, tell, tell_row) except -1

    @cython.locals(
        state=GuardState, received_at_ns=i64, sequence=u64, batch=i64, is_refusal=bint, at=Py_ssize_t,
        desk=Desk, sent_at_ns=i64, quantity=u32, price=u64, key=bytes, orders=RememberedOrders,
        payload=bytes,
    )
    cdef bint _take(self, const u8 *rows, Py_ssize_t row) except -1

    @cython.locals(
        state=GuardState, notional=i64, ledger=BudgetEngine, line=Tenant, reservation_id=i64,
        orders=RememberedOrders,
    )
    cdef bint _admit(
        self, const u8 *rows, Py_ssize_t row, desk, bytes key, bytes payload
    ) except -1

    @cython.locals(counts=bytes, policy=PolicySnapshot, code=u16, limit=u64)
    cdef bint _is_refused(self, const u8 *rows, Py_ssize_t row) except -1

    @cython.locals(state=GuardState, policy=PolicySnapshot, decision=bytes)
    cdef bint _is_decided(self, const u8 *rows, Py_ssize_t row) except -1

    @cython.locals(key=bytes)
    cdef str _name(self, const u8 *rows, Py_ssize_t at, Py_ssize_t count)

    @cython.locals(at=Py_ssize_t, key_bytes=Py_ssize_t, payload_bytes=Py_ssize_t)
    cdef _decided(self, const u8 *rows, Py_ssize_t row)
