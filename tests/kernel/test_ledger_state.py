"""A ledger's whole state: out, in again, and refused where no ledger can have it."""

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import BudgetEngine, KernelInputError, LedgerState, OpenHold, TenantLedger
from kernel_support import I64_MAX


def ledger() -> BudgetEngine:
    """Two tenants, a cap of one that is not open yet, holds 1 and 3 open, 2 ended."""
    made = BudgetEngine()
    made.ensure_tenant("beta", 500)
    made.ensure_tenant("alpha", 1_000)
    made.set_max_reserved_microcents("alpha", 700)
    made.set_max_reserved_microcents("later", 9)
    made.try_reserve("alpha", 100)
    made.try_reserve("beta", 20)
    made.try_reserve("alpha", 200)
    made.commit(2, 15)
    made.settle(3, 50, 7)
    made.snapshot()
    made.certify_ledger()
    return made


def plain(state: LedgerState) -> LedgerState:
    """With its holds gathered, so that it can be compared and used again."""
    return replace(state, holds=tuple(state.holds))


STATE = LedgerState(
    (TenantLedger("alpha", 1_000, 743, 250, 7), TenantLedger("beta", 500, 485, 0, 15)),
    (("alpha", 700), ("later", 9)),
    4,
    2,
    (OpenHold(1, "alpha", 100), OpenHold(3, "alpha", 150)),
    2,
    22,
)


def test_the_state_is_all_that_the_ledger_knows() -> None:
    assert plain(ledger().export_state()) == STATE
    assert plain(BudgetEngine().export_state()) == LedgerState((), (), 1, 0, ())


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_hold_rows_are_the_holds_of_the_state(count: int) -> None:
    made = BudgetEngine()
    places = {"alpha": 0, "beta": 2**32 - 1}
    for tenant_id in places:
        made.ensure_tenant(tenant_id, I64_MAX)
    amounts = [I64_MAX - 10, 1, 2, 3, 4, 5, 6]
    for number, amount in enumerate(amounts):
        made.try_reserve("alpha" if number else "beta", amount)
    made.release(4)
    pieces = list(made.hold_rows(places, count))
    assert b"".join(pieces) == b"".join(
        struct.pack("<QIq", hold.reservation_id, places[hold.tenant_id], hold.microcents)
        for hold in made.export_state().holds
    )
    assert all(len(piece) == 20 * count for piece in pieces[:-1])
    assert list(BudgetEngine().hold_rows({}, count)) == []
    with pytest.raises(KeyError, match="beta"):
        list(made.hold_rows({"alpha": 0}, count))
    with pytest.raises(KernelInputError, match=f"count is {1 - count}; must be at least 1"):
        made.hold_rows(places, 1 - count)


def test_a_restored_ledger_goes_on_as_the_first_would() -> None:
    first, second = ledger(), BudgetEngine.restore(STATE)
    assert plain(second.export_state()) == STATE
    for each in (first, second):
        each.ensure_tenant("later", 100)
    for call in (
        lambda each: each.try_reserve("later", 10),
        lambda each: each.try_reserve("later", 9),
        lambda each: each.try_reserve("alpha", 451),
        lambda each: each.try_reserve("alpha", 450),
        lambda each: each.release(1),
        lambda each: each.release(2),
        lambda each: each.settle(3, 150, 743),
        lambda each: each.certify_ledger(),
        lambda each: each.snapshot().digest,
    ):
        assert call(first) == call(second)
    assert plain(first.export_state()) == plain(second.export_state())


def test_a_restored_ledger_shares_nothing_with_the_first() -> None:
    first = ledger()
    second = BudgetEngine.restore(first.export_state())
    second.release(1)
    assert plain(first.export_state()) == STATE


ALPHA, BETA = STATE.tenants
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"next_reservation_id": 0}, "next_reservation_id is 0; must be an integer from 1 to "),
    ({"next_reservation_id": True}, "next_reservation_id is True; must be an integer"),
    ({"next_reservation_id": 3}, "holds: 3 follows 1; must be above it, and below next_reserva"),
    ({"hold_count": 1}, "hold_count is 1; must be 2"),
    ({"hold_count": 3}, "hold_count is 3; must be 2"),
    ({"hold_count": -1}, "hold_count is -1; must be an integer from 0 to "),
    ({"snapshot_version": -1}, "snapshot_version is -1; must be an integer from 0 to "),
    ({"certified_microcents": 2**63}, f"certified_microcents is {2**63}; must be an integer"),
    ({"tenants": (BETA, ALPHA)}, "tenants is not in ascending order; must be, each tenant once"),
    ({"tenants": (ALPHA, ALPHA)}, "tenants is not in ascending order"),
    ({"tenants": (replace(ALPHA, tenant_id=""),)}, "tenant_id is ''; must be text of 1 to 1024"),
    ({"tenants": (replace(ALPHA, tenant_id="\ud800"),)}, "tenant_id is "),
    ({"tenants": (replace(ALPHA, remaining_microcents=744),)}, "tenants: 'alpha' is out of bal"),
    (
        {"tenants": (replace(ALPHA, initial_microcents=-1, remaining_microcents=-258),)},
        "initial_microcents is -1; must be an integer from 0 to ",
    ),
    (
        {"tenants": (replace(ALPHA, remaining_microcents=-1, committed_microcents=751),)},
        "remaining_microcents is -1; must be an integer from 0 to ",
    ),
    ({"tenants": (replace(ALPHA, initial_microcents=1.0),)}, "initial_microcents is 1.0; must be"),
    (
        {"tenants": (replace(ALPHA, initial_microcents=I64_MAX + 1),)},
        f"initial_microcents is {I64_MAX + 1}; must be an integer from 0 to {I64_MAX}",
    ),
    (
        {"tenants": (replace(ALPHA, reserved_microcents=251, remaining_microcents=742), BETA)},
        "reserved_microcents of 'alpha' is 1 off its open holds; must be their sum",
    ),
    ({"caps": (("b", 1), ("a", 1))}, "caps is not in ascending order"),
    ({"caps": (("a", 0),)}, "caps is 0; must be an integer from 1 to "),
    ({"holds": STATE.holds[::-1]}, "holds: 1 follows 3; must be above it"),  # type: ignore[index]
    ({"holds": (OpenHold(0, "alpha", 250),)}, "holds: 0 follows 0; must be above it"),
    ({"holds": (OpenHold(1, "gamma", 250),)}, "holds: 1 is of 'gamma', no tenant"),
    ({"holds": (OpenHold(1, "alpha", 0),)}, "holds is 0; must be an integer from 1 to "),
    ({"holds": (OpenHold(1, "alpha", 250),)}, "hold_count is 2; must be 1"),
    ({"holds": ()}, "hold_count is 2; must be 0"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_state_that_no_ledger_has_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(KernelInputError) as refused:
        BudgetEngine.restore(replace(STATE, **change))
    assert str(refused.value).startswith(words)


AMOUNTS = st.integers(1, 50)
MOVES = st.lists(st.tuples(st.sampled_from("rcsx"), st.sampled_from("abc"), AMOUNTS), max_size=40)


@given(MOVES, MOVES)
def test_restored_anywhere_it_ends_the_same(before: Any, after: Any) -> None:
    ledger = BudgetEngine()
    for tenant_id in "cab":
        ledger.ensure_tenant(tenant_id, 400)

    def move(each: BudgetEngine, steps: Any) -> list[object]:
        answers: list[object] = []
        for kind, tenant_id, number in steps:
            if kind == "r":
                answers.append(each.try_reserve(tenant_id, number))
            elif kind == "c":
                answers.append(each.commit(number, number))
            elif kind == "s":
                answers.append(each.settle(number, number // 2, number // 3))
            else:
                answers.append(each.release(number))
        return answers

    move(ledger, before)
    restored = BudgetEngine.restore(ledger.export_state())
    assert move(ledger, after) == move(restored, after)
    assert plain(ledger.export_state()) == plain(restored.export_state())
