"""For who was not there: the day explained, proofs that travel, logs that others can read.

Owns what joins `kernel` and `wal` after the fact or outside the daemon. Nothing here runs while an
order waits: `guard.engine` and `guard.server.pipeline` import none of it.

How it works: what embedding programs use (`LATER`) is loaded when it is first asked for, so that
who keeps a log does not load what signs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# Module -> the names that it gives to embedding programs.
LATER = {
    "audited_log": (
        "AsyncAuditedLog",
        "AuditedDecision",
        "AuditedEntry",
        "AuditedLog",
        "EVERY_BATCH",
        "MANUAL",
        "SyncPolicy",
        "every_records",
    ),
    "check": ("ProvenConsistency", "ProvenHead", "ProvenRecord", "check_proof"),
    "decision_engine": ("DecisionEngine",),
    "decision_log": ("DecisionMismatch",),
    "record_writer": ("MetadataError", "audited_record"),
    "errors": (
        "ProvenanceError",
        "ReceiptError",
        "SigningKeyError",
        "SnapshotFileError",
    ),
    "export": ("ExportError", "ExportedPart", "export_decisions"),
    "keyfiles": ("create_signing_key", "load_signing_key"),
    "ledger_files": (
        "RecoveryPlan",
        "checkpoint_with_wal",
        "entries_to_replay",
        "load_snapshot",
        "recovery_plan",
        "restore",
        "save_snapshot",
    ),
    "notes": (
        "NoteError",
        "NoteKeyError",
        "NoteSignatureError",
        "SigningKey",
        "VerifierKey",
        "generate_signing_key",
        "parse_signing_key",
        "parse_verifier_key",
    ),
    "prove": (
        "ForkedLogError",
        "NothingToProve",
        "Wanted",
        "prove_consistency",
        "prove_head",
        "prove_record",
    ),
    "receipts": (
        "DecisionReceipt",
        "ReceiptSignature",
        "ReceiptState",
        "ReceiptWal",
        "issue_receipt",
    ),
    "replay_audited": ("AuditReplay", "replay_audited_wal"),
    "signed_policy": ("SignedPolicy", "sign_policy"),
    "signing": ("public_key_from_signing_key",),
    "tlog": ("Checkpoint", "ProofFormatError"),
}

if TYPE_CHECKING:
    from guard.audit.audited_log import (
        EVERY_BATCH,
        MANUAL,
        AsyncAuditedLog,
        AuditedDecision,
        AuditedEntry,
        AuditedLog,
        SyncPolicy,
        every_records,
    )
    from guard.audit.check import ProvenConsistency, ProvenHead, ProvenRecord, check_proof
    from guard.audit.decision_engine import DecisionEngine
    from guard.audit.decision_log import DecisionMismatch
    from guard.audit.errors import (
        ProvenanceError,
        ReceiptError,
        SigningKeyError,
        SnapshotFileError,
    )
    from guard.audit.export import ExportedPart, ExportError, export_decisions
    from guard.audit.keyfiles import create_signing_key, load_signing_key
    from guard.audit.ledger_files import (
        RecoveryPlan,
        checkpoint_with_wal,
        entries_to_replay,
        load_snapshot,
        recovery_plan,
        restore,
        save_snapshot,
    )
    from guard.audit.notes import (
        NoteError,
        NoteKeyError,
        NoteSignatureError,
        SigningKey,
        VerifierKey,
        generate_signing_key,
        parse_signing_key,
        parse_verifier_key,
    )
    from guard.audit.prove import (
        ForkedLogError,
        NothingToProve,
        Wanted,
        prove_consistency,
        prove_head,
        prove_record,
    )
    from guard.audit.receipts import (
        DecisionReceipt,
        ReceiptSignature,
        ReceiptState,
        ReceiptWal,
        issue_receipt,
    )
    from guard.audit.record_writer import MetadataError, audited_record
    from guard.audit.replay_audited import AuditReplay, replay_audited_wal
    from guard.audit.signed_policy import SignedPolicy, sign_policy
    from guard.audit.signing import public_key_from_signing_key
    from guard.audit.tlog import Checkpoint, ProofFormatError
else:

    def __getattr__(name: str) -> object:
        """A name of `LATER`, whose module is loaded now."""
        for module, names in LATER.items():
            if name in names:
                value = getattr(import_module(f"guard.audit.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'guard.audit' has no attribute {name!r}")


__all__ = [
    "EVERY_BATCH",
    "MANUAL",
    "AsyncAuditedLog",
    "AuditReplay",
    "AuditedDecision",
    "AuditedEntry",
    "AuditedLog",
    "Checkpoint",
    "DecisionEngine",
    "DecisionMismatch",
    "DecisionReceipt",
    "ExportError",
    "ExportedPart",
    "ForkedLogError",
    "MetadataError",
    "NoteError",
    "NoteKeyError",
    "NoteSignatureError",
    "NothingToProve",
    "ProofFormatError",
    "ProvenConsistency",
    "ProvenHead",
    "ProvenRecord",
    "ProvenanceError",
    "ReceiptError",
    "ReceiptSignature",
    "ReceiptState",
    "ReceiptWal",
    "RecoveryPlan",
    "SignedPolicy",
    "SigningKey",
    "SigningKeyError",
    "SnapshotFileError",
    "SyncPolicy",
    "VerifierKey",
    "Wanted",
    "audited_record",
    "check_proof",
    "checkpoint_with_wal",
    "create_signing_key",
    "entries_to_replay",
    "every_records",
    "export_decisions",
    "generate_signing_key",
    "issue_receipt",
    "load_signing_key",
    "load_snapshot",
    "parse_signing_key",
    "parse_verifier_key",
    "prove_consistency",
    "prove_head",
    "prove_record",
    "public_key_from_signing_key",
    "recovery_plan",
    "replay_audited_wal",
    "restore",
    "save_snapshot",
    "sign_policy",
]
