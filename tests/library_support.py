"""What the tests of the library's artifacts share: a policy, a request, and the wheel's twins."""

import json
from typing import Any

import calybris._core as wheel
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from kernel import (
    INPUT,
    EngineConfig,
    KernelDecision,
    KernelInput,
    KernelInputBuilder,
    KernelModel,
    KernelModelBuilder,
    PolicySnapshot,
)

# Few: each example crosses into the wheel, and every artifact kind has its own.
LIVE = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)

U64S = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])
DIGESTS_HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def model_of(model_id: int, latency_ms: int = 100) -> KernelModel:
    return (
        KernelModelBuilder(model_id, provider_id=model_id)
        .quality(9_000)
        .risk_ceiling(9_500)
        .latency(latency_ms)
        .cost(input_microunits_per_million_tokens=250, output_microunits_per_million_tokens=1_000)
        .build()
    )


def policy_of(policy_epoch: int = 1) -> PolicySnapshot:
    builder = EngineConfig().policy_builder(policy_epoch=policy_epoch, catalog_epoch=2)
    return builder.models(model_of(model_id, 100 * model_id) for model_id in (1, 2, 3)).build()


def request_of(request_sequence: int = 1, risk_bps: int = 1_000) -> KernelInput:
    return (
        KernelInputBuilder(request_sequence, requested_model_id=1)
        .tokens(input_tokens=1_000, output_tokens=500)
        .value(10**9)
        .budget(50_000_000)
        .risk(risk_bps=risk_bps, confidence_bps=9_000)
        .build()
    )


def wheel_policy(policy: PolicySnapshot) -> Any:
    fields = policy.as_dict()
    models = [wheel.KernelModel(**model) for model in fields.pop("models")]
    return wheel.PolicySnapshot(**fields, models=models)


def wheel_input(request: KernelInput) -> Any:
    return wheel.KernelInput(**dict(zip(INPUT.field_names, request.values(), strict=True)))


def wheel_case(policy: PolicySnapshot, request: KernelInput) -> tuple[Any, Any, Any]:
    """The same policy, input and decision as the wheel's objects."""
    theirs = wheel_policy(policy)
    their_input = wheel_input(request)
    return theirs, their_input, theirs.prescribe(their_input)


def case() -> tuple[PolicySnapshot, KernelInput, KernelDecision]:
    policy, request = policy_of(), request_of()
    return policy, request, policy.prescribe(request)


def edited(text: str, **members: object) -> str:
    """A JSON object's text with these members instead; a member that is `...` is left out."""
    fields = json.loads(text) | members
    return json.dumps({name: value for name, value in fields.items() if value is not ...})
