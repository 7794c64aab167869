"""Holds that are tried: each asked of what the ones before it left, and then nothing has moved."""

import pytest

from kernel import BudgetEngine
from kernel.ledger_trial import LedgerTrial


def a_ledger(cap: int = 0) -> BudgetEngine:
    ledger = BudgetEngine()
    ledger.ensure_tenant("desk", 1_000)
    if cap:
        ledger.set_max_reserved_microcents("desk", cap)
    assert ledger.reserve_id("desk", 100) == 1
    return ledger


def trial_of(ledger: BudgetEngine) -> LedgerTrial:
    line = ledger.line("desk")
    assert line is not None
    return LedgerTrial(ledger, line)


def test_what_is_tried_is_what_holds_would_get_and_is_undone() -> None:
    ledger, other = a_ledger(), a_ledger()
    before = ledger.export_state()
    trial = trial_of(ledger)
    for amount in (400, 500, 1, 0, -1):
        assert trial.hold(amount) == other.reserve_id("desk", max(amount, 0))
    trial.undo()
    after = ledger.export_state()
    assert (list(after.holds), after.tenants, after.next_reservation_id) == (
        list(before.holds), before.tenants, before.next_reservation_id,
    )  # fmt: skip
    assert ledger.reserve_id("desk", 900) == 2


@pytest.mark.parametrize(("amount", "is_held"), [(399, True), (400, True), (401, False)])
def test_the_cap_counts_what_was_tried(amount: int, is_held: bool) -> None:
    trial = trial_of(a_ledger(cap=700))
    assert trial.hold(200) == 2
    assert (trial.hold(amount) != 0) is is_held


def test_an_amount_that_cannot_be_held_moves_nothing() -> None:
    ledger = a_ledger()
    trial = trial_of(ledger)
    assert trial.hold(901) == 0
    assert trial.hold(2**63 - 1) == 0
    assert trial.hold(900) == 2
    assert ledger.remaining_microcents("desk") == 0
    trial.undo()
    assert (ledger.remaining_microcents("desk"), ledger.next_reservation_id) == (900, 2)
