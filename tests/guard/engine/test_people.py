"""What takes two people: who may approve what, what reverts when, and what no log can say."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import UNSET, structs

from guard.admin import messages as asked
from guard.admin.actions import done_before, plan
from guard.admin.messages import AdminError
from guard.admin.queries import answer
from guard.config.file import ConfigError
from guard.engine.apply_event import apply_event
from guard.engine.events import DeskCapped, LimitsSet
from guard.engine.facts import NEVER
from guard.engine.people import due_event
from guard.engine.people_events import (
    Approval,
    LooseningReverted,
    PositionOpened,
    ProposalExpired,
    Proposed,
)
from guard.protocol.limits import LimitScope
from guard.protocol.messages import Admit
from guard.replay.replay import ReplayMismatch, replay_log
from guard.server.recording import record_event
from guard_support import (
    ALPHA_BUDGET,
    KEY,
    SECOND_NS,
    T0,
    LoggedEngine,
    actor,
    cancel,
    describe,
    dev_config,
    order,
    write_log,
)
from kernel import InvariantError
from people_support import (
    APPROVALS,
    LIMITS,
    MINUTE_NS,
    PEOPLE,
    Desk,
    guard,
    held_well,
)
from request_path_support import Guard
from request_path_support import order as wire_order
from wal import ChainHasher


def cap_of(engine: LoggedEngine) -> int:
    return engine.state.ledger.max_reserved_microcents("desk-alpha") or 0


def capped(desk: Desk, person: str, dollars: int, **fields: Any) -> Any:
    cap = dollars * 10**8
    return desk.do(person, asked.SetCap, desk="desk-alpha", max_reserved_microcents=cap, **fields)


def test_one_person_goes_up_to_the_ceiling_and_tightens_at_will(tmp_path: Any) -> None:
    engine = guard()
    desk = Desk(engine)
    for dollars in (30_000, 1, 50_000):
        assert type(capped(desk, "ann", dollars)) is DeskCapped
    assert engine.state.due_at_ns == NEVER
    held_well(engine, tmp_path)


def test_beyond_it_takes_another_person_and_reverts_in_time(tmp_path: Any) -> None:
    engine = guard()
    desk = Desk(engine)
    proposed = capped(desk, "ann", 60_000, action_id="more", lasts_s=120)
    assert type(proposed) is Proposed
    assert (proposed.person, proposed.beyond) == ("ann", ["desks.desk-alpha.exposure_cap"])
    assert cap_of(engine) == 40_000 * 10**8
    (waiting,) = answer(engine.state, asked.ListPending(), 0).proposals
    assert (waiting.proposal, waiting.lasts_s) == ("more", 120)
    held_well(engine, tmp_path / "pending")
    approved = desk.do("bob", asked.Approve, proposal="more")
    assert type(approved) is DeskCapped
    assert approved.approval == Approval("more", "bob", "bob of a test", "a test")
    assert (approved.by, approved.until_ns) == ("ann of a test", T0 + 120 * SECOND_NS)
    assert cap_of(engine) == 60_000 * 10**8
    assert desk.refused("bob", asked.Approve, proposal="more") == "not_pending"
    held_well(engine, tmp_path / "loosened")
    desk.pass_to(T0 + 120 * SECOND_NS - 1)
    assert cap_of(engine) == 60_000 * 10**8
    desk.pass_to(T0 + 120 * SECOND_NS)
    assert cap_of(engine) == 40_000 * 10**8
    assert engine.state.due_at_ns == NEVER
    held_well(engine, tmp_path / "reverted")


def test_nobody_asks_and_approves(tmp_path: Any) -> None:
    engine = guard()
    desk = Desk(engine)
    capped(desk, "ann", 60_000, action_id="more")
    # Under whichever key: the person counts.
    assert desk.refused("ann", asked.Approve, proposal="more") == "same_person"
    assert desk.refused("bob", asked.Approve, proposal="less") == "not_pending"
    event = actor(T0, engine.state.next_sequence, "ann", "w").event(
        DeskCapped,
        desk="desk-alpha",
        max_reserved_microcents=60_000 * 10**8,
        action_id="forged",
        approval=Approval("more", "ann", "ann", "w"),
        until_ns=T0 + 600 * SECOND_NS,
    )
    before = describe(engine.state)
    with pytest.raises(InvariantError, match="ann approves what ann proposed"):
        apply_event(engine.state, engine.state.next_sequence, event)
    other = structs.replace(event, approval=Approval("more", "bob", "bob", "w"))
    for forged, words in (
        (structs.replace(other, max_reserved_microcents=70_000 * 10**8), "another change"),
        (structs.replace(other, until_ns=T0 + 601 * SECOND_NS), "proposed was until"),
        (structs.replace(other, until_ns=UNSET), "proposed was until"),
        (structs.replace(other, approval=UNSET), "nobody has approved it"),
    ):
        with pytest.raises(InvariantError, match=words):
            apply_event(engine.state, engine.state.next_sequence, forged)
    assert describe(engine.state) == before


def test_a_proposal_expires_and_is_withdrawn(tmp_path: Any) -> None:
    engine = guard()
    desk = Desk(engine)
    capped(desk, "ann", 60_000, action_id="late")
    desk.pass_to(T0 + MINUTE_NS - 1)
    assert list(engine.state.people.pending) == ["late"]
    assert desk.refused("bob", asked.Approve, proposal="none") == "not_pending"
    desk.pass_to(T0 + MINUTE_NS)
    assert not engine.state.people.pending
    assert desk.refused("bob", asked.Approve, proposal="late") == "not_pending"
    capped(desk, "ann", 60_000, action_id="not-so")
    desk.do("ann", asked.Withdraw, proposal="not-so")
    assert desk.refused("bob", asked.Approve, proposal="not-so") == "not_pending"
    held_well(engine, tmp_path)


def test_the_same_proposal_sent_again_is_the_same(tmp_path: Any) -> None:
    engine = guard()
    desk = Desk(engine)
    proposed = capped(desk, "ann", 60_000, action_id="more")
    at = engine.state.next_sequence - 1
    again = asked.SetCap(
        desk="desk-alpha", max_reserved_microcents=60_000 * 10**8, action_id="more", why="w"
    )
    found = done_before(engine.state, again, desk.who("ann"))
    assert found is not None
    assert (found.sequence, found.digest_hex) == (at, proposed.event_digest_hex)
    other = structs.replace(again, max_reserved_microcents=1)
    with pytest.raises(AdminError, match="was another action"):
        done_before(engine.state, other, desk.who("ann"))
    desk.do("bob", asked.Approve, proposal="more", action_id="yes")
    yes = asked.Approve(proposal="more", action_id="yes", why="other words")
    assert done_before(engine.state, yes, desk.who("bob")) is not None
    with pytest.raises(AdminError, match="was another action"):
        done_before(engine.state, structs.replace(yes, proposal="less"), desk.who("bob"))


def test_a_proposal_that_has_ended_is_not_done_when_it_is_sent_again(tmp_path: Any) -> None:
    engine = guard()
    desk = Desk(engine)
    capped(desk, "ann", 60_000, action_id="T1")
    capped(desk, "ann", 60_000, action_id="T2")
    desk.do("ann", asked.Withdraw, proposal="T2", action_id="W")
    desk.pass_to(T0 + MINUTE_NS)
    held_well(engine, tmp_path)

    def again(action_id: str, dollars: int = 60_000) -> AdminError:
        action = asked.SetCap(
            desk="desk-alpha",
            max_reserved_microcents=dollars * 10**8,
            action_id=action_id,
            why="a test",
        )
        with pytest.raises(AdminError) as caught:
            done_before(engine.state, action, desk.who("ann"))
        return caught.value

    for _ in range(2):
        for name, how in (("T1", "expired"), ("T2", "was withdrawn")):
            error = again(name)
            assert (error.code, error.field) == ("not_pending", "action_id")
            assert str(error) == f"proposal {name} {how}; propose it under another id"
            assert again(name, 61_000).code == "action_id_reused"
        engine.restart()
    withdrawal = asked.Withdraw(proposal="T2", action_id="W", why="a test")
    assert done_before(engine.state, withdrawal, desk.who("ann")) is not None
    assert type(capped(desk, "ann", 60_000, action_id="T3")) is Proposed


def test_what_is_within_the_base_ends_a_loosening(tmp_path: Any) -> None:
    engine = guard()
    desk = Desk(engine)
    capped(desk, "ann", 60_000, action_id="more")
    desk.do("bob", asked.Approve, proposal="more")
    # Not a loosening of what is in force, but of what was before: it takes two people.
    assert type(capped(desk, "ann", 55_000, action_id="less")) is Proposed
    desk.do("ann", asked.Withdraw, proposal="less")
    capped(desk, "ann", 30_000)
    assert not engine.state.people.loosened
    desk.pass_to(T0 + 10 * MINUTE_NS)
    assert cap_of(engine) == 30_000 * 10**8
    held_well(engine, tmp_path)


def test_a_budget_is_lent_and_taken_back_as_far_as_it_is_free(tmp_path: Any) -> None:
    engine = guard()
    desk = Desk(engine)
    granted = ALPHA_BUDGET
    ceiling = 2_500_000 * 10**8
    up = {"desk": "desk-alpha", "amount_microcents": ceiling - granted}
    desk.do("ann", asked.TopUp, **up)
    desk.do("ann", asked.TopUp, **{**up, "amount_microcents": 1000, "action_id": "more"})
    desk.do("bob", asked.Approve, proposal="more")
    desk.do("bob", asked.LowerBudget, desk="desk-alpha", amount_microcents=400)
    assert engine.state.people.loosened["budget", "desk-alpha"].base == 600
    free = engine.state.ledger.remaining_microcents("desk-alpha") or 0
    engine.log(
        actor(T0, engine.state.next_sequence).event(
            DeskCapped, desk="desk-alpha", max_reserved_microcents=1
        )
    )
    desk.pass_to(T0 + 10 * MINUTE_NS)
    assert engine.state.ledger.initial_microcents("desk-alpha") == ceiling
    assert engine.state.ledger.remaining_microcents("desk-alpha") == free - 600
    held_well(engine, tmp_path)


def test_limits_beyond_the_ceiling(tmp_path: Any) -> None:
    engine = guard(limits=LIMITS)
    desk = Desk(engine)

    def tree(quantity_max: int) -> list[LimitScope]:
        (firm,) = engine.state.limits.tree
        return [structs.replace(firm, quantity_max=quantity_max)]

    assert type(desk.do("ann", asked.SetLimits, limits=tree(500))) is LimitsSet
    more = desk.do("ann", asked.SetLimits, limits=tree(501), action_id="more")
    assert more.beyond == ["limits.quantity_max"]
    desk.do("bob", asked.Approve, proposal="more")
    assert isinstance(engine.submit(order("A-1", desk="desk-beta", quantity=501)), Admit)
    desk.pass_to(T0 + 10 * MINUTE_NS)
    assert (
        engine.submit(order("A-2", desk="desk-beta", quantity=501)).reason == "quantity_above_max"
    )
    held_well(engine, tmp_path)


def lent(until_s: int = 600) -> LoggedEngine:
    engine = guard()
    desk = Desk(engine)
    capped(desk, "ann", 60_000, action_id="more", lasts_s=until_s)
    desk.do("bob", asked.Approve, proposal="more")
    engine.now_ns = T0
    return engine


def mismatch(engine: LoggedEngine, tmp_path: Any) -> str:
    write_log(tmp_path / "log", engine.records)
    with pytest.raises(ReplayMismatch) as caught:
        replay_log(tmp_path / "log", ChainHasher(KEY))
    return str(caught.value)


def test_a_replay_finds_a_revert_that_is_missing_or_late(tmp_path: Any) -> None:
    engine = lent()
    engine.submit(order("A-1"), T0 + 600 * SECOND_NS)
    assert "loosening_reverted" in mismatch(engine, tmp_path)


@pytest.mark.parametrize("early_ns", [1, 600 * SECOND_NS])
def test_a_replay_finds_one_that_is_early(early_ns: int, tmp_path: Any) -> None:
    engine = lent()
    at_ns = T0 + 600 * SECOND_NS
    event = due_event(engine.state, actor(at_ns, engine.state.next_sequence))
    engine.now_ns = at_ns - early_ns
    engine.log(structs.replace(event, received_at_ns=at_ns - early_ns))
    assert "due" in mismatch(engine, tmp_path)


def test_a_replay_finds_one_that_nothing_was_due_for(tmp_path: Any) -> None:
    engine = guard()
    event = actor(T0, engine.state.next_sequence).event(ProposalExpired, proposal="none", due_ns=T0)
    with pytest.raises(InvariantError):
        engine.log(event)
    wrong = actor(T0, engine.state.next_sequence).event(
        LooseningReverted, what="cap", desk="desk-alpha", due_ns=T0
    )
    with pytest.raises(InvariantError):
        engine.log(wrong)


def test_a_loosening_survives_a_restart_and_reverts_behind_it(tmp_path: Any) -> None:
    engine = lent()
    engine.restart()
    desk = Desk(engine)
    desk.pass_to(T0 + 600 * SECOND_NS)
    assert cap_of(engine) != 60_000 * 10**8
    assert isinstance(engine.submit(order("A-1")), Admit)
    held_well(engine, tmp_path)


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ("", "`operate` has nobody"),
        ('[clients.ann]\nuser = 1\nroles = ["operate", "approve"]\n', "another one with `approve`"),
        (
            '[clients.ann]\nuser = 1\nroles = ["operate"]\n'
            '[clients.ann2]\nuser = 2\nperson = "ann"\nroles = ["approve"]\n',
            "another one with `approve`",
        ),
        ('[clients.ann]\nuser = 1\nroles = ["approve"]\n', "`operate` has nobody"),
    ],
)
def test_a_rule_that_nobody_can_hold_is_refused(people: str, words: str) -> None:
    ipc = ('orders = "tcp://127.0.0.1:7001"', 'orders = "ipc://@people-test"')
    with pytest.raises(ConfigError, match=words):
        dev_config(("[settings]", f"{APPROVALS}{people}\n[settings]"), ipc)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("desk-alpha]", "desk-none]"), "there is no desk 'desk-none'"),
        (("quantity_max = 500", 'quantity_max = "x"'), "quantity_max"),
        (("proposal_s = 60", "proposal_s = 0"), "proposal_s"),
        (('budget = "2500000.00"', 'budget = "2,5"'), "approvals.desk.desk-alpha.budget"),
    ],
)
def test_terms_that_cannot_be(change: tuple[str, str], words: str) -> None:
    text = APPROVALS.replace(*change)
    assert text != APPROVALS
    ipc = ('orders = "tcp://127.0.0.1:7001"', 'orders = "ipc://@people-test"')
    with pytest.raises(ConfigError, match=words):
        dev_config(("[settings]", f"{text}{PEOPLE}\n[settings]"), ipc)


def test_proposals_have_a_bound_and_a_loosening_its_longest_time() -> None:
    engine = guard()
    desk = Desk(engine)
    cap: Any = {"desk": "desk-alpha", "max_reserved_microcents": 60_000 * 10**8}
    assert desk.refused("ann", asked.SetCap, lasts_s=601, **cap) == "too_much"
    for number in range(64):
        desk.do("ann", asked.SetCap, action_id=f"p-{number}", **cap)
    assert desk.refused("ann", asked.SetCap, action_id="p-64", **cap) == "too_many"


def test_the_way_of_requests_records_first_what_is_due(tmp_path: Any) -> None:
    sections = f"{APPROVALS}{PEOPLE}\n[settings]"
    ipc = ('orders = "tcp://127.0.0.1:7001"', 'orders = "ipc://@people-test"')
    path = Guard(tmp_path, dev_config(("[settings]", sections), ipc))

    def does(event: Any) -> None:
        record_event(path.engine, path.writer, event)

    def who(person: str) -> Any:
        staged = path.engine.next_sequence - path.writer.staged_count
        return replace(actor(path.now_ns, staged, person), person=person)

    cap = 40_000 * 10**8
    does(who("ann").event(DeskCapped, desk="desk-alpha", max_reserved_microcents=cap))
    more = asked.SetCap(
        desk="desk-alpha", max_reserved_microcents=2 * cap, action_id="m", why="w", lasts_s=1
    )
    does(plan(path.engine.state, more, who("ann")).event)
    yes = asked.Approve(proposal="m", action_id="y", why="w")
    does(plan(path.engine.state, yes, who("bob")).event)
    assert path.ask(wire_order("A-1"))["type"] == "admit"
    path.now_ns += SECOND_NS - 1
    assert path.ask(wire_order("A-2"))["type"] == "admit"
    path.now_ns += 1
    first, second = path.ask(wire_order("A-3"), wire_order("A-4"))
    assert second["wal_sequence"] == first["wal_sequence"] + 1
    lines = [msgspec.json.decode(line) for line in path.end()]
    assert path.engine.state.ledger.max_reserved_microcents("desk-alpha") == cap
    reverted = [b"loosening_reverted" in msgspec.json.encode(line) for line in lines]
    assert reverted.index(True) == first["wal_sequence"] - 2


def test_an_opening_position_takes_two_and_may_be_reduced(tmp_path: Any) -> None:
    engine = guard()
    desk = Desk(engine)
    opening: Any = {"desk": "desk-alpha", "symbol": "AAPL", "cost_microcents": 10**10}
    proposed = desk.do("ann", asked.OpenPosition, lots=-70, action_id="open", **opening)
    assert proposed.changes[0].startswith("desk desk-alpha in AAPL: position 0 -> -70 lots")
    assert not is_reducing(engine, "A-1", "buy", 70)
    assert desk.refused("ann", asked.Approve, proposal="open") == "same_person"
    approved = desk.do("bob", asked.Approve, proposal="open")
    assert approved.until_ns is UNSET
    assert is_reducing(engine, "A-2", "buy", 70)
    desk.pass_to(T0 + 20 * MINUTE_NS)
    again = answer(engine.state, asked.ListPositions(), 0).positions[0]
    assert (again.position_lots, again.confirmed_lots) == (-70, -70)
    held_well(engine, tmp_path)


def is_reducing(engine: LoggedEngine, name: str, side: str, lots: int) -> bool:
    found = engine.submit(order(name, side=side, quantity=lots))
    engine.submit(cancel(name))
    return isinstance(found, Admit) and found.reducing is True


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lots": 0}, "invalid"),
        ({"desk": "desk-none"}, "unknown_desk"),
        ({"symbol": "NONE"}, "unknown_symbol"),
    ],
)
def test_a_position_that_cannot_be_opened(changes: Any, code: str) -> None:
    desk = Desk(guard())
    fields: Any = {"desk": "desk-alpha", "symbol": "AAPL", "lots": 1, "cost_microcents": 1}
    assert desk.refused("ann", asked.OpenPosition, **(fields | changes)) == code


def test_nobody_opens_one_alone_whatever_the_terms() -> None:
    fields: Any = {"desk": "desk-alpha", "symbol": "AAPL", "lots": 1, "cost_microcents": 1}
    without = LoggedEngine()
    assert Desk(without).refused("ann", asked.OpenPosition, **fields) == "not_permitted"
    for engine in (without, guard()):
        event = actor(T0, engine.state.next_sequence).event(PositionOpened, **fields)
        with pytest.raises(InvariantError):
            apply_event(engine.state, engine.state.next_sequence, event)
