# The types of prescribe.py, for the compiler alone. Nothing here changes what the code means:
# SEMANTICS.md shows for each of these that its values fit.

cimport cython
from libc.stdint cimport uint8_t as u8, uint16_t as u16, uint32_t as u32, uint64_t as u64

from kernel cimport hints
from kernel cimport little_endian as le

ctypedef const u8 *RowPointer
ctypedef u8 *BufferPointer
ctypedef u8[83] OutputRow
ctypedef u16[10] GateCounts

cdef extern from *:
    """
    typedef __int128 kernel_i128;
    """
    ctypedef long long i128 "kernel_i128"

cdef Py_ssize_t INPUT_BYTES, OUTPUT_BYTES
cdef u32 U32_MAX
cdef u64 U64_MAX, I64_MAX, BEYOND_VALUE

@cython.locals(value=u64)
cdef u64 value_of(const u8 *row, Py_ssize_t at) noexcept nogil

@cython.locals(latency_limit_ms=u32)
cdef u32 latency_limit_of(const u8 *row, Py_ssize_t at) noexcept nogil

@cython.locals(gate=Py_ssize_t)
cdef void store_counts(u8 *out, Py_ssize_t to, u16 *counts) noexcept nogil

cdef void store_choice(
    u8 *out, Py_ssize_t to, u8 action, u16 reason, u32 model_id, u16 model_index, u64 cost,
    u64 utility, u32 next_id, u64 next_utility, u16 evaluated, u16 eligible,
) noexcept nogil

cdef int first_gate(
    ModelBlock block, Py_ssize_t slot, u16 minimum_quality, u32 latency_limit_ms,
    u64 required_capabilities, u64 allowed_providers, u64 required_regions, u16 risk_bps,
) noexcept

cdef bint is_open_to(
    ModelBlock block, u16 minimum_quality, u32 latency_limit_ms,
    u64 required_capabilities, u64 allowed_providers, u64 required_regions, u16 risk_bps,
) noexcept

@cython.locals(cost=u64)
cdef u64 narrow_cost(
    ModelBlock block, Py_ssize_t slot, u64 input_tokens, u64 output_tokens
) noexcept

cdef u64 narrow_utility(u64 gain, u64 risk_penalty, u64 latency_penalty, u64 cost) noexcept nogil

@cython.locals(wide_whole=i128, rest=u64, wide_rest_share=i128)
cdef i128 wide_share(u64 value, u64 weight) noexcept nogil

cdef u64 rest_share_of(u64 rest) noexcept nogil

@cython.locals(wide_penalty=i128)
cdef u64 narrow_penalty(u64 value, u64 weight) noexcept nogil

cdef bint outranks(
    u64 utility, u64 cost, u16 quality, u32 model_id,
    u64 other_utility, u64 other_cost, u16 other_quality, u32 other_id,
) noexcept nogil

@cython.locals(most=u16)
cdef u16 rejection_reason(u16 *counts) noexcept nogil

@cython.final
cdef class ModelBlock:
    cdef Py_ssize_t first_index, model_count
    cdef ModelBlock following
    cdef u32[64] model_id
    cdef u64[64] provider_bit
    cdef u16[64] quality_bps
    cdef u16[64] risk_ceiling_bps
    cdef u8[64] enabled
    cdef u32[64] p95_latency_ms
    cdef u64[64] capabilities
    cdef u64[64] region_mask
    cdef u64[64] input_rate
    cdef u64[64] output_rate
    cdef u64[64] latency_penalty
    cdef bint can_be_open
    cdef u16 least_quality_bps, least_risk_ceiling_bps
    cdef u32 greatest_latency_ms
    cdef u64 common_capabilities, common_regions, all_providers

cdef class DecisionTable:
    cdef u64 policy_epoch, catalog_epoch, latency_penalty_per_ms
    cdef u16 hard_risk_limit_bps, minimum_confidence_bps, model_count
    cdef u64 risk_penalty_multiplier_bps
    cdef bint narrow
    cdef u64 narrow_input_tokens, narrow_output_tokens
    cdef ModelBlock first_block

    @cython.locals(out=OutputRow)
    cpdef bytes decide_row(self, bytes input_row)

    cdef int decide_into(self, const u8 *input_row, u8 *output_row) except -1

    @cython.locals(index=Py_ssize_t, rows=RowPointer, out=BufferPointer)
    cpdef decide_rows(self, input_rows, count, bytearray output_rows)

    @cython.locals(risk_bps=u16, confidence_bps=u16, reason=u16)
    cdef int _decide(self, const u8 *row, Py_ssize_t at, u8 *out, Py_ssize_t to) except -1

    @cython.locals(
        input_tokens=u64, output_tokens=u64, value=u64, whole=u64, rest=u64, rest_share=u64,
        budget_limit=u64, risk_bps=u16, confidence_bps=u64, minimum_quality=u16,
        latency_limit_ms=u32, capabilities=u64, providers=u64, regions=u64, narrow=bint,
        is_open=bint, risk_penalty=u64, counts=GateCounts,
        best_id=u32, best_index=u16, best_cost=u64, best_quality=u16, best_utility=u64,
        next_id=u32, next_cost=u64, next_quality=u16, next_utility=u64,
        block=ModelBlock, slot=Py_ssize_t, gate=Py_ssize_t, quality=u64, cost=u64,
        gain=u64, utility=u64, model_id=u32, action=u8, reason=u16,
    )
    cdef int _choose(self, const u8 *row, Py_ssize_t at, u8 *out, Py_ssize_t to) except -1

    cdef bint is_narrow_for(self, u64 confidence_bps, u64 input_tokens, u64 output_tokens) noexcept

    @cython.locals(
        input_rate=u64, output_rate=u64, wide_input=i128, wide_output=i128, wide_sum=i128, cost=u64
    )
    cdef u64 _wide_cost(
        self, ModelBlock block, Py_ssize_t slot, u64 input_tokens, u64 output_tokens
    ) noexcept

    @cython.locals(wide_ms=i128, wide_left=i128, utility=u64)
    cdef u64 _wide_utility(
        self, ModelBlock block, Py_ssize_t slot, u64 value, u64 confidence_bps, u64 risk_bps,
        u64 cost,
    ) noexcept
