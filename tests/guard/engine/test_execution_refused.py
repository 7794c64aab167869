"""Executions of orders that were refused, and whose desk or symbol there may not be."""

import pytest

from execution_support import PRICE, execution, told
from guard.engine.events import FillBusted
from guard.protocol.messages import Filled, Reject
from guard_support import LoggedEngine, dev_config, fill, order
from position_support import position, say, settled

BOUND = ('"1500000.00"', '"1500000.00"\nfee_bound_bps = 1\nfee_minimum = "0.00"')


def refused(engine: LoggedEngine, **changes: object) -> LoggedEngine:
    """With a refused order A-1."""
    answer = engine.submit(order(risk_bps=10_000, **changes))
    assert isinstance(answer, Reject)
    return engine


@pytest.mark.parametrize("is_first", [True, False])
def test_of_a_desk_that_there_is_not_nothing_is_latched(is_first: bool) -> None:
    """A latch of no desk would be in no checkpoint that a start reads."""
    engine = refused(LoggedEngine(), desk="desk-nobody")
    said = [execution("F-1", 40, desk="desk-nobody"), fill("F-1", 41, desk="desk-nobody")]
    for request in said if is_first else said[::-1]:
        engine.submit(request)
    assert not engine.state.has_latches
    settled(engine)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_bust_takes_back_the_fill_of_a_refused_order(is_first: bool) -> None:
    """Whichever of the fill and its execution came first."""
    engine = refused(LoggedEngine())
    said = [execution("F-1", 40, price=PRICE + 7), fill("F-1", 40)]
    for request in said if is_first else said[::-1]:
        engine.submit(request)
    assert position(engine)[:2] == (40, 0)
    say(engine, FillBusted)
    assert position(engine) == (0,) * 8
    settled(engine)


@pytest.mark.parametrize(
    ("fee", "flags"), [(76_000_000, ["executed"]), (76_000_001, ["uncharged", "executed"])]
)
def test_the_fee_s_bound_is_that_of_its_own_order(fee: int, flags: list[str]) -> None:
    """Whatever order the guard has looked at last."""
    engine = refused(LoggedEngine(dev_config(BOUND)))
    engine.admit(order("A-2", symbol="BTC-USD", quantity=10**6, price=6_500_000))
    told(engine, execution("F-1", 40))
    engine.submit(order("A-2", symbol="BTC-USD", quantity=10**6, price=6_500_000))
    answer = engine.submit(fill("F-1", 40, fee))
    assert isinstance(answer, Filled)
    assert answer.flags == flags
    settled(engine)


def test_the_fee_of_a_symbol_that_there_is_not_is_not_charged() -> None:
    engine = refused(LoggedEngine(dev_config(BOUND)), symbol="NONE")
    told(engine, execution("F-1", 40, symbol="NONE"))
    answer = engine.submit(fill("F-1", 40, 1))
    assert isinstance(answer, Filled)
    assert answer.flags == ["uncharged", "executed"]
    settled(engine)


def test_what_moves_nothing_in_its_order_s_symbol_begins_no_row_there() -> None:
    """The trade counts in the symbol that it was in."""
    engine = refused(LoggedEngine())
    told(engine, execution("F-1", 40, symbol="BTC-USD"))
    assert engine.state.positions.count == 1
    assert position(engine, symbol="BTC-USD")[0] == 40
    settled(engine)
