"""Proof envelopes and decision certificates."""

import json
from typing import Any

import calybris
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import (
    ArtifactError,
    DecisionCertificate,
    DigestError,
    EngineConfig,
    IncompleteProofError,
    ProofEnvelope,
    ProofMismatchError,
    ReplayMismatchError,
    StateChain,
    issue_certificate,
    proof_envelope,
)
from kernel_support import policies, requests
from library_support import LIVE, case, edited, policy_of, request_of, wheel_input, wheel_policy

HASH = "ab" * 32


def complete() -> ProofEnvelope:
    ledger = EngineConfig().with_tenant("a", 5).open_ledger()
    return proof_envelope(*case()).with_wal(7, HASH).with_ledger(ledger.prove_conservation())


@LIVE
@given(data=st.data())
def test_an_envelope_is_the_wheels_to_the_byte(data: st.DataObject) -> None:
    policy = data.draw(policies(ceilings=True))
    request, shown = (data.draw(requests(policy, ceilings=True)) for _ in range(2))
    engine = calybris.CalybrisEngine(wheel_policy(policy))
    theirs = engine.proof_envelope(wheel_input(shown), engine.prescribe(wheel_input(request)))
    envelope = proof_envelope(policy, shown, policy.prescribe(request))
    assert envelope.to_json() == theirs.model_dump_json()
    again = ProofEnvelope.from_json(theirs.model_dump_json())
    assert again == envelope
    full = envelope.with_wal(1, HASH)
    assert calybris.ProofEnvelope.model_validate_json(full.to_json()).wal_entry_hash == HASH


def test_it_is_complete_with_both_places_and_a_replay() -> None:
    envelope = proof_envelope(*case())
    assert envelope.missing == (
        "wal_sequence", "wal_entry_hash", "budget_snapshot_version", "ledger_digest_hex"
    )  # fmt: skip
    with pytest.raises(IncompleteProofError, match="lacks wal_sequence, wal_entry_hash, budget"):
        envelope.require_complete()
    assert not envelope.with_wal(7, HASH).is_complete
    full = complete()
    assert full.is_complete
    assert full.require_complete() is full
    assert ProofEnvelope.from_json(full.to_json()) == full
    calybris.ProofEnvelope.model_validate_json(full.to_json()).validate_complete()

    other = proof_envelope(policy_of(), request_of(), policy_of().prescribe(request_of(2)))
    assert other.missing[-1] == "replay_valid"
    zero = ProofEnvelope.from_json(edited(full.to_json(), wal_sequence=0))
    with pytest.raises(IncompleteProofError) as refused:
        zero.require_complete()
    assert refused.value.missing == ("wal_sequence",)


def test_it_is_of_one_policy_one_request_and_one_decision() -> None:
    policy, request, decision = case()
    envelope = complete()
    envelope.verify(policy, request, decision)
    other = request_of(2)
    with pytest.raises(ReplayMismatchError, match="request_sequence is 1; must be 2"):
        envelope.verify(policy, other, decision)
    for field, arguments in {
        "input_digest_hex": (policy, other, policy.prescribe(other)),
        "policy_digest_hex": (policy_of(9), request, policy_of(9).prescribe(request)),
    }.items():
        with pytest.raises(ProofMismatchError, match=f"{field} is '[0-9a-f]+'; must be") as refused:
            envelope.verify(*arguments)
        assert refused.value.field == field
    forged = ProofEnvelope.from_json(edited(envelope.to_json(), selected_model_id=3))
    with pytest.raises(ProofMismatchError, match="selected_model_id is 3; must be 1"):
        forged.verify(policy, request, decision)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"proof_version": 2}, "proof_version is 2; must be 1"),
        ({"policy_digest_hex": "AB" * 32}, "policy_digest_hex has 'A' at offset 0"),
        ({"input_digest_hex": "ab"}, "input_digest_hex has 2 characters"),
        ({"decision_digest_hex": None}, "decision_digest_hex is NoneType"),
        ({"replay_valid": 1}, "replay_valid is 1; must be true or false"),
        ({"wal_sequence": -1}, "wal_sequence is -1"),
        ({"wal_entry_hash": "genesis"}, "wal_entry_hash has 7 characters"),
        ({"budget_snapshot_version": 2**64}, "budget_snapshot_version is 18446744073709551616"),
        ({"action": "Substitute"}, "must be in snake case"),
        ({"action": "buy"}, "action is 'buy'; must be one of execute_requested"),
        ({"reason": 1}, "reason is 1; must be text"),
        ({"selected_model_id": 2**32}, "selected_model_id is 4294967296"),
        ({"estimated_cost_microunits": 1.0}, "has the number '1.0'; must have integers only"),
        ({"expected_utility_microunits": 2**63}, "expected_utility_microunits is 9223"),
        ({"signature": "x"}, "proof envelope has the field 'signature'; must have only"),
        ({"action": ...}, "proof envelope has no action; must have"),
    ],
)
def test_a_bad_form_is_refused_by_name(members: dict[str, Any], message: str) -> None:
    with pytest.raises((ArtifactError, DigestError), match=message):
        ProofEnvelope.from_json(edited(complete().to_json(), **members))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"a":NaN}', '{"a":1,"a":1}', "{} {}", b"\xff", "[" * 9**6, '{"a":-0}'],
)
def test_what_is_no_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ArtifactError, match="proof envelope"):
        ProofEnvelope.from_json(text)


def test_a_certificate_explains_and_is_checked_anew() -> None:
    policy, request, decision = case()
    transition = StateChain(b"a").advance(b"b")
    certificate = issue_certificate(policy, request, decision, transition)
    assert certificate.gates["evaluated_models"] == 3
    again = DecisionCertificate.from_json(certificate.to_json())
    assert again == certificate
    again.verify(policy, request, decision, transition)
    plain = issue_certificate(policy, request, decision)
    assert "state" not in plain.as_dict()
    DecisionCertificate.from_json(plain.to_json()).verify(policy, request, decision)


def test_a_certificate_that_is_not_so_is_refused() -> None:
    policy, request, decision = case()
    transition = StateChain(b"a").advance(b"b")
    certificate = issue_certificate(policy, request, decision, transition)
    with pytest.raises(ReplayMismatchError):
        issue_certificate(policy, request_of(2), decision)
    with pytest.raises(ReplayMismatchError):
        certificate.verify(policy, request_of(2), decision, transition)
    with pytest.raises(ProofMismatchError, match="state is"):
        certificate.verify(policy, request, decision)
    for part, name, value in (
        ("audit", "policy_digest_hex", HASH),
        ("audit", "replay_valid", False),
        ("decision", "selected_model_id", 2),
        ("gates", "quality", 1),
        ("gates", "more", 1),
    ):
        form = json.loads(certificate.to_json())
        form[part][name] = value
        forged = DecisionCertificate.from_json(json.dumps(form))
        with pytest.raises(ProofMismatchError, match=f"{part}.{name} is") as refused:
            forged.verify(policy, request, decision, transition)
        assert refused.value.field == f"{part}.{name}"
    for members in (
        {"schema_version": "calybris.audit.v1"},
        {"audit": []},
        {"gates": ...},
        {"state": {"step": 1}},
        {"state": {"step": 0, "digest_before_hex": HASH, "digest_after_hex": HASH}},
        {"more": 1},
    ):
        with pytest.raises((ArtifactError, ValueError)):
            DecisionCertificate.from_json(edited(certificate.to_json(), **members))
