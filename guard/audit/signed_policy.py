"""Signed policies: who says that a policy is in force, and since when.

Owns: the signed message (`calysig1`), the artifact's JSON (the reference's), and its check against
a policy and a trusted key. The key in the artifact convinces nobody: it must be the trusted one.

Must not: decide whom to trust. Fails: `SigningKeyError`, `ProvenanceError` naming the field,
`ArtifactError` and `DigestError` for a form that is none.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass, fields
from hmac import compare_digest
from typing import Any, Final, Self

from guard.audit.errors import ProvenanceError
from guard.audit.signing import (
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    check_public_key,
    is_signed,
    public_key_from_signing_key,
    sign_message,
)
from kernel import ArtifactError, PolicySnapshot, decode_digest
from kernel.digest_text import decode_hex
from kernel.layout import U64
from kernel.strict_json import check_fields, check_integer, check_text, dump_compact, load_object

POLICY_SIGNATURE_TAG: Final = b"calysig1\0"

_U64: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class SignedPolicy:
    """A policy's digest with a signature over it, the signer's name and the time (Unix, ms)."""

    policy_digest_hex: str
    signer_id: str
    signed_at_epoch_ms: int
    public_key_hex: str
    signature_hex: str

    def __post_init__(self) -> None:
        decode_digest(self.policy_digest_hex, "policy_digest_hex")
        check_text("signer_id", self.signer_id, ArtifactError)
        check_integer("signed_at_epoch_ms", self.signed_at_epoch_ms, U64, ArtifactError)
        decode_hex(self.public_key_hex, PUBLIC_KEY_BYTES, "public_key_hex")
        decode_hex(self.signature_hex, SIGNATURE_BYTES, "signature_hex")

    def verify(self, policy: PolicySnapshot, trusted_public_key: bytes) -> None:
        """Whether that key signed exactly this policy. Raises `ProvenanceError`."""
        check_public_key("trusted_public_key", trusted_public_key)
        if not compare_digest(trusted_public_key, bytes.fromhex(self.public_key_hex)):
            raise ProvenanceError("public_key_hex is not the trusted key", "public_key_hex")
        if not compare_digest(policy.digest.hex(), self.policy_digest_hex):
            raise ProvenanceError(
                f"policy_digest_hex is {self.policy_digest_hex}; the policy's is"
                f" {policy.digest.hex()}",
                "policy_digest_hex",
            )
        message = policy_message(policy.digest, self.signer_id, self.signed_at_epoch_ms)
        if not is_signed(trusted_public_key, message, bytes.fromhex(self.signature_hex)):
            raise ProvenanceError(
                "signature_hex is not the trusted key's over this policy, signer and time",
                "signature_hex",
            )

    def as_dict(self) -> dict[str, Any]:
        """Every field by name."""
        return asdict(self)

    def to_json(self) -> str:
        """Its canonical JSON, as the reference writes it."""
        return dump_compact(self.as_dict())

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The artifact in that JSON object. Nothing is verified by reading it."""
        names = [field.name for field in fields(cls)]
        found = load_object(text, "signed policy", ArtifactError)
        return cls(**check_fields(found, "signed policy", names, (), ArtifactError))


def policy_message(policy_digest: bytes, signer_id: str, signed_at_epoch_ms: int) -> bytes:
    """What is signed: tag, raw digest, time (u64, little-endian), signer (UTF-8)."""
    return POLICY_SIGNATURE_TAG + policy_digest + _U64.pack(signed_at_epoch_ms) + signer_id.encode()


def sign_policy(
    policy: PolicySnapshot, signing_key: bytes, signer_id: str, signed_at_epoch_ms: int
) -> SignedPolicy:
    """Sign a policy with a seed of 32 bytes. Raises `SigningKeyError`, `ArtifactError`."""
    check_text("signer_id", signer_id, ArtifactError)
    check_integer("signed_at_epoch_ms", signed_at_epoch_ms, U64, ArtifactError)
    message = policy_message(policy.digest, signer_id, signed_at_epoch_ms)
    return SignedPolicy(
        policy.digest.hex(),
        signer_id,
        signed_at_epoch_ms,
        public_key_from_signing_key(signing_key).hex(),
        sign_message(signing_key, message).hex(),
    )
