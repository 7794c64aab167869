"""The close of a day, on a state: every order once, wherever it is cut off and begun again."""

from typing import Any

import pytest

from guard.admin.actions import plan
from guard.admin.day import close_now
from guard.admin.messages import CloseDay
from guard.engine.day_close import STATEMENT, statement_digest_hex, statement_of
from guard.engine.events import DayClosed
from guard_support import LOG_ID, T0, LoggedEngine, actor, order
from kernel import InvariantError

ACTION = CloseDay(action_id="close-2026-11-30", why="over", day="2026-11-30")


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


def test_a_statement_that_is_not_so_is_refused_at_every_start() -> None:
    engine = open_day()
    state = engine.state
    said = statement_of(state, "2026-11-30")
    assert said[:4] == [STATEMENT, LOG_ID, "2026-11-30", state.next_sequence - 1]
    assert statement_digest_hex(state, "2026-11-30") != statement_digest_hex(state, "2026-12-01")
    event = plan(state, ACTION, actor(T0 + 9)).event
    for name, value in (("statement_digest_hex", "0" * 64), ("closes_sequence", 1)):
        right = getattr(event, name)
        setattr(event, name, value)
        with pytest.raises(InvariantError, match=str(value)[:5]):
            engine.engine.apply_event(state.next_sequence, event)
        setattr(event, name, right)
    engine.log(event)
