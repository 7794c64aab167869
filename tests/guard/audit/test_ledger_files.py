"""Snapshots in files: durable, whole, read by both sides; the recovery from one and a log."""

import os
from pathlib import Path

import calybris._core as wheel
import pytest

from guard.audit.audited_log import AuditedLog
from guard.audit.errors import SnapshotFileError
from guard.audit.ledger_files import (
    checkpoint_with_wal,
    entries_to_replay,
    load_snapshot,
    recovery_plan,
    restore,
    save_snapshot,
)
from guard_day_support import trading_day
from guard_support import write_log
from kernel import BudgetEngine, EngineConfig, OpenHoldsError, Reserved, SnapshotError
from library_support import edited, policy_of, request_of
from wal import Anchor, WalDamage, WalError, WalKeyMismatch

KEY = b"k" * 32
CONFIG = EngineConfig().with_tenant("a", 100, 60).with_tenant("é", 7)


def ledger() -> BudgetEngine:
    opened = CONFIG.open_ledger()
    _, hold = opened.try_reserve("a", 40)
    assert hold is not None
    opened.commit(hold, 30)
    return opened


def log_of(directory: Path, count: int) -> Anchor:
    policy = policy_of()
    with AuditedLog.open(directory, KEY) as log:
        for sequence in range(log.durable_head.sequence + 1, count + 1):
            request = request_of(sequence)
            log.append_verified_audited(policy, request, policy.prescribe(request))
        log.sync()
        return log.anchor()


def test_both_read_what_the_other_wrote(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    opened = ledger()
    saved = checkpoint_with_wal(ours, opened, 12)
    assert (saved.wal_high_watermark, saved.version) == (12, 1)
    assert load_snapshot(ours) == saved
    next_id = opened.next_reservation_id
    wheel.BudgetEngine.migrate_legacy_snapshot_file(ours, theirs, next_id)
    engine = wheel.BudgetEngine()
    assert engine.restore(theirs)["wal_high_watermark"] == 12
    assert engine.remaining_microcents("a") == 70

    assert restore(theirs).next_reservation_id == next_id
    engine.checkpoint_with_wal(tmp_path / "again", 13)
    assert load_snapshot(tmp_path / "again").wal_high_watermark == 13
    assert restore(tmp_path / "again").remaining_microcents("a") == 70


def test_a_recovery_aware_file_is_restored_there_as_it_is(tmp_path: Path) -> None:
    opened = ledger()
    checkpoint_with_wal(tmp_path / "s", opened, 12, is_recovery_aware=True)
    engine = wheel.BudgetEngine()
    engine.restore(tmp_path / "s")
    assert engine.try_reserve("a", 1)["reservation_id"] >= opened.next_reservation_id
    again = restore(tmp_path / "s")
    CONFIG.ensure_tenants(again)
    assert again.try_reserve("a", 60) == (Reserved(10), opened.next_reservation_id)
    checkpoint_with_wal(tmp_path / "s", ledger(), 12)
    with pytest.raises(SnapshotError, match="next_reservation_id is None; this snapshot does not"):
        restore(tmp_path / "s")


def test_nothing_is_written_while_a_hold_is_open(tmp_path: Path) -> None:
    opened = ledger()
    before = checkpoint_with_wal(tmp_path / "s", opened, 1)
    _, hold = opened.try_reserve("a", 1)
    assert hold is not None
    with pytest.raises(OpenHoldsError, match="1 holds are open; commit or release them first"):
        checkpoint_with_wal(tmp_path / "s", opened, 2)
    with pytest.raises(OpenHoldsError):
        save_snapshot(tmp_path / "s", opened.snapshot())
    assert load_snapshot(tmp_path / "s") == before
    opened.release(hold)
    with pytest.raises(SnapshotError, match="wal_sequence is -1"):
        checkpoint_with_wal(tmp_path / "s", opened, -1)
    checkpoint_with_wal(tmp_path / "s", opened, 2)
    assert os.listdir(tmp_path) == ["s"]
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = ledger().snapshot()
    save_snapshot(tmp_path / "s", snapshot)

    def fail(descriptor: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SnapshotFileError, match=r"cannot write the snapshot .*no space left"):
        save_snapshot(tmp_path / "s", ledger().snapshot())
    monkeypatch.undo()
    assert load_snapshot(tmp_path / "s") == snapshot
    with pytest.raises(SnapshotFileError, match="cannot read the snapshot"):
        load_snapshot(tmp_path / "none")
    with pytest.raises(SnapshotFileError, match="cannot write the snapshot"):
        save_snapshot(tmp_path / "none" / "s", snapshot)
    assert issubclass(SnapshotFileError, WalError)


def test_a_plan_says_what_the_snapshot_lacks(tmp_path: Path) -> None:
    log_of(tmp_path / "log", 3)
    opened = ledger()
    checkpoint_with_wal(tmp_path / "s", opened, 3, is_recovery_aware=True)
    anchor = log_of(tmp_path / "log", 5)
    plan = recovery_plan(tmp_path / "s", tmp_path / "log", KEY, anchor)
    assert (plan.total_entry_count, plan.entries_to_replay, plan.wal_high_watermark) == (5, 2, 3)
    assert plan.head == anchor.head
    path = tmp_path / "log" / "00000001.jsonl"
    (tmp_path / "anchor").write_text(
        f'{{"schema_version":"calybris.wal-anchor.v1","sequence":5,'
        f'"last_hash":"{anchor.last_hash}","keyed":true}}'
    )
    theirs = wheel.plan_recovery(
        tmp_path / "s", path, hmac_key=KEY, anchor=wheel.WalAnchor.load(tmp_path / "anchor")
    )
    assert theirs["total_wal_entries"] == plan.total_entry_count
    assert theirs["entries_to_replay"] == plan.entries_to_replay
    assert theirs["wal_high_watermark"] == plan.wal_high_watermark
    entries = list(entries_to_replay(plan, tmp_path / "log", KEY))
    assert [entry.sequence for entry in entries] == [4, 5]
    log_of(tmp_path / "log", 6)  # what comes behind the plan is not part of it
    assert len(list(entries_to_replay(plan, tmp_path / "log", KEY))) == 2
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:4]))
    with pytest.raises(SnapshotError, match="record 4 is not the planned head"):
        list(entries_to_replay(plan, tmp_path / "log", KEY))

    save_snapshot(tmp_path / "s", opened.snapshot())
    plan = recovery_plan(tmp_path / "s", path, KEY)
    assert (plan.entries_to_replay, plan.wal_high_watermark) == (4, 0)


def test_the_guards_own_ledger_goes_there_once_no_hold_is_open(tmp_path: Path) -> None:
    day = trading_day()
    head = write_log(tmp_path / "log", day.records, KEY)
    guards = day.state.ledger
    assert guards.active_reservations > 0
    with pytest.raises(OpenHoldsError, match="holds are open"):
        checkpoint_with_wal(tmp_path / "s", guards, head.sequence)
    for reservation_id in range(1, guards.next_reservation_id):
        guards.release(reservation_id)
    saved = checkpoint_with_wal(tmp_path / "s", guards, head.sequence)
    migrated = wheel.BudgetEngine.migrate_legacy_snapshot_file(
        tmp_path / "s", tmp_path / "d", guards.next_reservation_id
    )
    assert migrated["tenants"] == saved.as_dict()["tenants"]
    plan = recovery_plan(tmp_path / "s", tmp_path / "log", KEY)
    assert (plan.head, plan.entries_to_replay) == (head, 0)


def test_a_plan_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    anchor = log_of(tmp_path / "log", 3)
    snapshot, path = tmp_path / "s", tmp_path / "log" / "00000001.jsonl"
    checkpoint_with_wal(snapshot, ledger(), 4)
    with pytest.raises(SnapshotError, match="wal_high_watermark is 4; must be at most 3"):
        recovery_plan(snapshot, tmp_path / "log", KEY)
    checkpoint_with_wal(snapshot, ledger(), 2)
    with pytest.raises(WalKeyMismatch):
        recovery_plan(snapshot, tmp_path / "log", b"x" * 32)
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    recovery_plan(snapshot, path, KEY)
    with pytest.raises(WalDamage, match="ends before its anchor"):
        recovery_plan(snapshot, path, KEY, anchor)
    path.write_bytes(whole[:-5])
    with pytest.raises(WalDamage, match="record 3"):
        recovery_plan(snapshot, path, KEY)
    path.write_bytes(whole)
    text = snapshot.read_text()
    snapshot.write_text(edited(text, active_reservations=1))
    with pytest.raises(OpenHoldsError, match="1 open holds"):
        recovery_plan(snapshot, path, KEY)
    snapshot.write_text(text[:-2])
    with pytest.raises(SnapshotError, match="ledger snapshot is no JSON"):
        recovery_plan(snapshot, path, KEY)
