# The fields of request.py, for the compiler alone: integers of eight bytes without a gap, in the
# order of REQUEST_NUMBERS, then the texts.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

@cython.final
cdef class Request:
    cdef public u64 kind, quantity, price, venue, risk_bps, confidence_bps, minimum_quality_bps
    cdef public u64 max_p95_latency_ms, required_capabilities, allowed_providers
    cdef public u64 required_regions, max_fee_microcents, allow_substitute, side, order_type
    cdef public u64 time_in_force, sent_at_ns, executed_at_ns, mark_price, mark_age_ns, mark_jump
    cdef public u64 elapsed_ns
    cdef public u64 as_of_ns, bid, ask
    cdef public u64 batch_first_sequence
    cdef public i64 fee_microcents, received_at_ns, clock_ns
    cdef public u64 client_order_id_bytes, desk_bytes, symbol_bytes, fill_id_bytes
    cdef public u64 currency_bytes, client_bytes, echo_bytes, original_client_order_id_bytes
    cdef public u64 account_bytes, trader_bytes, algo_bytes
    cdef u8[912] texts

    @cython.locals(at=Py_ssize_t, count=Py_ssize_t)
    cpdef str text(self, str name)
    cpdef bytes echo(self)

    @cython.locals(at=Py_ssize_t, index=Py_ssize_t)
    cpdef set_text(self, str name, bytes value)
    @cython.locals(at=Py_ssize_t, index=Py_ssize_t)
    cpdef put_client(self, bytes name)
