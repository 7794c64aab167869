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
    "errors": ("ProvenanceError", "ReceiptError", "SigningKeyError"),
    "receipts": (
        "DecisionReceipt",
        "ReceiptSignature",
        "ReceiptState",
        "ReceiptWal",
        "issue_receipt",
    ),
    "signed_policy": ("SignedPolicy", "sign_policy"),
    "signing": ("public_key_from_signing_key",),
}

if TYPE_CHECKING:
    from guard.audit.errors import ProvenanceError, ReceiptError, SigningKeyError
    from guard.audit.receipts import (
        DecisionReceipt,
        ReceiptSignature,
        ReceiptState,
        ReceiptWal,
        issue_receipt,
    )
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
    "DecisionReceipt",
    "ProvenanceError",
    "ReceiptError",
    "ReceiptSignature",
    "ReceiptState",
    "ReceiptWal",
    "SignedPolicy",
    "SigningKeyError",
    "issue_receipt",
    "public_key_from_signing_key",
    "sign_policy",
]
