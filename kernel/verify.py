"""Deciding again: is this decision the one that the policy gives for this input?

Owns: the comparison by replay, and the audit bundle that a decision record carries.

Must not: write anywhere, or repair a decision.

Fails: `verified_audit_bundle` raises `ReplayMismatchError` for a decision that does not replay;
`audit_bundle` says so in `replay_valid`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kernel.digest import decision_digest_of_row, input_digest_of_row
from kernel.errors import ReplayMismatchError
from kernel.layout import DECISION
from kernel.policy import PolicySnapshot
from kernel.records import KernelDecision, KernelInput

AUDIT_SCHEMA_VERSION = "calybris.audit.v1"
AUDIT_CREATED_BY = "calybris"  # a constant of the format: readers refuse another value


@dataclass(frozen=True, slots=True)
class FieldMismatch:
    """A field of the decision that is not what the policy gives."""

    field: str
    expected: int
    actual: int


@dataclass(frozen=True, slots=True)
class Verification:
    """`status` is `valid` or `mismatch`; the mismatches are in the format's order of fields."""

    status: str
    mismatches: tuple[FieldMismatch, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether the decision is the one that the policy gives."""
        return self.status == "valid"


def verify_decision(
    policy: PolicySnapshot, request: KernelInput, decision: KernelDecision
) -> Verification:
    """Decide again, and compare every byte."""
    expected = policy.prescribe(request)
    if expected.row == decision.row:
        return Verification("valid")
    pairs = zip(DECISION.field_names, expected.values(), decision.values(), strict=True)
    return Verification(
        "mismatch",
        tuple(FieldMismatch(name, want, have) for name, want, have in pairs if want != have),
    )


def audit_bundle(
    policy: PolicySnapshot, request: KernelInput, decision: KernelDecision
) -> dict[str, Any]:
    """What stands under `audit` in a decision record, its keys in the format's order.

    Not fail-closed: a decision that does not replay gets a bundle too, with `replay_valid` false.
    """
    return {
        "schema_version": AUDIT_SCHEMA_VERSION,
        "digest_algorithm": "sha256",
        "proof_version": 1,
        "policy_epoch": policy.policy_epoch,
        "catalog_epoch": policy.catalog_epoch,
        "created_by": AUDIT_CREATED_BY,
        "policy_digest_hex": policy.digest.hex(),
        "input_digest_hex": input_digest_of_row(request.row).hex(),
        "decision_digest_hex": decision_digest_of_row(decision.row).hex(),
        "replay_valid": verify_decision(policy, request, decision).is_valid,
    }


def verified_audit_bundle(
    policy: PolicySnapshot, request: KernelInput, decision: KernelDecision
) -> dict[str, Any]:
    """The same, fail-closed: a decision that does not replay is a `ReplayMismatchError`."""
    verification = verify_decision(policy, request, decision)
    if not verification.is_valid:
        first = verification.mismatches[0]
        raise ReplayMismatchError(
            f"decision {decision.request_sequence} does not replay: {first.field} is"
            f" {first.actual}; must be {first.expected}"
        )
    return audit_bundle(policy, request, decision)
