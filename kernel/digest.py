# cython: annotation_typing=False
"""The digests of the format: SHA-256 over a 9-byte tag and the canonical bytes.

Owns: the tags, and what each digest covers. A digest is 32 raw bytes; `.hex()` is its text.

Must not: lay out fields (rows come from `kernel.layout`) or compare digests for authenticity.

Fails: a row of the wrong length is a `KernelInputError`.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING

from kernel import little_endian as le
from kernel import sha256 as hashing
from kernel.errors import KernelInputError
from kernel.layout import DECISION_ROW_BYTES, INPUT_ROW_BYTES
from kernel.little_endian import Buffer, Row

if TYPE_CHECKING:
    from kernel.finance import BudgetSnapshot
    from kernel.policy import PolicySnapshot
    from kernel.records import KernelDecision, KernelInput

POLICY_TAG = b"calypol1\0"
INPUT_TAG = b"calyinp1\0"
DECISION_TAG = b"calydcn1\0"
LEDGER_TAG = b"calyldg1\0"
WATERMARK_TAG = b"calybris.ledger.wal-watermark.v1\0"

_LEDGER_HEAD = struct.Struct("<QQQ")
_TENANT_BALANCES = struct.Struct("<qqqq")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


def input_digest_of_row(row: bytes) -> bytes:
    """The digest of an input's canonical row (70 bytes)."""
    if len(row) != INPUT_ROW_BYTES:
        raise KernelInputError(f"input row is {len(row)} bytes; must be {INPUT_ROW_BYTES}")
    digest = [0] * 32  # compiled: an array on the stack
    input_digest_into(row, digest)
    return le.bytes_of(digest, 32)


def decision_digest_of_row(row: bytes) -> bytes:
    """The digest of a decision's canonical row (65 bytes, without the counts behind it)."""
    if len(row) != DECISION_ROW_BYTES:
        raise KernelInputError(f"decision row is {len(row)} bytes; must be {DECISION_ROW_BYTES}")
    digest = [0] * 32
    decision_digest_into(row, digest)
    return le.bytes_of(digest, 32)


def input_digest_into(row70: Row, out32: Buffer) -> int:
    """Put the digest of an input's canonical row into `out32`, which has room for 32 bytes."""
    return hashing.sha256_tagged_into(INPUT_TAG, 9, row70, 70, out32)


def decision_digest_into(row65: Row, out32: Buffer) -> int:
    """The same of a decision's canonical row."""
    return hashing.sha256_tagged_into(DECISION_TAG, 9, row65, 65, out32)


def input_digest(request: KernelInput) -> bytes:
    """The digest of an input."""
    return input_digest_of_row(request.row)


def decision_digest(decision: KernelDecision) -> bytes:
    """The digest of a decision."""
    return decision_digest_of_row(decision.row)


def policy_digest(policy: PolicySnapshot) -> bytes:
    """The digest of a policy: its own fields, then its models in ascending `model_id`."""
    return policy.digest


def policy_digest_of_rows(policy_row: bytes, model_rows: list[tuple[int, bytes]]) -> bytes:
    """The same from rows: the policy's, and (model id, row) of each model in any order."""
    ordered = sorted(model_rows, key=lambda model: model[0])
    return sha256(POLICY_TAG + policy_row + b"".join(row for _, row in ordered)).digest()


def ledger_digest(snapshot: BudgetSnapshot) -> bytes:
    """The digest of a ledger snapshot, tenants in ascending byte order of their UTF-8 ids."""
    parts = [
        LEDGER_TAG,
        _LEDGER_HEAD.pack(snapshot.version, len(snapshot.tenants), snapshot.active_reservations),
    ]
    encoded = sorted((tenant.tenant_id.encode(), tenant) for tenant in snapshot.tenants)
    for tenant_id, tenant in encoded:
        parts.append(_U32.pack(len(tenant_id)))
        parts.append(tenant_id)
        parts.append(
            _TENANT_BALANCES.pack(
                tenant.initial_microcents,
                tenant.remaining_microcents,
                tenant.reserved_microcents,
                tenant.committed_microcents,
            )
        )
    if snapshot.wal_high_watermark is not None:
        parts.append(WATERMARK_TAG)
        parts.append(_U64.pack(snapshot.wal_high_watermark))
    return sha256(b"".join(parts)).digest()
