"""Explanations: each gate with its measured and its limit, and terms that add up."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import KernelInput, KernelModel, PolicySnapshot
from kernel_support import U64_MAX, policies, policy_of_vector, read_vectors, requests

MODEL: dict[str, Any] = {
    "model_id": 1,
    "provider_id": 6,
    "quality_bps": 8_000,
    "risk_ceiling_bps": 9_000,
    "enabled": 1,
    "p95_latency_ms": 99,
    "capabilities": 2,
    "region_mask": 2,
    "input_cost_microunits_per_million_tokens": 1_000,
    "output_cost_microunits_per_million_tokens": 200,
}
REQUEST: dict[str, Any] = {
    "request_sequence": 1,
    "requested_model_id": 1,
    "input_tokens": 1_000,
    "output_tokens": 1_000,
    "business_value_microunits": 10**9,
    "budget_limit_microunits": 10**6,
    "risk_bps": 100,
    "confidence_bps": 9_000,
    "minimum_quality_bps": 100,
    "max_p95_latency_ms": 100,
    "required_capabilities": 2,
    "allowed_provider_mask": 1 << 6,
    "required_region_mask": 2,
}


def policy_with(**changes: Any) -> PolicySnapshot:
    return PolicySnapshot.unchecked(1, 2, 9_000, 1_000, 10_000, 5, [KernelModel(**MODEL | changes)])


@pytest.mark.parametrize(
    ("changes", "gate", "measured", "limit"),
    [
        ({"enabled": 0}, "disabled", 0, 1),
        ({"quality_bps": 99}, "quality", 99, 100),
        ({"p95_latency_ms": 101}, "latency", 101, 100),
        ({"capabilities": 4}, "capability", 4, 2),
        ({"provider_id": 5}, "provider", 5, 64),
        ({"provider_id": 70}, "provider", 70, 64),
        ({"region_mask": 4}, "region", 4, 2),
        ({"risk_ceiling_bps": 99}, "risk_ceiling", 100, 99),
    ],
)
def test_a_gate_tells_what_it_measured(
    changes: dict[str, int], gate: str, measured: int, limit: int
) -> None:
    (row,) = policy_with(**changes).explain(KernelInput(**REQUEST))
    assert (row.status, row.gate, row.measured, row.limit) == ("rejected", gate, measured, limit)
    assert row.cost_microunits is row.utility_microunits is None


def test_a_model_is_told_its_first_gate_in_the_formats_order() -> None:
    worst = {
        "enabled": 0,
        "quality_bps": 0,
        "p95_latency_ms": 10**6,
        "capabilities": 0,
        "provider_id": 64,
        "region_mask": 0,
        "risk_ceiling_bps": 0,
        "input_cost_microunits_per_million_tokens": 10**12,
    }
    order = []
    while worst:
        (row,) = policy_with(**worst).explain(KernelInput(**REQUEST))
        order.append(row.gate)
        worst.pop(next(iter(worst)))
    assert order == [
        "disabled", "quality", "latency", "capability", "provider", "region", "risk_ceiling",
        "budget",
    ]  # fmt: skip


def test_a_survivors_terms_add_up() -> None:
    (row,) = policy_with().explain(KernelInput(**REQUEST))
    assert (row.status, row.gate) == ("eligible", None)
    assert row.cost_microunits == 2  # ceil(1000 * 1000 / 10^6) + ceil(1000 * 200 / 10^6)
    assert row.quality_adjusted_microunits == 720_000_000
    assert row.risk_penalty_microunits == 10_000_000
    assert row.latency_penalty_microunits == 495
    assert row.utility_microunits == 709_999_503


def test_over_budget_and_not_worth_it() -> None:
    dear = policy_with(input_cost_microunits_per_million_tokens=10**12)
    (row,) = dear.explain(KernelInput(**REQUEST))
    assert (row.status, row.gate, row.measured, row.limit) == (
        "over_budget",
        "budget",
        1_000_000_001,
        1_000_000,
    )
    (row,) = policy_with().explain(KernelInput(**REQUEST | {"business_value_microunits": -5}))
    assert (row.status, row.gate, row.measured, row.limit) == (
        "non_positive_utility",
        "utility",
        -497,
        0,
    )
    assert row.utility_microunits == -497


@pytest.mark.parametrize("changes", [{"risk_bps": 9_000}, {"confidence_bps": 999}])
def test_a_hard_limit_leaves_nothing_to_explain(changes: dict[str, int]) -> None:
    request = KernelInput(**REQUEST | changes)
    assert policy_with().explain(request) == []
    assert policy_with().utility_for_model(request, 1) is None


def test_the_utility_of_a_model_that_is_not_there() -> None:
    assert policy_with().utility_for_model(KernelInput(**REQUEST), 1) == 709_999_503
    assert policy_with().utility_for_model(KernelInput(**REQUEST), 2) is None


def test_the_vectors_utilities() -> None:
    known = 0
    for vector in read_vectors("kernel.jsonl.gz"):
        policy, _ = policy_of_vector(vector["policy"])
        for case in vector["cases"]:
            asked = case["utility_for_model"]
            found = policy.utility_for_model(KernelInput(**case["input"]), asked["model_id"])
            assert found == asked["utility"]
            known += found is not None
    assert known == 456


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_an_exact_utility_is_the_sum_of_its_terms(data: st.DataObject) -> None:
    policy = data.draw(policies(ceilings=False))
    request = data.draw(requests(policy, ceilings=False))
    for row in policy.explain(request):
        if row.status in ("eligible", "non_positive_utility"):
            assert row.quality_adjusted_microunits is not None
            assert row.risk_penalty_microunits is not None
            assert row.cost_microunits is not None
            assert row.latency_penalty_microunits is not None
            exact = row.quality_adjusted_microunits - row.risk_penalty_microunits
            exact -= row.cost_microunits + row.latency_penalty_microunits
            assert row.utility_microunits == max(-(2**63), min(exact, 2**63 - 1))
            assert row.cost_microunits <= min(request.budget_limit_microunits, U64_MAX)
