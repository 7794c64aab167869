"""Rates of cancels flag; rates of executions latch a desk in a symbol, and a person lifts that."""

from pathlib import Path
from typing import Any

import pytest

from guard.admin import messages as asked
from guard.admin.actions import plan
from guard.engine.repeated import Repeated
from guard.process.line_forms import Told
from guard.protocol.limits import EXECUTIONS_MAX, LimitScope, RateLimit, normalized
from guard.record.applying import RecordFolder
from guard.record.codec import RecordError
from guard.replay.replay import replay_log
from guard.server.latch_alarms import LatchAlarms
from guard.server.limits_shown import show_limits
from guard_limits_support import T0, WAIVED, limited
from guard_support import (
    KEY,
    SECOND_NS,
    LoggedEngine,
    actor,
    cancel,
    fill,
    fold,
    order,
    write_log,
)
from kernel import InvariantError
from position_support import settled
from wal import ChainHasher


def rate(kind: str, most: int, window_ms: int = 1_000, scope: str = "") -> str:
    return f'[[limits{scope}.rates]]\nkind = "{kind}"\nwindow_ms = {window_ms}\nmax = {most}\n'


def guard(*rates: str) -> LoggedEngine:
    return limited(WAIVED + "".join(rates))


def filled(engine: LoggedEngine, name: str, at_ns: int, **changes: Any) -> None:
    """An order of one lot, all of it filled then."""
    said = order(name, **{"quantity": 1} | changes)
    engine.admit(said, at_ns)
    engine.submit(fill("F", said.quantity, client_order_id=name, desk=said.desk), at_ns)


def is_latched(engine: LoggedEngine, desk: str = "desk-alpha", symbol: str = "AAPL") -> bool:
    return engine.state.latches.has(desk, symbol)


def test_at_the_number_nothing_latches_and_one_more_does() -> None:
    engine = guard(rate("executions", 3))
    for number in range(3):
        filled(engine, f"A-{number}", T0 + number)
    assert not is_latched(engine)
    settled(engine)
    filled(engine, "A-3", T0 + 4)
    assert is_latched(engine)
    assert engine.state.latches.of("desk-alpha", "AAPL") == {
        "repeated_executions": engine.engine.next_sequence - 1
    }
    assert engine.reject(order("A-4", quantity=1), T0 + 5).reason == "desk_symbol_reducing"
    assert engine.admit(order("S-1", quantity=4, side="sell"), T0 + 6).reducing is True
    filled(engine, "B-1", T0 + 7, symbol="BTC-USD", quantity=1_000, price=1_000)
    filled(engine, "C-1", T0 + 8, desk="desk-beta")
    settled(engine)


def test_what_leaves_the_window_counts_no_more() -> None:
    engine = guard(rate("executions", 2))
    for at_ns in (T0, T0 + 1, T0 + SECOND_NS, T0 + SECOND_NS + 1):
        filled(engine, f"A-{at_ns}", at_ns)
    assert not is_latched(engine), "a window is half open"
    filled(engine, "A-9", T0 + 2 * SECOND_NS - 1)
    assert is_latched(engine)


def test_an_order_counts_once_and_on_its_side() -> None:
    engine = guard(rate("executions", 1))
    engine.admit(order("A-1", quantity=10), T0)
    for number in range(5):
        engine.submit(fill(f"F-{number}", 2), T0 + number)
        engine.submit(fill(f"F-{number}", 2), T0 + number)
    filled(engine, "A-2", T0 + 6, side="sell", quantity=20)
    engine.admit(order("A-3", quantity=1), T0 + 7)
    engine.submit(cancel("A-3"), T0 + 8)
    assert not is_latched(engine)
    engine.submit(fill("F-late", 1, client_order_id="A-3"), T0 + 9)
    assert is_latched(engine), "a late fill is an execution, too"


def test_fills_of_no_order_of_ours_count_nothing() -> None:
    engine = guard(rate("executions", 1))
    engine.reject(order("A-1", quantity=2**32), T0)
    for number in range(5):
        engine.submit(fill(f"F-{number}", 1), T0)
        engine.submit(fill(f"F-{number}", 1, client_order_id="A-9"), T0)
    assert not is_latched(engine)
    assert len(engine.state.limits.repeated) == 0


def test_early_fills_count_with_their_order() -> None:
    engine = guard(rate("executions", 1))
    for name in ("A-1", "A-2"):
        engine.submit(fill("F-1", 1, client_order_id=name), T0)
        engine.admit(order(name, quantity=1), T0 + 1)
    assert is_latched(engine)
    settled(engine)


def test_a_lifted_latch_begins_to_count_anew() -> None:
    engine = guard(rate("executions", 2))
    for number in range(3):
        filled(engine, f"A-{number}", T0 + number)
    lift = asked.LiftLatch(
        desk="desk-alpha", symbol="AAPL", latch="repeated_executions", action_id="L", why="seen"
    )
    engine.log(plan(engine.state, lift, actor(T0 + 4)).event)
    for number in range(2):
        filled(engine, f"B-{number}", T0 + 5 + number)
    assert not is_latched(engine)
    filled(engine, "B-2", T0 + 8)
    assert is_latched(engine)


def test_the_strictest_of_several_windows_latches() -> None:
    engine = guard(rate("executions", 5), rate("executions", 2, 10, ".desk.desk-alpha"))
    for number in range(3):
        filled(engine, f"A-{number}", T0 + 20_000_000 * number)
    assert not is_latched(engine)
    for number in range(2):
        filled(engine, f"B-{number}", T0 + 40_000_000 + number)
    assert is_latched(engine)


def test_what_is_used_is_the_desks_own() -> None:
    engine = guard(rate("executions", 5), rate("cancels", 7), rate("cancels", 3, 5, ".symbol.AAPL"))
    for number in range(2):
        filled(engine, f"A-{number}", T0)
    filled(engine, "S-0", T0, side="sell")
    engine.admit(order("A-2", quantity=1), T0)
    engine.submit(cancel("A-2"), T0)
    shown = {
        (line.limit, line.scope): (line.value, line.used)
        for line in show_limits(engine.state, "desk-alpha", "AAPL").limits
    }
    assert shown["rate of executions in 1000 ms", "firm"] == (5, 2)
    assert shown["rate of cancels in 1000 ms", "firm"] == (7, None)
    assert shown["rate of cancels in 5 ms", "symbol"] == (3, None)
    assert engine.state.limits.buckets["", "", "cancels", 1_000].used(1) == 1


def test_a_cancel_beyond_its_rate_is_flagged_and_frees() -> None:
    engine = guard(rate("cancels", 2, 1_000, ".desk.desk-alpha"))
    for number in range(4):
        engine.admit(order(f"A-{number}", quantity=1), T0)
        engine.admit(order(f"B-{number}", quantity=1, desk="desk-beta"), T0)
    flags = []
    for number in range(4):
        told = engine.submit(cancel(f"A-{number}"), T0)
        assert told.released_microcents > 0
        flags.append(told.flags or [])
        assert not engine.submit(cancel(f"B-{number}", "desk-beta"), T0).flags
    assert flags == [[], [], ["rate"], ["rate"]]
    again = engine.submit(cancel("A-3"), T0)
    assert (again.repeat, again.flags or []) == (True, [])
    assert engine.submit(cancel("A-9"), T0).flags == ["early", "rate"]
    settled(engine)
    engine.admit(order("A-4", quantity=1), T0 + 2 * SECOND_NS)
    assert not engine.submit(cancel("A-4"), T0 + 2 * SECOND_NS).flags


def test_the_counts_go_on_from_a_checkpoint_and_from_the_log(tmp_path: Path) -> None:
    engine = guard(rate("executions", 2), rate("cancels", 1))
    for number in range(2):
        filled(engine, f"A-{number}", T0 + number)
        engine.submit(cancel(f"X-{number}"), T0 + number)
    settled(engine)
    tail = fold(engine.records)
    assert list(tail.state.limits.repeated.entries()) == [(1, 0, 0, [1, 2])]
    filled(engine, "A-2", T0 + 3)
    engine.submit(fill("F-2", 1, client_order_id="A-9"), T0 + 4)
    write_log(tmp_path, engine.records)
    replay_log(tmp_path, ChainHasher(KEY))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b',"elapsed_ns":2}', b"}"),
        (b',"elapsed_ns":2}', b',"elapsed_ns":1}'),
        (b',"elapsed_ns":2}', b',"mark_price":1,"mark_age_ns":1,"elapsed_ns":2}'),
    ],
)
def test_no_log_says_another_count_of_time(old: bytes, new: bytes) -> None:
    engine = guard(rate("executions", 2), rate("cancels", 1))
    engine.admit(order(), T0 + 1)
    engine.is_checked = False
    before = fold(engine.records)
    for request in (fill("F-1", 1), cancel()):
        engine.submit(request, T0 + 1)
        data = engine.records[-1].replace(old, new)
        assert data != engine.records[-1]
        with pytest.raises(RecordError, match=r"elapsed_ns|mark_price|unknown field"):
            RecordFolder(before, "test-key-id").read(before.next_sequence, data, "")
        assert (
            RecordFolder(before, "test-key-id").read(before.next_sequence, engine.records[-1], "")
            is None
        )
        before = fold(engine.records)


def test_without_such_rates_facts_say_no_count_of_time() -> None:
    engine = guard(rate("orders", 9))
    engine.admit(order(), T0)
    engine.submit(fill("F-1", 1), T0)
    engine.submit(cancel(), T0)
    assert all(b"elapsed_ns" not in data for data in engine.records[-2:])
    assert len(engine.state.limits.repeated) == 0


def test_times_are_bounded_and_old_ones_forgotten() -> None:
    counts = Repeated()
    counts.window_ns = 10
    for _ in range(EXECUTIONS_MAX + 5):
        counts.note((1, 0, 0), 100)
    assert len(next(counts.entries())[3]) == EXECUTIONS_MAX + 1
    counts.note((1, 1, 0), 105)
    assert len(counts) == 2
    counts.note((1, 2, 1), 110)
    assert [entry[1] for entry in counts.entries()] == [1, 2]
    with pytest.raises(InvariantError, match="behind one"):
        counts.note((1, 2, 1), 109)


@pytest.mark.parametrize(
    "entry",
    [
        (1, 0, 2, [1]),
        (1, 0, 0, []),
        (1, 0, 0, [2, 1]),
        (1, 0, 0, [11]),
        (1, 0, 0, [-1]),
        (1, 0, 0, [1] * (EXECUTIONS_MAX + 2)),
    ],
)
def test_a_dump_that_cannot_be_is_refused(entry: Any) -> None:
    with pytest.raises(ValueError, match="repeated"):
        Repeated().load([entry], 10)


def test_no_rate_of_executions_is_larger_than_what_is_kept() -> None:
    def scope(most: int) -> LimitScope:
        return LimitScope(rates=[RateLimit("executions", 1, most)])

    normalized([scope(EXECUTIONS_MAX)])
    with pytest.raises(ValueError, match=rf"executions; allowed: 1 to {EXECUTIONS_MAX}"):
        normalized([scope(EXECUTIONS_MAX + 1)])


def test_the_operator_is_told_once_of_each_latch() -> None:
    engine = guard(rate("executions", 1))
    told: list[str] = []
    alarms = LatchAlarms(engine.state, told.append)
    alarms.look()
    for number in range(2):
        filled(engine, f"A-{number}", T0)
    for _ in range(2):
        alarms.look()
    (line,) = told
    assert "admin lift repeated_executions desk-alpha --symbol AAPL" in line
    assert isinstance(line, Told)
    LatchAlarms(engine.state, told.append).look()
    assert len(told) == 2, "a start tells of what is set still"
