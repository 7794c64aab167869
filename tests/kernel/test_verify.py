"""Deciding again: a decision that was changed anywhere does not pass."""

import json

import pytest

from kernel import (
    DECISION,
    FieldMismatch,
    KernelDecision,
    KernelInput,
    ReplayMismatchError,
    Verification,
    audit_bundle,
    verified_audit_bundle,
    verify_decision,
)
from kernel_support import policy_of_vector, read_vectors

VECTOR = next(
    vector
    for vector in read_vectors("kernel.jsonl.gz")
    if any("trace" in case for case in vector["cases"])
)
POLICY = policy_of_vector(VECTOR["policy"])[0]
CASE = next(case for case in VECTOR["cases"] if "trace" in case)
REQUEST = KernelInput(**CASE["input"])
DECIDED = POLICY.prescribe(REQUEST)


def test_the_policys_own_decision_is_valid() -> None:
    assert verify_decision(POLICY, REQUEST, DECIDED) == Verification("valid", ())
    assert verify_decision(POLICY, REQUEST, DECIDED).is_valid


@pytest.mark.parametrize("field", [name for name in DECISION.field_names if name != "action"])
def test_a_decision_changed_in_one_field_does_not_replay(field: str) -> None:
    values = dict(zip(DECISION.field_names, DECIDED.values(), strict=True))
    changed = 110 if field == "reason" else values[field] ^ 1
    forged = KernelDecision.from_dict(values | {field: changed})
    found = verify_decision(POLICY, REQUEST, forged)
    assert found == Verification("mismatch", (FieldMismatch(field, values[field], changed),))
    assert not found.is_valid
    assert audit_bundle(POLICY, REQUEST, forged)["replay_valid"] is False
    with pytest.raises(ReplayMismatchError) as refusal:
        verified_audit_bundle(POLICY, REQUEST, forged)
    assert str(refusal.value) == (
        f"decision {forged.request_sequence} does not replay:"
        f" {field} is {changed}; must be {values[field]}"
    )


def test_the_bundles_keys_and_order() -> None:
    bundle = verified_audit_bundle(POLICY, REQUEST, DECIDED)
    assert json.dumps(bundle) == json.dumps(
        {
            "schema_version": "calybris.audit.v1",
            "digest_algorithm": "sha256",
            "proof_version": 1,
            "policy_epoch": VECTOR["policy"]["policy_epoch"],
            "catalog_epoch": VECTOR["policy"]["catalog_epoch"],
            "created_by": "calybris",
            "policy_digest_hex": VECTOR["policy_digest_hex"],
            "input_digest_hex": CASE["input_digest_hex"],
            "decision_digest_hex": CASE["decision_digest_hex"],
            "replay_valid": True,
        }
    )
    assert audit_bundle(POLICY, REQUEST, DECIDED) == bundle
