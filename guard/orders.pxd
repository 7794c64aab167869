# The types of orders.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8

from guard.orders_codec cimport decode_fill, decode_order, encode_fill, encode_order
from guard.orders_codec cimport fill_key, order_key
from guard.packed cimport PackedMap
from kernel cimport little_endian as le

cdef Py_ssize_t _NO_ROW
cdef Py_ssize_t _PHASE, _HOLD, _FILLED, _EXPIRES, _RELEASE_SEQUENCE, _RELEASED, _NEXT_CLOSED
cdef Py_ssize_t _FIRST_FILL, _NEXT_FILL, _FILL_EXPIRES

@cython.final
@cython.no_gc  # it refers to requests, answers and numbers, none of which refers back
@cython.freelist(8)
cdef class OrderState:
    cdef public object order, answer, phase, hold_microcents, filled_quantity, release
    cdef public object expires_at_ns
    cdef public Py_ssize_t row

@cython.final
cdef class RememberedOrders:
    cdef PackedMap _orders, _fills
    cdef bytearray _open_row
    cdef Py_ssize_t _closed_first, _closed_last, _orphan_first, _orphan_last, _orphan_count
    cdef object _last_expires_at_ns, _last_orphan_sequence
    cdef list _outlasting
    cdef object _missed_desk, _missed_id
    cdef bytes _missed_key
    cdef Py_ssize_t _decoded_row
    cdef tuple _decoded

    @cython.locals(key=bytes, row=Py_ssize_t, values=tuple)
    cpdef OrderState find(self, desk, client_order_id, now_ns)

    cpdef bint is_full(self, orders_max, now_ns) except -1
    @cython.locals(key=bytes)
    cpdef add(self, OrderState state)
    cdef bint is_free(self, bytes key) except -1

    cdef int add_open(
        self, bytes key, const u8 *payload, Py_ssize_t payload_bytes, i64 hold_microcents
    ) except -1

    cdef add_refused(self, bytes key, bytes payload, expires_at_ns)
    cpdef save(self, OrderState state)
    cdef _enqueue(self, Py_ssize_t row, expires_at_ns)

    @cython.locals(row=Py_ssize_t)
    cdef Py_ssize_t open_row(self, bytes key) except -2

    cdef bytes payload(self, Py_ssize_t row)
    cdef hold_and_filled(self, Py_ssize_t row)
    cdef bint has_fill(self, bytes key) except -1
    cdef fill_open(
        self, Py_ssize_t row, bytes key, bytes payload, filled_quantity, hold_microcents
    )
    cdef close_filled(self, Py_ssize_t row, expires_at_ns)
    cpdef close(self, OrderState state, phase, expires_at_ns)

    @cython.locals(row=Py_ssize_t)
    cpdef forget_expired(self, now_ns)

    @cython.locals(row=Py_ssize_t, order_row=Py_ssize_t, is_orphan=bint)
    cpdef find_fill(self, desk, client_order_id, fill_id, now_ns)

    @cython.locals(row=Py_ssize_t)
    cpdef add_fill(self, OrderState state, fill, answer)

    @cython.locals(row=Py_ssize_t)
    cpdef add_orphan_fill(self, fill, answer, expires_at_ns, fills_max)

    cdef _note_outlasting(self, expires_at_ns)

    @cython.locals(fills=PackedMap, count=Py_ssize_t, row=Py_ssize_t, last=Py_ssize_t)
    cdef _find_outlasting(self)

    cdef _forget_fills(self, Py_ssize_t row)
    cdef _forget_oldest_orphan(self)
