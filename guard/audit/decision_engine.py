"""The embedded engine: one policy and one ledger, each call with a span where there are spans.

Owns: nothing but the two together; the kernel decides and counts. A program that wants no spans
uses `PolicySnapshot` and `BudgetEngine` as they are.

Must not: keep requests, or answer differently from the kernel. Fails: as the kernel does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guard.audit.spans import Attributes, spanned
from kernel import (
    BudgetEngine,
    CommitResult,
    KernelDecision,
    KernelInput,
    LedgerResult,
    PolicySnapshot,
    ProofEnvelope,
    ReleaseResult,
    ReserveResult,
    TopUpResult,
    Verification,
    proof_envelope,
    verify_decision,
)


def _decided(decision: KernelDecision, *_: object) -> Attributes:
    return {
        "request_sequence": decision.request_sequence,
        "action": decision.action.snake,
        "reason": decision.reason.snake,
    }


def _decided_many(decisions: list[KernelDecision], *_: object) -> Attributes:
    return {"decision_count": len(decisions)}


def _verified(verification: Verification, *_: object) -> Attributes:
    return {"status": verification.status}


def _counted(result: LedgerResult | tuple[LedgerResult, int | None], *_: object) -> Attributes:
    return {"status": (result[0] if isinstance(result, tuple) else result).status}


class DecisionEngine:
    """Decides under one policy and counts in one ledger. One thread uses it."""

    def __init__(self, policy: PolicySnapshot, ledger: BudgetEngine) -> None:
        """The policy never changes; another one is another engine over the same ledger."""
        self.policy: Final = policy
        self.ledger: Final = ledger

    @spanned("prescribe", _decided)
    def prescribe(self, request: KernelInput) -> KernelDecision:
        """The decision for one input."""
        return self.policy.prescribe(request)

    @spanned("prescribe", _decided_many)
    def prescribe_batch(self, requests: Sequence[KernelInput]) -> list[KernelDecision]:
        """The decisions for many inputs, in their order."""
        return self.policy.prescribe_batch(requests)

    @spanned("verify", _verified)
    def verify(self, request: KernelInput, decision: KernelDecision) -> Verification:
        """Decide again and compare."""
        return verify_decision(self.policy, request, decision)

    @spanned("budget", _counted)
    def try_reserve(
        self, tenant_id: str, amount_microcents: int
    ) -> tuple[ReserveResult, int | None]:
        """Hold an amount: the outcome and, where it is `Reserved`, the hold's number."""
        return self.ledger.try_reserve(tenant_id, amount_microcents)

    @spanned("budget", _counted)
    def commit(self, reservation_id: int, actual_microcents: int) -> CommitResult:
        """End a hold by spending."""
        return self.ledger.commit(reservation_id, actual_microcents)

    @spanned("budget", _counted)
    def release(self, reservation_id: int) -> ReleaseResult:
        """End a hold without spending."""
        return self.ledger.release(reservation_id)

    @spanned("budget", _counted)
    def top_up_tenant(self, tenant_id: str, amount_microcents: int) -> TopUpResult:
        """Add to a tenant's grant."""
        return self.ledger.top_up_tenant(tenant_id, amount_microcents)

    def proof_envelope(
        self,
        request: KernelInput,
        decision: KernelDecision,
        wal_sequence: int,
        wal_entry_hash: str,
    ) -> ProofEnvelope:
        """The complete envelope: the decision, its record's place, the ledger as it stands now.

        Raises `IncompleteProofError` for a decision that does not replay.
        """
        envelope = proof_envelope(self.policy, request, decision)
        envelope = envelope.with_wal(wal_sequence, wal_entry_hash)
        return envelope.with_ledger(self.ledger.prove_conservation()).require_complete()
