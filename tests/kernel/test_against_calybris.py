"""Live against the Rust crate's own wheel, within what the wheel accepts.

Carve-outs: it takes no `enabled` beyond 0 and 1, no bps above the ceilings, no `model_id` 0 and no
negative cap; its reservation ids and snapshot versions come from another allocator, so ids are
mapped and digests compared after setting the version.
"""

from dataclasses import replace
from typing import Any

import calybris._core as wheel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import (
    BudgetEngine,
    KernelInput,
    PolicySnapshot,
    Reserved,
    audit_bundle,
    ledger_digest,
    verify_decision,
)
from kernel_support import I64_MAX, policies, requests
from wheel_support import wheel_input, wheel_policy

LIVE = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
WHEEL_GATES = {
    "Disabled": "disabled",
    "Quality": "quality",
    "Latency": "latency",
    "Capability": "capability",
    "ProviderNotAllowed": "provider",
    "Region": "region",
    "RiskCeiling": "risk_ceiling",
}
WHAT_AN_ACTION_IS = ("is_rejected", "is_executable", "is_requested_execution", "is_substitution")


def check_decision(policy: PolicySnapshot, request: KernelInput, theirs: Any) -> None:
    their_input = wheel_input(request)
    their_decision, their_trace = theirs.prescribe_with_trace(their_input)
    decision, trace = policy.prescribe_with_trace(request)
    expected = their_decision.as_dict()
    assert decision.action.snake == expected.pop("action")
    assert decision.reason.snake == expected.pop("reason")
    assert decision.action_code == expected.pop("action_code")
    assert decision.reason_code == expected.pop("reason_code")
    assert expected.items() <= decision.as_dict().items()
    assert trace == their_trace
    for question in WHAT_AN_ACTION_IS:
        assert getattr(decision, question) is getattr(their_decision, question)()
    assert audit_bundle(policy, request, decision) == theirs.audit_bundle(
        their_input, their_decision
    )
    for model in policy.models:
        assert policy.utility_for_model(request, model.model_id) == theirs.utility_for_model(
            their_input, model.model_id
        )
    check_explanations(policy, request, theirs.explain(their_input))


def check_explanations(policy: PolicySnapshot, request: KernelInput, theirs: list[Any]) -> None:
    rows = policy.explain(request)
    assert len(rows) == len(theirs)
    for row, their in zip(rows, theirs, strict=True):
        assert (row.model_id, row.model_index) == (their.model_id, their.model_index)
        assert row.status == their.status
        if row.status == "rejected":
            assert row.gate == WHEEL_GATES[their.gate]
            assert (row.measured, row.limit) == (their.measured, their.limit)
        else:
            assert row.cost_microunits == their.cost_microunits
            assert row.quality_adjusted_microunits == their.quality_adjusted
            assert row.risk_penalty_microunits == their.risk_penalty
            assert row.latency_penalty_microunits == their.latency_penalty
            assert row.utility_microunits == their.utility


@LIVE
@given(data=st.data())
def test_policies_decisions_traces_and_bundles(data: st.DataObject) -> None:
    policy = data.draw(policies(ceilings=True))
    theirs = wheel_policy(policy)
    assert policy.digest.hex() == theirs.fingerprint()
    for _ in range(3):
        check_decision(policy, data.draw(requests(policy, ceilings=True)), theirs)


@LIVE
@given(data=st.data())
def test_a_decision_for_another_input_is_a_mismatch_for_both(data: st.DataObject) -> None:
    policy = data.draw(policies(ceilings=True))
    theirs = wheel_policy(policy)
    asked, shown = (data.draw(requests(policy, ceilings=True)) for _ in range(2))
    status = theirs.verify_status(wheel_input(shown), theirs.prescribe(wheel_input(asked)))
    assert verify_decision(policy, shown, policy.prescribe(asked)).status == status


TENANTS = ["a", "desk", "räksmörgås", "z"]
AMOUNTS = (
    st.integers(-5, 500)
    | st.sampled_from([I64_MAX, I64_MAX - 1, 2**62, -I64_MAX - 1])
    | st.integers(-I64_MAX - 1, I64_MAX)
)
STEPS = st.lists(
    st.tuples(st.just("ensure_tenant"), st.sampled_from(TENANTS), AMOUNTS)
    | st.tuples(st.just("set_max_reserved_microcents"), st.sampled_from(TENANTS), AMOUNTS)
    | st.tuples(st.just("top_up_tenant"), st.sampled_from(TENANTS), AMOUNTS)
    | st.tuples(st.just("try_reserve"), st.sampled_from(TENANTS), AMOUNTS)
    | st.tuples(st.just("commit"), st.integers(1, 9), AMOUNTS)
    | st.tuples(st.just("release"), st.integers(1, 9)),
    max_size=40,
)


@LIVE
@given(grants=st.lists(st.integers(0, 2_000), min_size=2, max_size=4), steps=STEPS)
def test_ledger_scripts(grants: list[int], steps: list[tuple[Any, ...]]) -> None:
    ours, theirs = BudgetEngine(), wheel.BudgetEngine()
    their_ids: dict[int, int] = {}
    opening = [("ensure_tenant", who, grant) for who, grant in zip(TENANTS, grants, strict=False)]
    for name, who, *amounts in opening + steps:
        if name in ("ensure_tenant", "set_max_reserved_microcents") and amounts[0] < 0:
            continue
        if name == "try_reserve":
            result, rid = ours.try_reserve(who, *amounts)
            their_result = theirs.try_reserve(who, *amounts)
            their_id = their_result.pop("reservation_id")
            assert result.as_dict() == their_result
            assert (rid is None) == (their_id is None) == (not isinstance(result, Reserved))
            if rid is not None:
                their_ids[rid] = their_id
            continue
        their_who = their_ids.get(who, 0) if isinstance(who, int) else who
        outcome = getattr(ours, name)(who, *amounts)
        their_outcome = getattr(theirs, name)(their_who, *amounts)
        assert (outcome.as_dict() if outcome is not None else None) == their_outcome
    check_proofs(ours, theirs)


def check_proofs(ours: BudgetEngine, theirs: Any) -> None:
    snapshot, their_snapshot = ours.snapshot(), theirs.snapshot()
    version = their_snapshot["version"]
    assert replace(snapshot, version=version).as_dict() == their_snapshot
    certificate, their_certificate = ours.certify_ledger().as_dict(), theirs.certify()
    version = their_certificate["snapshot_version"]
    digest = ledger_digest(replace(snapshot, version=version))
    certificate |= {"snapshot_version": version, "ledger_digest_hex": digest.hex()}
    assert certificate == their_certificate
    assert ours.verify_conservation().as_dict() == theirs.verify_conservation()
    if certificate["aggregate_totals_representable"]:
        proof, their_proof = ours.prove_conservation().as_dict(), theirs.prove_conservation()
        version = their_proof["snapshot_version"]
        digest = ledger_digest(replace(snapshot, version=version))
        proof |= {"snapshot_version": version, "ledger_digest_hex": digest.hex()}
        assert proof == their_proof
