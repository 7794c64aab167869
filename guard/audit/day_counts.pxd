# The types of day_counts.py, for the compiler alone. What may not fit 64 bits is an object: times, of
# which a log may hold any, and sums of money and of latencies.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard cimport histogram
from guard.audit.exposure cimport ExposureBook
from guard.engine.state cimport GuardState

cdef Py_ssize_t _FILLS, _CANCELS
cdef int _PRECISION_BITS
cdef i64 _LATENCY_NS_MAX, _SHOWN_NS_MAX

@cython.final
cdef class Alike:
    cdef public object desk, symbol, venue, stage, reason, chosen
    cdef public object notional_microcents, fees_microcents
    cdef public Py_ssize_t column
    cdef public u64 count

@cython.final
cdef class Latencies:
    cdef list _counts
    cdef public u64 below_zero_count, too_old_count
    cdef i64 _least_ns, _greatest_ns
    cdef object _total_ns

    @cython.locals(bucket=Py_ssize_t)
    cpdef add(self, i64 latency_ns)

@cython.final
cdef class DayCounts:
    cdef public object answers, first_sequence, first_ns, last_ns, first_policy
    cdef public object first_policy_digest_hex, fill_fees_microcents, rebates_microcents
    cdef public ExposureBook exposure
    cdef public Latencies order_latency, fill_latency
    cdef public u64 execution_count, reduction_count, replaced_count, replace_rejected_count
    cdef public u64 last_sequence, record_count, decision_count, fill_count, cancel_count
    cdef public dict alike_of_row
    cdef dict _batches, _rows, _alike
    cdef object _batch_first_sequence, _grid, _from_ns, _until_ns
    cdef Py_ssize_t _batch_count
    cdef list _row, _gate_counts

    @cython.locals(at_ns=object)
    cpdef begin_record(
        self, u64 sequence, received_at_ns, batch_first_sequence, GuardState state
    )
    cpdef int count_at(self, at_ns, Py_ssize_t column) except -1
    cpdef int note_order(
        self, Alike alike, notional_microcents, fee_microcents, u64 sequence, at_ns,
        GuardState state,
    ) except -1
    cpdef int note_fill(
        self, desk, fee_microcents, u64 sequence, at_ns, GuardState state
    ) except -1
    cpdef note_early_fill(self, desk, u64 sequence, at_ns, GuardState state)
    cpdef int note_cancel(self, desk, u64 sequence, at_ns, GuardState state) except -1
    cpdef note_settled(self, bint is_replaced, desk, u64 sequence, at_ns, GuardState state)
    cpdef note_execution(self, desk, u64 sequence, at_ns, GuardState state)
    cpdef int note_gate(self, Py_ssize_t gate, i64 count) except -1

    @cython.locals(key=tuple, found=Alike)
    cpdef Alike alike(self, desk, symbol, venue, stage, reason, chosen, GuardState state)

    cdef int _begin(self, u64 sequence, at_ns, GuardState state) except -1
    cdef int _close_batch(self) except -1
    cdef int _count_alike(self, GuardState state) except -1
    cdef int _turn_to(self, at_ns) except -1
