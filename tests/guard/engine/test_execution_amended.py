"""What people say of a fill in whose place an execution of another side or symbol counts."""

from typing import Any

import pytest

from execution_support import PRICE, copied, execution, plain, told
from guard.engine.events import FillBusted, FillCorrected
from guard.protocol.messages import Replace, Replaced
from guard_support import fill
from position_support import position, say, settled


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("changes", [{"side": "sell"}, {"symbol": "BTC-USD"}, {"symbol": "NONE"}])
@pytest.mark.parametrize("make", [plain, copied])
def test_a_bust_takes_back_what_counted_in_its_fill_s_place(
    make: Any, changes: dict[str, str], is_first: bool
) -> None:
    """Of another side or symbol: the execution's leg, and not the fill's own, which counts not."""
    for kind in (FillBusted, FillCorrected):
        engine = make()
        before = [position(engine, symbol=one) for one in ("AAPL", "BTC-USD")]
        said = [execution("F-1", 10, price=PRICE + 7, **changes), fill("F-1", 40, price=PRICE)]
        for request in said if is_first else said[::-1]:
            engine.submit(request)
        correction = {} if kind is FillBusted else {"quantity": 30, "price": PRICE - 1}
        say(engine, kind, **correction)
        settled(engine)
        after = [position(engine, symbol=one) for one in ("AAPL", "BTC-USD")]
        assert after[1][:2] == before[1][:2]
        assert after[1][4:6] == before[1][4:6] == (0, 0)
        lots = 0 if kind is FillBusted else 30
        assert (after[0][0], after[0][4], after[0][5]) == (lots, lots, 0)
        if kind is FillCorrected:
            say(engine, FillBusted)
            assert position(engine)[0] == 0
            settled(engine)


def test_a_bust_takes_back_its_own_leg_where_another_venue_says_otherwise() -> None:
    engine = plain()
    engine.submit(fill("F-1", 40, price=PRICE))
    told(engine, execution("F-1", 10, side="sell", venue=20))
    say(engine, FillBusted)
    assert position(engine)[0] == -10
    settled(engine)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("make", [plain, copied])
def test_a_bust_takes_back_the_price_that_the_execution_said(make: Any, is_first: bool) -> None:
    """Of a fill that said none: nothing was made or lost by a trade that was not."""
    engine = make()
    said = [execution("F-1", 40, price=PRICE + 7), fill("F-1", 40)]
    for request in said if is_first else said[::-1]:
        engine.submit(request)
    answer = engine.submit(fill("F-1", 40))
    assert "corrected" not in answer.flags
    say(engine, FillBusted)
    assert position(engine) == (0, 0, 60, 0, 0, 0, 0, 0)
    settled(engine)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("make", [plain, copied])
@pytest.mark.parametrize("said_lots", [10, 40, 70, 120])
def test_a_bust_takes_back_what_the_execution_has_confirmed(
    make: Any, said_lots: int, is_first: bool
) -> None:
    """What stayed confirmed would let somebody reduce what an overfill, say, has bought."""
    engine = make()
    said = [execution("F-1", said_lots), fill("F-1", 40, price=PRICE)]
    for request in said if is_first else said[::-1]:
        engine.submit(request)
    assert position(engine)[:2] == (said_lots, min(100, said_lots))
    say(engine, FillBusted)
    assert position(engine)[:2] == (0, 0)
    settled(engine)


def test_a_bust_leaves_what_an_execution_alone_has_confirmed() -> None:
    engine = plain()
    told(engine, execution("E-1", 60))
    engine.submit(fill("F-1", 60, price=PRICE))
    assert position(engine)[:2] == (120, 100)
    say(engine, FillBusted)
    assert position(engine)[:2] == (60, 60)
    settled(engine)


def test_a_fill_behind_its_busted_execution_is_taken_back_once() -> None:
    engine = plain()
    told(engine, execution("F-1", 60))
    say(engine, FillBusted)
    engine.submit(fill("F-1", 60, price=PRICE))
    assert position(engine)[:2] == (60, 40)
    say(engine, FillBusted)
    assert position(engine)[:2] == (0, 0)
    settled(engine)


def test_an_execution_of_a_replaced_order_confirms_all_that_was_ever_admitted() -> None:
    """As its fill would (12)."""
    engine = plain()
    engine.submit(Replace("A-2", "desk-alpha", "A-1", 10, PRICE, "limit", "day"))
    engine.submit(Replaced("desk-alpha", "A-2"))
    told(engine, execution("F-1", 70))
    assert position(engine)[:2] == (70, 70)
    engine.submit(fill("F-1", 70, price=PRICE))
    say(engine, FillBusted)
    assert position(engine)[:2] == (0, 0)
    settled(engine)


def test_what_was_said_of_a_fill_of_no_order_stays_when_an_execution_corrects_another() -> None:
    engine = plain()
    engine.submit(fill("F-9", 5, 100, client_order_id="A-9"))
    say(engine, FillBusted, "F-9", "A-9")
    engine.submit(fill("F-1", 40, price=PRICE))
    told(engine, execution("F-1", 41))
    assert engine.submit(fill("F-9", 5, 100, client_order_id="A-9")).flags == [
        *("unknown", "uncharged", "busted")
    ]
    settled(engine)
