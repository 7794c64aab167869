"""The kernel: decides and counts.

Pure and domain-neutral: no I/O, clock, randomness, logging or async; integers only; the standard
library only. `SEMANTICS.md` beside this file says what a decision and a ledger operation mean.

How it works: `COMPILED_MODULES` exist in two forms, the source as it stands and the same source
compiled. The compiled form is taken where all of them were built (they call each other without
Python between them); PRETRADE_GUARD_PURE=1, the one thing that the kernel reads from outside,
forces the source. `KERNEL_FORM` says which is running. `choose_form` does the same for the compiled
modules of `guard`. What only embedding programs use (`LATER`) is loaded when it is first asked for.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from types import ModuleType
from typing import TYPE_CHECKING

COMPILED_MODULES = (
    "sha256",
    "prescribe",
    "digest",
    "records",
    "policy",
    "ledger_lines",
    "holds",
    "ledger",
)


def choose_form(package: str, modules: tuple[str, ...], base_form: str = "compiled") -> str:
    """Called by a package before it imports any of these modules: "compiled" or "interpreted".

    `base_form`: that of the modules that these are built upon.
    """
    is_forced = os.environ.get("PRETRADE_GUARD_PURE") == "1" or base_form != "compiled"
    if not is_forced and _all_compiled(package, modules):
        return "compiled"
    sys.meta_path.insert(0, _Sources(package, modules))
    return "interpreted"


def _all_compiled(package: str, modules: tuple[str, ...]) -> bool:
    """Whether every one of them was built."""
    specs = [find_spec(f"{package}.{module}") for module in modules]
    return all(spec is not None and not str(spec.origin).endswith(".py") for spec in specs)


class _Sources:
    """Finds the source of modules whose compiled form must not run, when one is imported."""

    def __init__(self, package: str, modules: tuple[str, ...]) -> None:
        directory = os.path.dirname(str(sys.modules[package].__file__))
        self._paths = {
            f"{package}.{module}": os.path.join(directory, *module.split(".")) + ".py"
            for module in modules
        }

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Asked by the import system for every module that is imported."""
        path = self._paths.get(name)
        if path is None:
            return None
        if not os.path.exists(path):
            raise ImportError(f"no source for {name} at {path}")
        return spec_from_file_location(name, path, loader=SourceFileLoader(name, path))


KERNEL_FORM = choose_form(__name__, COMPILED_MODULES)

from kernel.digest import (  # noqa: E402
    decision_digest,
    decision_digest_of_row,
    input_digest,
    input_digest_of_row,
    ledger_digest,
    policy_digest,
)
from kernel.errors import (  # noqa: E402
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
from kernel.explain import ModelExplanation  # noqa: E402
from kernel.finance import (  # noqa: E402
    BudgetSnapshot,
    ConservationProof,
    FinancialCertificate,
    TenantLedger,
    certify_ledger,
    prove_conservation,
)
from kernel.layout import (  # noqa: E402
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
from kernel.ledger import BudgetEngine  # noqa: E402
from kernel.ledger_results import (  # noqa: E402
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
from kernel.ledger_state import LedgerState, OpenHold  # noqa: E402
from kernel.policy import PolicySnapshot, trace_of_output_row  # noqa: E402
from kernel.reasons import (  # noqa: E402
    GATE_REASONS,
    GATES,
    REJECTION_PRECEDENCE,
    TRACE_GATES,
    Action,
    Reason,
    action_of,
    reason_of,
)
from kernel.records import (  # noqa: E402
    KernelDecision,
    KernelInput,
    KernelModel,
    decision_of_output_row,
)
from kernel.verify import (  # noqa: E402
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
    "COMPILED_MODULES",
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
    "choose_form",
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
