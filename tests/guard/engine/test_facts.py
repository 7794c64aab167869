"""Fills and cancels that come before their order: kept, met, forgotten, bounded, kept on disk."""

from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from guard.engine import facts as kept
from guard.engine.early import put_due
from guard.engine.engine import Engine
from guard.engine.facts import KeptFacts
from guard.engine.remembered_rows import forget_early_fill
from guard.engine.state import GuardState
from guard.protocol.messages import Released
from guard.protocol.messages import Request as AnyRequest
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from guard.recovery.checkpoint_payload import (
    decode_state,
    encode_state,
    state_digest_hex,
)
from guard.recovery.state_head import StateError
from guard.replay.replay import ReplayMismatch, replay_log
from guard_support import (
    ALPHA_BUDGET,
    KEY,
    ORDER_NOTIONAL,
    SECOND_NS,
    T0,
    WINDOW_NS,
    LoggedEngine,
    actor,
    balances,
    cancel,
    describe,
    dev_config,
    fields_of,
    fill,
    fold,
    order,
    status,
    write_log,
)
from kernel import InvariantError
from wal import ChainHasher

HELD = ORDER_NOTIONAL


def reloaded(state: GuardState) -> GuardState:
    """The state that a checkpoint of it gives."""
    payload = iter(b"".join(encode_state(state)))
    return decode_state(lambda count: bytes(b for _, b in zip(range(count), payload, strict=False)))


def replayed(engine: LoggedEngine, directory: Path) -> None:
    """A start folds the log to the state it had, and a replay takes every record."""
    assert describe(fold(engine.records).state) == describe(engine.state)
    write_log(directory, engine.records)
    report = replay_log(directory, ChainHasher(KEY))
    assert describe(report.engine.state) == describe(engine.state)
    assert state_digest_hex(reloaded(engine.state)) == state_digest_hex(engine.state)


def test_fills_that_came_first_follow_their_order_in_its_batch(tmp_path: Path) -> None:
    engine = LoggedEngine()
    first = engine.submit(fill(fee=5_000))
    engine.submit(fill("F-2", quantity=60, fee=7, price=19_001))
    assert first.flags == ["unknown", "uncharged"]
    assert balances(engine.state) == (ALPHA_BUDGET, 0, 0)
    admitted = engine.admit(order(), T0 + SECOND_NS)
    assert admitted.notional_microcents == HELD  # all of it is reserved first
    one, two = [msgspec.json.decode(record) for record in engine.records[-2:]]
    assert [event["batch_first_sequence"] for event in (one, two)] == [10, 10]
    assert [event["received_at_ns"] for event in (one, two)] == [T0 + SECOND_NS] * 2
    assert one["answer"] == {
        "type": "filled",
        "desk": "desk-alpha",
        "client_order_id": "A-1",
        "fill_id": "F-1",
        "wal_sequence": 11,
        "open_quantity": 60,
        "hold_microcents": HELD * 60 // 100,
        "released_microcents": HELD * 40 // 100,
        "fee_microcents": 5_000,
        "unpaid_fee_microcents": 0,
        "flags": ["early"],
        "repeat": False,
    }
    assert (two["answer"]["open_quantity"], two["answer"]["hold_microcents"]) == (0, 0)
    assert balances(engine.state) == (ALPHA_BUDGET - 5_007, 0, 5_007)
    state = engine.submit(status())
    assert (state.state, state.filled_quantity) == ("closed", 100)
    # Sent once more they are what they became.
    again = engine.submit(fill(fee=5_000))
    assert (again.repeat, again.wal_sequence, again.flags) == (True, 11, ["early"])
    assert engine.submit(fill(fee=5_001)).code == "fill_id_reused"
    assert not engine.state.has_facts
    replayed(engine, tmp_path)


def test_an_early_fill_beyond_the_bound_of_fees_frees_its_share_and_is_not_charged() -> None:
    terms = '"1500000.00"\nfee_bound_bps = 1'
    engine = LoggedEngine(dev_config(('"1500000.00"', terms)))
    engine.submit(fill(fee=76_000_001))
    engine.admit(order())
    again = engine.submit(fill(fee=76_000_001))
    assert (again.flags, again.open_quantity) == (["uncharged", "early"], 60)
    assert balances(engine.state) == (ALPHA_BUDGET - HELD * 6 // 10, HELD * 6 // 10, 0)


def test_more_than_the_order_is_an_overfill_and_late() -> None:
    engine = LoggedEngine()
    for number in range(3):
        engine.submit(fill(f"F-{number}", quantity=100, fee=0))
    engine.admit(order())
    flags = [engine.submit(fill(f"F-{n}", quantity=100, fee=0)).flags for n in range(3)]
    assert flags == [["early"], ["overfill", "late", "early"], ["overfill", "late", "early"]]


def test_after_a_reject_early_fills_stay_unknown(tmp_path: Path) -> None:
    engine = LoggedEngine()
    first = engine.submit(fill())
    engine.reject(order(risk_bps=10_000))
    assert engine.submit(fill()) == structs.replace(first, repeat=True)
    assert engine.submit(fill("F-2", fee=0)).flags == ["unknown", "refused"]
    assert balances(engine.state) == (ALPHA_BUDGET, 0, 0)
    replayed(engine, tmp_path)


def test_an_order_that_may_be_sent_again_still_meets_its_fills() -> None:
    """A refusal that is not remembered says nothing of the id."""
    engine = LoggedEngine()
    engine.submit(fill())
    engine.reject(order(sent_at_ns=1))
    engine.admit(order())
    assert engine.submit(status()).filled_quantity == 40


def test_early_fills_are_forgotten_with_the_window(tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.submit(fill())
    assert engine.submit(fill(), T0 + WINDOW_NS - 1).repeat is True
    engine.admit(order(), T0 + WINDOW_NS)
    assert engine.submit(status()).filled_quantity == 0
    assert not engine.state.has_facts
    assert engine.submit(fill()).flags == []
    replayed(engine, tmp_path)


def test_a_last_nanosecond_fill_meets_its_order() -> None:
    engine = LoggedEngine()
    engine.submit(fill())
    engine.admit(order(), T0 + WINDOW_NS - 1)
    assert engine.submit(status()).filled_quantity == 40


def test_early_fills_are_bounded_by_order_and_by_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "EARLY_FILLS_OF_ORDER_MAX", 2)
    monkeypatch.setattr(kept, "EARLY_FILLS_MAX", 3)
    engine = LoggedEngine()
    for number in range(3):
        engine.submit(fill(f"F-{number}", quantity=1))
        engine.submit(fill(f"F-{number}", quantity=1, client_order_id="A-2"))
    engine.submit(fill(quantity=1, desk="desk-beta"))
    engine.admit(order())
    engine.admit(order("A-2"))
    engine.admit(order(desk="desk-beta"))
    filled = [engine.submit(status(name)).filled_quantity for name in ("A-1", "A-2")]
    assert filled == [2, 1]  # beyond a bound a fill is recorded, and stays unknown
    assert engine.submit(fill("F-2", quantity=1)).flags == ["unknown", "uncharged"]
    assert engine.submit(status(desk="desk-beta")).filled_quantity == 1  # no other desk's room


def test_fills_of_a_desk_that_does_not_exist_are_not_kept() -> None:
    engine = LoggedEngine()
    engine.submit(fill(desk="nobody"))
    assert not engine.state.has_facts


def test_a_crash_behind_the_order_leaves_its_fills_due(tmp_path: Path) -> None:
    """The log was cut between the order's record and those of its fills."""
    engine = LoggedEngine()
    engine.submit(fill())
    engine.submit(fill("F-2", quantity=10))
    engine.admit(order())
    for count in (1, 2):
        found = fold(engine.records[:-count])
        state = reloaded(found.state)
        assert describe(state) == describe(found.state)
        assert [key.rpartition(b"\0")[2] for key in state.facts.due] == [b"F-1", b"F-2"][-count:]
        with pytest.raises(InvariantError, match="is due, as it was reported, and nothing else"):
            found.decide(fields_of(order("A-9"), T0), Outcome())
        # A day later the window has passed; they are due all the same.
        again, outcome = Request(), Outcome()
        again.set_text("client", b"local")
        while put_due(state, again):
            again.received_at_ns = T0 + 2 * WINDOW_NS
            assert Engine(state).decide(again, outcome)
            Engine(state).apply(again, outcome)
        ours = engine.state.ledger.export_state()
        assert state.ledger.export_state().tenants == ours.tenants
        assert not state.has_facts


@pytest.mark.parametrize(
    "instead", [order("A-2"), fill("F-2"), fill(client_order_id="A-2"), cancel("A-2")]
)
def test_a_log_without_what_was_due_is_refused(instead: AnyRequest, tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.submit(fill())
    engine.admit(order())
    other = LoggedEngine()
    other.submit(fill(client_order_id="X"))
    other.admit(order("A-9"))
    other.submit(instead)
    assert b'"fill_id":"F-1"' in engine.records[-1]
    records = [*engine.records[:-1], other.records[-1]]
    words = r"the early fill .*F-1.* is due, as it was reported, and nothing else"
    write_log(tmp_path, records)
    with pytest.raises(ReplayMismatch, match=f"record 10: the event cannot follow: {words}"):
        replay_log(tmp_path, ChainHasher(KEY))
    with pytest.raises(InvariantError, match=r"record 10 stands where the early fill .* is due"):
        fold(records)


def test_an_early_fill_is_recorded_again_as_it_was(tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.submit(fill())
    engine.admit(order())
    forged = engine.records[-1].replace(b'"fee_microcents":5000', b'"fee_microcents":4999')
    write_log(tmp_path, [*engine.records[:-1], forged])
    with pytest.raises(ReplayMismatch, match=r"record 10: .*F-1.* is due, as it was reported"):
        replay_log(tmp_path, ChainHasher(KEY))


def test_a_cancel_that_overtakes_its_order_refuses_it(tmp_path: Path) -> None:
    engine = LoggedEngine()
    early = engine.submit(cancel())
    assert early == Released("desk-alpha", "A-1", 8, 0, False, flags=["early"])
    assert b'"repeat":false,"flags":["early"]}}' in engine.records[-1]
    assert engine.submit(cancel()) == structs.replace(early, repeat=True)
    refused = engine.reject(order())
    assert (refused.stage, refused.reason) == ("order", "canceled_before_arrival")
    assert refused.detail == {"original_wal_sequence": 8}
    assert engine.records[-1].startswith(b'{"audit":')  # the kernel was asked all the same
    assert balances(engine.state) == (ALPHA_BUDGET, 0, 0)
    assert engine.submit(order()) == structs.replace(refused, repeat=True)
    assert engine.submit(cancel()) == structs.replace(early, repeat=True)
    assert engine.submit(status()).state == "refused"
    assert engine.admit(order("A-2")).reservation_id == 1
    replayed(engine, tmp_path)


def test_an_early_cancel_is_forgotten_with_the_window() -> None:
    engine = LoggedEngine()
    engine.submit(cancel())
    assert engine.submit(cancel(), T0 + WINDOW_NS).repeat is True
    engine.admit(order(), T0 + WINDOW_NS + 1)
    assert engine.submit(cancel()).released_microcents == HELD


def test_early_cancels_are_bounded_by_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "EARLY_CANCELS_MAX", 2)
    engine = LoggedEngine()
    engine.submit(cancel("X-1"))
    engine.submit(cancel("X-2"), T0 + SECOND_NS)
    assert engine.submit(cancel("X-3")).code == "unknown_order"  # which the client is told
    assert engine.submit(cancel("X-1")).repeat is True
    assert engine.submit(cancel("X-3", "desk-beta")).flags == ["early"]
    # The first one's window has passed, though nothing was recorded since: there is room.
    assert engine.submit(cancel("X-3"), T0 + WINDOW_NS + 1).flags == ["early"]
    assert engine.submit(cancel("X-4")).code == "unknown_order"


def test_before_version_2_of_the_rules_nothing_was_kept(tmp_path: Path) -> None:
    engine = LoggedEngine(rules_version=1)
    assert engine.submit(cancel()).code == "unknown_order"
    engine.submit(fill())
    assert not engine.state.has_facts
    engine.admit(order())
    assert engine.submit(status()).filled_quantity == 0
    assert b"fact_count" not in b"".join(encode_state(engine.state))
    replayed(engine, tmp_path)


def test_what_is_kept_is_in_checkpoints_in_its_order(tmp_path: Path) -> None:
    engine = LoggedEngine()
    for number in (3, 1, 2):
        engine.submit(fill(f"F-{number}", quantity=number), T0 + number)
        engine.submit(cancel(f"X-{number}"))
    engine.admit(order("B-1", desk="desk-beta"))
    state = reloaded(engine.state)
    assert describe(state) == describe(engine.state)
    other = LoggedEngine()
    other.engine.state = state
    for one in (engine, other):
        one.admit(order())
    assert engine.records[-3:] == other.records[-3:]
    replayed(engine, tmp_path)


def entry(*values: object) -> bytes:
    return msgspec.msgpack.encode(values)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry("rumour", b"d\0o", 1, [1])], "Invalid enum value .rumour."),
        ([entry("cancel", b"d", 1, [1])], "is no key of a kept cancel"),
        ([entry("cancel", b"d\0o", 1, [])], "length 1"),
        ([entry("cancel", b"d\0o", 1, [1])] * 2, "is kept twice"),
        ([entry("fill", b"d\0o\0f", 1, [1])], "length 0"),
        ([entry("amendment", b"d\0o\0f", 0, [1, 2])], "Expected `bool`"),
        ([b"\xc1"], "malformed"),
    ],
)
def test_what_no_checkpoint_holds(entries: list[bytes], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KeptFacts().load(entries)


def test_a_checkpoint_whose_early_fill_is_not_there() -> None:
    engine = LoggedEngine()
    engine.submit(fill())
    forget_early_fill(engine.state.orders, b"desk-alpha\0A-1\0F-1")
    with pytest.raises(StateError, match="is no fill that is remembered"):
        reloaded(engine.state)


def test_an_early_cancel_frees_nothing(tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.submit(cancel())
    for old, new in (
        (b'"released_microcents":0', b'"released_microcents":1'),
        (b'"desk-alpha"', b'"nobody"'),
    ):
        with pytest.raises(InvariantError, match="cancels early what cannot come"):
            fold([*engine.records[:-1], engine.records[-1].replace(old, new)])


def test_a_restart_between_stands_in_nobodys_way(tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.submit(fill())
    engine.submit(cancel("A-2"))
    engine.restart()
    engine.admit(order(), T0 + SECOND_NS)
    engine.reject(order("A-2"))
    assert engine.submit(status()).filled_quantity == 40
    assert actor().by == "tester"
    replayed(engine, tmp_path)
