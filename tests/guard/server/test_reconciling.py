"""What fills and executions have not met: listed, told in time, and looked at before a start."""

import pytest

from execution_support import COPIED, copied, execution, told
from guard.admin import messages as asked
from guard.admin.messages import AdminError
from guard.admin.queries import answer
from guard.server.reconciling import Reconciling, overdue_count
from guard_limits_support import T0, limited
from guard_support import SECOND_NS, LoggedEngine, fill, order
from position_support import settled


def test_who_lists_fills_passes_over_executions() -> None:
    engine = copied()
    told(engine, execution())
    told(engine, execution("F-2", 10))
    engine.submit(fill("F-1", 40))
    engine.submit(fill("F-3", 1, client_order_id="A-9"))
    now_ns = engine.now_ns
    asked_for = asked.OrderStory(desk="desk-alpha", client_order_id="A-1")
    assert [one.fill_id for one in answer(engine.state, asked_for, now_ns).fills] == ["F-1"]
    waiting = answer(engine.state, asked.ListUncharged(), now_ns)
    assert [one.fill_id for one in waiting.fills] == ["F-3"]
    page = answer(engine.state, asked.ListUnreconciled(), now_ns + 5)
    assert [(one.what, one.id, one.age_ns) for one in page.waiting] == [("execution", "F-2", 5)]
    engine.submit(fill("F-4", 1))
    first = answer(engine.state, asked.ListUnreconciled(limit=1), now_ns)
    assert ([one.what for one in first.waiting], first.next_cursor) == (["fill"], 1)
    rest = answer(engine.state, asked.ListUnreconciled(cursor=1), now_ns)
    assert ([one.id for one in rest.waiting], rest.next_cursor) == (["F-2"], None)
    assert answer(engine.state, asked.ListUnreconciled(desk="desk-beta"), now_ns).waiting == []
    with pytest.raises(AdminError, match="there is no desk"):
        answer(engine.state, asked.ListUnreconciled(desk="d"), now_ns)


def test_what_does_not_meet_in_time_is_told_once() -> None:
    engine = copied()
    engine.submit(fill("F-1", 1))
    told(engine, execution("F-2", 1))
    lines: list[str] = []
    now_ns = engine.now_ns + 30 * SECOND_NS
    looking = Reconciling(engine.state, lambda: now_ns, lines.append)
    looking.look()
    assert (lines, overdue_count(engine.state, now_ns)) == ([], 0), "at the bound it is in time"
    now_ns += 1
    for _ in range(2):
        looking.look()
    assert len(lines) == 2
    assert "fill desk-alpha/A-1/F-1" in lines[0]
    assert "execution desk-alpha/A-1/F-2" in lines[1]
    assert overdue_count(engine.state, now_ns) == 2
    told(engine, execution("F-1", 1))
    engine.submit(fill("F-2", 1))
    looking.look()
    assert (len(lines), overdue_count(engine.state, now_ns)) == (2, 0)
    for number in range(20):
        engine.submit(fill(f"G-{number}", 1))
    now_ns += 60 * SECOND_NS
    looking.look()
    assert len(lines) == 2 + 8 + 1
    assert lines[-1].startswith("12 more")


def test_without_limits_nothing_is_late() -> None:
    """The compiled form ended the process there: no tree of limits had ever been set."""
    engine = LoggedEngine()
    engine.admit(order())
    told(engine, execution("F-2", 1))
    assert not engine.state.has_limits
    lines: list[str] = []
    looking = Reconciling(engine.state, lambda: engine.now_ns + 60 * SECOND_NS, lines.append)
    looking.look()
    assert (lines, overdue_count(engine.state, engine.now_ns + 60 * SECOND_NS)) == ([], 0)


def test_a_start_may_require_that_a_person_looks_first() -> None:
    engine = limited(COPIED + "require_reconciliation = true\n")
    engine.admit(order(), T0)
    engine.restart()
    assert engine.state.latches.of("desk-alpha", "") == {
        "reconciliation": engine.engine.next_sequence - 1
    }
    assert engine.reject(order("A-2", quantity=1)).reason == "desk_reducing"
    settled(engine)
    plain_guard = copied()
    plain_guard.restart()
    assert not plain_guard.state.has_latches
