# cython: annotation_typing=False
"""The decision: one request against one catalogue, in integers, over packed rows.

Owns: the gates, the cost, the utility, the ranking and the reason, and the tables that they read.
This file is the specification and is also what runs: as it stands, or compiled by Cython with the
types of `prescribe.pxd` beside it. Both give the same bytes for the same bytes.

Must not: allocate per model, raise on a row of the right length, or know of objects, names, files.

How it works: a policy's models stand in blocks of 64, one array per column. A decision reads the
input row once, walks the blocks, counts every model under the first gate that it fails, keeps the
best two, and writes the decision row with the nine counts behind it. A block knows the extremes of
its columns: where they pass the gates, all its models do, and none is asked. All state is in
locals, so two decisions share nothing that changes.

Exactness: money and costs reach 2^64 and their products 2^100, and nothing here may round or wrap.
There are two ways to the same number. The *narrow* one holds wherever a policy and an input are
within the ceilings that a loaded policy has, and no product of tokens and a rate reaches the end of
64 bits: one subtraction after the other, over as soon as nothing is left. The *wide* one takes any
values of the declared types, in 128 bits (`wide_*`).
No wide value is ever divided: for a divisor d, v = whole * d + rest gives
floor(v * k / d) = whole * k + floor(rest * k / d), and the same with ceilings. `SEMANTICS.md` has
the bounds, line by line.

Fails: a row or buffer of the wrong length is a `KernelInputError`, before anything is written.
"""

from collections.abc import Sequence

from kernel import hints
from kernel import little_endian as le
from kernel.errors import KernelInputError
from kernel.layout import INPUT_ROW_BYTES, OUTPUT_ROW_BYTES
from kernel.little_endian import Buffer, Row

BLOCK_MODELS = 64  # as in prescribe.pxd; a block's columns fit the first-level cache
BPS_MAX = 10_000  # 100 %
BEYOND_VALUE = 2**63  # more than any value: a penalty this high takes all of it
U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
I64_MAX = 2**63 - 1
INPUT_BYTES = INPUT_ROW_BYTES
OUTPUT_BYTES = OUTPUT_ROW_BYTES


def value_of(row: Row, at: int) -> int:
    """The request's business value; 0 for a negative one, which has the top bit set."""
    value = le.load_u64(row, at + 20)
    return value if value <= I64_MAX else 0


def latency_limit_of(row: Row, at: int) -> int:
    """The request's latency limit; the greatest latency there is where it sets none."""
    latency_limit_ms = le.load_u32(row, at + 42)
    return latency_limit_ms if latency_limit_ms != 0 else U32_MAX


def store_choice(
    out: Buffer,
    to: int,
    action: int,
    reason: int,
    model_id: int,
    model_index: int,
    cost: int,
    utility: int,
    next_id: int,
    next_utility: int,
    evaluated: int,
    eligible: int,
) -> None:
    """A decision's fields between its sequence and its epochs."""
    out[to + 8] = action
    le.store_u16(out, to + 9, reason)
    le.store_u32(out, to + 11, model_id)
    le.store_u16(out, to + 15, model_index)
    le.store_u64(out, to + 17, cost)
    le.store_u64(out, to + 25, utility)
    le.store_u32(out, to + 33, next_id)
    le.store_u64(out, to + 37, next_utility)
    le.store_u16(out, to + 45, evaluated)
    le.store_u16(out, to + 47, eligible)


def store_counts(out: Buffer, to: int, counts: list[int]) -> None:
    """The nine counts of the trace, behind the decision."""
    for gate in range(9):
        le.store_u16(out, to + 65 + 2 * gate, counts[gate])


def first_gate(
    block: "ModelBlock",
    slot: int,
    minimum_quality: int,
    latency_limit_ms: int,
    required_capabilities: int,
    allowed_providers: int,
    required_regions: int,
    risk_bps: int,
) -> int:
    """The first gate failed, of the seven that compare a column; numbered as in the trace."""
    if block.enabled[slot] == 0:
        return 0  # disabled
    if block.quality_bps[slot] < minimum_quality:
        return 1  # quality
    if block.p95_latency_ms[slot] > latency_limit_ms:
        return 3  # latency
    if block.capabilities[slot] & required_capabilities != required_capabilities:
        return 4  # capability
    if block.provider_bit[slot] & allowed_providers == 0:
        return 5  # provider
    if required_regions != 0 and block.region_mask[slot] & required_regions == 0:
        return 6  # region
    if risk_bps > block.risk_ceiling_bps[slot]:
        return 2  # risk ceiling
    return 9  # none


def is_open_to(
    block: "ModelBlock",
    minimum_quality: int,
    latency_limit_ms: int,
    required_capabilities: int,
    allowed_providers: int,
    required_regions: int,
    risk_bps: int,
) -> bool:
    """Whether the block's extremes pass those seven gates: then so does every model of it."""
    return (
        block.can_be_open
        and block.least_quality_bps >= minimum_quality
        and block.greatest_latency_ms <= latency_limit_ms
        and block.common_capabilities & required_capabilities == required_capabilities
        and block.all_providers & ~allowed_providers == 0
        and (required_regions == 0 or block.common_regions & required_regions != 0)
        and risk_bps <= block.least_risk_ceiling_bps
    )


def narrow_tokens(rates: list[int]) -> int:
    """The most tokens whose product with any of the rates fits 64 bits, rounding included."""
    greatest_rate = max(rates, default=0)
    return (U64_MAX - 999_999) // max(greatest_rate, 1)


def narrow_cost(block: "ModelBlock", slot: int, input_tokens: int, output_tokens: int) -> int:
    """`wide_cost` where no product exceeds 64 bits (`narrow_tokens`)."""
    cost: int = (input_tokens * block.input_rate[slot] + 999_999) // 1_000_000
    cost += (output_tokens * block.output_rate[slot] + 999_999) // 1_000_000
    return cost


def narrow_utility(gain: int, risk_penalty: int, latency_penalty: int, cost: int) -> int:
    """What is left of a gain below 2^63 after all three; 0 where nothing is."""
    if gain <= risk_penalty:
        return 0
    gain -= risk_penalty
    if gain <= latency_penalty:
        return 0
    gain -= latency_penalty
    if gain <= cost:
        return 0
    return gain - cost


def wide_share(value: int, weight: int) -> int:
    """floor(value * weight / 10^8): `weight` is the product of two values in basis points."""
    wide_whole = value // 100_000_000
    rest = value % 100_000_000
    wide_rest_share = rest * weight // 100_000_000
    return wide_whole * weight + wide_rest_share


def rest_share_of(rest: int) -> int:
    """A rest below 10^8 as a binary fraction of it, rounded up: ceil(rest * 2^40 / 10^8).

    Times a quality within its ceiling, and without its last 40 bits, that is
    floor(rest * quality / 10^8) without a division (`SEMANTICS.md` has the proof).
    """
    return ((rest << 32) + 390_624) // 390_625  # 10^8 = 2^8 * 390,625


def narrow_penalty(value: int, weight: int) -> int:
    """`wide_share`, but at most 2^63: more than any value, so that nothing is left of it."""
    wide_penalty = wide_share(value, weight)
    return wide_penalty if wide_penalty < BEYOND_VALUE else BEYOND_VALUE


def outranks(
    utility: int,
    cost: int,
    quality: int,
    model_id: int,
    other_utility: int,
    other_cost: int,
    other_quality: int,
    other_id: int,
) -> bool:
    """Higher utility, then lower cost, then higher quality, then lower model id."""
    if utility != other_utility:
        return utility > other_utility
    if cost != other_cost:
        return cost < other_cost
    if quality != other_quality:
        return quality > other_quality
    return model_id < other_id


def rejection_reason(counts: list[int]) -> int:
    """The reason of the gate with the most models; among equals the later in this list."""
    most = counts[4]
    reason = 105  # capability
    if counts[6] >= most:
        most = counts[6]
        reason = 107  # region
    if counts[5] >= most:
        most = counts[5]
        reason = 106  # provider
    if counts[1] >= most:
        most = counts[1]
        reason = 103  # quality
    if counts[2] >= most:
        most = counts[2]
        reason = 110  # risk ceiling
    if counts[3] >= most:
        most = counts[3]
        reason = 104  # latency
    if counts[7] >= most:
        most = counts[7]
        reason = 108  # budget
    if counts[8] >= most:
        most = counts[8]
        reason = 109  # utility
    if counts[0] >= most:
        reason = 102  # disabled: no enabled model
    return reason


class ModelBlock:
    """Up to 64 models, one array per column, with what does not depend on a request worked out."""

    def __init__(
        self,
        models: Sequence[tuple[int, ...]],
        latency_penalty_per_ms: int,
        first_index: int,
        following: "ModelBlock | None",
    ) -> None:
        """`models`: 1 to 64 tuples of the model layout's ten values, in catalogue order.

        `first_index`: the first one's place in the catalogue; `following`: the block after this.
        """
        padded = list(models) + [(0,) * 10] * (BLOCK_MODELS - len(models))
        columns = list(zip(*padded, strict=True))
        self.first_index = first_index
        self.following = following
        self.model_count = len(models)
        self.model_id = list(columns[0])
        self.provider_bit = [1 << p if p <= 63 else 0 for p in columns[1]]
        self.quality_bps = list(columns[2])
        self.risk_ceiling_bps = list(columns[3])
        self.enabled = list(columns[4])
        self.p95_latency_ms = list(columns[5])
        self.capabilities = list(columns[6])
        self.region_mask = list(columns[7])
        self.input_rate = list(columns[8])
        self.output_rate = list(columns[9])
        self.latency_penalty = [min(ms * latency_penalty_per_ms, BEYOND_VALUE) for ms in columns[5]]
        # The extremes. A disabled model, or one of no provider's bit, passes under no request.
        self.can_be_open = all(model[4] != 0 and model[1] <= 63 for model in models)
        self.least_quality_bps = min(model[2] for model in models)
        self.least_risk_ceiling_bps = min(model[3] for model in models)
        self.greatest_latency_ms = max(model[5] for model in models)
        common_capabilities = common_regions = U64_MAX
        all_providers = 0
        for model, provider_bit in zip(models, self.provider_bit, strict=False):
            common_capabilities &= model[6]
            common_regions &= model[7]
            all_providers |= provider_bit
        self.common_capabilities = common_capabilities
        self.common_regions = common_regions
        self.all_providers = all_providers


class DecisionTable:
    """A policy in the form that decides. It never changes after it is made."""

    def __init__(self, policy: tuple[int, ...], models: Sequence[tuple[int, ...]]) -> None:
        """`policy`: the policy layout's six values; `models`: ten each, in catalogue order."""
        self.policy_epoch = policy[0]
        self.catalog_epoch = policy[1]
        self.hard_risk_limit_bps = policy[2]
        self.minimum_confidence_bps = policy[3]
        self.risk_penalty_multiplier_bps = policy[4]
        self.latency_penalty_per_ms = policy[5]
        self.model_count = len(models)
        self.narrow = all(model[2] <= BPS_MAX for model in models)
        self.narrow_input_tokens = narrow_tokens([model[8] for model in models])
        self.narrow_output_tokens = narrow_tokens([model[9] for model in models])
        block: ModelBlock | None = None
        for first in reversed(range(0, len(models), BLOCK_MODELS)):
            block = ModelBlock(models[first : first + BLOCK_MODELS], policy[5], first, block)
        self.first_block = block

    def decide_row(self, input_row: bytes) -> bytes:
        """An input row (70 bytes) -> its output row (83): the decision, then the nine counts."""
        if len(input_row) != INPUT_BYTES:
            raise KernelInputError(f"input row is {len(input_row)} bytes; must be {INPUT_BYTES}")
        out = [0] * 83  # compiled: an array on the stack
        self.decide_into(input_row, out)
        return le.bytes_of(out, 83)

    def decide_into(self, input_row: Row, output_row: Buffer) -> None:
        """As `decide_row`, into a buffer of 83; the caller answers for both lengths."""
        self._decide(input_row, 0, output_row, 0)

    def decide_rows(self, input_rows: Row, count: int, output_rows: bytearray) -> None:
        """`count` input rows end to end -> as many output rows, from the buffer's start."""
        if not 0 <= count <= len(input_rows) // INPUT_BYTES:
            raise KernelInputError(
                f"count is {count}; must be from 0 to {len(input_rows) // INPUT_BYTES}, the rows"
                f" of {INPUT_BYTES} bytes in input_rows"
            )
        if count > len(output_rows) // OUTPUT_BYTES:
            raise KernelInputError(
                f"output_rows is {len(output_rows)} bytes; must be at least"
                f" {count * OUTPUT_BYTES}, {OUTPUT_BYTES} for each of {count} rows"
            )
        rows = input_rows
        out = output_rows
        for index in range(count):
            self._decide(rows, index * INPUT_BYTES, out, index * OUTPUT_BYTES)

    def _decide(self, row: Row, at: int, out: Buffer, to: int) -> None:
        """The two hard limits, then the catalogue. Every byte of the output row is written."""
        risk_bps = le.load_u16(row, at + 36)
        confidence_bps = le.load_u16(row, at + 38)
        le.store_u64(out, to, le.load_u64(row, at))
        le.store_u64(out, to + 49, self.policy_epoch)
        le.store_u64(out, to + 57, self.catalog_epoch)
        reason = 0
        if risk_bps >= self.hard_risk_limit_bps:
            reason = 100
        elif confidence_bps < self.minimum_confidence_bps:
            reason = 101
        if reason == 0:
            self._choose(row, at, out, to)
        else:
            store_choice(out, to, 3, reason, 0, 65535, 0, 0, 0, 0, 0, 0)
            store_counts(out, to, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0])

    def _choose(self, row: Row, at: int, out: Buffer, to: int) -> None:
        """Every model through the gates; the best and the second best of those that pass."""
        input_tokens = le.load_u32(row, at + 12)
        output_tokens = le.load_u32(row, at + 16)
        value = value_of(row, at)
        budget_limit = le.load_u64(row, at + 28)
        risk_bps = le.load_u16(row, at + 36)
        confidence_bps = le.load_u16(row, at + 38)
        minimum_quality = le.load_u16(row, at + 40)
        latency_limit_ms = latency_limit_of(row, at)
        capabilities = le.load_u64(row, at + 46)
        providers = le.load_u64(row, at + 54)
        regions = le.load_u64(row, at + 62)
        narrow = self.is_narrow_for(confidence_bps, input_tokens, output_tokens)
        risk_penalty = narrow_penalty(value, risk_bps * self.risk_penalty_multiplier_bps)
        rest = value % 100_000_000 * confidence_bps
        whole = value // 100_000_000 * confidence_bps + rest // 100_000_000
        rest_share = rest_share_of(rest % 100_000_000)
        counts = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        best_id = best_index = best_cost = best_quality = best_utility = 0
        next_id = next_cost = next_quality = next_utility = 0
        block = self.first_block
        while block is not None:
            is_open = is_open_to(block, minimum_quality, latency_limit_ms,
                                 capabilities, providers, regions, risk_bps)  # fmt: skip
            for slot in range(block.model_count):
                if not is_open:
                    gate = first_gate(block, slot, minimum_quality, latency_limit_ms,
                                      capabilities, providers, regions, risk_bps)  # fmt: skip
                    if gate != 9:
                        counts[gate] += 1
                        continue
                quality = block.quality_bps[slot]
                if hints.likely(narrow):
                    cost = narrow_cost(block, slot, input_tokens, output_tokens)
                    gain = whole * quality + (rest_share * quality >> 40)
                    utility = narrow_utility(gain, risk_penalty, block.latency_penalty[slot], cost)
                else:
                    cost = self._wide_cost(block, slot, input_tokens, output_tokens)
                    utility = self._wide_utility(block, slot, value, confidence_bps, risk_bps, cost)
                if hints.unlikely(cost > budget_limit):
                    counts[7] += 1
                    continue
                if hints.unlikely(utility == 0):
                    counts[8] += 1
                    continue
                counts[9] += 1
                if hints.likely(utility < next_utility):
                    continue
                model_id = block.model_id[slot]
                if outranks(utility, cost, quality, model_id,
                            best_utility, best_cost, best_quality, best_id):  # fmt: skip
                    next_id, next_cost, next_quality = best_id, best_cost, best_quality
                    next_utility = best_utility
                    best_id, best_cost, best_quality = model_id, cost, quality
                    best_utility, best_index = utility, block.first_index + slot
                elif outranks(utility, cost, quality, model_id,
                            next_utility, next_cost, next_quality, next_id):  # fmt: skip
                    next_id, next_cost, next_quality = model_id, cost, quality
                    next_utility = utility
            block = block.following
        store_counts(out, to, counts)
        if counts[9] == 0:
            reason = rejection_reason(counts)
            store_choice(out, to, 3, reason, 0, 65535, 0, 0, 0, 0, self.model_count, 0)
        else:
            action = 1 if best_id == le.load_u32(row, at + 8) else 2
            store_choice(out, to, action, action, best_id, best_index, best_cost, best_utility,
                         next_id, next_utility, self.model_count, counts[9])  # fmt: skip

    def is_narrow_for(self, confidence_bps: int, input_tokens: int, output_tokens: int) -> bool:
        """Whether the narrow way holds for such a request."""
        return (
            self.narrow
            and confidence_bps <= 10_000
            and input_tokens <= self.narrow_input_tokens
            and output_tokens <= self.narrow_output_tokens
        )

    def _wide_cost(
        self, block: ModelBlock, slot: int, input_tokens: int, output_tokens: int
    ) -> int:
        """ceil(input_tokens * rate / 10^6) + ceil(output_tokens * rate / 10^6), in a u64.

        A cost above 2^64 - 1 counts as 2^64 - 1.
        """
        wide_input = input_tokens
        wide_output = output_tokens
        input_rate = block.input_rate[slot]
        output_rate = block.output_rate[slot]
        wide_sum = wide_input * (input_rate // 1_000_000)
        wide_sum += wide_output * (output_rate // 1_000_000)
        wide_sum += (input_tokens * (input_rate % 1_000_000) + 999_999) // 1_000_000
        wide_sum += (output_tokens * (output_rate % 1_000_000) + 999_999) // 1_000_000
        cost: int = wide_sum if wide_sum < U64_MAX else U64_MAX
        return cost

    def _wide_utility(
        self,
        block: ModelBlock,
        slot: int,
        value: int,
        confidence_bps: int,
        risk_bps: int,
        cost: int,
    ) -> int:
        """The gain less all three, at most 2^63 - 1; 0 where nothing is left."""
        wide_ms = block.p95_latency_ms[slot]
        wide_left = wide_share(value, confidence_bps * block.quality_bps[slot])
        wide_left -= wide_share(value, risk_bps * self.risk_penalty_multiplier_bps)
        wide_left -= wide_ms * self.latency_penalty_per_ms
        wide_left -= cost
        if wide_left <= 0:
            return 0
        utility: int = wide_left if wide_left < I64_MAX else I64_MAX
        return utility
