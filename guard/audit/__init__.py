"""For who was not there: the day explained, proofs that travel, logs that others can read.

Owns what joins `kernel` and `wal` after the fact or outside the daemon. Nothing here runs while an
order waits: `guard.engine` and `guard.pipeline` import none of it.

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
    "decision_engine": ("DecisionEngine",),
    "decision_log": ("DecisionMismatch",),
    "record_writer": ("MetadataError", "audited_record"),
    "errors": (
        "ProvenanceError",
        "ReceiptError",
        "SigningKeyError",
        "SnapshotFileError",
    ),
    "ledger_files": (
        "RecoveryPlan",
        "checkpoint_with_wal",
        "entries_to_replay",
        "load_snapshot",
        "recovery_plan",
        "restore",
        "save_snapshot",
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
    from guard.audit.decision_engine import DecisionEngine
    from guard.audit.decision_log import DecisionMismatch
    from guard.audit.errors import (
        ProvenanceError,
        ReceiptError,
        SigningKeyError,
        SnapshotFileError,
    )
    from guard.audit.ledger_files import (
        RecoveryPlan,
        checkpoint_with_wal,
        entries_to_replay,
        load_snapshot,
        recovery_plan,
        restore,
        save_snapshot,
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
    "DecisionEngine",
    "DecisionMismatch",
    "DecisionReceipt",
    "MetadataError",
    "ProvenanceError",
    "ReceiptError",
    "ReceiptSignature",
    "ReceiptState",
    "ReceiptWal",
    "RecoveryPlan",
    "SignedPolicy",
    "SigningKeyError",
    "SnapshotFileError",
    "SyncPolicy",
    "audited_record",
    "checkpoint_with_wal",
    "entries_to_replay",
    "every_records",
    "issue_receipt",
    "load_snapshot",
    "public_key_from_signing_key",
    "recovery_plan",
    "replay_audited_wal",
    "restore",
    "save_snapshot",
    "sign_policy",
]
