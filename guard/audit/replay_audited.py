"""Replays a log of decision records, ours or the reference's, and believes nothing in it.

Owns: the public entry point of that replay. For each record: the chain holds, the record has the
published form, the policy it names is one that was given, its digests are those of its input and
its decision, and the policy gives that decision for that input.

Must not: write. Fails: `WalDamage` and its family from the chain; `RecordMismatchError`, which is
one too, for the first record that chains well and does not hold, naming the field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guard.audit.errors import RecordMismatchError
from guard.journal import DIALECT
from kernel import (
    ArtifactError,
    KernelDecision,
    KernelInput,
    KernelInputError,
    PolicySnapshot,
    audit_bundle,
    verify_decision,
)
from kernel.strict_json import check_fields, shown
from wal import EMPTY_HEAD, Anchor, ChainHasher, Head, LocatedEntry, read_entries

_RECORD: Final = ("audit", "input", "decision", "metadata")
# Crate 0.3.10 wrote these four alone.
_DIGESTS: Final = ("policy_digest_hex", "input_digest_hex", "decision_digest_hex", "replay_valid")


@dataclass(frozen=True, slots=True)
class AuditReplay:
    """What was replayed: the log's head, and how many records each policy (digest, hex) decided."""

    head: Head
    record_count: int
    record_count_by_policy: dict[str, int]


def replay_audited_wal(
    path: Path,
    policies: PolicySnapshot | Iterable[PolicySnapshot],
    key: bytes | None = None,
    anchor: Anchor | None = None,
) -> AuditReplay:
    """Replay every record of a log (a directory or one file) under the policies given.

    Raises `RecordMismatchError`, the `WalError` family, `WalKeyError`.
    """
    given = [policies] if isinstance(policies, PolicySnapshot) else list(policies)
    by_digest = {policy.digest.hex(): policy for policy in given}
    counts = dict.fromkeys(by_digest, 0)
    head, record_count = EMPTY_HEAD, 0
    for entry in read_entries(path, ChainHasher(key), DIALECT, anchor=anchor):
        try:
            digest_hex = _replay(entry.data, by_digest)
        except (KernelInputError, ValueError, RecursionError) as error:
            raise _mismatch(entry, str(error)) from error
        counts[digest_hex] += 1
        head, record_count = entry.head, record_count + 1
    return AuditReplay(head, record_count, counts)


def _replay(data: bytes, policies: dict[str, PolicySnapshot]) -> str:
    """Check one record; the digest of its policy. Raises `KernelInputError`, `ValueError`."""
    record = json.loads(data, object_pairs_hook=_object_of)
    fields = check_fields(record, "record", _RECORD, (), ArtifactError)
    for name, part in {"record": record, **fields}.items():
        if isinstance(part, _Repeated) and name != "metadata":
            raise ArtifactError(f"{name} has a name twice; must have each field once")
    audit = fields["audit"]
    digest_hex = audit.get("policy_digest_hex") if isinstance(audit, dict) else None
    policy = policies.get(digest_hex) if isinstance(digest_hex, str) else None
    if policy is None or not isinstance(digest_hex, str):
        raise ArtifactError(f"policy_digest_hex is {shown(digest_hex)}; no such policy was given")
    request = KernelInput.from_dict(fields["input"])
    decision = _decision_of(fields["decision"])
    verification = verify_decision(policy, request, decision)
    if not verification.is_valid:
        first = verification.mismatches[0]
        raise ArtifactError(f"{first.field} is {first.actual}; the policy gives {first.expected}")
    expected = audit_bundle(policy, request, decision)
    names = list(expected) if "schema_version" in audit else list(_DIGESTS)
    for name in check_fields(audit, "audit", names, (), ArtifactError):
        if type(audit[name]) is not type(expected[name]) or audit[name] != expected[name]:
            raise ArtifactError(f"{name} is {shown(audit[name])}; must be {expected[name]!r}")
    return digest_hex


def _decision_of(fields: Any) -> KernelDecision:
    """The decision of a record, whose enums stand there as words in CamelCase."""
    decision = KernelDecision.from_dict(fields)
    for name in ("action", "reason"):
        if decision.as_dict()[name] != fields[name]:
            raise ArtifactError(f"{name} is {shown(fields[name])}; must be a word in CamelCase")
    return decision


class _Repeated(dict[str, Any]):
    """An object with a name twice: refused where the format has fields, free in metadata."""


def _object_of(members: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(members)
    return fields if len(fields) == len(members) else _Repeated(fields)


def _mismatch(entry: LocatedEntry, reason: str) -> RecordMismatchError:
    return RecordMismatchError(entry.segment, entry.offset, entry.sequence, reason)
