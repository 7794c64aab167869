"""More under an open hold: at grant and cap, below and above, beyond counting, and not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import BudgetEngine
from kernel.ledger_raises import raise_hold
from kernel_support import I64_MAX

GRANT = 1_000


def opened(held: int = 100, cap: int = 0, grant: int = GRANT) -> tuple[BudgetEngine, int]:
    ledger = BudgetEngine()
    ledger.ensure_tenant("desk", grant)
    ledger.set_max_reserved_microcents("desk", cap)
    _, hold = ledger.try_reserve("desk", held)
    assert hold is not None
    return ledger, hold


def lines(ledger: BudgetEngine) -> tuple[int | None, ...]:
    return (
        ledger.remaining_microcents("desk"), ledger.reserved_microcents("desk"),
        ledger.committed_microcents("desk"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cap", "more", "expected"),
    [(0, 899, True), (0, 900, True), (0, 901, False), (500, 399, True), (500, 400, True),
     (500, 401, False), (0, 1, True), (0, 0, False), (0, -1, False), (0, I64_MAX, False)],
)  # fmt: skip
def test_at_below_and_above_grant_and_cap(cap: int, more: int, expected: bool) -> None:
    ledger, hold = opened(cap=cap)
    before = lines(ledger)
    assert raise_hold(ledger, hold, more) is expected
    assert lines(ledger) == ((900 - more, 100 + more, 0) if expected else before)
    assert ledger.next_reservation_id == hold + 1
    assert ledger.release_hold(hold) == (100 + more if expected else 100)
    assert lines(ledger) == (GRANT, 0, 0)


def test_all_holds_together_stay_countable() -> None:
    ledger, hold = opened(1, grant=I64_MAX)
    assert ledger.try_reserve("desk", I64_MAX - 1)[1] is not None
    assert not raise_hold(ledger, hold, 1)
    assert lines(ledger) == (0, I64_MAX, 0)


@pytest.mark.parametrize("hold", [0, 2, 99, -1, I64_MAX])
def test_what_is_no_open_hold(hold: int) -> None:
    ledger, first = opened()
    ledger.release_hold(first)
    assert not raise_hold(ledger, hold, 1)
    assert not raise_hold(ledger, first, 1)
    assert lines(ledger) == (GRANT, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 50)), max_size=60))
def test_raised_and_freed_it_adds_up(steps: list[tuple[int, int]]) -> None:
    """Also of holds whose neighbours have ended long ago."""
    ledger = BudgetEngine()
    ledger.ensure_tenant("desk", 10**9)
    held = {ledger.reserve_id("desk", 1): 1 for _ in range(3_000)}
    for hold in list(held):
        if hold % 97 != 0:
            assert ledger.release_hold(hold) == held.pop(hold)
    for number, more in steps:
        hold = number // 97 * 97
        assert raise_hold(ledger, hold, more) == (hold in held)
        if hold in held:
            held[hold] += more
        assert ledger.reserved_microcents("desk") == sum(held.values())
    for hold, microcents in held.items():
        assert ledger.release_hold(hold) == microcents
    assert ledger.active_reservations == 0
