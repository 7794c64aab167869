"""Ledger snapshots in the reference's form, both ways and live against the wheel."""

import json
from pathlib import Path
from typing import Any

import calybris._core as wheel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import (
    BudgetEngine,
    BudgetSnapshot,
    EngineConfig,
    OpenHoldsError,
    Reserved,
    SnapshotError,
    TenantLedger,
    decode_snapshot,
    encode_snapshot,
    ledger_digest,
    restore_ledger,
)
from kernel.ledger_snapshot import RECOVERY_AWARE_BIT
from library_support import LIVE, TEXTS

I64_MAX = 2**63 - 1
PARTS = st.integers(0, 2**61)
TENANTS = st.dictionaries(TEXTS.filter(bool), st.tuples(PARTS, PARTS), max_size=5)


def snapshot_of(
    tenants: dict[str, tuple[int, int]], version: int = 3, watermark: int | None = None
) -> BudgetSnapshot:
    """Tenants by (remaining, committed)."""
    lines = (
        TenantLedger(tenant_id, remaining + spent, remaining, 0, spent)
        for tenant_id, (remaining, spent) in sorted(tenants.items())
    )
    return BudgetSnapshot(version, 0, watermark, tuple(lines))


@LIVE
@given(
    tenants=TENANTS,
    version=st.integers(0, I64_MAX),
    watermark=st.none() | st.integers(0, 2**64 - 1),
    next_id=st.integers(1, I64_MAX - 100),
)
def test_ours_migrates_there_and_theirs_is_read_here(
    tmp_path_factory: pytest.TempPathFactory,
    tenants: dict[str, tuple[int, int]],
    version: int,
    watermark: int | None,
    next_id: int,
) -> None:
    directory = tmp_path_factory.mktemp("snapshots")
    ours, theirs = directory / "ours.json", directory / "theirs.json"
    snapshot = snapshot_of(tenants, version, watermark)
    ours.write_text(encode_snapshot(snapshot))
    migrated = wheel.BudgetEngine.migrate_legacy_snapshot_file(ours, theirs, next_id)
    assert migrated == snapshot.as_dict() | {"version": RECOVERY_AWARE_BIT + next_id}

    text = theirs.read_text()
    read = decode_snapshot(text)
    assert read.as_dict() == migrated
    assert encode_snapshot(read) == text  # byte for byte what the wheel writes
    engine = wheel.BudgetEngine()
    engine.restore(theirs)
    restored = restore_ledger(read)
    assert restored.next_reservation_id == next_id
    assert list(restored.snapshot().tenants) == [
        TenantLedger(**tenant) for tenant in engine.snapshot()["tenants"]
    ]
    assert restored.certify_ledger().committed_since_last_certificate == 0
    assert engine.certify()["committed_since_last_certificate"] == 0


def test_a_restored_ledger_goes_on_where_it_was() -> None:
    ledger = EngineConfig().with_tenant("a", 100).with_tenant("b", 7).open_ledger()
    _, hold = ledger.try_reserve("a", 40)
    assert hold == 1
    ledger.commit(1, 30)
    snapshot = ledger.snapshot()
    again = restore_ledger(decode_snapshot(encode_snapshot(snapshot)), ledger.next_reservation_id)
    result, hold = again.try_reserve("a", 70)
    assert (result, hold) == (Reserved(0), 2)
    again.release(2)
    assert again.snapshot().version == snapshot.version + 1
    assert again.snapshot().tenants == snapshot.tenants
    same = BudgetSnapshot(snapshot.version, 0, None, again.snapshot().tenants)
    assert ledger_digest(same) == snapshot.digest


def test_open_holds_are_refused_on_both_ways() -> None:
    ledger = EngineConfig().with_tenant("a", 100).open_ledger()
    ledger.try_reserve("a", 40)
    ledger.try_reserve("a", 1)
    with pytest.raises(OpenHoldsError, match=r"2 holds are open; .* commit or release") as refused:
        encode_snapshot(ledger.snapshot())
    assert refused.value.active_reservations == 2
    text = json.dumps(ledger.snapshot().as_dict())
    assert decode_snapshot(text).active_reservations == 2  # to be looked at
    with pytest.raises(OpenHoldsError):
        restore_ledger(decode_snapshot(text), 3)


def test_the_next_id_must_be_known_and_fit() -> None:
    snapshot = snapshot_of({"a": (1, 1)})
    with pytest.raises(SnapshotError, match="next_reservation_id is None; this snapshot does not"):
        restore_ledger(snapshot)
    for bad in (0, -1, 2**63, True, "5"):
        with pytest.raises(SnapshotError, match=r"next_reservation_id is .*; must be"):
            restore_ledger(snapshot, bad)  # type: ignore[arg-type]
    aware = snapshot_of({"a": (1, 1)}, version=RECOVERY_AWARE_BIT + 5)
    with pytest.raises(SnapshotError, match="next_reservation_id is 4; must be from 5"):
        restore_ledger(aware, 4)
    assert restore_ledger(aware, 9).next_reservation_id == 9
    with pytest.raises(SnapshotError, match="next_reservation_id is 0; must be"):
        restore_ledger(snapshot_of({}, version=RECOVERY_AWARE_BIT))


def tenant(**fields: Any) -> dict[str, Any]:
    return {
        "tenant_id": "a",
        "initial_microcents": 10,
        "remaining_microcents": 10,
        "reserved_microcents": 0,
        "committed_microcents": 0,
    } | fields


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"tenants": [tenant(remaining_microcents=9)]}, "'a' is out of balance by -1 microcents"),
        ({"tenants": [tenant(remaining_microcents=-1)]}, "remaining_microcents of tenant 'a' is -"),
        ({"tenants": [tenant(committed_microcents=-1)]}, "committed_microcents of tenant 'a' is"),
        ({"tenants": [tenant(initial_microcents=2**63)]}, "initial_microcents of tenant 'a' is 9"),
        ({"tenants": [tenant(reserved_microcents=True)]}, "reserved_microcents of .* is True"),
        ({"tenants": [tenant(), tenant()]}, "tenant 'a' stands there twice"),
        ({"tenants": [tenant(more=1)]}, "tenant has the field 'more'"),
        ({"tenants": [5]}, "tenant is 5; must be a JSON object"),
        ({"tenants": {}}, r"tenants is \{\}; must be a list"),
        (
            {"tenants": [tenant(remaining_microcents=9, reserved_microcents=1)]},
            "active_reservations is 0; must be 1 or more",
        ),
        ({"active_reservations": -1}, "active_reservations is -1"),
        ({"version": "1"}, "version is '1'"),
        ({"version": 2**64}, "version is 18446744073709551616"),
        ({"wal_high_watermark": -1}, "wal_high_watermark is -1"),
        ({"more": 1}, "ledger snapshot has the field 'more'"),
        ({"tenants": ...}, "ledger snapshot has no tenants"),
    ],
)
def test_a_bad_snapshot_is_refused_by_name(
    tmp_path: Path, members: dict[str, Any], message: str
) -> None:
    form = {"version": 3, "tenants": [tenant()], "active_reservations": 0} | members
    text = json.dumps({name: value for name, value in form.items() if value is not ...})
    with pytest.raises(SnapshotError, match=message):
        decode_snapshot(text)
    (tmp_path / "s").write_text(text)
    with pytest.raises((wheel.PersistenceError, OverflowError)):
        wheel.BudgetEngine.migrate_legacy_snapshot_file(tmp_path / "s", tmp_path / "d", 1)


def test_tenants_of_a_file_are_sorted_and_an_unusable_id_is_refused() -> None:
    form = {"version": 1, "tenants": [tenant(tenant_id="b"), tenant()], "active_reservations": 0}
    read = decode_snapshot(json.dumps(form))
    assert [line.tenant_id for line in read.tenants] == ["a", "b"]
    assert isinstance(restore_ledger(read, 1), BudgetEngine)
    form["tenants"] = [tenant(tenant_id="")]
    with pytest.raises(SnapshotError, match="tenant_id is ''"):
        restore_ledger(decode_snapshot(json.dumps(form)), 1)
