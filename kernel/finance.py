"""Proofs and certificates over one frozen snapshot of the ledger.

Owns: the snapshot's form, the conservation check, the conservation proof and the certificate.

Must not: look at a live ledger: a proof covers exactly one snapshot, so that its digest, counts and
totals cannot come from different moments.

Fails: balances that do not add up are never certified as balanced; a proof of them is refused with
`InvariantError`, for the ledger checks itself after every operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kernel.digest import ledger_digest
from kernel.errors import InvariantError
from kernel.layout import I64
from kernel.ledger_results import Balanced, ConservationResult, Violation


@dataclass(frozen=True, slots=True)
class TenantLedger:
    """One tenant's balances."""

    tenant_id: str
    initial_microcents: int
    remaining_microcents: int
    reserved_microcents: int
    committed_microcents: int


@dataclass(frozen=True, slots=True)
class BudgetSnapshot:
    """All balances at one moment, tenants in ascending order of their ids.

    `wal_high_watermark`: the log position that the balances stand for, or None.
    """

    version: int
    active_reservations: int
    wal_high_watermark: int | None
    tenants: tuple[TenantLedger, ...]

    @property
    def digest(self) -> bytes:
        """The ledger digest: 32 raw bytes."""
        return ledger_digest(self)

    def as_dict(self) -> dict[str, Any]:
        """The snapshot's published form, in its order of keys."""
        return asdict(self) | {"tenants": [asdict(tenant) for tenant in self.tenants]}


@dataclass(frozen=True, slots=True)
class ConservationProof:
    """The digest of one snapshot whose balances add up.

    Where a total does not fit an i64, `aggregate_totals_representable` is false and both are 0.
    """

    ledger_digest_hex: str
    snapshot_version: int
    tenant_count: int
    active_reservations: int
    total_initial_microcents: int
    total_committed_microcents: int
    aggregate_totals_representable: bool

    def as_dict(self) -> dict[str, Any]:
        """Every field by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FinancialCertificate:
    """A statement over one snapshot, and what was spent since the last one.

    `conservation_balanced` claims the totals too: it is false where they do not fit an i64.
    """

    snapshot_version: int
    ledger_digest_hex: str
    tenant_count: int
    active_reservations: int
    conservation_balanced: bool
    total_initial_microcents: int
    total_committed_microcents: int
    aggregate_totals_representable: bool
    committed_since_last_certificate: int

    def as_dict(self) -> dict[str, Any]:
        """Every field by name."""
        return asdict(self)


def check_balances(tenants: Sequence[TenantLedger]) -> ConservationResult:
    """Whether each tenant's `remaining + reserved + committed == initial` and `remaining >= 0`."""
    for tenant in tenants:
        held = tenant.remaining_microcents + tenant.reserved_microcents
        delta = held + tenant.committed_microcents - tenant.initial_microcents
        if delta != 0 or tenant.remaining_microcents < 0:
            return Violation(tenant.tenant_id, delta)
    return Balanced()


def prove_conservation(snapshot: BudgetSnapshot) -> ConservationProof:
    """The proof over that snapshot; `InvariantError` where its balances do not add up."""
    checked = check_balances(snapshot.tenants)
    if isinstance(checked, Violation):
        raise InvariantError(
            f"tenant {checked.tenant_id!r} is out of balance by {checked.delta_microcents}"
        )
    initial, committed, representable = _totals(snapshot)
    return ConservationProof(
        ledger_digest_hex=snapshot.digest.hex(),
        snapshot_version=snapshot.version,
        tenant_count=len(snapshot.tenants),
        active_reservations=snapshot.active_reservations,
        total_initial_microcents=initial,
        total_committed_microcents=committed,
        aggregate_totals_representable=representable,
    )


def certify_ledger(snapshot: BudgetSnapshot, certified_microcents: int = 0) -> FinancialCertificate:
    """The certificate over that snapshot.

    `certified_microcents`: the total spent as the last certificate had it.
    """
    initial, committed, representable = _totals(snapshot)
    balanced = isinstance(check_balances(snapshot.tenants), Balanced)
    since = max(committed - certified_microcents, 0) if representable else 0
    return FinancialCertificate(
        snapshot_version=snapshot.version,
        ledger_digest_hex=snapshot.digest.hex(),
        tenant_count=len(snapshot.tenants),
        active_reservations=snapshot.active_reservations,
        conservation_balanced=balanced and representable,
        total_initial_microcents=initial,
        total_committed_microcents=committed,
        aggregate_totals_representable=representable,
        committed_since_last_certificate=since,
    )


def _totals(snapshot: BudgetSnapshot) -> tuple[int, int, bool]:
    """(all granted, all spent, whether both fit an i64); zeros where they do not."""
    initial = sum(tenant.initial_microcents for tenant in snapshot.tenants)
    committed = sum(tenant.committed_microcents for tenant in snapshot.tenants)
    if max(initial, committed) > I64.maximum:
        return 0, 0, False
    return initial, committed, True
