"""Quickstart: one decision, why it came out so, and a proof of it. Needs the kernel alone."""

from kernel import (
    EngineConfig,
    KernelInputBuilder,
    KernelModelBuilder,
    ProofEnvelope,
    proof_envelope,
    verify_decision,
)


def main() -> ProofEnvelope:
    fast = (
        KernelModelBuilder(1, provider_id=0)
        .quality(8_000)  # basis points: 80 %
        .risk_ceiling(9_500)
        .latency(90)  # milliseconds
        .cost(
            input_microunits_per_million_tokens=250_000,
            output_microunits_per_million_tokens=1_000_000,
        )
        .build()
    )
    careful = (
        KernelModelBuilder(2, provider_id=1)
        .quality(9_700)
        .risk_ceiling(9_500)
        .latency(700)
        .cost(
            input_microunits_per_million_tokens=3_000_000,
            output_microunits_per_million_tokens=15_000_000,
        )
        .build()
    )
    builder = EngineConfig().policy_builder(policy_epoch=1, catalog_epoch=1)
    policy = builder.models([fast, careful]).build()

    request = (
        KernelInputBuilder(request_sequence=1, requested_model_id=1)
        .tokens(input_tokens=2_000, output_tokens=500)
        .value(1_000_000)  # what the answer is worth, in microcents
        .budget(50_000)  # what it may cost
        .risk(risk_bps=500, confidence_bps=9_000)
        .quality(7_500)
        .build()
    )
    decision = policy.prescribe(request)
    print(f"{decision.action.snake}: model {decision.selected_model_id}, {decision.reason.snake}")
    for row in policy.explain(request):
        print(
            f"  model {row.model_id}: {row.status}, cost {row.cost_microunits},"
            f" utility {row.utility_microunits}"
        )

    # Anyone who has the policy and the request makes the same decision, to the byte.
    assert verify_decision(policy, request, decision).is_valid
    envelope = proof_envelope(policy, request, decision)
    print(f"policy   {envelope.policy_digest_hex}")
    print(f"input    {envelope.input_digest_hex}")
    print(f"decision {envelope.decision_digest_hex}")
    print(f"complete once it has {', '.join(envelope.missing)}")
    return envelope


if __name__ == "__main__":
    main()
