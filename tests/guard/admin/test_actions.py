"""Each action of an operator: its event, its words, what it is refused for, what it changes."""

from typing import Any

import pytest
from msgspec import structs

from guard.admin import messages as asked
from guard.admin.actions import EVENTS, PLANNERS, done_before, plan
from guard.admin.messages import AdminError
from guard.engine.apply_event import apply_event
from guard.engine.remembered_form import OrderPhase
from guard.engine.state import ACTIONS_REMEMBERED_MAX, GuardState
from guard.protocol.limits import LimitScope
from guard_support import (
    ALPHA_BUDGET,
    I64_MAX,
    ORDER_NOTIONAL,
    LoggedEngine,
    actor,
    balances,
    cancel,
    dev_config,
    fill,
    order,
    status,
)

COMMON: dict[str, Any] = {"action_id": "a-1", "why": "a test"}


def guard() -> LoggedEngine:
    engine = LoggedEngine()
    engine.is_checked = False
    return engine


def do(logged: LoggedEngine, action: Any) -> list[str]:
    """Does an action as the daemon does: its words."""
    who = actor(logged.now_ns, logged.state.next_sequence, "officer", action.why)
    assert done_before(logged.state, action, who) is None
    planned = plan(logged.state, action, who)
    logged.log(planned.event)
    return planned.changes


def refused(state: GuardState, action: Any) -> AdminError:
    before = state.next_sequence
    with pytest.raises(AdminError) as caught:
        plan(state, action, actor())
    assert state.next_sequence == before
    return caught.value


def test_the_tables_have_a_row_for_every_action() -> None:
    kinds = set(asked.AnyAction.__args__)  # type: ignore[attr-defined]
    assert set(PLANNERS) == set(EVENTS) == kinds


SCOPES = [("firm", "", "firm_halted"), ("desk", "desk-alpha", "desk_halted")]
SCOPES += [("symbol", "AAPL", "symbol_halted")]


@pytest.mark.parametrize(("scope", "name", "reason"), SCOPES)
def test_a_halt_stops_entries_alone_and_its_resumption_lets_them_in(
    scope: Any, name: str, reason: str
) -> None:
    logged = guard()
    assert logged.submit(order("A-1")).reason != reason
    assert do(logged, asked.Halt(scope=scope, name=name, **COMMON)) == [
        f"{f'{scope} {name}'.strip()}: active -> halted"
    ]
    answer = logged.submit(order("A-2"))
    assert (answer.stage, answer.reason) == ("order", reason)
    assert logged.submit(fill()).flags == []
    assert logged.submit(cancel()).released_microcents > 0
    assert logged.submit(status()).state == "closed"
    other = logged.submit(order("B-1", desk="desk-beta", symbol="BTC-USD"))
    assert (getattr(other, "reason", "") == reason) == (scope == "firm")
    resume = asked.Resume(scope=scope, name=name, action_id="a-2", why="over")
    assert do(logged, resume) == [f"{f'{scope} {name}'.strip()}: halted -> active"]
    assert logged.submit(order("A-3")).reason != reason


@pytest.mark.parametrize(
    ("scope", "name", "code"),
    [
        ("desk", "desk-none", "unknown_desk"),
        ("symbol", "NONE", "unknown_symbol"),
        ("firm", "desk-alpha", "invalid"),
    ],
)
def test_a_halt_of_what_is_not_there(scope: Any, name: str, code: str) -> None:
    error = refused(guard().state, asked.Halt(scope=scope, name=name, **COMMON))
    assert (error.code, error.field) == (code, "name")
    assert name in str(error)


def test_a_resumption_of_what_is_not_halted_and_of_a_desk_that_owes_fees() -> None:
    logged = guard()
    resume = asked.Resume(scope="desk", name="desk-alpha", **COMMON)
    assert refused(logged.state, resume).code == "not_halted"
    logged.submit(order())
    logged.submit(fill(quantity=100, fee=ALPHA_BUDGET + 7))
    assert logged.state.desks["desk-alpha"].is_halted
    error = refused(logged.state, resume)
    assert "forgive_fees" in str(error)
    firm = asked.Resume(scope="firm", forgive_fees=True, **COMMON)
    assert refused(logged.state, firm).field == "forgive_fees"
    forgiven = do(logged, structs.replace(resume, forgive_fees=True))
    assert "forgiven" in forgiven[0]
    assert not logged.state.desks["desk-alpha"].is_halted


def test_budgets_are_raised_and_lowered_never_below_what_is_held_and_spent() -> None:
    logged = guard()
    logged.submit(order())
    more = asked.TopUp(desk="desk-alpha", amount_microcents=5, **COMMON)
    assert do(logged, more) == ["desk desk-alpha: budget 2,000,000.00 -> 2,000,000.00000005"]
    free = ALPHA_BUDGET + 5 - ORDER_NOTIONAL
    assert balances(logged.state) == (free, ORDER_NOTIONAL, 0)
    less = asked.LowerBudget(desk="desk-alpha", amount_microcents=free + 1, action_id="b", why="x")
    error = refused(logged.state, less)
    assert (error.code, error.field) == ("too_much", "amount_microcents")
    assert f"at most {free} " in str(error)
    do(logged, structs.replace(less, amount_microcents=free))
    assert balances(logged.state) == (0, ORDER_NOTIONAL, 0)
    too_much = asked.TopUp(desk="desk-alpha", amount_microcents=I64_MAX, action_id="c", why="x")
    assert refused(logged.state, too_much).code == "too_much"
    for kind in (asked.TopUp, asked.LowerBudget):
        nobody = kind(desk="desk-none", amount_microcents=1, **COMMON)
        assert refused(logged.state, nobody).code == "unknown_desk"


def test_a_cap_below_what_is_held_says_so() -> None:
    logged = guard()
    logged.submit(order())
    low = asked.SetCap(desk="desk-alpha", max_reserved_microcents=ORDER_NOTIONAL - 1, **COMMON)
    changes = do(logged, low)
    assert len(changes) == 2
    assert "19,000.00 are held already" in changes[1]
    assert logged.submit(order("A-2")).reason == "exposure_limit_exceeded"
    none = asked.SetCap(desk="desk-alpha", max_reserved_microcents="none", action_id="2", why="x")
    assert do(logged, none)[0].endswith("-> none")
    assert logged.submit(order("A-3")).notional_microcents == ORDER_NOTIONAL


def test_a_desk_and_an_instrument_that_are_new_trade_at_once() -> None:
    logged = guard()
    assert logged.submit(order("N-1", desk="desk-new")).reason == "unknown_desk"
    new = asked.OpenDesk(
        desk="desk-new", budget_microcents=ALPHA_BUDGET, max_reserved_microcents="none", **COMMON
    )
    do(logged, new)
    symbol = asked.DefineInstrument(
        symbol="MSFT", tick_size="0.01", lot_size="1", action_id="2", why="x"
    )
    assert logged.submit(order("N-2", desk="desk-new", symbol="MSFT")).reason == "unknown_symbol"
    do(logged, symbol)
    answer = logged.submit(order("N-3", desk="desk-new", symbol="MSFT"))
    assert answer.notional_microcents == ORDER_NOTIONAL
    again = structs.replace(new, action_id="3")
    assert refused(logged.state, again).code == "desk_exists"
    assert refused(logged.state, structs.replace(symbol, action_id="4")).code == "symbol_exists"
    bad = structs.replace(symbol, symbol="X", tick_size="0", action_id="5")
    error = refused(logged.state, bad)
    assert (error.code, error.field) == ("invalid", "tick_size")


def test_a_policy_is_in_force_from_the_next_order_on() -> None:
    logged = guard()
    state = logged.state
    assert logged.submit(order("A-1")).reservation_id == 1
    assert state.policy is not None
    content = dev_config().policy
    stricter = structs.replace(content, hard_risk_limit_bps=100, policy_epoch=8)
    same = structs.replace(stricter, policy_epoch=7)
    assert refused(state, asked.ActivatePolicy(policy=same, **COMMON)).field == "policy"
    changes = do(logged, asked.ActivatePolicy(policy=stricter, **COMMON))
    assert "policy.hard_risk_limit_bps: 9600 -> 100" in changes
    assert logged.submit(order("A-2")).reason == "risk_hard_limit"
    for back in ({"policy_epoch": 6}, {"policy_epoch": 8, "catalog_epoch": 41}):
        earlier = structs.replace(content, **back)
        error = refused(state, asked.ActivatePolicy(policy=earlier, **COMMON))
        assert (error.code, error.field) == ("invalid", "policy")
        assert "is not allowed; allowed: from " in str(error)
    twice = structs.replace(content, models=[*content.models, content.models[0]])
    wide = structs.replace(content, policy_epoch=2**64)
    for wrong in (twice, wide):
        error = refused(state, asked.ActivatePolicy(policy=wrong, **COMMON))
        assert (error.code, error.field) == ("invalid", "policy")


def test_limits_are_in_force_from_the_next_order_on() -> None:
    logged = guard()
    said = {"value_max_microcents": None, "price_collar_bps": None}
    tree = [LimitScope("desk-alpha", quantity_max=99), LimitScope(quantity_max=100, **said)]
    changes = do(logged, asked.SetLimits(limits=tree, **COMMON))
    assert changes == [
        "limits.quantity_max: unsaid -> 100",
        "limits.value_max: unsaid -> none",
        "limits.price_collar_bps: unsaid -> none",
        "limits.desk.desk-alpha.quantity_max: unsaid -> 99",
    ]
    assert logged.submit(order("A-1")).reason == "quantity_above_max"
    assert logged.submit(order("A-2", desk="desk-beta")).reservation_id == 1
    for wrong in (tree[:1], [*tree, tree[0]], [*tree, LimitScope("nobody", quantity_max=1)]):
        error = refused(logged.state, asked.SetLimits(limits=wrong, **COMMON))
        assert (error.code, error.field) == ("invalid", "limits")
    do(logged, asked.SetLimits(limits=[], action_id="a-2", why="none"))
    assert not logged.state.has_limits


def test_a_dead_order_is_closed_and_its_hold_is_free() -> None:
    logged = guard()
    logged.submit(order())
    logged.submit(fill(quantity=40))
    remaining, held, spent = balances(logged.state)
    free = asked.FreeHold(desk="desk-alpha", client_order_id="A-1", **COMMON)
    at = logged.state.next_sequence
    assert do(logged, free) == ["order desk-alpha/A-1: closed, 11,400.00 are free again"]
    assert balances(logged.state) == (remaining + held, 0, spent)
    assert logged.submit(status()).state == "closed"
    late = logged.submit(cancel())
    assert (late.repeat, late.wal_sequence, late.released_microcents) == (True, at, held)
    assert logged.submit(fill("F-2", quantity=10)).flags == ["late"]
    again = structs.replace(free, action_id="2")
    assert refused(logged.state, again).code == "order_not_open"
    nobody = structs.replace(free, client_order_id="A-9", action_id="3")
    assert refused(logged.state, nobody).code == "unknown_order"


def test_an_action_is_done_once_under_its_id() -> None:
    logged = guard()
    halt = asked.Halt(scope="desk", name="desk-alpha", **COMMON)
    at = logged.state.next_sequence
    do(logged, halt)
    who = actor(logged.now_ns, at, "somebody else", "another reason")
    done = done_before(logged.state, structs.replace(halt, why="another reason"), who)
    assert done is not None
    assert done.sequence == at
    other = structs.replace(halt, name="desk-beta")
    with pytest.raises(AdminError, match="another action") as caught:
        done_before(logged.state, other, who)
    assert caught.value.code == "action_id_reused"
    logged.submit(order("A-1", desk="desk-beta", quantity=1))
    free = asked.FreeHold(desk="desk-beta", client_order_id="A-1", action_id="f", why="dead")
    do(logged, free)
    assert done_before(logged.state, free, who) is not None  # though nothing is held any more


def test_the_oldest_action_is_forgotten_beyond_the_bound() -> None:
    state = guard().state
    for number in range(ACTIONS_REMEMBERED_MAX + 1):
        action = asked.Rotate(action_id=f"r-{number}", why="x")
        apply_event(state, state.next_sequence, plan(state, action, actor()).event)
    assert len(state.actions) == ACTIONS_REMEMBERED_MAX
    assert "r-0" not in state.actions
    assert f"r-{ACTIONS_REMEMBERED_MAX}" in state.actions


def test_a_freed_order_has_the_phase_of_a_canceled_one() -> None:
    logged = guard()
    logged.submit(order())
    do(logged, asked.FreeHold(desk="desk-alpha", client_order_id="A-1", **COMMON))
    orders = logged.state.orders
    logged.request.set_text("desk", b"desk-alpha")
    logged.request.set_text("client_order_id", b"A-1")
    assert orders.phase(orders.find(logged.request, logged.now_ns)) == OrderPhase.CANCELED


def test_fills_are_accepted_busted_and_corrected_once() -> None:
    logged = guard()
    strange = logged.submit(fill("F-9", client_order_id="X", fee=700, quantity=1))
    assert "uncharged" in strange.flags
    name = {"desk": "desk-alpha", "client_order_id": "X", "fill_id": "F-9"}
    accept = asked.AcceptFill(**name, action_id="1", why="x")
    assert do(logged, accept) == ["fill desk-alpha/X/F-9: accepted, its fee of 0.000007 is charged"]
    spent = balances(logged.state)[2]
    assert spent == 700
    who = actor(logged.now_ns)
    assert done_before(logged.state, accept, who) is not None
    assert refused(logged.state, structs.replace(accept, action_id="2")).code == "already_so"
    correct = asked.CorrectFill(**name, fee_microcents=900, action_id="3", why="x")
    assert "0.000002 more charged" in do(logged, correct)[0]
    assert done_before(logged.state, correct, who) is not None
    with pytest.raises(AdminError, match="another action"):
        done_before(logged.state, structs.replace(correct, fee_microcents=901), who)
    nothing = asked.CorrectFill(**name, action_id="4", why="x")
    assert refused(logged.state, nothing).code == "missing"
    bust = asked.BustFill(**name, action_id="5", why="x")
    assert "0.000009 return" in do(logged, bust)[0]
    assert done_before(logged.state, bust, who) is not None
    assert done_before(logged.state, correct, who) is not None
    with pytest.raises(AdminError, match="another action"):
        done_before(logged.state, structs.replace(bust, action_id="1"), who)
    unknown = structs.replace(bust, fill_id="F-0", action_id="6")
    assert "no such fill" in str(refused(logged.state, unknown))


def test_a_bust_returns_no_fee_that_was_forgiven() -> None:
    logged = guard()
    logged.submit(order())
    unpaid = logged.submit(fill(quantity=100, fee=ALPHA_BUDGET + 7))
    assert unpaid.unpaid_fee_microcents == 7
    forgive = asked.Resume(
        scope="desk", name="desk-alpha", forgive_fees=True, action_id="1", why="x"
    )
    do(logged, forgive)
    bust = asked.BustFill(
        desk="desk-alpha", client_order_id="A-1", fill_id="F-1", action_id="2", why="x"
    )
    do(logged, bust)
    assert balances(logged.state) == (ALPHA_BUDGET, 0, ALPHA_BUDGET)
