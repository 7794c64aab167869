# cython: annotation_typing=False
"""The decision: one request against one catalogue, in integers, over packed rows.

Owns: the gates, the cost, the utility, the ranking and the reason, and the tables that they read.
This file is the specification and is also what runs: as it stands, or compiled by Cython with the
types of `prescribe.pxd` beside it. Both give the same bytes for the same bytes.

Must not: allocate per model, raise on a row of the right length, or know of objects, names, files.

How it works: a policy's models stand in blocks of 64, one array per column. A decision reads the
input row once, walks the blocks, counts every model under the first gate that it fails, keeps the
best two, and writes the decision row with the nine counts behind it. All state is in locals, so
two decisions share nothing that changes.

Exactness: money and costs reach 2^64 and their products 2^100, and nothing here may round or wrap.
A `wide_*` value (128 bits when compiled) holds every sum and product that no bound keeps below
2^64, and no wide value is ever divided: for a divisor d, v = whole * d + rest gives
floor(v * k / d) = whole * k + floor(rest * k / d), and the same with ceilings. `SEMANTICS.md` has
the bounds, line by line.

Fails: a row or buffer of the wrong length is a `KernelInputError`, before anything is written.
"""

from collections.abc import Sequence

from kernel.errors import KernelInputError
from kernel.layout import INPUT_ROW_BYTES, OUTPUT_ROW_BYTES

BLOCK_MODELS = 64  # a block's columns fit the first-level cache; the 65,535 models make 1,024
TOKENS_PER_RATE = 1_000_000  # a rate is for this many tokens
INPUT_BYTES = INPUT_ROW_BYTES
OUTPUT_BYTES = OUTPUT_ROW_BYTES

Bytes = bytes | bytearray

# The gates, numbered in the trace's order; the tenth count is of the models that pass them all.
DISABLED = 0
QUALITY = 1
RISK_CEILING = 2
LATENCY = 3
CAPABILITY = 4
PROVIDER = 5
REGION = 6
BUDGET = 7
UTILITY = 8
PASSED = 9

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
I64_MAX = 2**63 - 1


def load_u16(row: Bytes, at: int) -> int:
    """The u16 at that offset. (Each of these three compiles to one load.)"""
    b0 = row[at]
    b1 = row[at + 1]
    return b0 | b1 << 8


def load_u32(row: Bytes, at: int) -> int:
    """The u32 at that offset."""
    b0 = row[at]
    b1 = row[at + 1]
    b2 = row[at + 2]
    b3 = row[at + 3]
    return b0 | b1 << 8 | b2 << 16 | b3 << 24


def load_u64(row: Bytes, at: int) -> int:
    """The u64 at that offset."""
    b0 = row[at]
    b1 = row[at + 1]
    b2 = row[at + 2]
    b3 = row[at + 3]
    b4 = row[at + 4]
    b5 = row[at + 5]
    b6 = row[at + 6]
    b7 = row[at + 7]
    return b0 | b1 << 8 | b2 << 16 | b3 << 24 | b4 << 32 | b5 << 40 | b6 << 48 | b7 << 56


def store_u16(row: bytearray, at: int, value: int) -> None:
    """Put a u16 at that offset."""
    row[at] = value & 0xFF
    row[at + 1] = value >> 8


def store_u32(row: bytearray, at: int, value: int) -> None:
    """Put a u32 at that offset."""
    store_u16(row, at, value & 0xFFFF)
    store_u16(row, at + 2, value >> 16)


def store_u64(row: bytearray, at: int, value: int) -> None:
    """Put a u64 at that offset."""
    store_u32(row, at, value & U32_MAX)
    store_u32(row, at + 4, value >> 32)


def outranks(
    utility: int, cost: int, quality: int, model_id: int,
    other_utility: int, other_cost: int, other_quality: int, other_id: int,
) -> bool:
    """Higher utility, then lower cost, then higher quality, then lower model id."""
    if utility != other_utility:
        return utility > other_utility
    if cost != other_cost:
        return cost < other_cost
    if quality != other_quality:
        return quality > other_quality
    return model_id < other_id


def first_gate(
    block: "ModelBlock",
    slot: int,
    minimum_quality_bps: int,
    latency_limit_ms: int,
    required_capabilities: int,
    allowed_providers: int,
    required_regions: int,
    risk_bps: int,
) -> int:
    """The first gate that the model fails, of the seven that compare a column with the request."""
    if block.enabled[slot] == 0:
        return DISABLED
    if block.quality_bps[slot] < minimum_quality_bps:
        return QUALITY
    if block.p95_latency_ms[slot] > latency_limit_ms:
        return LATENCY
    if block.capabilities[slot] & required_capabilities != required_capabilities:
        return CAPABILITY
    if block.provider_bit[slot] & allowed_providers == 0:
        return PROVIDER
    if required_regions != 0 and block.region_mask[slot] & required_regions == 0:
        return REGION
    if risk_bps > block.risk_ceiling_bps[slot]:
        return RISK_CEILING
    return PASSED


def cost_of(block: "ModelBlock", slot: int, input_tokens: int, output_tokens: int) -> int:
    """ceil(input_tokens * rate / 10^6) + ceil(output_tokens * rate / 10^6), at most 2^64 - 1."""
    wide_input_tokens = input_tokens
    wide_output_tokens = output_tokens
    rests = (input_tokens * block.input_rate_rest[slot] + 999_999) // 1_000_000
    rests += (output_tokens * block.output_rate_rest[slot] + 999_999) // 1_000_000
    wide_cost = wide_input_tokens * block.input_rate_whole[slot]
    wide_cost += wide_output_tokens * block.output_rate_whole[slot]
    wide_cost += rests
    cost: int = wide_cost if wide_cost < U64_MAX else U64_MAX
    return cost


def share_of(value: int, weight: int) -> int:
    """floor(value * weight / 10^8): `weight` is the product of two values in basis points."""
    wide_whole = value // 100_000_000
    rest = value % 100_000_000
    return wide_whole * weight + rest * weight // 100_000_000


def rejection_reason(counts: list[int]) -> int:
    """The reason of the gate with the most models; among equals the later in this list."""
    most = counts[CAPABILITY]
    reason = 105
    if counts[REGION] >= most:
        most = counts[REGION]
        reason = 107
    if counts[PROVIDER] >= most:
        most = counts[PROVIDER]
        reason = 106
    if counts[QUALITY] >= most:
        most = counts[QUALITY]
        reason = 103
    if counts[RISK_CEILING] >= most:
        most = counts[RISK_CEILING]
        reason = 110
    if counts[LATENCY] >= most:
        most = counts[LATENCY]
        reason = 104
    if counts[BUDGET] >= most:
        most = counts[BUDGET]
        reason = 108
    if counts[UTILITY] >= most:
        most = counts[UTILITY]
        reason = 109
    if counts[DISABLED] >= most:
        reason = 102
    return reason


def store_rejection(out: bytearray, to: int, reason: int, evaluated_models: int) -> None:
    """The decision's fields between the sequence and the epochs, for a rejection."""
    out[to + 8] = 3
    store_u16(out, to + 9, reason)
    store_u32(out, to + 11, 0)
    store_u16(out, to + 15, 65535)
    store_u64(out, to + 17, 0)
    store_u64(out, to + 25, 0)
    store_u32(out, to + 33, 0)
    store_u64(out, to + 37, 0)
    store_u16(out, to + 45, evaluated_models)
    store_u16(out, to + 47, 0)


class ModelBlock:
    """Up to 64 models, one array per column, with what does not depend on a request worked out."""

    def __init__(self, models: Sequence[tuple[int, ...]], latency_penalty_per_ms: int) -> None:
        """`models`: at most 64 tuples of the model layout's ten values, in catalogue order."""
        padded = list(models) + [(0,) * 10] * (BLOCK_MODELS - len(models))
        columns = list(zip(*padded, strict=True))
        self.model_count = len(models)
        self.model_id = list(columns[0])
        self.provider_bit = [1 << p if p <= 63 else 0 for p in columns[1]]
        self.quality_bps = list(columns[2])
        self.risk_ceiling_bps = list(columns[3])
        self.enabled = list(columns[4])
        self.p95_latency_ms = list(columns[5])
        self.capabilities = list(columns[6])
        self.region_mask = list(columns[7])
        self.input_rate_whole = [rate // TOKENS_PER_RATE for rate in columns[8]]
        self.input_rate_rest = [rate % TOKENS_PER_RATE for rate in columns[8]]
        self.output_rate_whole = [rate // TOKENS_PER_RATE for rate in columns[9]]
        self.output_rate_rest = [rate % TOKENS_PER_RATE for rate in columns[9]]
        self.wide_latency_penalty = [ms * latency_penalty_per_ms for ms in columns[5]]


class DecisionTable:
    """A policy in the form that decides. It never changes after it is made."""

    def __init__(self, policy: tuple[int, ...], models: Sequence[tuple[int, ...]]) -> None:
        """`policy`: the policy layout's six values; `models`: ten each, in catalogue order."""
        self.policy_epoch = policy[0]
        self.catalog_epoch = policy[1]
        self.hard_risk_limit_bps = policy[2]
        self.minimum_confidence_bps = policy[3]
        self.risk_penalty_multiplier_bps = policy[4]
        self.model_count = len(models)
        self.blocks = [
            ModelBlock(models[start : start + BLOCK_MODELS], policy[5])
            for start in range(0, len(models), BLOCK_MODELS)
        ]

    def decide_row(self, input_row: bytes) -> bytes:
        """An input row (70 bytes) -> its output row (83): the decision, then the nine counts."""
        if len(input_row) != INPUT_BYTES:
            raise KernelInputError(f"input row is {len(input_row)} bytes; must be {INPUT_BYTES}")
        output_row = bytearray(OUTPUT_BYTES)
        self._decide(input_row, 0, output_row, 0)
        return bytes(output_row)

    def decide_rows(
        self, input_rows: bytes | bytearray, count: int, output_rows: bytearray
    ) -> None:
        """`count` input rows end to end -> as many output rows, from the buffer's start."""
        if count < 0 or len(input_rows) < count * INPUT_BYTES:
            raise KernelInputError(
                f"input rows are {len(input_rows)} bytes, for a count of {count};"
                f" each row is {INPUT_BYTES}"
            )
        if len(output_rows) < count * OUTPUT_BYTES:
            raise KernelInputError(
                f"output rows are {len(output_rows)} bytes, for a count of {count};"
                f" each row is {OUTPUT_BYTES}"
            )
        if count == 0:
            return
        rows = input_rows
        out = output_rows
        for index in range(count):
            self._decide(rows, index * INPUT_BYTES, out, index * OUTPUT_BYTES)

    def _decide(self, row: Bytes, at: int, out: bytearray, to: int) -> None:
        """The two hard limits, then the catalogue. Every byte of the output row is written."""
        risk_bps = load_u16(row, at + 36)
        confidence_bps = load_u16(row, at + 38)
        store_u64(out, to, load_u64(row, at))
        store_u64(out, to + 49, self.policy_epoch)
        store_u64(out, to + 57, self.catalog_epoch)
        if risk_bps >= self.hard_risk_limit_bps:
            store_rejection(out, to, 100, 0)
        elif confidence_bps < self.minimum_confidence_bps:
            store_rejection(out, to, 101, 0)
        else:
            self._choose(row, at, out, to)
            return
        for gate in range(9):
            store_u16(out, to + 65 + 2 * gate, 0)

    def _choose(self, row: Bytes, at: int, out: bytearray, to: int) -> None:
        """Every model through the gates; the best and the second best of those that pass."""
        input_tokens = load_u32(row, at + 12)
        output_tokens = load_u32(row, at + 16)
        value = load_u64(row, at + 20)
        if value > I64_MAX:  # in two's complement, a negative one
            value = 0
        budget_limit = load_u64(row, at + 28)
        risk_bps = load_u16(row, at + 36)
        confidence_bps = load_u16(row, at + 38)
        minimum_quality_bps = load_u16(row, at + 40)
        latency_limit_ms = load_u32(row, at + 42)
        if latency_limit_ms == 0:
            latency_limit_ms = U32_MAX
        required_capabilities = load_u64(row, at + 46)
        allowed_providers = load_u64(row, at + 54)
        required_regions = load_u64(row, at + 62)
        wide_risk_penalty = share_of(value, risk_bps * self.risk_penalty_multiplier_bps)
        counts = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        best_id = best_index = best_cost = best_quality = best_utility = 0
        next_id = next_cost = next_quality = next_utility = 0
        index = -1
        for block in self.blocks:
            for slot in range(block.model_count):
                index += 1
                gate = first_gate(
                    block, slot, minimum_quality_bps, latency_limit_ms, required_capabilities,
                    allowed_providers, required_regions, risk_bps,
                )
                if gate != PASSED:
                    counts[gate] += 1
                    continue
                cost = cost_of(block, slot, input_tokens, output_tokens)
                if cost > budget_limit:
                    counts[BUDGET] += 1
                    continue
                quality = block.quality_bps[slot]
                wide_utility = share_of(value, confidence_bps * quality)
                wide_utility -= wide_risk_penalty + block.wide_latency_penalty[slot] + cost
                if wide_utility <= 0:
                    counts[UTILITY] += 1
                    continue
                counts[PASSED] += 1
                utility = wide_utility if wide_utility < I64_MAX else I64_MAX
                model_id = block.model_id[slot]
                if outranks(
                    utility, cost, quality, model_id,
                    best_utility, best_cost, best_quality, best_id,
                ):
                    next_id, next_cost, next_quality = best_id, best_cost, best_quality
                    next_utility = best_utility
                    best_id, best_cost, best_quality = model_id, cost, quality
                    best_utility = utility
                    best_index = index
                elif outranks(
                    utility, cost, quality, model_id,
                    next_utility, next_cost, next_quality, next_id,
                ):
                    next_id, next_cost, next_quality = model_id, cost, quality
                    next_utility = utility
        for gate in range(9):
            store_u16(out, to + 65 + 2 * gate, counts[gate])
        if counts[PASSED] == 0:
            store_rejection(out, to, rejection_reason(counts), self.model_count)
            return
        requested = load_u32(row, at + 8) == best_id
        out[to + 8] = 1 if requested else 2
        store_u16(out, to + 9, 1 if requested else 2)
        store_u32(out, to + 11, best_id)
        store_u16(out, to + 15, best_index)
        store_u64(out, to + 17, best_cost)
        store_u64(out, to + 25, best_utility)
        store_u32(out, to + 33, next_id)
        store_u64(out, to + 37, next_utility)
        store_u16(out, to + 45, self.model_count)
        store_u16(out, to + 47, counts[PASSED])
