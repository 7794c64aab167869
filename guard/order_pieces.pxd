# The types of order_pieces.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint16_t as u16, uint32_t as u32, uint64_t as u64

from guard cimport packing, record_text, text
from guard.order_reader cimport OrderReader

cdef Py_ssize_t _MAX_FEE, _SENT_AT
cdef bytes _OPENING, _CLIENT, _BATCH, _ORDER, _DESK, _SYMBOL, _ALLOWED, _NOT_ALLOWED
cdef bytes _SENT_AT_KEY, _NULL, _ANSWER, _END, _CONTENT, _TRUE, _FALSE, _NIL
cdef bytes _HEAD, _HEAD_WITH_REQUEST, _SEQUENCE_KEY, _RESERVATION_KEY, _VENUE_KEY
cdef bytes _SUBSTITUTED_KEY, _NOTIONAL_KEY, _FEE_KEY, _REASON_KEY, _REPEAT_KEY, _REQUEST_KEY
cdef list _SIDES, _INTEGERS, _TYPES, _TIMES, _PACKED_SIDES, _PACKED_TYPES, _PACKED_TIMES
cdef dict _PACKED_REASONS, _REASON_WORDS

@cython.final
cdef class Admission:
    cdef OrderReader order
    cdef i64 received_at_ns
    cdef u64 batch_first_sequence, sequence, reservation_id, notional_microcents, fee_microcents
    cdef u32 venue
    cdef u16 reason
    cdef bint is_substituted
    cdef str _client, _currency
    cdef bytes _packed_currency

    @cython.locals(order=OrderReader)
    cdef Py_ssize_t put_event(self, u8 *out, Py_ssize_t at, const u8 *body, str currency) except -2

    @cython.locals(order=OrderReader, index=Py_ssize_t)
    cdef Py_ssize_t _put_order(
        self, u8 *out, Py_ssize_t at, const u8 *body, str currency
    ) except -2

    @cython.locals(order=OrderReader, index=Py_ssize_t)
    cdef Py_ssize_t put_memory(
        self, u8 *out, Py_ssize_t at, const u8 *body, str currency
    ) except -2

    @cython.locals(order=OrderReader, has_request_id=bint)
    cdef Py_ssize_t put_reply(self, u8 *out, Py_ssize_t at, const u8 *body) except -2
