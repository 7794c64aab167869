"""Replays a log of decision records, ours or the reference's, under one policy or several.

Owns: the library's entry point of that replay, and finding each record's policy where the log goes
over several (the reference's replay takes one). What a record must be, `decision_record` says.

Must not: write. Fails: `WalDamage` and its family from the chain; `DecisionMismatch`, which is one
too, for the first record that chains well and does not hold, naming the field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from guard.audit.decision_log import DecisionMismatch, replay_decision_log
from guard.audit.decision_record import RecordError, examine_record
from guard.record.codec import DIALECT
from kernel import KernelInputError, PolicySnapshot, Reason
from wal import EMPTY_HEAD, Anchor, ChainHasher, Head, read_entries


@dataclass(frozen=True, slots=True)
class AuditReplay:
    """What was replayed: the log's head, and how many records had which reason, which policy.

    `record_count_by_reason`: reasons in snake case. `record_count_by_policy`: digests in hex, every
    policy that was given.
    """

    head: Head
    record_count: int
    record_count_by_reason: dict[str, int]
    record_count_by_policy: dict[str, int]


class _Audit(msgspec.Struct):
    policy_digest_hex: str


class _Record(msgspec.Struct):
    audit: _Audit


_decode = msgspec.json.Decoder(_Record).decode


def replay_audited_wal(
    path: Path,
    policies: PolicySnapshot | Iterable[PolicySnapshot],
    key: bytes | None = None,
    *,
    anchor: Anchor | None = None,
    jobs: int = 1,
) -> AuditReplay:
    """Replay every record of a log (a directory or one file) under the policies given.

    `anchor`: the log must hold it. `jobs`: how many processes may share the work of a log under
    one policy. Raises `DecisionMismatch`, the `WalError` family, `WalKeyError`; `KernelInputError`
    where no policy is given.
    """
    given = [policies] if isinstance(policies, PolicySnapshot) else list(policies)
    if not given:
        raise KernelInputError("policies is empty; must have at least one policy")
    if len(given) > 1:
        return _replay_under_several(path, given, ChainHasher(key), anchor)
    report = replay_decision_log(path, ChainHasher(key), given[0], anchor=anchor, jobs=jobs)
    by_policy = {given[0].digest.hex(): report.record_count}
    return AuditReplay(report.head, report.record_count, dict(report.reasons), by_policy)


def _replay_under_several(
    path: Path, policies: list[PolicySnapshot], hasher: ChainHasher, anchor: Anchor | None
) -> AuditReplay:
    by_digest = {policy.digest.hex(): policy for policy in policies}
    by_policy, by_reason = dict.fromkeys(by_digest, 0), Counter[str]()
    head = EMPTY_HEAD
    for entry in read_entries(path, hasher, DIALECT, anchor=anchor):
        try:
            digest_hex, reason = _examine(entry.data, by_digest)
        except RecordError as error:
            raise DecisionMismatch(entry.segment, entry.offset, entry.sequence, error) from error
        by_policy[digest_hex] += 1
        by_reason[reason] += 1
        head = entry.head
    return AuditReplay(head, head.sequence, dict(by_reason), by_policy)


def _examine(data: bytes, policies: dict[str, PolicySnapshot]) -> tuple[str, str]:
    """The policy (digest, hex) and the reason of a right record. Raises `RecordError`."""
    try:
        digest_hex = _decode(data).audit.policy_digest_hex
    except (msgspec.DecodeError, RecursionError):
        digest_hex = next(iter(policies))  # under any policy its form is refused in words
    policy = policies.get(digest_hex)
    if policy is None:
        raise RecordError("policy_digest_hex", f"is {digest_hex}; no such policy was given")
    return digest_hex, Reason(examine_record(data, policy)).snake
