"""What becomes of an order that but reduces a position where the kernel finds no venue. Pure.

Owns the rule (`guard/PROTOCOL.md`, 12): such an order goes to the venue that it asked for, unless
that is unknown, disabled, or has not the capabilities, the provider or the region that the order
needs. Its risk, confidence, utility, latency, quality and fee are no hindrance. What the kernel
said stands in the record as it always does.

How it fails: it does not.
"""

from guard.engine.state import GuardState
from guard.protocol.messages import U64_MAX
from guard.protocol.request import Request

_TOKENS_PER_ORDER = 1_000_000  # as `guard.engine.decide` asks the kernel
_RATE_UNIT = 1_000_000
_PROVIDERS = 64


def overrule(state: GuardState, request: Request) -> bool:
    """May the order go to the venue that it asked for? The estimated fee is then in `found`."""
    found = state.found
    found.is_overruled = False
    model = state.venue_of(request.venue)
    if (
        model is None
        or not model.enabled
        or model.capabilities & request.required_capabilities != request.required_capabilities
        or not (
            model.provider_id < _PROVIDERS and request.allowed_providers >> model.provider_id & 1
        )
        or (request.required_regions and not model.region_mask & request.required_regions)
    ):
        return False
    fee = sum(
        -(-tokens * rate // _RATE_UNIT)
        for tokens, rate in (
            (request.quantity, model.input_cost_microunits_per_million_tokens),
            (_TOKENS_PER_ORDER, model.output_cost_microunits_per_million_tokens),
        )
    )
    found.overruled_fee_microcents = min(fee, U64_MAX)
    found.is_overruled = True
    return True
