"""Pre-trade guard: five child orders, three venues, one desk; two gates in front of the market.

The first gate is the policy: is there a venue for this order, under its limits of risk, latency and
fees? The second is exposure: may the desk hold that much more? A venue is a model of the kernel's,
lots are input tokens, and the fee per order is that of 1,000,000 output tokens.
"""

from dataclasses import dataclass

from kernel import (
    ALL_PROVIDERS,
    EngineConfig,
    KernelDecision,
    KernelInput,
    KernelInputBuilder,
    KernelModel,
    KernelModelBuilder,
    LedgerResult,
    Reserved,
)

CENT = 1_000_000  # microcents
DOLLAR = 100 * CENT
DESK = "equities-vwap"
LIT, DARK, ALTERNATIVE = 10, 20, 30
VENUES = {LIT: "lit", DARK: "dark", ALTERNATIVE: "alternative", 0: "no venue"}
ORDER_FEE_LEG = 1_000_000


@dataclass(frozen=True)
class Child:
    """A child order: quantity in lots of one share, price in cents."""

    name: str
    venue: int
    shares: int
    price_cents: int
    risk_bps: int = 800
    latency_ms_max: int = 60
    allowed_venues: int = ALL_PROVIDERS  # a bit each

    @property
    def notional_microcents(self) -> int:
        return self.shares * self.price_cents * CENT


CHILDREN = (
    Child("C-1", DARK, 1_000, 5_000),
    Child("C-2", DARK, 2_000, 5_001, latency_ms_max=20),  # the dark venue is too slow for it
    Child("C-3", DARK, 500, 5_002, risk_bps=9_700),  # no venue at all for such a risk
    Child("C-4", DARK, 4_000, 5_000),  # fine, but not on top of what the desk holds
    Child("C-5", ALTERNATIVE, 800, 4_999, allowed_venues=1 << ALTERNATIVE),
)


def venue(
    venue_id: int, quality_bps: int, latency_ms: int, share_fee: int, order_fee: int
) -> KernelModel:
    """Fees in microcents, a share and an order."""
    return (
        KernelModelBuilder(venue_id, provider_id=venue_id)
        .quality(quality_bps)
        .risk_ceiling(9_000)
        .latency(latency_ms)
        .cost(
            input_microunits_per_million_tokens=share_fee * 1_000_000,
            output_microunits_per_million_tokens=order_fee,
        )
        .build()
    )


def input_of(sequence: int, child: Child) -> KernelInput:
    return (
        KernelInputBuilder(sequence, requested_model_id=child.venue)
        .tokens(input_tokens=child.shares, output_tokens=ORDER_FEE_LEG)
        .value(child.notional_microcents)
        .budget(20 * DOLLAR)  # the most that the fees may come to
        .risk(risk_bps=child.risk_bps, confidence_bps=9_500)
        .latency(child.latency_ms_max)
        .providers(child.allowed_venues)
        .build()
    )


def main() -> dict[str, tuple[KernelDecision, LedgerResult | None]]:
    config = EngineConfig().with_tenant(DESK, 500_000 * DOLLAR, 250_000 * DOLLAR)
    ledger = config.open_ledger()
    policy = (
        config.policy_builder(policy_epoch=1, catalog_epoch=1)
        .model(venue(LIT, 9_000, 5, 3 * CENT // 10, 10 * CENT))
        .model(venue(DARK, 9_500, 35, CENT // 10, 10 * CENT))
        .model(venue(ALTERNATIVE, 8_500, 15, CENT // 5, 0))
        .build()
    )
    answers: dict[str, tuple[KernelDecision, LedgerResult | None]] = {}
    for sequence, child in enumerate(CHILDREN, 1):
        decision = policy.prescribe(input_of(sequence, child))
        exposure, hold = None, None
        if decision.is_executable:
            exposure, hold = ledger.try_reserve(DESK, child.notional_microcents)
        answers[child.name] = (decision, exposure)
        where = VENUES[decision.selected_model_id]
        dollars = child.notional_microcents // DOLLAR
        if exposure is None:
            print(f"{child.name} ${dollars:>7,} rejected by policy: {decision.reason.snake}")
        elif not isinstance(exposure, Reserved):
            print(f"{child.name} ${dollars:>7,} rejected by exposure: {exposure.status}")
        else:
            note = "" if decision.selected_model_id == child.venue else ", failed over"
            print(f"{child.name} ${dollars:>7,} admitted at {where}{note}")
        if hold is not None and child.name == "C-1":  # it fills: its fee is all that is spent
            ledger.settle(hold, child.notional_microcents, decision.estimated_cost_microunits)
    proof = ledger.prove_conservation()
    spent = proof.total_committed_microcents
    print(f"{proof.active_reservations} orders open, ${spent / DOLLAR:.2f} of fees paid")
    print(f"ledger {proof.ledger_digest_hex}")
    return answers


if __name__ == "__main__":
    main()
