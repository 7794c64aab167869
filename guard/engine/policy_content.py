"""A policy as a record has it: the published format's field names, and their ranges. Pure."""

from msgspec import Struct

from guard.protocol.ranges import (
    BasisPoints,
    Flag,
    LatencyMs,
    ProviderId,
    RiskPenaltyBps,
    Unsigned64,
    VenueId,
)


class PolicyModel(Struct, forbid_unknown_fields=True):
    """A venue, with the format's field names."""

    model_id: VenueId
    provider_id: ProviderId
    quality_bps: BasisPoints
    risk_ceiling_bps: BasisPoints
    enabled: Flag
    p95_latency_ms: LatencyMs
    capabilities: Unsigned64
    region_mask: Unsigned64
    input_cost_microunits_per_million_tokens: Unsigned64
    output_cost_microunits_per_million_tokens: Unsigned64


class PolicyContent(Struct, forbid_unknown_fields=True):
    """A whole policy, with the format's field names."""

    policy_epoch: Unsigned64
    catalog_epoch: Unsigned64
    hard_risk_limit_bps: BasisPoints
    minimum_confidence_bps: BasisPoints
    risk_penalty_multiplier_bps: RiskPenaltyBps
    latency_penalty_microunits_per_ms: Unsigned64
    models: list[PolicyModel]
