"""Signed policies: made here they verify in the wheel, made there they verify here."""

from typing import Any

import calybris._core as wheel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.errors import ProvenanceError, SigningKeyError
from guard.audit.signed_policy import SignedPolicy, sign_policy
from guard.audit.signing import public_key_from_signing_key
from kernel import ArtifactError, DigestError
from kernel_support import policies
from library_support import LIVE, TEXTS, U64S, edited, policy_of, wheel_policy

SEED = bytes(range(32))
PUBLIC = public_key_from_signing_key(SEED)


@LIVE
@given(
    policy=policies(ceilings=True),
    seed=st.binary(min_size=32, max_size=32),
    signer_id=TEXTS,
    signed_at_epoch_ms=U64S,
)
def test_both_make_the_same_bytes_and_verify_each_other(
    policy: Any, seed: bytes, signer_id: str, signed_at_epoch_ms: int
) -> None:
    theirs = wheel_policy(policy)
    their_signed = theirs.sign_policy(seed, signer_id, signed_at_epoch_ms)
    signed = sign_policy(policy, seed, signer_id, signed_at_epoch_ms)
    assert signed.to_json() == their_signed.to_json()
    public_key = public_key_from_signing_key(seed)
    assert public_key == wheel.public_key_from_signing_key(seed)
    wheel.SignedPolicy.from_json(signed.to_json()).verify(theirs, public_key)
    again = SignedPolicy.from_json(their_signed.to_json())
    assert again == signed
    again.verify(policy, public_key)


def both_refuse(text: str, policy: Any = None, key: bytes = PUBLIC) -> ProvenanceError:
    policy = policy or policy_of()
    with pytest.raises(wheel.ProvenanceError):
        wheel.SignedPolicy.from_json(text).verify(wheel_policy(policy), key)
    with pytest.raises(ProvenanceError) as refused:
        SignedPolicy.from_json(text).verify(policy, key)
    return refused.value


def test_what_does_not_hold_is_named() -> None:
    text = sign_policy(policy_of(), SEED, "desk", 5).to_json()
    other = public_key_from_signing_key(bytes(32))
    assert both_refuse(text, key=other).field == "public_key_hex"
    assert both_refuse(text, policy_of(9)).field == "policy_digest_hex"
    for members in (
        {"signature_hex": "00" * 64},
        {"signer_id": "desk2"},
        {"signed_at_epoch_ms": 6},
    ):
        refusal = both_refuse(edited(text, **members))
        assert refusal.field == "signature_hex"
        assert "not the trusted key's over this policy, signer and time" in str(refusal)
    # Signed by another key that says it is the trusted one.
    forged = sign_policy(policy_of(), bytes(32), "desk", 5).to_json()
    assert both_refuse(edited(forged, public_key_hex=PUBLIC.hex())).field == "signature_hex"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"policy_digest_hex": "AB" * 32}, "policy_digest_hex has 'A' at offset 0"),
        ({"policy_digest_hex": "ab"}, "policy_digest_hex has 2 characters"),
        ({"signer_id": 5}, "signer_id is 5; must be text"),
        ({"signed_at_epoch_ms": -1}, "signed_at_epoch_ms is -1"),
        ({"signed_at_epoch_ms": 1.0}, "must have integers only"),
        ({"public_key_hex": "zz" * 32}, "public_key_hex has 'z' at offset 0"),
        ({"signature_hex": "ab" * 63}, "signature_hex has 126 characters; must have 128"),
        ({"signature_hex": "AB" * 64}, "signature_hex has 'A' at offset 0"),
        ({"more": 1}, "signed policy has the field 'more'"),
        ({"signer_id": ...}, "signed policy has no signer_id"),
    ],
)
def test_a_bad_form_is_refused_by_name(members: dict[str, Any], message: str) -> None:
    text = edited(sign_policy(policy_of(), SEED, "desk", 5).to_json(), **members)
    with pytest.raises((ArtifactError, DigestError), match=message):
        SignedPolicy.from_json(text)
    with pytest.raises(wheel.CalybrisError):
        wheel.SignedPolicy.from_json(text).verify(wheel_policy(policy_of()), PUBLIC)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytearray(32), "k" * 32, None])
def test_keys_of_another_length(key: Any) -> None:
    with pytest.raises(SigningKeyError, match=r"signing_key (has|is) .*; must (have|be) 32"):
        sign_policy(policy_of(), key, "desk", 5)
    signed = sign_policy(policy_of(), SEED, "desk", 5)
    with pytest.raises(SigningKeyError, match=r"trusted_public_key (has|is)"):
        signed.verify(policy_of(), key)


def test_what_cannot_be_signed() -> None:
    for signer_id, time, message in (
        ("\ud800", 1, "signer_id is .* must be text in UTF-8"),
        ("a", 2**64, "signed_at_epoch_ms is 18446744073709551616"),
        ("a", True, "signed_at_epoch_ms is True"),
    ):
        with pytest.raises(ArtifactError, match=message):
            sign_policy(policy_of(), SEED, signer_id, time)
