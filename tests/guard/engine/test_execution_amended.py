"""What people say of a fill in whose place an execution of another side or symbol counts."""

from typing import Any

import pytest

from execution_support import PRICE, copied, execution, plain, told
from guard.engine.events import FillBusted, FillCorrected
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
