# The fields of outcome.py, for the compiler alone: integers of eight bytes without a gap, in the
# order of OUTCOME_NUMBERS.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

@cython.final
cdef class Outcome:
    cdef public u64 kind, sequence, stage, reason, repeat, field, detail, venue, substituted
    cdef public u64 reservation_id, notional_microcents, fee_microcents, asked, limit, used, chosen
    cdef public u64 free_bytes, reserve_bytes, original_wal_sequence, disabled, quality
    cdef public u64 risk_ceiling, latency, capability, provider, region, budget, utility
    cdef public u64 open_quantity, hold_microcents, released_microcents, unpaid_fee_microcents
    cdef public u64 flags, halts_desk, state, filled_quantity, error, received_at_ns
    cdef public u64 collected_microcents, busted_fills, corrected_fills, scope, reducing
    cdef public u64 reduced_quantity, suspect, self_match, located_lots
    cdef public u64 standing_wal_sequence, pending_wal_sequence, refused_index
    cdef public object foreign
    cdef u8[70] input_row
    cdef u8[83] output_row, output_again
