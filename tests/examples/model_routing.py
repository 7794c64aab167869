"""Model routing: a gateway that picks among three models, and says why for every request."""

from kernel import (
    EngineConfig,
    KernelDecision,
    KernelInput,
    KernelInputBuilder,
    KernelModel,
    KernelModelBuilder,
    PolicySnapshot,
)

PREMIUM, FAST, CHEAP = 1, 2, 3
NAMES = {PREMIUM: "premium", FAST: "fast", CHEAP: "cheap", 0: "none"}
VISION = 0b01  # a capability
EUROPE = 0b10  # a region


def model(
    model_id: int, quality_bps: int, latency_ms: int, rates: tuple[int, int], bits: tuple[int, int]
) -> KernelModel:
    """`rates`: microcents per million tokens, in and out; `bits`: capabilities and regions."""
    return (
        KernelModelBuilder(model_id, provider_id=model_id)
        .quality(quality_bps)
        .risk_ceiling(9_000)
        .latency(latency_ms)
        .cost(
            input_microunits_per_million_tokens=rates[0],
            output_microunits_per_million_tokens=rates[1],
        )
        .capabilities(bits[0])
        .regions(bits[1])
        .build()
    )


def catalogue() -> PolicySnapshot:
    config = EngineConfig(latency_penalty_microunits_per_ms=20)
    builder = config.policy_builder(policy_epoch=7, catalog_epoch=3)
    return builder.models(
        [
            model(PREMIUM, 9_800, 900, (3_000_000, 15_000_000), (VISION, EUROPE | 1)),
            model(FAST, 8_800, 120, (500_000, 2_000_000), (VISION, 1)),
            model(CHEAP, 7_200, 300, (50_000, 200_000), (0, EUROPE | 1)),
        ]
    ).build()


def requests() -> dict[str, KernelInput]:
    """What people ask of the gateway."""

    def asking(sequence: int, requested: int, value: int, budget: int) -> KernelInputBuilder:
        builder = KernelInputBuilder(sequence, requested).value(value).budget(budget)
        builder.tokens(input_tokens=4_000, output_tokens=1_000)
        return builder.risk(risk_bps=300, confidence_bps=9_000)

    return {
        "legal review": asking(1, PREMIUM, 2_000_000, 100_000).quality(9_500).build(),
        "chat": asking(2, PREMIUM, 100_000, 20_000).latency(500).build(),
        "screenshot": asking(3, CHEAP, 300_000, 30_000).capabilities(VISION).build(),
        "in Europe": asking(4, FAST, 60_000, 10_000).regions(EUROPE).build(),
        "too tight": asking(5, FAST, 2_000_000, 10_000).quality(9_500).build(),
    }


def main() -> dict[str, KernelDecision]:
    policy = catalogue()
    decisions = {}
    for name, request in requests().items():
        decision, trace = policy.prescribe_with_trace(request)
        decisions[name] = decision
        asked, got = NAMES[request.requested_model_id], NAMES[decision.selected_model_id]
        stopped = {gate: count for gate, count in trace.items() if count and "models" not in gate}
        print(f"{name:13} asked {asked:8} got {got:8} {decision.reason.snake}  stopped {stopped}")
        for row in policy.explain(request):
            if row.gate is not None:
                print(
                    f"{'':15}{NAMES[row.model_id]}: {row.gate}, {row.measured} against {row.limit}"
                )
    return decisions


if __name__ == "__main__":
    main()
