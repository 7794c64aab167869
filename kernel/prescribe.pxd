# The types of prescribe.py, for the compiler alone. Nothing here changes what the code means:
# SEMANTICS.md bounds every value below its type.

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

ctypedef uint8_t u8
ctypedef uint16_t u16
ctypedef uint32_t u32
ctypedef uint64_t u64

cdef extern from *:
    """
    typedef __int128 kernel_i128;
    """
    ctypedef long long i128 "kernel_i128"

ctypedef const u8 *ConstRow
ctypedef u8 *Row
ctypedef u16[10] GateCounts

cdef Py_ssize_t INPUT_BYTES, OUTPUT_BYTES
cdef int DISABLED, QUALITY, RISK_CEILING, LATENCY, CAPABILITY
cdef int PROVIDER, REGION, BUDGET, UTILITY, PASSED
cdef u32 U32_MAX
cdef u64 U64_MAX, I64_MAX

@cython.locals(b0=u16, b1=u16)
cdef u16 load_u16(const u8 *row, Py_ssize_t at) noexcept nogil

@cython.locals(b0=u32, b1=u32, b2=u32, b3=u32)
cdef u32 load_u32(const u8 *row, Py_ssize_t at) noexcept nogil

@cython.locals(b0=u64, b1=u64, b2=u64, b3=u64, b4=u64, b5=u64, b6=u64, b7=u64)
cdef u64 load_u64(const u8 *row, Py_ssize_t at) noexcept nogil

cdef void store_u16(u8 *row, Py_ssize_t at, u16 value) noexcept nogil
cdef void store_u32(u8 *row, Py_ssize_t at, u32 value) noexcept nogil
cdef void store_u64(u8 *row, Py_ssize_t at, u64 value) noexcept nogil

cdef bint outranks(
    u64 utility, u64 cost, u64 quality, u64 model_id,
    u64 other_utility, u64 other_cost, u64 other_quality, u64 other_id,
) noexcept nogil

cdef int first_gate(
    ModelBlock block, Py_ssize_t slot, u16 minimum_quality_bps, u32 latency_limit_ms,
    u64 required_capabilities, u64 allowed_providers, u64 required_regions, u16 risk_bps,
) noexcept

@cython.locals(wide_input_tokens=i128, wide_output_tokens=i128, rests=u64, wide_cost=i128)
cdef u64 cost_of(
    ModelBlock block, Py_ssize_t slot, u64 input_tokens, u64 output_tokens
) noexcept

@cython.locals(wide_whole=i128, rest=u64)
cdef i128 share_of(u64 value, u64 weight) noexcept nogil

@cython.locals(most=u16)
cdef u16 rejection_reason(u16 *counts) noexcept nogil

cdef void store_rejection(u8 *out, Py_ssize_t to, u16 reason, u16 evaluated_models) noexcept nogil

@cython.final
cdef class ModelBlock:
    cdef Py_ssize_t model_count
    cdef u32[64] model_id
    cdef u64[64] provider_bit
    cdef u16[64] quality_bps
    cdef u16[64] risk_ceiling_bps
    cdef u8[64] enabled
    cdef u32[64] p95_latency_ms
    cdef u64[64] capabilities
    cdef u64[64] region_mask
    cdef u64[64] input_rate_whole
    cdef u64[64] input_rate_rest
    cdef u64[64] output_rate_whole
    cdef u64[64] output_rate_rest
    cdef i128[64] wide_latency_penalty

cdef class DecisionTable:
    cdef u64 policy_epoch, catalog_epoch
    cdef u16 hard_risk_limit_bps, minimum_confidence_bps
    cdef u64 risk_penalty_multiplier_bps
    cdef u16 model_count
    cdef list blocks

    @cython.locals(output_row=bytearray)
    cpdef bytes decide_row(self, bytes input_row)

    @cython.locals(index=Py_ssize_t, rows=ConstRow, out=Row)
    cpdef decide_rows(self, input_rows, Py_ssize_t count, bytearray output_rows)

    @cython.locals(risk_bps=u16, confidence_bps=u16, gate=Py_ssize_t)
    cdef void _decide(self, const u8 *row, Py_ssize_t at, u8 *out, Py_ssize_t to)

    @cython.locals(
        input_tokens=u64, output_tokens=u64, value=u64, budget_limit=u64, risk_bps=u16,
        confidence_bps=u64, minimum_quality_bps=u16, latency_limit_ms=u32,
        required_capabilities=u64, allowed_providers=u64, required_regions=u64,
        wide_risk_penalty=i128, counts=GateCounts, best_id=u64, best_index=u64, best_cost=u64,
        best_quality=u64, best_utility=u64, next_id=u64, next_cost=u64, next_quality=u64,
        next_utility=u64, index=Py_ssize_t, block=ModelBlock, slot=Py_ssize_t, gate=int, cost=u64,
        quality=u64, wide_utility=i128, utility=u64, model_id=u64, requested=bint,
    )
    cdef void _choose(self, const u8 *row, Py_ssize_t at, u8 *out, Py_ssize_t to)
