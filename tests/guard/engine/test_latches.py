"""Latches: they bar entries alone, survive, and a person lifts each by itself."""

import io
from typing import Any

import pytest

from guard.admin import messages as asked
from guard.admin.actions import done_before, plan
from guard.admin.latch_actions import latch_lines
from guard.admin.messages import AdminError
from guard.admin.trading import trading_of
from guard.engine.apply_event import apply_event
from guard.engine.events import FillBusted, FillCorrected
from guard.engine.latches import LATCH_KINDS, Latches
from guard.engine.people_events import LatchLifted, LatchSet
from guard.protocol.messages import Admit
from guard.record.applying import RecordFolder
from guard.record.codec import RecordError, decode_data, encode_event
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard.replay.replay import replay_log
from guard_support import KEY, LoggedEngine, actor, cancel, describe, fill, order, write_log
from kernel import InvariantError
from position_support import say
from wal import ChainHasher

KIND = "execution_differs"


def held() -> LoggedEngine:
    """100 AAPL of desk-alpha, to be reduced."""
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill("F-1", 100, fee=0))
    return engine


def lift(engine: LoggedEngine, **changes: Any) -> Any:
    fields: dict[str, Any] = {"desk": "desk-alpha", "latch": KIND, "action_id": "L-1", "why": "w"}
    return plan(engine.state, asked.LiftLatch(**fields | changes), actor())


@pytest.mark.parametrize(
    ("desk", "symbol", "reason"),
    [
        ("", "", "firm_reducing"),
        ("", "AAPL", "symbol_reducing"),
        ("desk-alpha", "", "desk_reducing"),
        ("desk-alpha", "AAPL", "desk_symbol_reducing"),
    ],
)
def test_entries_are_barred_and_exits_pass(desk: str, symbol: str, reason: str) -> None:
    engine = held()
    engine.state.latch(desk, symbol, KIND)
    answer = engine.reject(order("A-2", quantity=1))
    assert (answer.reason, answer.stage) == (reason, "order")
    other = engine.submit(order("A-3", symbol="BTC-USD", quantity=1_000, price=1_000))
    assert isinstance(other, Admit) == bool(symbol)
    other = engine.submit(order("A-4", desk="desk-beta", quantity=1))
    assert isinstance(other, Admit) == bool(desk)
    assert engine.admit(order("S-1", side="sell", quantity=100)).reducing is True


def test_a_latch_is_part_of_a_checkpoint() -> None:
    engine = held()
    for desk, symbol, kind in (("desk-alpha", "", KIND), ("desk-beta", "AAPL", LATCH_KINDS[2])):
        engine.state.latch(desk, symbol, kind)
    engine.admit(order("B-1", desk="desk-beta", symbol="BTC-USD", quantity=1_000, price=1_000))
    data = b"".join(encode_state(engine.state))
    loaded = decode_state(io.BytesIO(data).read)
    assert describe(loaded) == describe(engine.state)
    assert loaded.has_latches
    assert latch_lines(loaded.latches) == [
        "execution_differs desk desk-alpha",
        "repeated_executions desk desk-beta in AAPL",
    ]


@pytest.mark.parametrize(
    "entries",
    [
        [("d", "", KIND, 3), ("d", "", KIND, 3)],
        [("d", "S", KIND, 3), ("d", "", KIND, 3)],
        [("e", "", KIND, 3)],
        [("", "T", KIND, 3)],
        [("d", "T", KIND, 3)],
        [("d", "", "mood", 3)],
        [("d", "", KIND, 0)],
        [("d", "", KIND, 9)],
    ],
)
def test_a_dump_that_cannot_be_is_refused(entries: list[Any]) -> None:
    with pytest.raises(ValueError, match="latches"):
        Latches().load(entries, {"d"}, {"S"}, 9)


def test_the_first_record_that_sets_one_is_named() -> None:
    latches = Latches()
    latches.put("d", "", KIND, 3)
    latches.put("d", "", KIND, 5)
    latches.put("d", "", "reconciliation", 4)
    assert latches.of("d", "") == {KIND: 3, "reconciliation": 4}
    latches.lift("d", "", KIND)
    assert (len(latches), latches.has("d", "")) == (1, True)
    with pytest.raises(InvariantError, match="not set"):
        latches.lift("d", "", KIND)


def test_a_person_lifts_one_and_says_why() -> None:
    engine = held()
    engine.state.latch("desk-alpha", "", KIND)
    engine.state.latch("desk-alpha", "", "reconciliation")
    engine.state.latch("desk-alpha", "AAPL", "repeated_executions")
    desk = engine.state.desks["desk-alpha"]
    assert trading_of(engine.state, desk) == ("reducing", [KIND, "reconciliation"])
    for action in (
        {"latch": KIND},
        {"latch": "reconciliation", "action_id": "L-2"},
        {"latch": "repeated_executions", "symbol": "AAPL", "action_id": "L-3"},
    ):
        assert engine.submit(order(f"A-{action['latch']}", quantity=1)).stage == "order"
        planned = lift(engine, **action)
        assert planned.changes[0].endswith("lifted")
        engine.log(planned.event)
    engine.admit(order("A-9", quantity=1))
    assert trading_of(engine.state, desk) == ("active", [])
    again = asked.LiftLatch(desk="desk-alpha", latch=KIND, action_id="L-1", why="other words")
    assert done_before(engine.state, again, actor()) is not None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "not_latched"),
        ({"symbol": "AAPL"}, "not_latched"),
        ({"desk": "desk-beta"}, "not_latched"),
        ({"desk": "nobody"}, "unknown_desk"),
        ({"desk": ""}, "not_latched"),
        ({"desk": "", "symbol": "AAPL"}, "not_latched"),
        ({"symbol": "NONE"}, "unknown_symbol"),
    ],
)
def test_what_is_not_set_is_not_lifted(changes: dict[str, Any], code: str) -> None:
    engine = held()
    engine.state.latch("desk-alpha", "", "reconciliation")
    with pytest.raises(AdminError) as caught:
        lift(engine, **changes)
    assert caught.value.code == code


def test_no_log_lifts_what_is_not_set() -> None:
    engine = held()
    event = actor(batch=engine.engine.next_sequence).event(
        LatchLifted, desk="desk-alpha", symbol="", latch=KIND
    )
    folder = RecordFolder(engine.engine, "test-key-id")
    with pytest.raises(RecordError, match="latch"):
        folder.read(engine.engine.next_sequence, encode_event(event), "")


def test_a_latch_with_a_record_of_its_own(tmp_path: Any) -> None:
    engine = held()
    for desk, symbol in (("", ""), ("", "AAPL"), ("desk-beta", "AAPL")):
        engine.log(actor().event(LatchSet, desk=desk, symbol=symbol, latch="silence"))
        engine.log(actor().event(LatchLifted, desk=desk, symbol=symbol, latch="silence"))
    before = describe(engine.state)
    for desk, symbol in (("desk-none", ""), ("desk-alpha", "NONE")):
        event = actor().event(LatchSet, desk=desk, symbol=symbol, latch="silence")
        with pytest.raises(InvariantError, match="is no desk, or no symbol"):
            apply_event(engine.state, engine.state.next_sequence, event)
    assert describe(engine.state) == before
    with pytest.raises(RecordError, match="latch"):  # another record sets that kind
        decode_data(encode_event(actor().event(LatchSet, desk="", symbol="", latch="surplus")))
    write_log(tmp_path / "log", engine.records)
    replay_log(tmp_path / "log", ChainHasher(KEY))


def test_no_log_has_one_under_rules_that_had_none() -> None:
    engine = LoggedEngine(rules_version=2)
    event = actor(batch=engine.engine.next_sequence).event(
        LatchSet, desk="", symbol="", latch="silence"
    )
    folder = RecordFolder(engine.engine, "test-key-id")
    with pytest.raises(RecordError, match="since version 3 of the rules"):
        folder.read(engine.engine.next_sequence, encode_event(event), "")


def test_a_surplus_is_one_until_it_is_over_and_a_person_says_so(tmp_path: Any) -> None:
    engine = held()
    engine.admit(order("S-1", side="sell"))
    say(engine, FillBusted)
    assert engine.state.latches.of("desk-alpha", "") == {"surplus": engine.state.next_sequence - 1}
    with pytest.raises(AdminError) as caught:
        lift(engine, latch="surplus")
    assert (caught.value.code, caught.value.field) == ("not_over", "latch")
    assert "100 lots of its working reducing orders" in str(caught.value)
    early = actor(batch=engine.engine.next_sequence).event(
        LatchLifted, desk="desk-alpha", symbol="", latch="surplus"
    )
    with pytest.raises(RecordError, match="once it is over; 100 lots"):
        RecordFolder(engine.engine, "test-key-id").read(
            engine.engine.next_sequence, encode_event(early), ""
        )
    data = b"".join(encode_state(engine.state))
    assert describe(decode_state(io.BytesIO(data).read)) == describe(engine.state)
    engine.submit(cancel("S-1"))
    assert engine.reject(order("A-2", quantity=1)).reason == "desk_reducing"
    engine.log(lift(engine, latch="surplus").event)
    assert isinstance(engine.admit(order("A-3", quantity=1)), Admit)
    write_log(tmp_path / "log", engine.records)
    replay_log(tmp_path / "log", ChainHasher(KEY))


def test_a_surplus_of_a_moment_is_none() -> None:
    """A correction counts as the fill undone, and done again otherwise: one record."""
    engine = held()
    engine.admit(order("S-1", side="sell"))
    say(engine, FillCorrected, price=1)
    assert engine.state.latches.of("desk-alpha", "") == {}
    engine.submit(fill("G-1", 100, fee=0, client_order_id="S-1"))
    assert isinstance(engine.admit(order("A-2", quantity=1)), Admit)
