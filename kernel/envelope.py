"""The proof envelope: everything that is known about one decision, in one small object.

Owns: the envelope's fields (those of the reference, in its order), its canonical JSON, what makes
it complete, and the check against the policy, the request and the decision that it is about.

Must not: read a log or a ledger: the place in the log and the ledger's proof are handed in.

Fails: `ArtifactError` for a form that is none, `ReplayMismatchError` where a decision does not
replay, `IncompleteProofError`, `ProofMismatchError`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from kernel.digest_text import decode_digest
from kernel.errors import ArtifactError, IncompleteProofError, KernelInputError, ProofMismatchError
from kernel.finance import ConservationProof
from kernel.layout import DECISION, U64, IntType
from kernel.policy import PolicySnapshot
from kernel.reasons import action_of, reason_of
from kernel.records import KernelDecision, KernelInput
from kernel.strict_json import (
    check_bool,
    check_fields,
    check_integer,
    check_text,
    dump_compact,
    load_object,
)
from kernel.verify import audit_bundle, verified_audit_bundle

PROOF_VERSION = 1

_ATTACHMENTS = ("wal_sequence", "wal_entry_hash", "budget_snapshot_version", "ledger_digest_hex")
_SUMMARY = (
    "selected_model_id",
    "counterfactual_model_id",
    "estimated_cost_microunits",
    "expected_utility_microunits",
)


@dataclass(frozen=True, slots=True)
class ProofEnvelope:
    """One decision with its digests, and as far as known its place in a log and in a ledger."""

    proof_version: int
    policy_digest_hex: str
    input_digest_hex: str
    decision_digest_hex: str
    replay_valid: bool
    wal_sequence: int | None
    wal_entry_hash: str | None
    budget_snapshot_version: int | None
    ledger_digest_hex: str | None
    action: str
    reason: str
    selected_model_id: int
    counterfactual_model_id: int
    estimated_cost_microunits: int
    expected_utility_microunits: int

    def __post_init__(self) -> None:
        if type(self.proof_version) is not int or self.proof_version != PROOF_VERSION:
            raise ArtifactError(f"proof_version is {self.proof_version!r}; must be {PROOF_VERSION}")
        for name in ("policy_digest_hex", "input_digest_hex", "decision_digest_hex"):
            decode_digest(getattr(self, name), name)
        check_bool("replay_valid", self.replay_valid, ArtifactError)
        _check_optional_integer("wal_sequence", self.wal_sequence, U64)
        _check_optional_integer("budget_snapshot_version", self.budget_snapshot_version, U64)
        for name in ("wal_entry_hash", "ledger_digest_hex"):
            if getattr(self, name) is not None:
                decode_digest(getattr(self, name), name)
        action = check_text("action", self.action, ArtifactError)
        reason = check_text("reason", self.reason, ArtifactError)
        try:
            known = action_of(action).snake == action and reason_of(reason).snake == reason
        except KernelInputError as error:
            raise ArtifactError(str(error)) from None
        if not known:
            raise ArtifactError(f"action {action!a} and reason {reason!a} must be in snake case")
        for name in _SUMMARY:
            check_integer(name, getattr(self, name), DECISION.field(name).type, ArtifactError)

    def with_wal(self, wal_sequence: int, wal_entry_hash: str) -> Self:
        """The same, and where its record stands: log sequence (from 1) and entry hash (hex)."""
        check_integer("wal_sequence", wal_sequence, U64, ArtifactError, minimum=1)
        return replace(self, wal_sequence=wal_sequence, wal_entry_hash=wal_entry_hash)

    def with_ledger(self, proof: ConservationProof) -> Self:
        """The same, and the conservation proof of the ledger that the decision counts in."""
        return replace(
            self,
            budget_snapshot_version=proof.snapshot_version,
            ledger_digest_hex=proof.ledger_digest_hex,
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """What it lacks to be complete, by the names of the fields."""
        lacking = [name for name in _ATTACHMENTS if getattr(self, name) is None]
        if self.wal_sequence == 0:
            lacking.append("wal_sequence")
        if not self.replay_valid:
            lacking.append("replay_valid")
        return tuple(lacking)

    @property
    def is_complete(self) -> bool:
        """Whether the decision replays and its places in a log and in a ledger are known."""
        return not self.missing

    def require_complete(self) -> Self:
        """Itself; `IncompleteProofError` where it is not complete."""
        if self.missing:
            raise IncompleteProofError(
                f"the proof envelope lacks {', '.join(self.missing)}", self.missing
            )
        return self

    def verify(
        self, policy: PolicySnapshot, request: KernelInput, decision: KernelDecision
    ) -> None:
        """Whether it is of exactly these; raises `ReplayMismatchError`, `ProofMismatchError`."""
        verified_audit_bundle(policy, request, decision)
        expected = proof_envelope(policy, request, decision)
        for name in (field.name for field in fields(self) if field.name not in _ATTACHMENTS):
            if getattr(self, name) != getattr(expected, name):
                raise ProofMismatchError(
                    f"{name} is {getattr(self, name)!r}; must be {getattr(expected, name)!r}", name
                )

    def as_dict(self) -> dict[str, Any]:
        """Every field by name, in the reference's order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_json(self) -> str:
        """Its canonical JSON: compact, every field, in the reference's order."""
        return dump_compact(self.as_dict())

    @classmethod
    def from_dict(cls, mapping: object) -> Self:
        """The envelope with those fields; what is absent of its attachments is None."""
        required = [field.name for field in fields(cls) if field.name not in _ATTACHMENTS]
        found = check_fields(mapping, "proof envelope", required, _ATTACHMENTS, ArtifactError)
        for name in _ATTACHMENTS:
            found.setdefault(name, None)
        return cls(**found)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The envelope in that JSON object, in any order of fields."""
        return cls.from_dict(load_object(text, "proof envelope", ArtifactError))


def proof_envelope(
    policy: PolicySnapshot, request: KernelInput, decision: KernelDecision
) -> ProofEnvelope:
    """The envelope of a decision, with nothing attached yet.

    Not fail-closed: of a decision that does not replay, `replay_valid` is false, and the envelope
    will never be complete.
    """
    audit = audit_bundle(policy, request, decision)
    return ProofEnvelope(
        proof_version=PROOF_VERSION,
        policy_digest_hex=audit["policy_digest_hex"],
        input_digest_hex=audit["input_digest_hex"],
        decision_digest_hex=audit["decision_digest_hex"],
        replay_valid=audit["replay_valid"],
        wal_sequence=None,
        wal_entry_hash=None,
        budget_snapshot_version=None,
        ledger_digest_hex=None,
        action=decision.action.snake,
        reason=decision.reason.snake,
        selected_model_id=decision.selected_model_id,
        counterfactual_model_id=decision.counterfactual_model_id,
        estimated_cost_microunits=decision.estimated_cost_microunits,
        expected_utility_microunits=decision.expected_utility_microunits,
    )


def _check_optional_integer(name: str, value: int | None, kind: IntType) -> None:
    if value is not None:
        check_integer(name, value, kind, ArtifactError)
