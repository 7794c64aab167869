"""Proofs and certificates over frozen snapshots."""

import pytest

from kernel import (
    Balanced,
    BudgetEngine,
    BudgetSnapshot,
    InvariantError,
    TenantLedger,
    Violation,
    certify_ledger,
    prove_conservation,
)
from kernel.finance import check_balances
from kernel_support import I64_MAX


def spent_ledger() -> BudgetEngine:
    ledger = BudgetEngine()
    ledger.ensure_tenant("a", 1_000)
    ledger.try_reserve("a", 100)
    ledger.commit(1, 60)
    ledger.try_reserve("a", 40)
    return ledger


def test_a_proof_is_of_one_snapshot() -> None:
    ledger = spent_ledger()
    proof = ledger.prove_conservation()
    same = BudgetSnapshot(1, 1, None, (TenantLedger("a", 1_000, 900, 40, 60),))
    assert proof == prove_conservation(same)
    assert proof.as_dict() == {
        "ledger_digest_hex": same.digest.hex(),
        "snapshot_version": 1,
        "tenant_count": 1,
        "active_reservations": 1,
        "total_initial_microcents": 1_000,
        "total_committed_microcents": 60,
        "aggregate_totals_representable": True,
    }
    assert ledger.snapshot().version == 2


def test_a_certificate_tells_what_was_spent_since_the_last() -> None:
    ledger = spent_ledger()
    assert ledger.certify_ledger().committed_since_last_certificate == 60
    ledger.commit(2, 15)
    certificate = ledger.certify_ledger()
    assert (certificate.snapshot_version, certificate.total_committed_microcents) == (2, 75)
    assert certificate.committed_since_last_certificate == 15
    assert ledger.certify_ledger().committed_since_last_certificate == 0
    assert certify_ledger(ledger.snapshot(), 1_000).committed_since_last_certificate == 0


def test_totals_that_do_not_fit_are_not_claimed() -> None:
    ledger = spent_ledger()
    assert ledger.certify_ledger().committed_since_last_certificate == 60
    ledger.ensure_tenant("b", I64_MAX)
    ledger.commit(2, 15)
    certificate = ledger.certify_ledger()
    assert (certificate.conservation_balanced, certificate.aggregate_totals_representable) == (
        False,
        False,
    )
    assert certificate.total_initial_microcents == certificate.total_committed_microcents == 0
    assert certificate.committed_since_last_certificate == 0
    assert ledger.verify_conservation() == Balanced()
    assert ledger.prove_conservation().aggregate_totals_representable is False


@pytest.mark.parametrize(
    ("tenant", "delta"),
    [
        (TenantLedger("b", 10, 5, 5, 1), 1),
        (TenantLedger("b", 10, 5, 4, 0), -1),
        (TenantLedger("b", 10, -1, 11, 0), 0),
    ],
)
def test_what_does_not_add_up_is_never_certified(tenant: TenantLedger, delta: int) -> None:
    snapshot = BudgetSnapshot(1, 0, None, (TenantLedger("a", 0, 0, 0, 0), tenant))
    assert check_balances(snapshot.tenants) == Violation("b", delta)
    assert certify_ledger(snapshot).conservation_balanced is False
    with pytest.raises(InvariantError, match=rf"^tenant 'b' is out of balance by {delta}$"):
        prove_conservation(snapshot)
