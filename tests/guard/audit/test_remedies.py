"""What would have had to change: it does change it, and nothing less does."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.audit.remedies import REMEDIES_MAX, Change, lead, remedies, remedies_for_requested
from guard.engine.apply_event import build_policy
from guard_support import dev_config
from kernel import Action, KernelInput, KernelModel, PolicySnapshot
from kernel.explain import explain

POLICY = build_policy(dev_config().policy)


def asked(**changes: int) -> KernelInput:
    fields = {
        "request_sequence": 1, "requested_model_id": 10, "input_tokens": 100,
        "output_tokens": 1_000_000, "business_value_microunits": 10**12,
        "budget_limit_microunits": 2**64 - 1, "risk_bps": 200, "confidence_bps": 9_000,
        "minimum_quality_bps": 0, "max_p95_latency_ms": 0, "required_capabilities": 0,
        "allowed_provider_mask": 2**64 - 1, "required_region_mask": 0,
    }  # fmt: skip
    return KernelInput(**(fields | changes))


def test_a_fee_limit_that_is_too_low() -> None:
    found = remedies(POLICY, asked(budget_limit_microunits=1_000))
    # The cheapest passes alone; with the limit of another, the best of those that pass wins.
    assert [(each["venue"], each["changes"], each["then_venue"]) for each in found] == [
        (10, ({"field": "budget_limit_microunits", "was": 1_000, "needed": 14_001},), 10),
        (20, ({"field": "budget_limit_microunits", "was": 1_000, "needed": 9_501},), 20),
        (30, ({"field": "budget_limit_microunits", "was": 1_000, "needed": 4_201},), 30),
    ]
    assert all(each["then_utility_microcents"] > 0 for each in found)


def test_a_hard_limit_comes_first_and_a_ceiling_joins_it() -> None:
    found = remedies(POLICY, asked(risk_bps=9_700, confidence_bps=100))
    assert found[0]["changes"] == (
        {"field": "risk_bps", "was": 9_700, "needed": 9_500},
        {"field": "confidence_bps", "was": 100, "needed": 7_000},
    )
    assert found[0]["then_venue"] == 10


def test_nothing_helps_where_every_risk_is_too_high() -> None:
    fields = POLICY.as_dict() | {"models": POLICY.models, "hard_risk_limit_bps": 0}
    assert remedies(PolicySnapshot(**fields), asked()) == []


def test_a_venue_that_is_switched_off() -> None:
    models = [KernelModel(**(each.as_dict() | {"enabled": int(each.model_id == 30)}))
              for each in POLICY.models]  # fmt: skip
    policy = PolicySnapshot(**(POLICY.as_dict() | {"models": models}))
    found = remedies(policy, asked(minimum_quality_bps=9_000))
    assert [(each["venue"], each["then_venue"]) for each in found] == [(10, 10), (20, 20), (30, 30)]
    assert found[0]["changes"] == ({"field": "enabled", "was": 0, "needed": 1},)
    assert found[2]["changes"] == ({"field": "minimum_quality_bps", "was": 9_000, "needed": 8_600},)


def test_the_venue_asked_for_alone() -> None:
    found = remedies_for_requested(
        POLICY, asked(requested_model_id=20, budget_limit_microunits=5_000)
    )
    assert [(each["changes"][0]["field"], each["then_venue"]) for each in found] == [
        ("allow_substitute", 30),
        ("budget_limit_microunits", 20),
    ]
    (only,) = remedies_for_requested(POLICY, asked(requested_model_id=77))
    assert (only["venue"], only["then_venue"]) == (10, 10)


def test_the_lead() -> None:
    explained = explain(POLICY, asked())
    worth = {each.model_id: each.utility_microunits or 0 for each in explained}
    assert lead(explained, 10) == {"next_venue": 20, "by_microcents": worth[10] - worth[20]}
    assert lead(explain(POLICY, asked(minimum_quality_bps=9_800)), 10) is None


def test_many_venues_are_bounded() -> None:
    models = [KernelModel(**(POLICY.models[0].as_dict() | {"model_id": n})) for n in range(1, 900)]
    policy = PolicySnapshot(**(POLICY.as_dict() | {"models": models}))
    assert len(remedies(policy, asked(minimum_quality_bps=10_000))) == REMEDIES_MAX


ORDERS = st.fixed_dictionaries(
    {
        "budget_limit_microunits": st.sampled_from((0, 4_500, 9_600, 2**64 - 1)),
        "risk_bps": st.sampled_from((0, 200, 9_550, 9_700, 10_000)),
        "confidence_bps": st.sampled_from((0, 7_000, 10_000)),
        "minimum_quality_bps": st.sampled_from((0, 9_000, 9_500, 10_000)),
        "max_p95_latency_ms": st.sampled_from((0, 1, 50, 100)),
        "required_capabilities": st.sampled_from((0, 1, 2, 3)),
        "allowed_provider_mask": st.sampled_from((0, 1, 2, 4, 2**64 - 1)),
        "required_region_mask": st.sampled_from((0, 1, 2, 8)),
        "business_value_microunits": st.sampled_from((0, 10, 10**12)),
    }
)
VENUES = st.tuples(*[
    st.fixed_dictionaries({
        "enabled": st.sampled_from((0, 1)), "capabilities": st.sampled_from((0, 1, 3)),
        "region_mask": st.sampled_from((0, 1, 6)),
    }) for _ in range(3)
])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(ORDERS, VENUES)
def test_the_changes_do_it_and_each_of_them_is_needed(
    order: dict[str, int], venues: tuple[dict[str, int], ...]
) -> None:
    models = [KernelModel(**(model.as_dict() | changes))
              for model, changes in zip(POLICY.models, venues, strict=True)]  # fmt: skip
    if not any(model.enabled for model in models):
        return
    policy = PolicySnapshot(**(POLICY.as_dict() | {"models": models}))
    request = asked(**order)
    if policy.prescribe(request).action_code != int(Action.REJECT):
        return
    for remedy in remedies(policy, request):
        changes = [Change(**each) for each in remedy["changes"]]
        decision = _decided(policy, request, changes, remedy["venue"])
        if remedy["then_venue"] is None:
            assert decision.action_code == int(Action.REJECT)
            assert (remedy["then_utility_microcents"] or 0) <= 0
            continue
        assert decision.selected_model_id == remedy["then_venue"]
        assert decision.expected_utility_microunits == remedy["then_utility_microcents"]
        for left_out in changes:
            fewer = [change for change in changes if change is not left_out]
            without = _decided(policy, request, fewer, remedy["venue"])
            rejected = without.action_code == int(Action.REJECT)
            assert rejected or without.selected_model_id != remedy["venue"]


def _model(policy: PolicySnapshot, venue: int) -> KernelModel:
    return next(each for each in policy.models if each.model_id == venue)


def _decided(
    policy: PolicySnapshot, request: KernelInput, changes: list[Change], venue: int
) -> Any:
    fields = request.as_dict()
    for change in changes:
        if change.field == "enabled":
            on = KernelModel(**(_model(policy, venue).as_dict() | {"enabled": 1}))
            models = [on if each.model_id == venue else each for each in policy.models]
            policy = PolicySnapshot(**(policy.as_dict() | {"models": models}))
        else:
            assert fields[change.field] == change.was
            fields[change.field] = change.needed
    return policy.prescribe(KernelInput(**fields))


@pytest.mark.parametrize("field", ["venue", "changes", "then_venue", "then_utility_microcents"])
def test_the_form(field: str) -> None:
    assert field in remedies(POLICY, asked(max_p95_latency_ms=1))[0]
