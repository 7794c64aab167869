# The types of fill_lane.py, for the compiler alone. What an order as it is remembered holds was
# written as an integer of the range of its field, so that it fits.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard cimport packing
from guard.orders cimport RememberedOrders
from guard.orders_codec cimport decode_fill
from guard.record_rules cimport RecordRules
from guard.state cimport GuardState
from kernel cimport little_endian as le
from kernel.ledger cimport BudgetEngine

cdef Py_ssize_t _FIXED_BYTES, _BETWEEN, _HEAD_BYTES
cdef bytes _HEAD

@cython.locals(_=Py_ssize_t)
cdef Py_ssize_t behind(
    const u8 *payload, Py_ssize_t at, Py_ssize_t count, Py_ssize_t end
) noexcept

@cython.final
cdef class FillLane:
    cdef GuardState _state
    cdef RecordRules _rules
    cdef i64 _quantity, _reservation_id, _notional, _sent_at_ns
    cdef u64 _value
    cdef public Py_ssize_t record_count

    @cython.locals(
        state=GuardState, orders=RememberedOrders, key=bytes, order_row=Py_ssize_t,
        sequence=u64, received_at_ns=i64, batch=i64, fee=i64, payload_at=Py_ssize_t, payload=bytes,
        ledger=BudgetEngine,
    )
    cdef bint take(self, const u8 *rows, Py_ssize_t row) except -1

    @cython.locals(end=Py_ssize_t, at=Py_ssize_t, _=Py_ssize_t)
    cdef bint _read_terms(self, bytes payload) except -1

    @cython.locals(size=Py_ssize_t)
    cdef Py_ssize_t _integer(self, const u8 *payload, Py_ssize_t at, Py_ssize_t end) noexcept

    @cython.locals(at=Py_ssize_t, payload_bytes=Py_ssize_t)
    cdef decided(self, const u8 *rows, Py_ssize_t row)
