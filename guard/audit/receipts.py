"""Decision receipts: one decision, its place in a log and in a chain of states, signed.

Owns: the claims and their digest (`calyrcp1`), the signed message (`calyrcs1`), the receipt's JSON
(the reference's) and its checks. A receipt is issued only for a decision that replays, and is
believed only after everything in it was worked out again.

Must not: look into a log: the record's place is handed in, and compared when a receipt is checked.

Fails: `ReplayMismatchError` when issued for a decision that does not replay; `ReceiptError` naming
the first field that does not hold; `SigningKeyError`; `ArtifactError` and `DigestError` for a form
that is none.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, Self

from guard.audit.errors import ReceiptError
from guard.audit.signing import (
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    check_public_key,
    is_signed,
    public_key_from_signing_key,
    sign_message,
)
from kernel import (
    ArtifactError,
    KernelDecision,
    KernelInput,
    PolicySnapshot,
    StateTransition,
    audit_bundle,
    decode_digest,
    verified_audit_bundle,
    verify_decision,
)
from kernel.digest_text import decode_hex
from kernel.layout import U64
from kernel.strict_json import (
    check_bool,
    check_fields,
    check_integer,
    check_text,
    dump_compact,
    load_object,
    shown,
)

RECEIPT_SCHEMA: Final = "calybris.receipt.v1"
CLAIMS_TAG: Final = b"calyrcp1\0"
RECEIPT_SIGNATURE_TAG: Final = b"calyrcs1\0"

_U64: Final = struct.Struct("<Q")
_CLAIMED: Final = (
    "policy_epoch",
    "catalog_epoch",
    "policy_digest_hex",
    "input_digest_hex",
    "decision_digest_hex",
)


@dataclass(frozen=True, slots=True)
class ReceiptState:
    """The state step that the decision made: which (from 1), the digests before and after."""

    step: int
    state_digest_before_hex: str
    state_digest_after_hex: str

    def __post_init__(self) -> None:
        check_integer("step", self.step, U64, ArtifactError, minimum=1)
        decode_digest(self.state_digest_before_hex, "state_digest_before_hex")
        decode_digest(self.state_digest_after_hex, "state_digest_after_hex")

    @classmethod
    def from_transition(cls, transition: StateTransition) -> Self:
        """The step of a state chain."""
        return cls(transition.step, transition.digest_before_hex, transition.digest_after_hex)


@dataclass(frozen=True, slots=True)
class ReceiptWal:
    """Where the decision's record stands: log sequence (from 1) and entry hash."""

    sequence: int
    entry_hash: str

    def __post_init__(self) -> None:
        check_integer("sequence", self.sequence, U64, ArtifactError, minimum=1)
        decode_digest(self.entry_hash, "entry_hash")


@dataclass(frozen=True, slots=True)
class ReceiptSignature:
    """Who signed the claims, and when (Unix time in milliseconds)."""

    signer_id: str
    signed_at_epoch_ms: int
    public_key_hex: str
    signature_hex: str

    def __post_init__(self) -> None:
        check_text("signer_id", self.signer_id, ArtifactError)
        check_integer("signed_at_epoch_ms", self.signed_at_epoch_ms, U64, ArtifactError)
        decode_hex(self.public_key_hex, PUBLIC_KEY_BYTES, "public_key_hex")
        decode_hex(self.signature_hex, SIGNATURE_BYTES, "signature_hex")


_PARTS: Final[dict[str, type[ReceiptState | ReceiptWal | ReceiptSignature]]] = {
    "state": ReceiptState,
    "wal": ReceiptWal,
    "signature": ReceiptSignature,
}


@dataclass(frozen=True, slots=True)
class DecisionReceipt:
    """The claims about one decision, their digest, and the signature where there is one."""

    schema_version: str
    policy_epoch: int
    catalog_epoch: int
    policy_digest_hex: str
    input_digest_hex: str
    decision_digest_hex: str
    replay_valid: bool
    state: ReceiptState | None
    wal: ReceiptWal | None
    claims_digest_hex: str
    signature: ReceiptSignature | None = None

    def __post_init__(self) -> None:
        check_text("schema_version", self.schema_version, ArtifactError)
        for name in ("policy_epoch", "catalog_epoch"):
            check_integer(name, getattr(self, name), U64, ArtifactError)
        for name in (*_CLAIMED[2:], "claims_digest_hex"):
            decode_digest(getattr(self, name), name)
        check_bool("replay_valid", self.replay_valid, ArtifactError)
        for name, kind in _PARTS.items():
            part = getattr(self, name)
            if part is not None and not isinstance(part, kind):
                raise ArtifactError(f"{name} is {shown(part)}; must be a {kind.__name__} or None")

    @property
    def is_signed(self) -> bool:
        """Whether there is a signature; not whether it holds."""
        return self.signature is not None

    def claims_digest(self) -> bytes:
        """The digest of the claims as they stand: 32 raw bytes."""
        schema = self.schema_version.encode()
        parts = [
            CLAIMS_TAG,
            _U64.pack(len(schema)),
            schema,
            _U64.pack(self.policy_epoch),
            _U64.pack(self.catalog_epoch),
            bytes.fromhex(self.policy_digest_hex),
            bytes.fromhex(self.input_digest_hex),
            bytes.fromhex(self.decision_digest_hex),
            bytes((self.replay_valid, self.state is not None)),
        ]
        if self.state is not None:
            parts.append(_U64.pack(self.state.step))
            parts.append(bytes.fromhex(self.state.state_digest_before_hex))
            parts.append(bytes.fromhex(self.state.state_digest_after_hex))
        parts.append(bytes((self.wal is not None,)))
        if self.wal is not None:
            parts.append(_U64.pack(self.wal.sequence) + bytes.fromhex(self.wal.entry_hash))
        return sha256(b"".join(parts)).digest()

    def sign(self, signing_key: bytes, signer_id: str, signed_at_epoch_ms: int) -> Self:
        """The same receipt, signed with a seed of 32 bytes; an earlier signature is replaced.

        Raises `SigningKeyError`, `ArtifactError`; `ReceiptError` where the claims are not those of
        the claims digest.
        """
        check_text("signer_id", signer_id, ArtifactError)
        check_integer("signed_at_epoch_ms", signed_at_epoch_ms, U64, ArtifactError)
        self._check_claims()
        message = receipt_message(self.claims_digest(), signer_id, signed_at_epoch_ms)
        signature = ReceiptSignature(
            signer_id,
            signed_at_epoch_ms,
            public_key_from_signing_key(signing_key).hex(),
            sign_message(signing_key, message).hex(),
        )
        return replace(self, signature=signature)

    def verify(
        self, policy: PolicySnapshot, request: KernelInput, decision: KernelDecision
    ) -> None:
        """Whether it is of exactly these, and the decision replays. Raises `ReceiptError`.

        Neither signature nor places are looked at: `verify_full` does all.
        """
        if self.schema_version != RECEIPT_SCHEMA:
            raise _refusal("schema_version", self.schema_version, RECEIPT_SCHEMA)
        if not self.replay_valid:
            raise _refusal("replay_valid", False, True)
        audit = audit_bundle(policy, request, decision)
        for name in (*_CLAIMED[2:], *_CLAIMED[:2]):
            if getattr(self, name) != audit[name]:
                raise _refusal(name, getattr(self, name), audit[name])
        verification = verify_decision(policy, request, decision)
        if not verification.is_valid:
            first = verification.mismatches[0]
            raise ReceiptError(
                f"the decision does not replay: {first.field} is {first.actual}; must be"
                f" {first.expected}",
                "replay_valid",
            )
        self._check_claims()

    def verify_signature(self, trusted_public_key: bytes) -> None:
        """Whether that key signed these claims. Raises `ReceiptError`, `SigningKeyError`."""
        check_public_key("trusted_public_key", trusted_public_key)
        signature = self.signature
        if signature is None:
            raise ReceiptError("signature is missing", "signature")
        if not compare_digest(trusted_public_key, bytes.fromhex(signature.public_key_hex)):
            raise ReceiptError("public_key_hex is not the trusted key", "public_key_hex")
        self._check_claims()
        message = receipt_message(
            self.claims_digest(), signature.signer_id, signature.signed_at_epoch_ms
        )
        if not is_signed(trusted_public_key, message, bytes.fromhex(signature.signature_hex)):
            raise ReceiptError(
                "signature_hex is not the trusted key's over these claims, signer and time",
                "signature_hex",
            )

    def verify_state(self, expected: ReceiptState | None) -> None:
        """Whether it carries exactly that step; None: none at all. Raises `ReceiptError`."""
        if self.state != expected:
            raise _refusal("state", self.state, expected)

    def verify_wal(self, expected: ReceiptWal | None) -> None:
        """Whether it carries exactly that place; None: none at all. Raises `ReceiptError`."""
        if self.wal != expected:
            raise _refusal("wal", self.wal, expected)

    def verify_full(
        self,
        policy: PolicySnapshot,
        request: KernelInput,
        decision: KernelDecision,
        trusted_public_key: bytes,
        expected_state: ReceiptState | None,
        expected_wal: ReceiptWal | None,
    ) -> None:
        """Everything at once: replay, claims, signature, state step and place in the log.

        Raises `ReceiptError`, `SigningKeyError`.
        """
        self.verify_signature(trusted_public_key)
        self.verify(policy, request, decision)
        self.verify_state(expected_state)
        self.verify_wal(expected_wal)

    def as_dict(self) -> dict[str, Any]:
        """Its published form: what is absent is left out."""
        form: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, ReceiptState | ReceiptWal | ReceiptSignature):
                form[field.name] = asdict(value)
            elif value is not None:
                form[field.name] = value
        return form

    def to_json(self) -> str:
        """Its canonical JSON, as the reference writes it."""
        return dump_compact(self.as_dict())

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The receipt in that JSON object. Nothing is verified by reading it."""
        required = [field.name for field in fields(cls) if field.name not in _PARTS]
        found = load_object(text, "receipt", ArtifactError)
        found = check_fields(found, "receipt", required, tuple(_PARTS), ArtifactError)
        for name, kind in _PARTS.items():
            part = found.get(name)
            if part is not None:
                names = [field.name for field in fields(kind)]
                part = kind(**check_fields(part, name, names, (), ArtifactError))
            found[name] = part
        return cls(**found)

    def _check_claims(self) -> None:
        digest_hex = self.claims_digest().hex()
        if not compare_digest(digest_hex, self.claims_digest_hex):
            raise _refusal("claims_digest_hex", self.claims_digest_hex, digest_hex)


def receipt_message(claims_digest: bytes, signer_id: str, signed_at_epoch_ms: int) -> bytes:
    """What is signed: tag, raw claims digest, time (u64, little-endian), signer (UTF-8)."""
    time = _U64.pack(signed_at_epoch_ms)
    return RECEIPT_SIGNATURE_TAG + claims_digest + time + signer_id.encode()


def issue_receipt(
    policy: PolicySnapshot,
    request: KernelInput,
    decision: KernelDecision,
    *,
    state: ReceiptState | None = None,
    wal: ReceiptWal | None = None,
) -> DecisionReceipt:
    """The receipt of a decision; one that does not replay is a `ReplayMismatchError`."""
    audit = verified_audit_bundle(policy, request, decision)
    claims = {name: audit[name] for name in _CLAIMED}
    receipt = DecisionReceipt(RECEIPT_SCHEMA, **claims, replay_valid=True, state=state, wal=wal,
                              claims_digest_hex="0" * 64)  # fmt: skip
    return replace(receipt, claims_digest_hex=receipt.claims_digest().hex())


def _refusal(field: str, found: object, expected: object) -> ReceiptError:
    return ReceiptError(f"{field} is {found}; must be {expected}", field)
