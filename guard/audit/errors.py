"""What the library's artifacts raise, beside the kernel's and the log's exceptions.

Owns: `SigningKeyError` (a key that is none), `ReceiptError` and `ProvenanceError` (a well-formed
artifact that does not hold), `SnapshotFileError` (the environment failed).
"""

from __future__ import annotations

from kernel import KernelInputError
from wal import WalError


class SigningKeyError(KernelInputError):
    """Bytes that are no Ed25519 key: a seed has 32, and a public key 32."""


class ReceiptError(KernelInputError):
    """A receipt that does not hold. `field`: the first that is not as it must be."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class ProvenanceError(KernelInputError):
    """A signed policy that does not hold. `field`: the first that is not as it must be."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class SnapshotFileError(WalError):
    """A snapshot file that the operating system would not read or write."""
