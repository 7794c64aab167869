"""A ledger snapshot as the reference keeps it: its JSON, and a ledger made from it.

Owns: both directions of the form (byte for byte what the reference writes), the checks of what is
read, and the rule that only a ledger without open holds can be kept and restored in it: the form
has no place for them. The guard's own checkpoints keep everything; this form is for exchange.

Must not: touch files. Caps are no part of the form: whoever restores sets them again.

Fails: `SnapshotError` naming the tenant or the field and what is allowed; `OpenHoldsError`.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

from kernel.errors import KernelInputError, OpenHoldsError, SnapshotError
from kernel.finance import BudgetSnapshot, TenantLedger, check_balances
from kernel.layout import I64, U64
from kernel.ledger import BudgetEngine
from kernel.ledger_results import Violation
from kernel.ledger_state import LedgerState
from kernel.strict_json import check_fields, check_integer, check_text, load_object, shown

# The reference marks what its own `restore` reads with this bit of the version; the other bits
# are then its next reservation id. The form without the bit is the one that it calls legacy.
RECOVERY_AWARE_BIT = 2**63
# The reference keeps the id beside that bit.
NEXT_RESERVATION_ID_MAX = RECOVERY_AWARE_BIT - 1

_REQUIRED = ("version", "tenants", "active_reservations")
_TENANT = tuple(field.name for field in fields(TenantLedger))


def encode_snapshot(snapshot: BudgetSnapshot) -> str:
    """The snapshot's file, as the reference writes it. Raises `OpenHoldsError`."""
    require_no_holds(snapshot)
    form = snapshot.as_dict()
    ordered = {name: form[name] for name in (*_REQUIRED, "wal_high_watermark")}
    return json.dumps(ordered, ensure_ascii=False, indent=2)


def decode_snapshot(text: str | bytes) -> BudgetSnapshot:
    """The snapshot in a file of the reference (either generation) or of ours.

    Tenants are put in ascending order of their ids. Raises `SnapshotError`.
    """
    found = load_object(text, "ledger snapshot", SnapshotError)
    found = check_fields(
        found, "ledger snapshot", _REQUIRED, ("wal_high_watermark",), SnapshotError
    )
    version = check_integer("version", found["version"], U64, SnapshotError)
    active = check_integer("active_reservations", found["active_reservations"], U64, SnapshotError)
    watermark = found.get("wal_high_watermark")
    if watermark is not None:
        check_integer("wal_high_watermark", watermark, U64, SnapshotError)
    if not isinstance(found["tenants"], list):
        raise SnapshotError(f"tenants is {shown(found['tenants'])}; must be a list")
    tenants = [_tenant_of(entry) for entry in found["tenants"]]
    tenants.sort(key=lambda tenant: tenant.tenant_id)
    for before, after in pairwise(tenants):
        if before.tenant_id == after.tenant_id:
            raise SnapshotError(f"tenant {shown(after.tenant_id)} stands there twice")
    snapshot = BudgetSnapshot(version, active, watermark, tuple(tenants))
    _check(snapshot)
    return snapshot


def _tenant_of(entry: Any) -> TenantLedger:
    found = check_fields(entry, "tenant", _TENANT, (), SnapshotError)
    tenant_id = check_text("tenant_id", found.pop("tenant_id"), SnapshotError)
    for name, value in found.items():
        check_integer(f"{name} of tenant {shown(tenant_id)}", value, I64, SnapshotError, minimum=0)
    return TenantLedger(tenant_id, **found)


def _check(snapshot: BudgetSnapshot) -> None:
    """Balances add up, and holds are counted where something is held, and only there."""
    checked = check_balances(snapshot.tenants)
    if isinstance(checked, Violation):
        raise SnapshotError(
            f"tenant {shown(checked.tenant_id)} is out of balance by"
            f" {checked.delta_microcents} microcents"
        )
    reserved = [tenant for tenant in snapshot.tenants if tenant.reserved_microcents]
    if reserved and snapshot.active_reservations < len(reserved):
        raise SnapshotError(
            f"active_reservations is {snapshot.active_reservations}; must be {len(reserved)} or"
            f" more, since so many tenants hold something ({shown(reserved[0].tenant_id)} …)"
        )


def require_no_holds(snapshot: BudgetSnapshot) -> None:
    """Refuse a snapshot of a ledger with open holds: `OpenHoldsError`."""
    if snapshot.active_reservations:
        raise OpenHoldsError(
            f"{snapshot.active_reservations} holds are open; this form of a snapshot has none:"
            " commit or release them first",
            snapshot.active_reservations,
        )


def recovery_aware(snapshot: BudgetSnapshot, next_reservation_id: int) -> BudgetSnapshot:
    """The snapshot whose version is the reference's mark with the next reservation id beside it.

    What its own `restore` reads, and ours without being told the id. Raises `SnapshotError`.
    """
    if not 1 <= next_reservation_id <= NEXT_RESERVATION_ID_MAX:
        raise SnapshotError(
            f"next_reservation_id is {next_reservation_id}; must be from 1"
            f" to {NEXT_RESERVATION_ID_MAX}"
        )
    return replace(snapshot, version=RECOVERY_AWARE_BIT + next_reservation_id)


def next_reservation_id_of(snapshot: BudgetSnapshot) -> int | None:
    """The next reservation id where the snapshot names it (recovery-aware files do), else None."""
    if snapshot.version < RECOVERY_AWARE_BIT:
        return None
    return snapshot.version - RECOVERY_AWARE_BIT


def restore_ledger(
    snapshot: BudgetSnapshot, next_reservation_id: int | None = None
) -> BudgetEngine:
    """A ledger with those balances, whose next snapshot and next hold get fresh numbers.

    `next_reservation_id`: above every id that was ever given out, so that no old hold can be
    taken for a new one; None only where the snapshot names it. Raises `OpenHoldsError`,
    `SnapshotError`.
    """
    require_no_holds(snapshot)
    named = next_reservation_id_of(snapshot)
    if next_reservation_id is None:
        next_reservation_id = named
    if next_reservation_id is None:
        raise SnapshotError("next_reservation_id is None; this snapshot does not name it: give it")
    check_integer("next_reservation_id", next_reservation_id, U64, SnapshotError, minimum=1)
    if not (named or 1) <= next_reservation_id <= NEXT_RESERVATION_ID_MAX:
        raise SnapshotError(
            f"next_reservation_id is {next_reservation_id}; must be from {named or 1}"
            f" to {NEXT_RESERVATION_ID_MAX}"
        )
    spent = sum(tenant.committed_microcents for tenant in snapshot.tenants)
    state = LedgerState(
        tenants=snapshot.tenants,
        caps=(),
        next_reservation_id=next_reservation_id,
        hold_count=0,
        holds=(),
        # The reference's mark is no count of snapshots: ours begins anew behind it.
        snapshot_version=snapshot.version if named is None else 0,
        # A certificate counts from the restore on, as the reference's does.
        certified_microcents=spent if spent <= I64.maximum else 0,
    )
    try:
        return BudgetEngine.restore(state)
    except KernelInputError as error:
        raise SnapshotError(str(error)) from error
