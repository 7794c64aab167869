"""Which records move positions and what works, live, in the fold and from a checkpoint on."""

import pytest

from guard.config.activation import rules_events
from guard_support import I64_MAX, LoggedEngine, actor, cancel, fill, order
from position_support import position, settled


def test_an_order_works_until_it_is_filled_or_closed() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    assert position(engine) == (0, 0, 100, 0, 0, 0, 0, 0)
    engine.submit(fill("F-1", 40, price=19_010))
    assert position(engine) == (40, 40, 60, 0, 40, 0, 40 * 19_010_000_000 // 1_000 * 1_000, 0)
    engine.submit(fill("F-2", 60))  # says no price: the order's
    assert position(engine)[:6] == (100, 100, 0, 0, 100, 0)
    engine.admit(order("A-2", side="sell", quantity=30))
    assert position(engine)[2:4] == (0, 30)
    engine.submit(cancel("A-2"))
    assert position(engine)[2:4] == (0, 0)
    settled(engine)


def test_what_is_refused_never_works() -> None:
    engine = LoggedEngine()
    engine.reject(order(risk_bps=9_999))
    engine.reject(order("A-2", desk="desk-omega"))
    assert engine.state.positions.count == 0
    settled(engine)


def test_a_repeat_moves_nothing() -> None:
    engine = LoggedEngine()
    for _ in range(2):
        engine.admit(order())
        engine.submit(fill())
    assert position(engine)[:6] == (40, 40, 60, 0, 40, 0)


def test_more_than_was_ordered_counts_and_is_not_confirmed() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill("F-1", 90))
    engine.submit(fill("F-2", 30))
    assert position(engine)[:6] == (120, 100, 0, 0, 120, 0)
    engine.submit(fill("F-3", 7))
    assert position(engine)[:6] == (127, 100, 0, 0, 127, 0)
    engine.submit(fill("F-4", I64_MAX))
    assert position(engine)[:2] == (I64_MAX, 100)
    settled(engine)


def test_a_late_fill_counts_within_its_order() -> None:
    engine = LoggedEngine()
    engine.admit(order(side="sell"))
    engine.submit(cancel())
    engine.submit(fill("F-1", 90))
    engine.submit(fill("F-2", 90))
    assert position(engine)[:6] == (-180, -100, 0, 0, 0, 180)
    settled(engine)


def test_a_fill_of_a_refused_order_counts_and_is_not_confirmed() -> None:
    engine = LoggedEngine()
    engine.reject(order(risk_bps=9_999))
    engine.submit(fill("F-1", 10))
    assert position(engine)[:6] == (10, 0, 0, 0, 10, 0)
    settled(engine)


def test_a_fill_of_no_known_order_is_of_no_symbol() -> None:
    engine = LoggedEngine()
    engine.submit(fill("F-1", 10))
    engine.submit(fill("F-1", 10, desk="desk-omega"))
    engine.reject(order("B", symbol="NONE"))
    engine.submit(fill("F-2", 10, client_order_id="B"))
    engine.reject(order("C", desk="desk-omega"))
    engine.submit(fill("F-2", 10, client_order_id="C", desk="desk-omega"))
    assert engine.state.positions.count == 0
    settled(engine)


def test_an_early_fill_counts_once_its_order_is_known() -> None:
    engine = LoggedEngine()
    engine.submit(fill("F-1", 30))
    assert engine.state.positions.count == 0
    engine.is_checked = False
    engine.admit(order())
    assert position(engine)[:6] == (30, 30, 70, 0, 30, 0)
    settled(engine)


def test_profit_is_by_average_cost() -> None:
    engine = LoggedEngine()
    engine.admit(order("A", quantity=30))
    engine.submit(fill("F-1", 10, client_order_id="A", price=100))
    engine.submit(fill("F-2", 20, client_order_id="A", price=130))
    million = 1_000_000  # of a lot at one tick
    assert position(engine)[6:] == (3_600 * million, 0)
    engine.admit(order("B", side="sell", quantity=40, price=150))
    engine.submit(fill("F-3", 15, client_order_id="B", price=150))
    assert position(engine)[6:] == (1_800 * million, 450 * million)
    engine.submit(fill("F-4", 25, client_order_id="B", price=110))  # flips to ten short
    assert position(engine)[0] == -10
    assert position(engine)[6:] == (1_100 * million, 300 * million)
    settled(engine)


def test_each_desk_and_symbol_has_its_own() -> None:
    engine = LoggedEngine()
    engine.admit(order("A", quantity=1))
    engine.admit(order("A", quantity=2, desk="desk-beta"))
    engine.admit(order("B", quantity=3_000, symbol="BTC-USD", side="sell"))
    assert position(engine)[2:4] == (1, 0)
    assert position(engine, "desk-beta")[2:4] == (2, 0)
    assert position(engine, symbol="BTC-USD")[2:4] == (0, 3_000)
    assert engine.state.positions.count == 3
    settled(engine)


@pytest.mark.parametrize("version", [1, 2])
def test_a_log_of_before_begins_with_what_works(version: int) -> None:
    engine = LoggedEngine(rules_version=version)
    engine.admit(order())
    engine.submit(fill("F-1", 40))
    engine.admit(order("A-2", side="sell", quantity=7, desk="desk-beta"))
    engine.admit(order("A-3", quantity=5))
    engine.submit(cancel("A-3"))
    assert not engine.state.positions.is_kept
    engine.restart()
    for event in rules_events(engine.state, actor()):
        engine.log(event)
    assert engine.state.positions.since_sequence == engine.engine.next_sequence - 1
    assert position(engine) == (0, 0, 60, 0, 0, 0, 0, 0)
    assert position(engine, "desk-beta") == (0, 0, 0, 7, 0, 0, 0, 0)
    engine.submit(fill("F-2", 60))
    assert position(engine)[:6] == (60, 60, 0, 0, 60, 0)
    settled(engine)
