"""The kernel: decides and counts.

Pure and domain-neutral: no I/O, clock, randomness, logging or async; integers only; the standard
library only. `SEMANTICS.md` beside this file says what a decision and a ledger operation mean.

How it works: some modules exist in two forms, the source as it stands and the same source compiled;
`forms`, the one thing imported from outside, chooses, and `KERNEL_FORM` says which is running. What
only embedding programs use (`LATER`) is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from forms import FORM as KERNEL_FORM
from kernel.digest import (
    decision_digest,
    decision_digest_of_row,
    input_digest,
    input_digest_of_row,
    ledger_digest,
    policy_digest,
)
from kernel.errors import (
    ArtifactError,
    DigestCharacterError,
    DigestError,
    DigestLengthError,
    IncompleteProofError,
    InvariantError,
    KernelInputError,
    OpenHoldsError,
    PolicyError,
    ProofMismatchError,
    ReplayMismatchError,
    SnapshotError,
    StateTrajectoryError,
)
from kernel.explain import ModelExplanation
from kernel.finance import (
    BudgetSnapshot,
    ConservationProof,
    FinancialCertificate,
    TenantLedger,
    certify_ledger,
    prove_conservation,
)
from kernel.layout import (
    ALL_PROVIDERS,
    ANY_REGION,
    DECISION,
    DECISION_ROW_BYTES,
    INPUT,
    INPUT_ROW_BYTES,
    MODEL,
    NO_LATENCY_LIMIT,
    NO_MODEL_ID,
    NO_MODEL_INDEX,
    OUTPUT_ROW_BYTES,
    POLICY,
    TRACE,
)
from kernel.ledger import BudgetEngine
from kernel.ledger_results import (
    Balanced,
    Charged,
    ChargeResult,
    CommitOverflow,
    CommitResult,
    Committed,
    ConservationResult,
    ExposureLimitExceeded,
    HoldExceeded,
    Insufficient,
    InvalidAmount,
    LedgerResult,
    Lowered,
    LowerResult,
    MissingReservation,
    MissingTenant,
    Overflow,
    Overrun,
    Released,
    ReleaseResult,
    Reserved,
    ReserveOverflow,
    ReserveResult,
    Settled,
    SettleResult,
    ToppedUp,
    TopUpOverflow,
    TopUpResult,
    Violation,
)
from kernel.ledger_state import LedgerState, OpenHold
from kernel.policy import PolicySnapshot, trace_of_output_row
from kernel.reasons import (
    GATE_REASONS,
    GATES,
    REJECTION_PRECEDENCE,
    TRACE_GATES,
    Action,
    Reason,
    action_of,
    reason_of,
)
from kernel.records import (
    KernelDecision,
    KernelInput,
    KernelModel,
    decision_of_output_row,
)
from kernel.verify import (
    FieldMismatch,
    Verification,
    audit_bundle,
    verified_audit_bundle,
    verify_decision,
)

# Module -> what only embedding programs use of it.
LATER = {
    "builders": ("ALL_REGIONS", "KernelInputBuilder", "KernelModelBuilder", "PolicyBuilder"),
    "certificate": ("DecisionCertificate", "issue_certificate"),
    "digest_text": ("decode_digest", "encode_digest"),
    "engine_config": ("EngineConfig", "TenantConfig"),
    "envelope": ("ProofEnvelope", "proof_envelope"),
    "ledger_snapshot": ("decode_snapshot", "encode_snapshot", "restore_ledger"),
    "state_chain": (
        "StateChain",
        "StatefulAuditBundle",
        "StateTransition",
        "state_digest",
        "stateful_audit_bundle",
        "verify_complete_state_trajectory",
        "verify_state_trajectory",
        "verify_state_trajectory_fragment",
    ),
}

if TYPE_CHECKING:
    from kernel.builders import ALL_REGIONS, KernelInputBuilder, KernelModelBuilder, PolicyBuilder
    from kernel.certificate import DecisionCertificate, issue_certificate
    from kernel.digest_text import decode_digest, encode_digest
    from kernel.engine_config import EngineConfig, TenantConfig
    from kernel.envelope import ProofEnvelope, proof_envelope
    from kernel.ledger_snapshot import decode_snapshot, encode_snapshot, restore_ledger
    from kernel.state_chain import (
        StateChain,
        StatefulAuditBundle,
        StateTransition,
        state_digest,
        stateful_audit_bundle,
        verify_complete_state_trajectory,
        verify_state_trajectory,
        verify_state_trajectory_fragment,
    )
else:

    def __getattr__(name: str) -> object:
        """A name of `LATER`, whose module is loaded now."""
        for module, names in LATER.items():
            if name in names:
                value = getattr(import_module(f"kernel.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'kernel' has no attribute {name!r}")


__all__ = [
    "ALL_PROVIDERS",
    "ALL_REGIONS",
    "ANY_REGION",
    "DECISION",
    "DECISION_ROW_BYTES",
    "GATES",
    "GATE_REASONS",
    "INPUT",
    "INPUT_ROW_BYTES",
    "KERNEL_FORM",
    "MODEL",
    "NO_LATENCY_LIMIT",
    "NO_MODEL_ID",
    "NO_MODEL_INDEX",
    "OUTPUT_ROW_BYTES",
    "POLICY",
    "REJECTION_PRECEDENCE",
    "TRACE",
    "TRACE_GATES",
    "Action",
    "ArtifactError",
    "Balanced",
    "BudgetEngine",
    "BudgetSnapshot",
    "ChargeResult",
    "Charged",
    "CommitOverflow",
    "CommitResult",
    "Committed",
    "ConservationProof",
    "ConservationResult",
    "DecisionCertificate",
    "DigestCharacterError",
    "DigestError",
    "DigestLengthError",
    "EngineConfig",
    "ExposureLimitExceeded",
    "FieldMismatch",
    "FinancialCertificate",
    "HoldExceeded",
    "IncompleteProofError",
    "Insufficient",
    "InvalidAmount",
    "InvariantError",
    "KernelDecision",
    "KernelInput",
    "KernelInputBuilder",
    "KernelInputError",
    "KernelModel",
    "KernelModelBuilder",
    "LedgerResult",
    "LedgerState",
    "LowerResult",
    "Lowered",
    "MissingReservation",
    "MissingTenant",
    "ModelExplanation",
    "OpenHold",
    "OpenHoldsError",
    "Overflow",
    "Overrun",
    "PolicyBuilder",
    "PolicyError",
    "PolicySnapshot",
    "ProofEnvelope",
    "ProofMismatchError",
    "Reason",
    "ReleaseResult",
    "Released",
    "ReplayMismatchError",
    "ReserveOverflow",
    "ReserveResult",
    "Reserved",
    "SettleResult",
    "Settled",
    "SnapshotError",
    "StateChain",
    "StateTrajectoryError",
    "StateTransition",
    "StatefulAuditBundle",
    "TenantConfig",
    "TenantLedger",
    "TopUpOverflow",
    "TopUpResult",
    "ToppedUp",
    "Verification",
    "Violation",
    "action_of",
    "audit_bundle",
    "certify_ledger",
    "decision_digest",
    "decision_digest_of_row",
    "decision_of_output_row",
    "decode_digest",
    "decode_snapshot",
    "encode_digest",
    "encode_snapshot",
    "input_digest",
    "input_digest_of_row",
    "issue_certificate",
    "ledger_digest",
    "policy_digest",
    "proof_envelope",
    "prove_conservation",
    "reason_of",
    "restore_ledger",
    "state_digest",
    "stateful_audit_bundle",
    "trace_of_output_row",
    "verified_audit_bundle",
    "verify_complete_state_trajectory",
    "verify_decision",
    "verify_state_trajectory",
    "verify_state_trajectory_fragment",
]
