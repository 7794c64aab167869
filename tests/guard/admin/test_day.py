"""The close of a day, on a state: every order once, wherever it is cut off and begun again."""

from datetime import date
from typing import Any

import pytest

from guard.admin.actions import done_before, plan
from guard.admin.day import DayOrders, close_changes, close_now, count_day_orders
from guard.admin.day_name import last_closed, repeat_words, wrong_day
from guard.admin.messages import AdminError, CloseDay
from guard.engine.day_close import STATEMENT, statement_digest_hex, statement_of
from guard.engine.events import DayClosed, TradingHalted
from guard_support import LOG_ID, T0, LoggedEngine, actor, fill, order
from kernel import InvariantError

ACTION = CloseDay(action_id="close-2023-11-14", why="over", day="2023-11-14")


class CutError(Exception):
    """The process ends here."""


def open_day() -> LoggedEngine:
    engine = LoggedEngine()
    for number in range(5):
        words = "day" if number % 2 else "gtc"
        engine.submit(order(f"A-{number}", quantity=1, time_in_force=words))
    return engine


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_close_that_was_cut_off_goes_on(count: int) -> None:
    engine, logged = open_day(), list[Any]()

    def log(event: Any) -> None:
        if len(logged) == count:
            raise CutError
        engine.log(event)
        logged.append(event)

    with pytest.raises(CutError):
        close_now(engine.state, ACTION, lambda: actor(T0 + 9), log, releases=True)
    rest = list[Any]()

    def go_on(event: Any) -> None:
        engine.log(event)
        rest.append(event)

    released = close_now(engine.state, ACTION, lambda: actor(T0 + 9), go_on, releases=True)
    names = [event.client_order_id for event in [*logged, *rest][:-1]]
    assert (names, released) == (["A-1", "A-3"], 2 - min(count, 2))
    assert isinstance(rest[-1], DayClosed)
    assert engine.state.ledger.active_reservations == 3


def test_nothing_is_released_where_that_is_not_configured() -> None:
    engine = open_day()
    released = close_now(engine.state, ACTION, lambda: actor(T0 + 9), engine.log, releases=False)
    assert (released, engine.state.ledger.active_reservations) == (0, 5)


@pytest.mark.parametrize("orders_max", [1, 2, 100])
def test_what_a_close_would_do_is_counted_a_few_at_a_time(orders_max: int) -> None:
    engine = open_day()
    # It only reduces a position, so that nothing is held for it.
    engine.submit(order("B-1", quantity=5))
    engine.submit(fill("F-1", client_order_id="B-1", quantity=5, fee=0, price=100))
    answer = engine.submit(order("S-1", side="sell", quantity=2))
    assert getattr(answer, "reducing", None) is True
    state = engine.state
    counted, end = DayOrders(0, 0, 0), state.orders.row_end()
    turns = 0
    while counted.row < end:
        more = count_day_orders(state, counted.row, end, orders_max)
        assert more.orders <= orders_max
        counted = DayOrders(more.row, counted.orders + more.orders, counted.holds + more.holds)
        turns += 1
    assert counted[1:] == (3, 2)  # hold, S-1 does not
    assert turns >= 3 // orders_max
    words = ["3 day orders would be released", "day 2023-11-14: would be closed, 3 holds stay"]
    assert close_changes(state, ACTION, actor(T0 + 9), releases=True) == words
    close_now(state, ACTION, lambda: actor(T0 + 9), engine.log, releases=True)
    assert state.ledger.active_reservations == 3


def test_a_statement_that_is_not_so_is_refused_at_every_start() -> None:
    engine = open_day()
    state = engine.state
    said = statement_of(state, "2023-11-14")
    assert said[:4] == [STATEMENT, LOG_ID, "2023-11-14", state.next_sequence - 1]
    assert statement_digest_hex(state, "2023-11-14") != statement_digest_hex(state, "2023-11-15")
    event = plan(state, ACTION, actor(T0 + 9)).event
    for name, value in (("statement_digest_hex", "0" * 64), ("closes_sequence", 1)):
        right = getattr(event, name)
        setattr(event, name, value)
        with pytest.raises(InvariantError, match=str(value)[:5]):
            engine.engine.apply_event(state.next_sequence, event)
        setattr(event, name, right)
    engine.log(event)


def test_only_a_day_that_is_next_and_has_come_is_closed() -> None:
    engine, at = open_day(), actor(T0 + 9)  # of 2023-11-14
    halt = {"scope": "firm", "name": "", "action_id": "close-2099-01-01"}
    engine.log(at.event(TradingHalted, **halt))  # an id that looks like a day's

    def closing(day: str) -> CloseDay:
        return CloseDay(action_id=f"close-{day}", why="over", day=day)

    def refused(day: str) -> str:
        with pytest.raises(AdminError, match="day: ") as caught:
            plan(engine.state, closing(day), at)
        return str(caught.value)

    assert refused("2023-11-16").endswith("allowed: up to 2023-11-15, the day after today (UTC)")
    assert "'2023-02-31' is no date" in refused("2023-02-31")
    assert last_closed(engine.state, at) is None
    engine.log(plan(engine.state, closing("2023-11-13"), at).event)
    assert last_closed(engine.state, at) == "2023-11-13"
    for day in ("2023-11-12", "2023-11-13"):
        assert "is not behind 2023-11-13, the last day that was closed" in refused(day)
    engine.submit(order("Z-1", quantity=1))
    before = done_before(engine.state, closing("2023-11-13"), at)
    assert before is not None
    assert repeat_words(engine.state, "2023-11-13", before) == (
        f"day 2023-11-13: was closed before, record {before.sequence}; the 1 records since are not "
        "in it, but in the next day to be closed"
    )
    engine.log(plan(engine.state, closing("2023-11-15"), at).event)


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("9999-12-31", "is still to come; allowed: up to 2026-12-01"),
        ("2026-12-02", "is still to come"),
        ("2026-02-31", "is no date; allowed: one such as 2026-11-30"),
        ("20261130", "allowed: a date such as"),
        ("1999-12-31", "allowed: a date such as"),
        ("today", "is no date"),
    ],
)
def test_the_name_of_a_day_that_is_none(day: str, words: str) -> None:
    assert words in (wrong_day(day, date(2026, 11, 30)) or "")
    assert wrong_day("2026-12-01", date(2026, 11, 30)) is None
