"""What is said of a fill afterwards moves the position back, and what of it is confirmed."""

import pytest

from guard.config.activation import rules_events
from guard.engine.events import FillBusted, FillCorrected
from guard_support import I64_MAX, LoggedEngine, actor, cancel, fill, order
from position_support import position, say, settled


def test_a_busted_fill_is_traded_back_for_the_same() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill("F-1", 40, price=19_010))
    say(engine, FillBusted)
    assert position(engine) == (0, 0, 60, 0, 0, 0, 0, 0)
    settled(engine)


def test_a_bust_leaves_what_others_have_traded() -> None:
    engine = LoggedEngine()
    engine.admit(order(quantity=10))
    engine.submit(fill("F-1", 10, price=100))
    engine.admit(order("B", side="sell", quantity=10))
    engine.submit(fill("F-2", 10, client_order_id="B", price=120))
    assert position(engine)[:2] == (0, 0)
    say(engine, FillBusted)
    million = 1_000_000
    assert position(engine)[:2] == (-10, -10)
    # What was sold for less what was bought for is what it is without the bought ones.
    cost, realised = position(engine)[6:]
    assert realised + cost == 10 * 120 * million
    settled(engine)


def test_a_corrected_fill_counts_as_it_was_said() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill("F-1", 40, price=100))
    say(engine, FillCorrected, quantity=25, price=200)
    assert position(engine)[:6] == (25, 25, 60, 0, 25, 0)
    assert position(engine)[6:] == (25 * 200 * 1_000_000, 0)
    say(engine, FillCorrected, quantity=70)  # no more is confirmed than there was
    assert position(engine)[:6] == (70, 40, 60, 0, 70, 0)
    settled(engine)
    say(engine, FillBusted)
    assert position(engine) == (0, 0, 60, 0, 0, 0, 0, 0)
    settled(engine)


FILLS = {"F-1": (60, 60), "F-2": (30, 30), "F-3": (25, 10), "F-4": (10, 0)}


@pytest.mark.parametrize("fill_id", FILLS)
def test_what_a_busted_fill_had_confirmed_is_what_was_left_for_it(fill_id: str) -> None:
    engine = LoggedEngine()
    engine.admit(order())
    for name, (lots, _) in FILLS.items():
        engine.submit(fill(name, lots))
    assert position(engine)[:2] == (125, 100)
    say(engine, FillBusted, fill_id)
    lots, within = FILLS[fill_id]
    assert position(engine)[:2] == (125 - lots, 100 - within)
    settled(engine)


def test_a_late_and_a_huge_one() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(cancel())
    engine.submit(fill("F-1", I64_MAX, fee=0))
    assert position(engine)[:2] == (I64_MAX, 100)
    say(engine, FillBusted)
    assert position(engine)[:6] == (0, 0, 0, 0, 0, 0)
    settled(engine)


def test_a_fill_of_a_refused_order_is_traded_back() -> None:
    engine = LoggedEngine()
    engine.reject(order(risk_bps=9_999))
    engine.submit(fill("F-1", 10))
    assert position(engine)[:2] == (10, 0)
    say(engine, FillBusted)
    assert position(engine)[:2] == (0, 0)
    settled(engine)


def test_a_fill_that_never_counted_is_not_traded_back() -> None:
    engine = LoggedEngine()
    engine.submit(fill("F-1", 10))
    engine.reject(order(desk="desk-beta", risk_bps=9_999))
    say(engine, FillBusted)
    assert engine.state.positions.count == 0
    settled(engine)


def test_nor_one_of_before_positions_were_kept() -> None:
    engine = LoggedEngine(rules_version=2)
    engine.admit(order())
    engine.submit(fill("F-1", 40))
    engine.restart()
    for event in rules_events(engine.state, actor()):
        engine.log(event)
    say(engine, FillBusted)
    assert position(engine)[:6] == (0, 0, 60, 0, 0, 0)
    settled(engine)
