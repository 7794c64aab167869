"""Why a decision came out as it did: every model's way through the gates.

Owns: the account for people (a risk desk, an auditor), model by model, with what was measured,
what it was held against, and the terms that add up to a utility. It is worked out anew from the
records with plain arithmetic, apart from the tables of `kernel.prescribe`, so that each checks the
other in the tests.

Must not: be asked on the hot path (it allocates per model), or decide: only `prescribe` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel.policy import PolicySnapshot
    from kernel.records import KernelInput, KernelModel

BPS_SQUARED = 100_000_000  # what the product of two values in basis points is divided by
TOKENS_PER_RATE = 1_000_000  # a rate is for this many tokens
U64_MAX = 2**64 - 1
I64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ModelExplanation:
    """One model's place in a decision. A field that does not apply is None, never zero.

    `status`: `eligible`, `rejected` (by a gate that compares a column with the request),
    `over_budget` or `non_positive_utility`. `gate` is the first gate failed (`measured` stood
    against `limit`), None for an eligible model. Units: costs and utilities in microunits.
    For a model whose cost is within the budget: `quality_adjusted_microunits -
    risk_penalty_microunits - cost_microunits - latency_penalty_microunits` is the exact utility,
    and `utility_microunits` the same, held within an i64.
    """

    model_id: int
    model_index: int
    status: str
    gate: str | None = None
    measured: int | None = None
    limit: int | None = None
    cost_microunits: int | None = None
    quality_adjusted_microunits: int | None = None
    risk_penalty_microunits: int | None = None
    latency_penalty_microunits: int | None = None
    utility_microunits: int | None = None


def passes_hard_limits(policy: PolicySnapshot, request: KernelInput) -> bool:
    """Whether the request comes as far as the catalogue."""
    return (
        request.risk_bps < policy.hard_risk_limit_bps
        and request.confidence_bps >= policy.minimum_confidence_bps
    )


def explain(policy: PolicySnapshot, request: KernelInput) -> list[ModelExplanation]:
    """One explanation per model in catalogue order; none where a hard limit rejects."""
    if not passes_hard_limits(policy, request):
        return []
    return [
        explain_model(policy, request, model, index) for index, model in enumerate(policy.models)
    ]


def utility_for_model(policy: PolicySnapshot, request: KernelInput, model_id: int) -> int | None:
    """The utility of one model; None where it is absent or fails any gate."""
    if not passes_hard_limits(policy, request):
        return None
    for index, model in enumerate(policy.models):
        if model.model_id == model_id:
            explanation = explain_model(policy, request, model, index)
            return explanation.utility_microunits if explanation.status == "eligible" else None
    return None


def explain_model(
    policy: PolicySnapshot, request: KernelInput, model: KernelModel, index: int
) -> ModelExplanation:
    """One model's way, for a request that has passed the hard limits."""
    failed = failed_gate(request, model)
    if failed is not None:
        gate, measured, limit = failed
        return ModelExplanation(model.model_id, index, "rejected", gate, measured, limit)
    cost = cost_of(request, model)
    budget_limit = request.budget_limit_microunits
    if cost > budget_limit:
        return ModelExplanation(
            model.model_id, index, "over_budget", "budget", cost, budget_limit, cost
        )
    value = max(request.business_value_microunits, 0)
    quality_adjusted = value * request.confidence_bps * model.quality_bps // BPS_SQUARED
    risk_penalty = value * request.risk_bps * policy.risk_penalty_multiplier_bps // BPS_SQUARED
    latency_penalty = model.p95_latency_ms * policy.latency_penalty_microunits_per_ms
    exact = quality_adjusted - risk_penalty - cost - latency_penalty
    utility = max(-I64_MAX - 1, min(exact, I64_MAX))
    eligible = utility > 0
    return ModelExplanation(
        model_id=model.model_id,
        model_index=index,
        status="eligible" if eligible else "non_positive_utility",
        gate=None if eligible else "utility",
        measured=None if eligible else utility,
        limit=None if eligible else 0,
        cost_microunits=cost,
        quality_adjusted_microunits=quality_adjusted,
        risk_penalty_microunits=risk_penalty,
        latency_penalty_microunits=latency_penalty,
        utility_microunits=utility,
    )


def failed_gate(request: KernelInput, model: KernelModel) -> tuple[str, int, int] | None:
    """(gate, measured, limit) of the first gate failed of those that compare a column.

    For a mask the limit is what was asked for; for the provider it is the allowed mask.
    """
    if model.enabled == 0:
        return "disabled", 0, 1
    if model.quality_bps < request.minimum_quality_bps:
        return "quality", model.quality_bps, request.minimum_quality_bps
    if 0 < request.max_p95_latency_ms < model.p95_latency_ms:
        return "latency", model.p95_latency_ms, request.max_p95_latency_ms
    if request.required_capabilities & ~model.capabilities:
        return "capability", model.capabilities, request.required_capabilities
    if model.provider_id > 63 or not request.allowed_provider_mask >> model.provider_id & 1:
        return "provider", model.provider_id, request.allowed_provider_mask
    if request.required_region_mask and not request.required_region_mask & model.region_mask:
        return "region", model.region_mask, request.required_region_mask
    if request.risk_bps > model.risk_ceiling_bps:
        return "risk_ceiling", request.risk_bps, model.risk_ceiling_bps
    return None


def cost_of(request: KernelInput, model: KernelModel) -> int:
    """Both legs rounded up to a microunit, at most 2^64 - 1."""
    input_cost = request.input_tokens * model.input_cost_microunits_per_million_tokens
    output_cost = request.output_tokens * model.output_cost_microunits_per_million_tokens
    cost = -(-input_cost // TOKENS_PER_RATE) + -(-output_cost // TOKENS_PER_RATE)
    return min(cost, U64_MAX)
