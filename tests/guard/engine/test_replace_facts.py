"""Replaces beside drop copies, amendments, debts and what is forgotten: one order, whichever id."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from execution_support import COPIED, execution, told
from guard.engine.events import FillBusted, FillCorrected
from guard.protocol.messages import Admit, Reduce
from guard_limits_support import limited
from guard_support import (
    ALPHA_BUDGET,
    T0,
    LoggedEngine,
    balances,
    cancel,
    fill,
    order,
    status,
)
from log_checks_support import checked, checked_at_end
from position_support import position, say
from replace_support import DESK, rejected, replace, replaced, stands

Engines = list[LoggedEngine]


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, checked)


def pending(engines: Engines, text: str = "", quantity: int = 150) -> LoggedEngine:
    """A-1 is open, and is to be replaced by B-1."""
    engine = limited(text) if text else LoggedEngine()
    engines.append(engine)
    engine.submit(order(), T0)
    engine.admit(replace(quantity=quantity))
    return engine


@pytest.mark.parametrize(("filled", "executed"), [("A-1", "B-1"), ("B-1", "A-1")])
@pytest.mark.parametrize("first", ["fill", "execution"])
def test_fill_and_execution_may_name_either_id(
    first: str, filled: str, executed: str, engines: Engines
) -> None:
    engine = pending(engines, COPIED)
    steps: list[Any] = [
        fill("F-1", 40, 0, client_order_id=filled, price=19_000),
        execution(client_order_id=executed),
    ]
    for step in steps if first == "fill" else steps[::-1]:
        engine.submit(step)
    assert position(engine)[:3] == (40, 40, 110)
    assert not engine.state.has_latches
    assert stands(engine)[:3] == ("open", 40, 110)
    assert not engine.state.executions.unconfirmed
    assert not engine.state.executions.unreported


def test_an_execution_may_fill_all_of_the_larger_one(engines: Engines) -> None:
    engine = pending(engines, COPIED)
    answer = told(engine, execution(quantity=150, client_order_id="B-1"))
    assert (answer.open_quantity, answer.hold_microcents) == (0, 0)
    assert stands(engine)[0] == "closed"
    assert engine.submit(replaced()).flags == ["late"]


@pytest.mark.parametrize("name", ["A-1", "B-1"])
@pytest.mark.parametrize("kind", [FillBusted, FillCorrected])
def test_a_person_may_name_a_fill_by_either_id(
    kind: type[Any], name: str, engines: Engines
) -> None:
    engine = pending(engines)
    engine.submit(fill("F-1", 40, 0))
    engine.submit(replaced())
    changes = {"quantity": 30} if kind is FillCorrected else {}
    say(engine, kind, client_order_id=name, **changes)
    left = 30 if kind is FillCorrected else 0
    assert position(engine)[:2] == (left, left)
    assert stands(engine)[:3] == ("open", 40, 110)


def test_no_more_is_undone_than_was_confirmed_of_an_order_that_became_smaller(
    engines: Engines,
) -> None:
    """All that was ever admitted counts as filled within it, be it for the fill or for its bust."""
    engine = pending(engines, quantity=10)
    engine.submit(replaced())
    engine.submit(fill("F-1", 60, 0))
    assert position(engine)[:3] == (60, 60, 0)
    engine.submit(fill("F-2", 50, 0))
    assert position(engine)[:3] == (110, 100, 0)
    for fill_id, left in (("F-2", (60, 60)), ("F-1", (0, 0))):
        say(engine, FillBusted, fill_id=fill_id)
        assert position(engine)[:2] == left


def test_what_was_confirmed_is_undone_however_small_the_order_is_now(engines: Engines) -> None:
    engine = pending(engines)
    engine.submit(fill("F-1", 120, 0))
    engine.submit(replaced())
    engine.admit(replace("B-2", "B-1", quantity=121))
    engine.submit(replaced("B-2"))
    engine.submit(Reduce(DESK, "B-2", "R-1", 1))
    assert position(engine)[:3] == (120, 120, 0)
    say(engine, FillBusted)
    assert position(engine)[:3] == (0, 0, 0)


def test_what_comes_free_pays_what_is_owed(engines: Engines) -> None:
    engine = pending(engines)
    engine.admit(order("C-1", quantity=1))
    engine.submit(fill("F-1", 1, ALPHA_BUDGET, client_order_id="C-1"))
    owed = engine.state.desks[DESK].unpaid_fees_microcents
    assert owed > 0
    answer = engine.submit(rejected())
    assert answer.collected_microcents == min(owed, answer.released_microcents)
    again = engine.submit(rejected())
    assert (again.repeat, again.collected_microcents) == (True, answer.collected_microcents)
    freed = engine.submit(cancel("B-1"))
    assert freed.collected_microcents > 0
    assert engine.submit(cancel("A-1")).collected_microcents == freed.collected_microcents


def test_the_ledgers_next_hold_is_not_used_up(engines: Engines) -> None:
    engine = pending(engines)
    before = engine.state.ledger.next_reservation_id
    engine.submit(replaced())
    engine.admit(replace("B-2", "B-1", quantity=170))
    assert engine.state.ledger.next_reservation_id == before
    answer = engine.submit(order("C-1", quantity=1))
    assert isinstance(answer, Admit)
    assert answer.reservation_id == before
    assert balances(engine.state)[1] > 0


def test_a_status_before_and_behind(engines: Engines) -> None:
    engine = pending(engines)
    first = {name: engine.submit(status(name)) for name in ("A-1", "B-1")}
    assert first["A-1"].answer.wal_sequence == first["A-1"].standing_wal_sequence
    assert first["B-1"].answer.wal_sequence == first["A-1"].pending_wal_sequence
    engine.submit(cancel("B-1"))
    for name in ("A-1", "B-1"):
        told_then = engine.submit(status(name))
        assert (told_then.state, told_then.open_quantity) == ("closed", 0)
        assert told_then.answer == first[name].answer
