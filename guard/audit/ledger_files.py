"""Ledger snapshots in files, in the reference's form, and the way back from one and a log.

Owns: writing a snapshot so that a reader finds the old one or the new one, whole and durable;
binding one to a position in a log; and the plan of a recovery: which snapshot, which verified head,
and the records that must still be counted.

How it works: written beside its old self, fsync'd, renamed over it, directory fsync'd. The form has
no holds: with one open, nothing is written. (The guard's own checkpoints keep holds too; these
files are for programs that embed the library, and for exchange with the reference.)

Fails: `OpenHoldsError`, `SnapshotError` for what is no snapshot, `SnapshotFileError` for what the
operating system refuses, the `WalError` family for the log. The old file is then as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guard.audit.errors import SnapshotFileError
from guard.record.codec import DIALECT
from kernel import (
    BudgetEngine,
    BudgetSnapshot,
    OpenHoldsError,
    SnapshotError,
    decode_snapshot,
    encode_snapshot,
    restore_ledger,
)
from kernel.layout import U64
from kernel.ledger_snapshot import recovery_aware
from kernel.strict_json import check_integer
from wal import (
    EMPTY_HEAD,
    PRIVATE_FILE_MODE,
    Anchor,
    ChainHasher,
    Head,
    LocatedEntry,
    publish_file,
    read_entries,
    read_regular,
)

# A million tenants, each with the longest numbers and a short id.
SNAPSHOT_BYTES_MAX: Final = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RecoveryPlan:
    """What a recovery has to do, read from a snapshot and a log that were both verified.

    `head`: the log's last record. `total_entry_count`: the log's records; `entries_to_replay`: how
    many of them stand behind `wal_high_watermark` (0 where the snapshot names no position).
    """

    snapshot: BudgetSnapshot
    head: Head
    total_entry_count: int
    entries_to_replay: int
    wal_high_watermark: int


def save_snapshot(path: Path, snapshot: BudgetSnapshot) -> None:
    """Replace the snapshot at `path`, durably and in one step.

    Raises `OpenHoldsError`, `SnapshotFileError`.
    """
    data = encode_snapshot(snapshot).encode()
    try:
        publish_file(path, data, mode=PRIVATE_FILE_MODE)
    except OSError as error:
        raise SnapshotFileError(f"cannot write the snapshot {path}: {error}") from error


def load_snapshot(path: Path) -> BudgetSnapshot:
    """The snapshot in a file of ours or of the reference, legacy or recovery-aware.

    Raises `SnapshotError`, `SnapshotFileError`.
    """
    try:
        data = read_regular(path, SNAPSHOT_BYTES_MAX, follows_links=True)
    except OSError as error:
        raise SnapshotFileError(f"cannot read the snapshot {path}: {error}") from error
    if len(data) > SNAPSHOT_BYTES_MAX:
        raise SnapshotError(f"{path} is longer than {SNAPSHOT_BYTES_MAX} bytes")
    return decode_snapshot(data)


def checkpoint_with_wal(
    path: Path, ledger: BudgetEngine, wal_sequence: int, *, is_recovery_aware: bool = False
) -> BudgetSnapshot:
    """Save the ledger as it stands after the log's record `wal_sequence`, which must be durable.

    `is_recovery_aware`: with the next reservation id in the version, as the reference's `restore`
    reads it; else the published form, which the reference migrates. Returns what was saved. Raises
    `OpenHoldsError` (no snapshot is counted then), `SnapshotError`, `SnapshotFileError`.
    """
    check_integer("wal_sequence", wal_sequence, U64, SnapshotError)
    if ledger.active_reservations:
        raise OpenHoldsError(
            f"{ledger.active_reservations} holds are open; commit or release them first",
            ledger.active_reservations,
        )
    taken = ledger.snapshot()
    snapshot = BudgetSnapshot(taken.version, 0, wal_sequence, taken.tenants)
    if is_recovery_aware:
        snapshot = recovery_aware(snapshot, ledger.next_reservation_id)
    save_snapshot(path, snapshot)
    return snapshot


def restore(path: Path, next_reservation_id: int | None = None) -> BudgetEngine:
    """The ledger of a snapshot file. `next_reservation_id`: see `kernel.restore_ledger`.

    Caps are not in the file: `EngineConfig.ensure_tenants` sets them again. Raises `SnapshotError`,
    `OpenHoldsError`, `SnapshotFileError`.
    """
    return restore_ledger(load_snapshot(path), next_reservation_id)


def recovery_plan(
    snapshot_path: Path,
    log_path: Path,
    key: bytes | None = None,
    anchor: Anchor | None = None,
) -> RecoveryPlan:
    """Verify the whole log (a directory or one file) and say what a snapshot lacks of it.

    Raises `SnapshotError` where the snapshot has open holds or stands for a record that the log
    does not have; `SnapshotFileError`; the `WalError` family, also for a log behind its anchor.
    """
    snapshot = load_snapshot(snapshot_path)
    if snapshot.active_reservations:
        raise OpenHoldsError(
            f"{snapshot_path} has {snapshot.active_reservations} open holds: no ledger can be"
            " restored from it",
            snapshot.active_reservations,
        )
    head, count = EMPTY_HEAD, 0
    for entry in read_entries(log_path, ChainHasher(key), DIALECT, anchor=anchor):
        head, count = entry.head, count + 1
    watermark = snapshot.wal_high_watermark or 0
    if watermark > head.sequence:
        raise SnapshotError(
            f"wal_high_watermark is {watermark}; must be at most {head.sequence}, the log's last"
        )
    return RecoveryPlan(snapshot, head, count, count - watermark, watermark)


def entries_to_replay(
    plan: RecoveryPlan, log_path: Path, key: bytes | None = None
) -> Iterator[LocatedEntry]:
    """The planned records, verified from the log's beginning on; exactly up to the planned head.

    Raises the `WalError` family, and `SnapshotError` where the log is no longer the planned one.
    """
    head = EMPTY_HEAD
    for entry in read_entries(log_path, ChainHasher(key), DIALECT):
        head = entry.head
        if entry.sequence > plan.wal_high_watermark:
            yield entry
        if entry.sequence == plan.head.sequence:
            break
    if head != plan.head:
        raise SnapshotError(f"the log's record {head.sequence} is not the planned head")
