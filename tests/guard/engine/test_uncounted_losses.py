"""What cannot be counted exactly is the greatest loss: of a fill, a cost, a worth, a profit.

Each test's log is replayed, folded, and its state taken through a checkpoint, which must come to
the same. One day has all of it; played, or replayed, with a planted bug it does not hold.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.admin import messages as asked
from guard.admin.actions import plan
from guard.admin.messages import AdminError
from guard.engine import exposure, positions
from guard.engine.day_loss import Losses
from guard.engine.measures import DayProfit, bounded
from guard.engine.positions import BUY, SELL, Positions
from guard.protocol.messages import I64_MAX, Admit
from guard.replay.replay import ReplayMismatch
from guard_limits_support import WAIVED, limit_detail, limited, verdict
from guard_support import LoggedEngine, actor, fill, order
from kernel import InvariantError
from loss_support import breaches, money, turn_day
from loss_support import engines as engines
from planted_support import check_found, interpreted

DESK = 2
REASON = "day_loss_above_max"
# A hundred lots of it at a tick are a microcent: a price is a value.
BTC = {"symbol": "BTC-USD", "quantity": 100, "price": 10**8}
HALF = 2**62
PLACES = {
    ("", ""): "",
    ("desk-alpha", ""): "[limits.desk.desk-alpha]\n",
    ("", "BTC-USD"): "[limits.symbol.BTC-USD]\n",
    ("desk-alpha", "BTC-USD"): "[limits.desk.desk-alpha.symbol.BTC-USD]\n",
}


def begun(limit: int = I64_MAX, place: str = PLACES["desk-alpha", ""]) -> LoggedEngine:
    engine = limited(f'{WAIVED}revalue_bps = 0\n{place}day_loss_max = "{money(limit)}"\n')
    engine.marks = {"BTC-USD": (1, 1), "AAPL": (1, 1)}
    return engine


def admitted(engine: LoggedEngine, side: str, desk: str, lots: int) -> str:
    """An order that holds next to nothing."""
    name = f"T-{len(engine.records)}"
    engine.admit(order(name, desk=desk, side=side, **BTC | {"quantity": lots}))
    return name


def filled(engine: LoggedEngine, name: str, price: int, desk: str, lots: int) -> None:
    engine.submit(fill(name, lots, fee=0, price=price, client_order_id=name, desk=desk))


def trade(
    engine: LoggedEngine, price: int, side: str = "buy", desk: str = "desk-alpha", lots: int = 100
) -> None:
    filled(engine, admitted(engine, side, desk, lots), price, desk, lots)


def mark(engine: LoggedEngine, price: int, side: str = "buy") -> Any:
    """The symbol is worth that from now on; what an entry of the desk gets."""
    engine.marks["BTC-USD"] = (price, 1)
    return verdict(engine, side=side, **BTC)


def lift(engine: LoggedEngine) -> None:
    action = asked.LiftLatch(
        desk="desk-alpha", latch="loss", action_id=f"L-{len(engine.records)}", why="looked at it"
    )
    engine.log(plan(engine.state, action, actor(engine.now_ns)).event)


@pytest.mark.parametrize("place", PLACES)
def test_the_last_cost_that_can_be_counted_and_the_first_that_cannot(
    place: tuple[str, str], engines: list[LoggedEngine]
) -> None:
    for price, limit, loss in (
        (I64_MAX - 1, I64_MAX, 0),
        (I64_MAX - 1, I64_MAX - 2, 0),
        (I64_MAX - 1, I64_MAX - 3, I64_MAX - 2),
        (I64_MAX, I64_MAX, I64_MAX),
    ):
        engine = begun(limit, PLACES[place])
        engines.append(engine)
        trade(engine, price)
        assert breaches(engine) == ([(*place, loss, limit)] if loss else [])
        found = mark(engine, 1)
        assert (found == "admitted") == (loss == 0)
        assert engine.state.positions.uncounted_rows() == ([0] if loss == I64_MAX else [])


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_cost_and_worth_beyond_the_end_are_no_profit_of_nothing(
    side: str, engines: list[LoggedEngine]
) -> None:
    engine = begun()
    engines.append(engine)
    name = admitted(engine, side, "desk-alpha", 200)
    engine.marks["BTC-USD"] = (I64_MAX, 1)
    filled(engine, name, I64_MAX, "desk-alpha", 200)
    assert breaches(engine) == [("desk-alpha", "", I64_MAX, I64_MAX)]
    detail = limit_detail(0, I64_MAX, I64_MAX, DESK)
    assert mark(engine, I64_MAX, side) == (REASON, detail)
    assert engine.state.day_profit("desk-alpha", "") == -I64_MAX
    # Whoever gets out may, and what works is not touched.
    other = "sell" if side == "buy" else "buy"
    answer = engine.submit(order("X", side=other, **BTC | {"quantity": 200}))
    assert isinstance(answer, Admit)
    assert answer.reducing is True
    # A price at which its worth can be counted says nothing of its cost.
    assert mark(engine, 1, side) == (REASON, detail)
    with pytest.raises(AdminError, match="it has lost") as caught:
        lift(engine)
    assert caught.value.code == "not_over"
    turn_day(engine)
    lift(engine)
    assert mark(engine, 1, side) == "admitted"
    assert engine.state.positions.uncounted_rows() == []
    assert len(breaches(engine)) == 1


def test_a_worth_beyond_the_end_is_over_with_it(engines: list[LoggedEngine]) -> None:
    engine = begun()
    engines.append(engine)
    engine.marks["BTC-USD"] = (HALF, 1)
    trade(engine, HALF)
    assert mark(engine, I64_MAX - 1) == "admitted"
    assert mark(engine, I64_MAX)[0] == REASON
    assert engine.state.positions.uncounted_rows() == []
    with pytest.raises(AdminError, match="it has lost"):
        lift(engine)
    mark(engine, HALF)
    lift(engine)
    assert mark(engine, HALF) == "admitted"
    assert engine.state.day_profit("desk-alpha", "") == 0


def test_a_turn_at_which_a_worth_cannot_be_counted(engines: list[LoggedEngine]) -> None:
    """What the day began from is not known: nor is what it makes, until it turns again."""
    engine = begun()
    engines.append(engine)
    trade(engine, 1)
    mark(engine, I64_MAX)
    turn_day(engine)
    assert engine.state.positions.uncounted_rows() == [0]
    assert mark(engine, HALF)[0] == REASON
    with pytest.raises(AdminError, match="it has lost"):
        lift(engine)
    turn_day(engine, "2026-01-02")
    lift(engine)
    assert mark(engine, HALF - 5) == "admitted"
    assert engine.state.day_profit("desk-alpha", "") == -5


def test_after_a_turn_differences_are_exact_though_the_cost_is_not(
    engines: list[LoggedEngine],
) -> None:
    engine = begun(6)
    engines.append(engine)
    trade(engine, I64_MAX)
    mark(engine, HALF)
    turn_day(engine)
    lift(engine)
    assert mark(engine, HALF - 6) == "admitted"
    trade(engine, HALF - 6, "sell", lots=50)
    assert engine.state.day_profit("desk-alpha", "") == -6
    assert mark(engine, HALF - 8)[0] == REASON
    assert breaches(engine)[1:] == [("desk-alpha", "", 7, 6)]


def test_what_others_have_made_does_not_make_up_for_it(engines: list[LoggedEngine]) -> None:
    engine = begun(I64_MAX, PLACES["", ""])
    engines.append(engine)
    trade(engine, 1, desk="desk-beta")
    mark(engine, HALF)
    assert engine.state.day_profit("", "") == HALF - 1
    trade(engine, I64_MAX)
    assert breaches(engine) == [("", "", I64_MAX, I64_MAX)]
    assert engine.state.day_profit("", "") == engine.state.day_profit("", "BTC-USD") == -I64_MAX
    assert engine.state.day_profit("desk-beta", "") == HALF - 1


def test_exact_losses_of_several_beyond_the_end(engines: list[LoggedEngine]) -> None:
    """Each can be counted, and together they are more than any limit can say."""
    engine = begun(I64_MAX, PLACES["", ""])
    engines.append(engine)
    trade(engine, HALF)
    assert breaches(engine) == []
    trade(engine, HALF + 2, desk="desk-beta")  # each is still worth a microcent
    assert breaches(engine) == [("", "", I64_MAX, I64_MAX)]


def test_a_limit_that_comes_later_in_the_day(engines: list[LoggedEngine]) -> None:
    """It is known from before what cannot be counted."""
    engine = limited(f"{WAIVED}revalue_bps = 0\n")
    engine.marks = {"BTC-USD": (1, 1)}
    trade(engine, I64_MAX)
    assert engine.state.positions.uncounted_rows() == [0]
    other = begun()
    event = next(
        data for data in other.records if b'"event":"limits_set"' in data
    )  # as the log says it
    engine.log(msgspec.structs.replace(_event_of(event), received_at_ns=engine.now_ns))
    engines.append(engine)
    assert mark(engine, 1)[0] == REASON
    assert breaches(engine) == [("desk-alpha", "", I64_MAX, I64_MAX)]


def _event_of(data: bytes) -> Any:
    from guard.record.codec import decode_data

    return decode_data(data).outcome


@pytest.mark.parametrize("side", [BUY, SELL])
def test_each_amount_that_stays_at_its_end(side: int) -> None:
    kept = Positions()
    kept.begin(1, ["A"])
    row = kept.obtain(1, 0)
    kept.trade(row, side, 10, 0, I64_MAX - 1)
    assert kept.uncounted_rows() == []
    kept.trade(row, side, 10, 0, 1)  # the cost is at its end
    assert kept.uncounted_rows() == [row]
    kept.turn_day()
    assert kept.uncounted_rows() == []
    kept.trade(row, 1 - side, 10, 0, 5)
    assert kept.uncounted_rows() == []
    kept.undo(row, 1 - side, 10, 0, I64_MAX)  # the trade's own value is
    assert kept.uncounted_rows() == [row]
    kept.turn_day()
    kept.trade(row, side, I64_MAX, 0, 0)  # the position is
    assert kept.uncounted_rows() == [row]


def test_a_realised_profit_at_its_end() -> None:
    kept = Positions()
    kept.begin(1, ["A"])
    row = kept.obtain(1, 0)
    for _ in range(2):
        kept.trade(row, BUY, 1, 0, 0)
        kept.trade(row, SELL, 1, 0, HALF)
    assert kept.uncounted_rows() == [row]
    kept.turn_day()
    # What is made from there on cannot be said either.
    assert kept.uncounted_rows() == [row]


@pytest.mark.parametrize("rows", [[1], [-1], [0, 0], [1, 0]])
def test_rows_that_there_are_not(rows: list[int]) -> None:
    kept = Positions()
    kept.begin(1, ["A"])
    kept.obtain(1, 0)
    with pytest.raises(InvariantError, match="uncounted"):
        kept.load_uncounted(rows)


def played() -> list[bytes]:
    """One day in which each rule decides something."""
    engine = begun()
    engine.marks["BTC-USD"] = (HALF, 1)
    trade(engine, 1)
    mark(engine, I64_MAX)  # the worth is beyond
    mark(engine, HALF)
    lift(engine)
    mark(engine, I64_MAX)
    turn_day(engine)  # what the day begins from is
    mark(engine, 1)
    turn_day(engine, "2026-01-02")
    lift(engine)
    mark(engine, 1)
    trade(engine, I64_MAX)  # a fill's value is
    mark(engine, 1)
    engine.marks["AAPL"] = (10**12, 1)  # what is made elsewhere does not help
    verdict(engine, price=1, quantity=1)
    turn_day(engine, "2026-01-03")
    lift(engine)
    mark(engine, 1)
    return engine.records


RECORDS = played()
REAL_LOOK = Losses.look


def _within_the_greatest(self: Losses, place: int, profit: int) -> int:
    limit = self.limits.get(place)
    if limit is not None and profit == -limit.max_microcents:
        return REAL_LOOK(self, place, 0)
    return REAL_LOOK(self, place, profit)


def _sum_of_what_is_known(self: DayProfit) -> int:
    return bounded(self._sum)


BUGS: dict[str, tuple[Any, str, Any]] = {
    "an amount at its end is exact": (Positions, "_note_ends", lambda *_: 0),
    "a worth at its end is exact": (exposure, "is_at_end", lambda _: False),
    "a day may begin from anything": (positions, "is_at_end", lambda _: False),
    "the greatest limit holds anything": (Losses, "look", _within_the_greatest),
    "what is not known has lost nothing": (DayProfit, "profit", _sum_of_what_is_known),
}


@interpreted
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ends = (InvariantError, AdminError)
    caught = check_found(BUGS[name], played, RECORDS, tmp_path, monkeypatch, ends)
    assert caught.match("record")
    assert isinstance(caught.value, ReplayMismatch | InvariantError | ValueError)
