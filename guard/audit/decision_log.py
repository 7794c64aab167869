"""Replay of a log of decision records alone: the reference's own logs, and our exports.

Owns: the proof that every record of such a log follows its chain, is what the policy gives for the
input in it, and carries the right digests. Such a log has one policy, which is not in it.

How it works: the reader verifies the chain in runs; `decision_rows` checks a run's records at a
stretch where it is compiled, and `decision_record` one by one what that leaves. With several jobs
stretches of the log are shared out (`wal.fold_runs`); the verdict is the same.

How it fails: `WalDamage` and `WalKeyMismatch` from the reader; `DecisionMismatch` for the first
record that the policy does not give, naming segment, offset, sequence and field.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from guard import GUARD_FORM
from guard.audit.decision_record import RecordError, examine_record
from guard.audit.decision_rows import DecisionRows
from guard.record.codec import DIALECT
from guard.replay.replay import ReplayMismatch
from kernel import PolicySnapshot, Reason
from wal import EMPTY_HEAD, Anchor, ChainHasher, Head, Run, fold_runs

_CREATED_BY: Final = "calybris"


class DecisionMismatch(ReplayMismatch):
    """A record that chains well, and that the policy does not give. `field`: where it shows."""

    def __init__(self, segment: str, offset: int, sequence: int, error: RecordError) -> None:
        super().__init__(segment, offset, sequence, str(error))
        self.field = error.field


@dataclass(frozen=True, slots=True)
class DecisionLogReport:
    """What was replayed: the head, how many records, and how many had which reason."""

    head: Head = EMPTY_HEAD
    record_count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class _Part(NamedTuple):
    head: Head | None
    record_count: int
    reason_counts: Counter[int]


def replay_decision_log(
    source: Path,
    hasher: ChainHasher,
    policy: PolicySnapshot,
    *,
    anchor: Anchor | None = None,
    jobs: int = 1,
    on_bytes: Callable[[int], None] | None = None,
) -> DecisionLogReport:
    """Replays every record of `source` (a file or a directory) under `policy`.

    `anchor`: the log must hold it. `jobs`: how many processes may share the work. `on_bytes` is
    told now and then how many more bytes of the log are done. Raises WalDamage, WalKeyMismatch,
    DecisionMismatch. An empty log gives a report of no records.
    """

    def fold(runs: Iterator[Run]) -> _Part:
        return _replay_runs(runs, policy)

    head, record_count = EMPTY_HEAD, 0
    reasons: Counter[str] = Counter()
    for part in fold_runs(
        source, hasher, DIALECT, fold, anchor=anchor, jobs=jobs, on_bytes=on_bytes
    ):
        head = part.head or head
        record_count += part.record_count
        for number, count in part.reason_counts.items():
            reasons[Reason(number).snake] += count
    return DecisionLogReport(head, record_count, reasons)


def _replay_runs(runs: Iterator[Run], policy: PolicySnapshot) -> _Part:
    rows = DecisionRows(
        policy.decide_rows,
        policy.digest.hex(),
        policy.policy_epoch,
        policy.catalog_epoch,
        _CREATED_BY,
    )
    counts: Counter[int] = Counter()
    head, record_count = None, 0
    for run in runs:
        index = run.first
        while index < run.count:
            if GUARD_FORM == "compiled":
                count = rows.check(run.block, run.spans, index, run.count)
                index += count
                if count > 0:
                    continue
            counts[_examine(run, run.head.sequence + 1 + index - run.first, policy)] += 1
            index += 1
        head = run.last
        record_count += run.record_count
    for number, count in enumerate(rows.reason_counts):
        counts[number] += count
    return _Part(head, record_count, +counts)


def _examine(run: Run, sequence: int, policy: PolicySnapshot) -> int:
    try:
        return examine_record(run.data_of(sequence), policy)
    except RecordError as error:
        offset = run.since(sequence).offset
        raise DecisionMismatch(run.segment, offset, sequence, error) from error
