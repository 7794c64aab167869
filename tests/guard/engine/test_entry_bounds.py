"""Bounds of entries and of fills: how old an order may be, which venues it may name, fill ids."""

from pathlib import Path
from typing import Any

import pytest

from guard.engine.shares import FILLS_PER_ORDER_MAX, FILLS_PER_ORDER_NEAR
from guard.protocol.messages import Admit, ErrorReply
from guard_support import (
    SECOND_NS,
    T0,
    WINDOW_NS,
    LoggedEngine,
    cancel,
    describe,
    dev_config,
    fill,
    fold,
    order,
)
from guard_windows_support import reloaded, replayed, restart_with

CAP = 'exposure_cap = "1500000.00"'
AGE = (CAP, f"{CAP}\nmax_order_age_ms = 2_000")


def light(name: str, **changes: Any) -> Any:
    return order(name, quantity=1, **changes)


def check_folds(engine: LoggedEngine, directory: Path) -> None:
    states = (fold(engine.records).state, replayed(engine.records, directory))
    for state in (*states, reloaded(engine.state)):
        assert describe(state) == describe(engine.state)


# How old.


@pytest.mark.parametrize(
    ("age_ns", "is_old"),
    [(0, False), (2 * SECOND_NS, False), (2 * SECOND_NS + 1, True), (WINDOW_NS, True), (-9, False)],
)
def test_an_order_that_is_too_old_to_the_nanosecond(age_ns: int, is_old: bool) -> None:
    engine = LoggedEngine(dev_config(AGE))
    answer = engine.submit(light("A-1", sent_at_ns=T0 - age_ns))
    if is_old:
        assert (answer.stage, answer.reason) == ("order", "order_too_old")
        assert answer.detail == {"asked": T0 - age_ns, "limit": 2_000, "used": T0}
    assert isinstance(answer, Admit) != is_old
    # Off by default, and by desk.
    stamp = T0 - WINDOW_NS
    assert isinstance(engine.submit(light("B-1", desk="desk-beta", sent_at_ns=stamp)), Admit)
    assert isinstance(engine.submit(light("B-2", desk="desk-beta")), Admit)
    assert isinstance(LoggedEngine().submit(light("A-1", sent_at_ns=stamp)), Admit)


def test_an_order_whose_age_is_unknown() -> None:
    engine = LoggedEngine(dev_config(AGE))
    answer = engine.reject(light("A-1"))
    assert (answer.stage, answer.reason, answer.detail) == ("order", "order_age_unknown", {})


def test_what_is_too_old_stays_refused_when_the_bound_goes(tmp_path: Path) -> None:
    engine = LoggedEngine(dev_config(AGE))
    wanted = light("A-1", sent_at_ns=T0 - 3 * SECOND_NS)
    first = engine.reject(wanted)
    restart_with(engine, dev_config())
    assert engine.submit(wanted).wal_sequence == first.wal_sequence
    assert isinstance(engine.submit(light("A-2", sent_at_ns=T0 - 3 * SECOND_NS)), Admit)
    restart_with(engine, dev_config((CAP, f"{CAP}\nmax_order_age_ms = 1")))
    assert engine.reject(light("A-3", sent_at_ns=T0 - SECOND_NS)).detail["limit"] == 1
    check_folds(engine, tmp_path)


def test_an_age_is_judged_by_the_systems_clock() -> None:
    engine = LoggedEngine(dev_config(AGE))
    engine.admit(light("A-1", sent_at_ns=T0 + 9 * SECOND_NS), T0 + 9 * SECOND_NS)
    engine.clock_ns = T0
    assert isinstance(engine.submit(light("A-2", sent_at_ns=T0)), Admit)
    answer = engine.reject(light("A-3", sent_at_ns=T0 - 3 * SECOND_NS))
    assert answer.detail == {"asked": T0 - 3 * SECOND_NS, "limit": 2_000, "used": T0}


# Which venue.


def test_an_unknown_venue_is_refused_where_no_other_may_be_chosen(tmp_path: Path) -> None:
    engine = LoggedEngine()
    answer = engine.reject(light("A-1", venue=99, allow_substitute=False))
    assert (answer.stage, answer.reason, answer.detail) == ("order", "unknown_venue", {"asked": 99})
    admitted = engine.submit(light("A-2", venue=99))
    assert (admitted.venue, admitted.substituted) == (10, True)
    assert isinstance(engine.submit(light("A-3", venue=10, allow_substitute=False)), Admit)
    check_folds(engine, tmp_path)


def test_a_guard_can_refuse_unknown_venues_always(tmp_path: Path) -> None:
    engine = LoggedEngine()
    restart_with(engine, dev_config(refuse_unknown_venues=True))
    assert engine.reject(light("A-1", venue=99)).reason == "unknown_venue"
    assert isinstance(engine.submit(light("A-2", venue=20)), Admit)
    assert engine.state.refuses_unknown_venues is True
    restart_with(engine, dev_config())
    assert isinstance(engine.submit(light("A-3", venue=99)), Admit)
    check_folds(engine, tmp_path)


def test_a_venue_of_another_policy_is_looked_up_in_that() -> None:
    engine = LoggedEngine()
    assert engine.reject(light("A-1", venue=99, allow_substitute=False)).reason == "unknown_venue"
    changed = (("venue = 10\n", "venue = 99\n"), ("policy_epoch = 7\n", "policy_epoch = 8\n"))
    restart_with(engine, dev_config(*changed))
    answer = engine.submit(light("A-2", venue=99, allow_substitute=False))
    assert isinstance(answer, Admit)
    assert engine.reject(light("A-3", venue=10, allow_substitute=False)).reason == "unknown_venue"


def test_earlier_rules_decide_as_they_did() -> None:
    engine = LoggedEngine(dev_config(refuse_unknown_venues=True), rules_version=1)
    answer = engine.reject(light("A-1", venue=99, allow_substitute=False))
    assert answer.reason == "substitution_not_allowed"
    assert isinstance(engine.submit(light("A-2", venue=99)), Admit)


# Fills.


def with_few_fills(desk: int = 1_000, order_max: int = 1_000) -> LoggedEngine:
    """The bounds of fills made small: entries stop at seven eighths of them."""
    engine = LoggedEngine()
    engine.is_checked = False
    shares = engine.state.orders.shares
    shares.fills_max, shares.fills_near = desk, desk * 7 // 8
    shares.fills_per_order_max, shares.fills_per_order_near = order_max, order_max * 7 // 8
    return engine


def test_the_bounds_of_fills_are_those_of_the_page() -> None:
    shares = LoggedEngine(dev_config(remembered_orders_max=1_000)).state.orders.shares
    assert (FILLS_PER_ORDER_MAX, FILLS_PER_ORDER_NEAR) == (65_536, 57_344)
    assert (shares.fills_max, shares.fills_near) == (67_536, 67_536 * 7 // 8)
    assert shares.fills_per_order_max == 65_536


def test_at_the_bound_of_a_desk_its_entries_stop_before_its_fills_do() -> None:
    engine = with_few_fills(desk=16)
    engine.admit(order("A-1"))
    engine.admit(order("A-2", quantity=10))
    for number in range(13):
        assert engine.submit(fill(f"F-{number}", 1, 0)).flags == []
    assert isinstance(engine.submit(light("A-3")), Admit)
    engine.submit(fill("F-13", 1, 0))
    answer = engine.reject(light("A-4"))
    assert (answer.stage, answer.reason) == ("order", "fill_window_full")
    assert answer.detail == {"asked": 1, "limit": 16, "used": 14}
    assert isinstance(engine.submit(light("B-1", desk="desk-beta")), Admit)
    engine.submit(fill("F-14", 1, 0))
    last = engine.submit(fill("F-15", 1, 0, client_order_id="A-2"))
    before = describe(engine.state)
    error = engine.submit(fill("F-16", 1, 0))
    assert isinstance(error, ErrorReply)
    assert (error.code, error.field) == ("fill_window_full", "fill_id")
    assert describe(engine.state) == before
    # What is known is answered, and exits go on.
    again = engine.submit(fill("F-15", 1, 0, client_order_id="A-2"))
    assert (again.repeat, again.wal_sequence) == (True, last.wal_sequence)
    assert engine.submit(cancel()).released_microcents > 0
    # Once they are forgotten there is room again.
    engine.now_ns = T0 + WINDOW_NS + 1
    engine.reject(light("A-5"))
    engine.admit(light("A-6"))


def test_an_open_order_with_nearly_all_its_fills_stops_the_entries_of_its_desk() -> None:
    engine = with_few_fills(order_max=8)
    engine.admit(order("A-1"))
    for number in range(7):
        engine.submit(fill(f"F-{number}", 1, 0))
    answer = engine.reject(light("A-2"))
    assert answer.detail == {"asked": 1, "limit": 8, "used": 7}
    assert isinstance(engine.submit(light("B-1", desk="desk-beta")), Admit)
    engine.submit(fill("F-7", 1, 0))
    assert engine.submit(fill("F-8", 1, 0)).code == "fill_window_full"
    engine.submit(cancel())
    assert isinstance(engine.submit(light("A-3")), Admit)
    assert engine.submit(fill("F-8", 1, 0)).code == "fill_window_full"
    assert engine.state.orders.shares.of(1).crowded == 0


def test_a_filled_order_is_no_crowd() -> None:
    engine = with_few_fills(order_max=8)
    engine.admit(order("A-1", quantity=7))
    for number in range(7):
        engine.submit(fill(f"F-{number}", 1, 0))
    assert engine.submit(fill("F-7", 1, 0)).flags == ["overfill", "late"]
    assert engine.state.orders.shares.of(1).crowded == 0
    engine.admit(light("A-2"))


def test_fills_of_no_order_of_ours_are_never_refused() -> None:
    engine = with_few_fills(desk=2)
    for number in range(5):
        flags = engine.submit(fill(f"F-{number}", client_order_id="nobody", fee=0)).flags
        assert flags == ["unknown"]
