"""The ledger: the vectors, an independent plain ledger, and conservation after each step."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import (
    Balanced,
    BudgetEngine,
    Charged,
    CommitOverflow,
    Committed,
    ExposureLimitExceeded,
    HoldExceeded,
    Insufficient,
    InvalidAmount,
    InvariantError,
    KernelInputError,
    LedgerResult,
    MissingReservation,
    MissingTenant,
    Overrun,
    Released,
    Reserved,
    ReserveOverflow,
    Settled,
    ToppedUp,
    TopUpOverflow,
)
from kernel_support import I64_MAX, read_vectors


def as_the_crate_prints(result: LedgerResult) -> str:
    """`Reserved { remaining_microcents: 900 }`."""
    name = type(result).__name__
    fields = result.as_dict()
    del fields["status"]
    listed = ", ".join(f"{field}: {value}" for field, value in fields.items())
    return f"{name} {{ {listed} }}" if listed else name


def test_the_vectors_scripts() -> None:
    for vector in read_vectors("ledger.jsonl.gz"):
        ledger = BudgetEngine()
        moves: dict[str, Callable[[Any, int], LedgerResult]] = {
            "commit": ledger.commit,
            "top_up": ledger.top_up_tenant,
        }
        for op in vector["ops"]:
            kind, who, amount = op["op"], op.get("tenant", op.get("id")), op.get("amount")
            if kind == "ensure_tenant" and amount < 0:
                with pytest.raises(KernelInputError, match=r"^budget_microcents is -5; must be"):
                    ledger.ensure_tenant(who, amount)
            elif kind == "ensure_tenant":
                ledger.ensure_tenant(who, amount)
            elif kind == "set_max_reserved":
                ledger.set_max_reserved_microcents(who, amount)
            elif kind == "reserve":
                assessed = ledger.assess_reserve(who, amount)
                result, reservation_id = ledger.try_reserve(who, amount)
                assert (as_the_crate_prints(result), reservation_id) == (op["result"], op["id"])
                assert assessed == result
            elif kind == "release":
                assert as_the_crate_prints(ledger.release(who)) == op["result"]
            else:
                assert as_the_crate_prints(moves[kind](who, amount)) == op["result"]
            assert ledger.verify_conservation() == Balanced()
        snapshot = ledger.snapshot()
        assert snapshot.digest.hex() == vector["ledger_digest_hex"]
        assert snapshot.as_dict() == vector["snapshot"] | {"wal_high_watermark": None}
        assert type(ledger.verify_conservation()).__name__ == vector["conservation"]
        assert ledger.certify_ledger().as_dict() == vector["certificate"]


def ledger_with(amount: int = 1_000, cap: int = 0) -> BudgetEngine:
    ledger = BudgetEngine()
    ledger.ensure_tenant("desk", amount)
    ledger.set_max_reserved_microcents("desk", cap)
    return ledger


def balances(ledger: BudgetEngine, tenant_id: str = "desk") -> tuple[int | None, ...]:
    """(initial, remaining, reserved, committed)"""
    return (
        ledger.initial_microcents(tenant_id),
        ledger.remaining_microcents(tenant_id),
        ledger.reserved_microcents(tenant_id),
        ledger.committed_microcents(tenant_id),
    )


def test_reserve_finds_its_refusals_in_order() -> None:
    ledger = ledger_with(1_000, cap=600)
    assert ledger.try_reserve("nobody", 0) == (Insufficient(0, 0), None)
    assert ledger.try_reserve("nobody", 1) == (MissingTenant(), None)
    assert ledger.try_reserve("desk", 400) == (Reserved(600), 1)
    assert ledger.try_reserve("desk", I64_MAX) == (ReserveOverflow(400), None)
    assert ledger.try_reserve("desk", 700) == (ExposureLimitExceeded(400, 600), None)
    assert ledger.try_reserve("desk", 200) == (Reserved(400), 2)
    ledger.set_max_reserved_microcents("desk", 0)
    assert ledger.try_reserve("desk", 401) == (Insufficient(400, 401), None)
    assert ledger.next_reservation_id == 3
    assert balances(ledger) == (1_000, 400, 600, 0)


def test_commit_returns_a_surplus_and_debits_an_excess() -> None:
    ledger = ledger_with()
    ledger.try_reserve("desk", 400)
    assert ledger.commit(1, -1) == InvalidAmount()
    assert ledger.commit(1, 1_001) == Overrun(600)
    assert balances(ledger) == (1_000, 600, 400, 0)
    assert ledger.assess_commit(1, 500) == Committed(500, 500)
    assert ledger.commit(1, 500) == Committed(500, 500)
    assert ledger.commit(1, 0) == MissingReservation()
    ledger.try_reserve("desk", 100)
    assert ledger.commit(2, 30) == Committed(470, 30)
    assert balances(ledger) == (1_000, 470, 0, 530)
    ledger.try_reserve("desk", 70)
    assert ledger.release(3) == Released(470, 70)
    assert ledger.release(3) == MissingReservation()


def committed_to_the_end() -> BudgetEngine:
    """A ledger that has spent an i64's worth less ten, with a hold of 5 open (number 2)."""
    ledger = ledger_with(I64_MAX)
    ledger.try_reserve("desk", I64_MAX - 10)
    ledger.commit(1, I64_MAX - 10)
    ledger.try_reserve("desk", 5)
    return ledger


def test_what_was_ever_spent_and_granted_must_fit() -> None:
    ledger = committed_to_the_end()
    assert ledger.commit(2, 11) == CommitOverflow(5)
    assert ledger.settle(2, 5, 11) == CommitOverflow(5)
    assert ledger.commit(2, 10) == Committed(0, 10)
    assert ledger.top_up_tenant("desk", 1) == TopUpOverflow()


def test_top_up_finds_its_refusals_in_order() -> None:
    ledger = ledger_with()
    assert ledger.top_up_tenant("nobody", 0) == InvalidAmount()
    assert ledger.top_up_tenant("nobody", 1) == MissingTenant()
    assert ledger.top_up_tenant("desk", I64_MAX) == TopUpOverflow()
    assert ledger.assess_top_up("desk", 5) == ToppedUp(5, 1_005, 1_005)
    assert ledger.top_up_tenant("desk", 5) == ToppedUp(5, 1_005, 1_005)


def test_settle_ends_a_part_and_pays_out_of_what_is_free() -> None:
    ledger = ledger_with()
    ledger.try_reserve("desk", 400)
    assert ledger.settle(1, 100, 3) == Settled(697, 100, 3, 300)
    assert ledger.hold_microcents(1) == 300
    assert balances(ledger) == (1_000, 697, 300, 3)
    assert ledger.settle(1, 0, 7) == Settled(690, 0, 7, 300)
    assert ledger.settle(1, 0, 0) == Settled(690, 0, 0, 300)
    assert ledger.settle(1, 300, 0) == Settled(990, 300, 0, 0)
    assert ledger.hold_microcents(1) is None
    assert ledger.active_reservations == 0
    assert ledger.settle(1, 0, 0) == MissingReservation()
    assert balances(ledger) == (1_000, 990, 0, 10)


def test_settle_finds_its_refusals_in_order_and_moves_nothing() -> None:
    ledger = ledger_with()
    assert ledger.settle(9, -1, 0) == InvalidAmount()
    assert ledger.settle(9, 0, -1) == InvalidAmount()
    assert ledger.settle(9, 0, 0) == MissingReservation()
    ledger.try_reserve("desk", 1_000)
    assert ledger.settle(1, 1_001, I64_MAX) == HoldExceeded(1_000, 1_001)
    # The rest of a hold pays for nothing: only what is free does, here the 100 just released.
    assert ledger.settle(1, 100, 101) == Overrun(0)
    assert ledger.assess_settle(1, 100, 100) == Settled(0, 100, 100, 900)
    assert balances(ledger) == (1_000, 0, 1_000, 0)
    assert ledger.settle(1, 100, 100) == Settled(0, 100, 100, 900)


def test_a_charge_is_paid_out_of_what_is_free() -> None:
    ledger = ledger_with()
    ledger.try_reserve("desk", 900)
    assert ledger.charge("nobody", -1) == InvalidAmount()
    assert ledger.charge("nobody", 0) == MissingTenant()
    assert ledger.charge("desk", 101) == Overrun(100)
    assert ledger.assess_charge("desk", 60) == Charged(40, 60)
    assert balances(ledger) == (1_000, 100, 900, 0)
    assert ledger.charge("desk", 60) == Charged(40, 60)
    assert ledger.charge("desk", 0) == Charged(40, 0)
    assert balances(ledger) == (1_000, 40, 900, 60)
    assert committed_to_the_end().charge("desk", 11) == CommitOverflow(5)


def test_a_settlement_of_the_whole_hold_is_its_release_and_commit() -> None:
    ours, theirs = ledger_with(), ledger_with()
    for ledger in (ours, theirs):
        ledger.try_reserve("desk", 400)
    ours.settle(1, 400, 250)
    theirs.commit(1, 250)
    assert ours.snapshot() == theirs.snapshot()


def test_a_cap_may_come_before_its_tenant_and_leaves_open_holds_alone() -> None:
    ledger = BudgetEngine()
    ledger.set_max_reserved_microcents("desk", 10)
    assert ledger.max_reserved_microcents("desk") == 10
    ledger.ensure_tenant("desk", 100)
    assert ledger.try_reserve("desk", 11) == (ExposureLimitExceeded(0, 10), None)
    assert ledger.try_reserve("desk", 10) == (Reserved(90), 1)
    ledger.set_max_reserved_microcents("desk", 5)
    assert ledger.try_reserve("desk", 1) == (ExposureLimitExceeded(10, 5), None)
    assert ledger.hold_microcents(1) == 10
    ledger.set_max_reserved_microcents("desk", -1)
    assert ledger.max_reserved_microcents("desk") is None
    assert ledger.try_reserve("desk", 90) == (Reserved(0), 2)


def test_tenants_are_opened_once() -> None:
    ledger = ledger_with(5)
    ledger.ensure_tenant("desk", 50)
    assert balances(ledger) == (5, 5, 0, 0)
    ledger.ensure_tenant("another", 0)
    assert (ledger.tenant_count, ledger.tenant_ids()) == (2, ["another", "desk"])
    assert balances(ledger, "nobody") == (None, None, None, None)
    assert repr(ledger) == "BudgetEngine(tenants=2, active_reservations=0)"


BAD_AMOUNTS = [True, 1.0, "1", None, I64_MAX + 1, -I64_MAX - 2]


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_amounts_are_i64_integers_by_name(amount: Any) -> None:
    ledger = ledger_with()
    ledger.try_reserve("desk", 10)
    calls: list[tuple[str, Callable[[], object]]] = [
        ("budget_microcents", lambda: ledger.ensure_tenant("other", amount)),
        ("max_microcents", lambda: ledger.set_max_reserved_microcents("desk", amount)),
        ("amount_microcents", lambda: ledger.top_up_tenant("desk", amount)),
        ("amount_microcents", lambda: ledger.try_reserve("desk", amount)),
        ("actual_microcents", lambda: ledger.commit(1, amount)),
        ("amount_microcents", lambda: ledger.charge("desk", amount)),
        ("released_microcents", lambda: ledger.settle(1, amount, 0)),
        ("committed_microcents", lambda: ledger.settle(1, 0, amount)),
    ]
    for name, call in calls:
        with pytest.raises(KernelInputError, match=f"^{name} is .*; must be an integer from -"):
            call()
    assert balances(ledger) == (1_000, 990, 10, 0)


@pytest.mark.parametrize("tenant_id", ["", "ä" * 513, "\ud800", None, b"desk", 7])
def test_a_tenant_id_is_bounded_text(tenant_id: Any) -> None:
    with pytest.raises(KernelInputError, match=r"^tenant_id is .*; must be text of 1 to 1024"):
        BudgetEngine().ensure_tenant(tenant_id, 1)
    BudgetEngine().ensure_tenant("ä" * 512, 1)


def test_balances_that_do_not_add_up_stop_everything() -> None:
    ledger = ledger_with()
    ledger._tenants["desk"].remaining = 999
    with pytest.raises(InvariantError, match=r"^balances do not add up: initial 1000, remaining"):
        ledger.try_reserve("desk", 1)


class PlainLedger:
    """The same rules with nothing kept but facts: grants, open holds and spends, summed anew."""

    def __init__(self) -> None:
        self.granted: dict[str, list[int]] = {}
        self.spent: dict[str, list[int]] = {}
        self.open: dict[int, tuple[str, int]] = {}
        self.caps: dict[str, int] = {}
        self.given = 0

    def held(self, who: str) -> int:
        return sum(amount for owner, amount in self.open.values() if owner == who)

    def free(self, who: str) -> int:
        return sum(self.granted[who]) - self.held(who) - sum(self.spent[who])

    def ensure(self, who: str, amount: int) -> None:
        if who not in self.granted:
            self.granted[who], self.spent[who] = [amount], []

    def reserve(self, who: str, amount: int) -> bool:
        if amount <= 0 or who not in self.granted or amount > self.free(who):
            return False
        if self.caps.get(who, 0) > 0 and self.held(who) + amount > self.caps[who]:
            return False
        self.given += 1
        self.open[self.given] = (who, amount)
        return True

    def charge(self, who: str, amount: int) -> bool:
        if who not in self.granted or not 0 <= amount <= self.free(who):
            return False
        self.spent[who].append(amount)
        return True

    def settle(self, rid: int, released: int, committed: int) -> bool:
        if rid not in self.open or released < 0 or committed < 0:
            return False
        who, amount = self.open[rid]
        if released > amount or self.free(who) + released - committed < 0:
            return False
        self.open[rid] = (who, amount - released)
        if amount == released:
            del self.open[rid]
        self.spent[who].append(committed)
        return True


TENANTS = ["a", "b", "ç"]
AMOUNTS = st.integers(-2, 60) | st.sampled_from([10**3, 10**6])
STEPS = st.lists(
    st.tuples(st.just("ensure"), st.sampled_from(TENANTS), st.integers(0, 200))
    | st.tuples(st.just("cap"), st.sampled_from(TENANTS), st.integers(-1, 80))
    | st.tuples(st.just("top_up"), st.sampled_from(TENANTS), AMOUNTS)
    | st.tuples(st.just("reserve"), st.sampled_from(TENANTS), AMOUNTS)
    | st.tuples(st.just("settle"), st.integers(1, 8), AMOUNTS, AMOUNTS)
    | st.tuples(st.just("commit"), st.integers(1, 8), AMOUNTS)
    | st.tuples(st.just("charge"), st.sampled_from(TENANTS), AMOUNTS)
    | st.tuples(st.just("release"), st.integers(1, 8)),
    max_size=40,
)


def step_both(ledger: BudgetEngine, plain: PlainLedger, step: tuple[Any, ...]) -> None:
    kind, who, *amounts = step
    if kind == "ensure":
        ledger.ensure_tenant(who, *amounts)
        plain.ensure(who, *amounts)
    elif kind == "cap":
        ledger.set_max_reserved_microcents(who, *amounts)
        plain.caps[who] = amounts[0]
    elif kind == "top_up":
        result: LedgerResult = ledger.top_up_tenant(who, *amounts)
        if isinstance(result, ToppedUp):
            plain.granted[who].append(amounts[0])
        else:
            assert amounts[0] <= 0 or who not in plain.granted
    elif kind == "reserve":
        result, rid = ledger.try_reserve(who, *amounts)
        assert isinstance(result, Reserved) == plain.reserve(who, *amounts)
        assert rid == (plain.given if isinstance(result, Reserved) else None)
    elif kind == "charge":
        result = ledger.charge(who, *amounts)
        assert isinstance(result, Charged) == plain.charge(who, *amounts)
    elif kind == "settle":
        assessed = ledger.assess_settle(who, *amounts)
        result = ledger.settle(who, *amounts)
        assert result == assessed
        assert isinstance(result, Settled) == plain.settle(who, *amounts)
    elif kind == "commit":
        whole = plain.open.get(who, ("", 0))[1]
        result = ledger.commit(who, *amounts)
        assert isinstance(result, Committed) == plain.settle(who, whole, *amounts)
    else:
        whole = plain.open.get(who, ("", 0))[1]
        assert isinstance(ledger.release(who), Released) == plain.settle(who, whole, 0)


@settings(max_examples=150, deadline=None, print_blob=True)
@given(steps=STEPS)
def test_every_step_agrees_with_the_plain_ledger_and_conserves(
    steps: list[tuple[Any, ...]],
) -> None:
    ledger, plain = BudgetEngine(), PlainLedger()
    for step in steps:
        step_both(ledger, plain, step)
        assert ledger.verify_conservation() == Balanced()
        assert ledger.active_reservations == len(plain.open)
        for who in plain.granted:
            assert balances(ledger, who) == (
                sum(plain.granted[who]),
                plain.free(who),
                plain.held(who),
                sum(plain.spent[who]),
            )
        for rid, (_, amount) in plain.open.items():
            assert ledger.hold_microcents(rid) == amount


def step_without_result(ledger: BudgetEngine, step: tuple[Any, ...]) -> object:
    """The step by the operations of a hot path; what it says, as the typed one would."""
    kind, who, *amounts = step
    if kind == "reserve":
        could = ledger.can_reserve(who, *amounts)
        reservation_id = ledger.reserve_id(who, *amounts)
        assert could is (reservation_id > 0)
        return reservation_id or None
    if kind == "reserve on line":
        line = ledger.line(who)
        assert (line is None) is (ledger.initial_microcents(who) is None)
        if line is None:
            return None
        assert line is ledger.line(who)
        assert (line.tenant_id, line.remaining) == (who, ledger.remaining_microcents(who))
        could = line.can_hold(*amounts)
        reservation_id = ledger.reserve_line(line, *amounts)
        assert could is (reservation_id > 0)
        return reservation_id or None
    if kind == "settle":
        return ledger.settle_hold(who, *amounts)
    if kind == "release":
        return ledger.release_hold(who)
    raise AssertionError(kind)


def step_with_result(ledger: BudgetEngine, step: tuple[Any, ...]) -> object:
    kind, who, *amounts = step
    if kind == "reserve":
        return ledger.try_reserve(who, *amounts)[1]
    if kind == "settle":
        return isinstance(ledger.settle(who, *amounts), Settled)
    if kind == "release":
        result = ledger.release(who)
        return result.returned_microcents if isinstance(result, Released) else -1
    raise AssertionError(kind)


@pytest.mark.parametrize("reserve", ["reserve", "reserve on line"])
@given(steps=STEPS)
def test_the_operations_without_a_result_do_the_same(
    reserve: str, steps: list[tuple[Any, ...]]
) -> None:
    one, other = BudgetEngine(), BudgetEngine()
    for ledger in (one, other):
        ledger.ensure_tenant("a", 200)
        ledger.ensure_tenant("b", I64_MAX)
    for step in steps:
        if step[0] in ("reserve", "settle", "release"):
            quick = (reserve, *step[1:]) if step[0] == "reserve" else step
            assert step_without_result(one, quick) == step_with_result(other, step)
        elif step[0] == "cap":
            one.set_max_reserved_microcents(*step[1:])
            other.set_max_reserved_microcents(*step[1:])
    assert one.snapshot() == other.snapshot()
    ours, theirs = one.export_state(), other.export_state()
    assert list(ours.holds) == list(theirs.holds)
    assert (one.next_reservation_id, one.active_reservations) == (
        other.next_reservation_id,
        other.active_reservations,
    )


def test_the_operations_without_a_result_at_the_ends_of_an_i64() -> None:
    ledger = BudgetEngine()
    ledger.ensure_tenant("a", I64_MAX)
    assert not ledger.can_reserve("nobody", 1)
    assert not ledger.can_reserve("a", -I64_MAX - 1)
    assert ledger.reserve_id("a", I64_MAX) == 1
    assert ledger.reserve_id("a", I64_MAX) == 0
    assert not ledger.settle_hold(1, I64_MAX, -1)
    assert ledger.settle_hold(1, I64_MAX, I64_MAX - 1)
    assert not ledger.settle_hold(2, 1, 1)
    assert ledger.release_hold(1) == -1
    assert balances(ledger, "a") == (I64_MAX, 1, 0, I64_MAX - 1)
