"""Receipts: made here they verify in the wheel, made there they verify here."""

import json
from dataclasses import replace
from typing import Any

import calybris._core as wheel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.errors import ReceiptError, SigningKeyError
from guard.audit.receipts import DecisionReceipt, ReceiptState, ReceiptWal, issue_receipt
from guard.audit.signing import public_key_from_signing_key
from kernel import ArtifactError, DigestError, ReplayMismatchError, StateChain
from kernel_support import policies, requests
from library_support import (
    DIGESTS_HEX,
    LIVE,
    TEXTS,
    U64S,
    case,
    edited,
    policy_of,
    request_of,
    wheel_case,
)

SEED = bytes(range(32))
PUBLIC = public_key_from_signing_key(SEED)
OTHER = public_key_from_signing_key(bytes(32))
STATE = ReceiptState(5, "ab" * 32, "cd" * 32)
WAL = ReceiptWal(7, "ef" * 32)
STATES = st.none() | st.builds(ReceiptState, U64S.filter(bool), DIGESTS_HEX, DIGESTS_HEX)
WALS = st.none() | st.builds(ReceiptWal, U64S.filter(bool), DIGESTS_HEX)


@LIVE
@given(
    data=st.data(),
    state=STATES,
    wal=WALS,
    seed=st.binary(min_size=32, max_size=32),
    signer_id=TEXTS,
    signed_at_epoch_ms=U64S,
)
def test_both_make_the_same_bytes_and_verify_each_other(
    data: st.DataObject,
    state: ReceiptState | None,
    wal: ReceiptWal | None,
    seed: bytes,
    signer_id: str,
    signed_at_epoch_ms: int,
) -> None:
    policy = data.draw(policies(ceilings=True))
    request = data.draw(requests(policy, ceilings=True))
    decision = policy.prescribe(request)
    theirs = wheel_case(policy, request)
    their_state = state and wheel.ReceiptState(
        state.step, state.state_digest_before_hex, state.state_digest_after_hex
    )
    their_wal = wal and wheel.ReceiptWal(wal.sequence, wal.entry_hash)
    their_receipt = theirs[0].issue_receipt(*theirs[1:], state=their_state, wal=their_wal)
    receipt = issue_receipt(policy, request, decision, state=state, wal=wal)
    assert receipt.to_json() == their_receipt.to_json()
    receipt.verify(policy, request, decision)
    assert not receipt.is_signed

    their_receipt.sign(seed, signer_id, signed_at_epoch_ms)
    signed = receipt.sign(seed, signer_id, signed_at_epoch_ms)
    assert signed.to_json() == their_receipt.to_json()
    public_key = public_key_from_signing_key(seed)
    again = DecisionReceipt.from_json(their_receipt.to_json())
    assert again == signed
    again.verify_full(policy, request, decision, public_key, state, wal)
    there = wheel.DecisionReceipt.from_json(signed.to_json())
    there.verify(*theirs)
    there.verify_signature(public_key)
    if state is not None and wal is not None:
        there.verify_full(*theirs, public_key, their_state, their_wal)


def signed() -> DecisionReceipt:
    return issue_receipt(*case(), state=STATE, wal=WAL).sign(SEED, "desk", 9)


def refused_by_both(text: str) -> str:
    """The field that ours names; the wheel refuses it too."""
    policy, request, decision = case()
    with pytest.raises(wheel.CalybrisError):
        wheel.DecisionReceipt.from_json(text).verify_full(
            *wheel_case(policy, request), PUBLIC,
            wheel.ReceiptState(5, "ab" * 32, "cd" * 32), wheel.ReceiptWal(7, "ef" * 32),
        )  # fmt: skip
    with pytest.raises(ReceiptError) as refused:
        DecisionReceipt.from_json(text).verify_full(policy, request, decision, PUBLIC, STATE, WAL)
    return refused.value.field


def test_whatever_is_changed_in_a_receipt_is_refused() -> None:
    text = signed().to_json()
    form = json.loads(text)
    for name, value in {
        "schema_version": "calybris.receipt.v2",
        "policy_epoch": 7,
        "catalog_epoch": 7,
        "policy_digest_hex": "00" * 32,
        "input_digest_hex": "00" * 32,
        "decision_digest_hex": "00" * 32,
        "replay_valid": False,
        "claims_digest_hex": "00" * 32,
        "state": form["state"] | {"step": 6},
        "wal": form["wal"] | {"sequence": 8},
    }.items():
        # The signature covers the claims digest, and that covers all of these.
        assert refused_by_both(edited(text, **{name: value})) == "claims_digest_hex"
    for part in ("state", "wal"):
        assert refused_by_both(edited(text, **{part: ...})) == "claims_digest_hex"
    for name, value in {
        "signer_id": "desk2",
        "signed_at_epoch_ms": 10,
        "signature_hex": "00" * 64,
    }.items():
        changed = edited(text, signature=form["signature"] | {name: value})
        assert refused_by_both(changed) == "signature_hex"
    changed = edited(text, signature=form["signature"] | {"public_key_hex": OTHER.hex()})
    assert refused_by_both(changed) == "public_key_hex"
    assert refused_by_both(edited(text, signature=...)) == "signature"


def reissued(**members: Any) -> str:
    """A receipt with these members whose claims digest is right, signed by the trusted key."""
    forged = DecisionReceipt.from_json(edited(signed().to_json(), **members))
    right = forged.claims_digest().hex()
    forged = DecisionReceipt.from_json(edited(forged.to_json(), claims_digest_hex=right))
    return forged.sign(SEED, "desk", 9).to_json()


def test_what_the_trusted_signer_claims_is_still_worked_out_again() -> None:
    for name, value in {
        "schema_version": "calybris.receipt.v2",
        "policy_epoch": 7,
        "catalog_epoch": 7,
        "policy_digest_hex": "00" * 32,
        "input_digest_hex": "00" * 32,
        "decision_digest_hex": "00" * 32,
        "replay_valid": False,
    }.items():
        assert refused_by_both(reissued(**{name: value})) == name
    state = {"step": 6, "state_digest_before_hex": "ab" * 32, "state_digest_after_hex": "cd" * 32}
    assert refused_by_both(reissued(state=state)) == "state"
    assert refused_by_both(reissued(wal={"sequence": 7, "entry_hash": "ee" * 32})) == "wal"
    assert refused_by_both(reissued(wal=...)) == "wal"


def test_a_receipt_is_of_a_decision_that_replays() -> None:
    policy, request, decision = case()
    with pytest.raises(ReplayMismatchError, match="request_sequence is 1; must be 2"):
        issue_receipt(policy, request_of(2), decision)
    other = policy.prescribe(request_of(2))
    # A receipt forged for it: every digest is right, and the decision is still not the policy's.
    forged = DecisionReceipt.from_json(reissued(decision_digest_hex=other_digest(other)))
    with pytest.raises(ReceiptError, match="the decision does not replay: request_sequence is 2"):
        forged.verify(policy, request, other)
    with pytest.raises(ReceiptError, match="policy_digest_hex is"):
        signed().verify(policy_of(9), request, decision)


def other_digest(decision: Any) -> str:
    policy = policy_of()
    return issue_receipt(policy, request_of(2), decision).decision_digest_hex


def test_places_are_exactly_as_expected_or_absent() -> None:
    plain = issue_receipt(*case())
    plain.verify_state(None)
    plain.verify_wal(None)
    for receipt, state, wal in ((plain, STATE, WAL), (signed(), None, None)):
        with pytest.raises(ReceiptError, match=r"state is .*; must be"):
            receipt.verify_state(state)
        with pytest.raises(ReceiptError, match=r"wal is .*; must be"):
            receipt.verify_wal(wal)
    with pytest.raises(ReceiptError, match="signature is missing"):
        plain.verify_signature(PUBLIC)
    transition = StateChain(b"a").advance(b"b")
    step = ReceiptState.from_transition(transition)
    assert (step.step, step.state_digest_after_hex) == (1, transition.digest_after_hex)


def test_a_receipt_is_signed_anew_and_only_as_it_is() -> None:
    again = signed().sign(bytes(32), "other", 10)
    again.verify_signature(OTHER)
    assert again.signature is not None
    assert again.signature.signer_id == "other"
    damaged = DecisionReceipt.from_json(edited(signed().to_json(), policy_epoch=7))
    with pytest.raises(ReceiptError, match="claims_digest_hex is"):
        damaged.sign(SEED, "desk", 1)
    with pytest.raises(SigningKeyError, match=r"signing_key has 31 bytes; must have 32"):
        signed().sign(bytes(31), "desk", 1)
    with pytest.raises(SigningKeyError, match="trusted_public_key has 33 bytes"):
        signed().verify_signature(bytes(33))
    with pytest.raises(ArtifactError, match="signed_at_epoch_ms is -1"):
        signed().sign(SEED, "desk", -1)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"policy_epoch": -1}, "policy_epoch is -1"),
        ({"schema_version": None}, "schema_version is None; must be text"),
        ({"replay_valid": 1}, "replay_valid is 1"),
        ({"input_digest_hex": "AB" * 32}, "input_digest_hex has 'A' at offset 0"),
        ({"claims_digest_hex": "ab"}, "claims_digest_hex has 2 characters"),
        ({"state": {"step": 1}}, "state has no state_digest_before_hex"),
        ({"wal": {"sequence": 0, "entry_hash": "ab" * 32}}, "sequence is 0; .* from 1"),
        ({"wal": {"sequence": 1, "entry_hash": "genesis"}}, "entry_hash has 7 characters"),
        ({"wal": 5}, "wal is 5; must be a JSON object"),
        ({"signature": {"signer_id": "a", "more": 1}}, "signature has no signed_at_epoch_ms"),
        ({"more": 1}, "receipt has the field 'more'"),
        ({"claims_digest_hex": ...}, "receipt has no claims_digest_hex"),
    ],
)
def test_a_bad_form_is_refused_by_name(members: dict[str, Any], message: str) -> None:
    text = edited(signed().to_json(), **members)
    with pytest.raises((ArtifactError, DigestError), match=message):
        DecisionReceipt.from_json(text)


def test_what_is_null_is_absent() -> None:
    text = edited(issue_receipt(*case()).to_json(), state=None, wal=None, signature=None)
    assert DecisionReceipt.from_json(text) == issue_receipt(*case())


@pytest.mark.parametrize("name", ["state", "wal", "signature"])
@pytest.mark.parametrize("part", ["other", 5, {"step": 1}, False])
def test_a_part_of_another_type_is_refused_in_code_as_well(name: str, part: object) -> None:
    other = ReceiptWal(1, "ab" * 32) if name == "state" else ReceiptState(1, "ab" * 32, "cd" * 32)
    wrong: Any = other if part == "other" else part
    with pytest.raises(ArtifactError, match=rf"^{name} is .*; must be a Receipt\w+ or None$"):
        replace(signed(), **{name: wrong})
    if name != "signature":
        with pytest.raises(ArtifactError, match=rf"^{name} is "):
            issue_receipt(*case(), **{name: wrong})
