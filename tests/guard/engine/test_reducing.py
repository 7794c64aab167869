"""Reductions: what they take off an order, what comes free, and what they cannot do."""

from pathlib import Path
from typing import Any

import pytest

from guard.engine.events import FillBusted
from guard.protocol.messages import ErrorReply, Reduce, Reduced
from guard.replay.replay import ReplayMismatch, replay_log
from guard_support import (
    I64_MAX,
    KEY,
    ORDER_NOTIONAL,
    T0,
    LoggedEngine,
    actor,
    balances,
    cancel,
    fill,
    order,
    status,
    write_log,
)
from log_checks_support import checked
from position_support import position
from wal import ChainHasher

LOTS = 100
WINDOW_NS = 24 * 3600 * 10**9


def reduce(reduce_id: str = "R-1", quantity: int = 30, name: str = "A-1", **changes: Any) -> Reduce:
    return Reduce(**({"desk": "desk-alpha"} | changes), client_order_id=name,
                  reduce_id=reduce_id, quantity=quantity)  # fmt: skip


def opened(**changes: Any) -> LoggedEngine:
    engine = LoggedEngine()
    engine.admit(order(**changes))
    return engine


def left_of(engine: LoggedEngine, name: str = "A-1") -> tuple[int, int]:
    told = engine.submit(status(name))
    return told.open_quantity, told.hold_microcents


def test_a_reduction_frees_its_share_and_works_no_more(tmp_path: Path) -> None:
    engine = opened()
    answer = engine.submit(reduce())
    assert answer == Reduced(
        "desk-alpha", "A-1", "R-1", len(engine.records), 70, ORDER_NOTIONAL * 70 // LOTS,
        ORDER_NOTIONAL * 30 // LOTS, [], False,
    )  # fmt: skip
    assert position(engine)[2:4] == (70, 0)
    assert balances(engine.state)[1] == ORDER_NOTIONAL * 70 // LOTS
    told = engine.submit(status())
    assert (told.state, told.open_quantity, told.reduced_quantity) == ("open", 70, 30)
    checked(engine, tmp_path)


@pytest.mark.parametrize(
    ("quantity", "left", "flags"),
    [(LOTS - 1, 1, []), (LOTS, 0, []), (LOTS + 1, 0, ["overreduced"]),
     (I64_MAX, 0, ["overreduced"])],
)  # fmt: skip
def test_at_below_and_above_what_is_open(
    quantity: int, left: int, flags: list[str], tmp_path: Path
) -> None:
    engine = opened()
    answer = engine.submit(reduce(quantity=quantity))
    assert (answer.open_quantity, answer.flags) == (left, flags)
    assert answer.hold_microcents == ORDER_NOTIONAL * left // LOTS
    assert balances(engine.state)[1] == answer.hold_microcents
    assert position(engine)[2] == left
    told = engine.submit(status())
    assert (told.state, told.reduced_quantity) == ("open" if left else "closed", LOTS - left)
    if not left:
        assert engine.submit(cancel()).code == "order_filled"
        assert engine.state.ledger.active_reservations == 0
    checked(engine, tmp_path)


def test_shares_are_those_of_fills_whichever_comes_first(tmp_path: Path) -> None:
    """Floors add up to the same however often lots are taken off in between."""
    engine = LoggedEngine()
    for name in ("A-1", "A-2"):
        engine.admit(order(name, quantity=7, price=19_001))
    first = engine.submit(status()).hold_microcents
    left = 7
    for turn in range(6):
        left -= 1
        steps: list[Any] = [reduce(f"R-{turn}", 1), fill(f"F-{turn}", 1, 0)]
        told = engine.submit(steps[turn % 2])
        assert told.hold_microcents == first - first * (7 - left) // 7
        other = engine.submit(fill(f"F-{turn}", 1, 0, client_order_id="A-2"))
        assert (other.hold_microcents, other.released_microcents) == (
            told.hold_microcents, told.released_microcents,
        )  # fmt: skip
    assert position(engine)[:3] == (3 + 6, 9, 2)
    last = engine.submit(fill("F-9", 1, 0))
    assert (last.open_quantity, last.hold_microcents, last.flags) == (0, 0, [])
    assert engine.submit(status()).state == "closed"
    checked(engine, tmp_path)


def test_a_fill_beyond_what_was_left_is_an_overfill_and_not_confirmed(tmp_path: Path) -> None:
    engine = opened()
    engine.submit(reduce(quantity=60))
    answer = engine.submit(fill("F-1", 50, 0))
    assert (answer.flags, answer.open_quantity, answer.hold_microcents) == (["overfill"], 0, 0)
    assert position(engine)[:3] == (50, 40, 0)
    engine.log(
        actor().event(
            FillBusted, desk="desk-alpha", client_order_id="A-1", fill_id="F-1",
            fill_sequence=answer.wal_sequence, returned_microcents=0,
        )
    )  # fmt: skip
    assert position(engine)[:3] == (0, 0, 0)
    checked(engine, tmp_path)


def test_sent_again_it_is_a_repeat_and_with_other_content_an_error(tmp_path: Path) -> None:
    engine = opened()
    first = engine.submit(reduce())
    before, count = balances(engine.state), len(engine.records)
    again = engine.submit(reduce())
    assert again.repeat
    again.repeat = False
    assert again == first
    other = engine.submit(reduce(quantity=31))
    assert (other.code, other.field) == ("reduce_id_reused", "quantity")
    assert (other.reduce_id, other.fill_id is not None) == ("R-1", True)
    assert (balances(engine.state), len(engine.records)) == (before, count)
    engine.submit(cancel())
    assert engine.submit(reduce()).repeat  # also when the order is closed
    checked(engine, tmp_path)


def test_a_fill_may_have_the_same_id(tmp_path: Path) -> None:
    engine = opened()
    assert not engine.submit(reduce("X-1", 10)).repeat
    assert not engine.submit(fill("X-1", 10, 0)).repeat
    assert engine.submit(reduce("X-1", 10)).repeat
    assert engine.submit(fill("X-1", 10, 0)).repeat
    assert left_of(engine)[0] == 80
    checked(engine, tmp_path)


@pytest.mark.parametrize("end", [cancel(), fill("F-9", LOTS, 0), reduce("R-9", LOTS)])
def test_a_late_one_is_recorded_and_takes_nothing(end: Any, tmp_path: Path) -> None:
    engine = opened()
    engine.submit(end)
    before, kept = balances(engine.state), position(engine)
    answer = engine.submit(reduce())
    assert (answer.flags, answer.released_microcents, answer.open_quantity) == (["late"], 0, 0)
    assert (balances(engine.state), position(engine)) == (before, kept)
    late = engine.submit(fill("F-late", 5, 0))
    assert "late" in late.flags
    checked(engine, tmp_path)


def test_what_was_never_admitted_cannot_be_reduced() -> None:
    engine = LoggedEngine()
    engine.reject(order(risk_bps=9_999))
    count = len(engine.records)
    assert engine.submit(reduce()).code == "order_refused"
    for unknown in (reduce(name="Z-1"), reduce(desk="desk-omega"), reduce(desk="desk-beta")):
        answer = engine.submit(unknown)
        assert isinstance(answer, ErrorReply)
        assert (answer.code, answer.field) == ("unknown_order", "client_order_id")
    assert len(engine.records) == count


def test_what_comes_free_pays_a_debt_and_a_repeat_says_so(tmp_path: Path) -> None:
    engine = opened()
    engine.admit(order("A-2"))
    unpaid = engine.submit(fill("F-1", 1, I64_MAX)).unpaid_fee_microcents
    assert unpaid > ORDER_NOTIONAL
    answer = engine.submit(reduce(name="A-2"))
    assert answer.collected_microcents == answer.released_microcents == ORDER_NOTIONAL * 30 // LOTS
    desk = engine.state.desks["desk-alpha"]
    assert desk.unpaid_fees_microcents == unpaid - answer.released_microcents
    again = engine.submit(reduce(name="A-2"))
    assert (again.repeat, again.collected_microcents) == (True, answer.collected_microcents)
    checked(engine, tmp_path)


def test_a_reduction_of_an_exit_frees_nothing_and_works_less(tmp_path: Path) -> None:
    engine = opened()
    engine.submit(fill("F-1", LOTS, 0))
    engine.admit(order("S-1", side="sell"))
    before = balances(engine.state)
    answer = engine.submit(reduce(name="S-1"))
    assert (answer.open_quantity, answer.released_microcents) == (70, 0)
    assert (balances(engine.state), position(engine)[3]) == (before, 70)
    assert engine.state.positions.open_exits == 1
    assert engine.admit(order("S-2", side="sell", quantity=30)).reducing is True
    engine.submit(reduce("R-2", 70, "S-1"))
    assert engine.state.positions.open_exits == 1
    checked(engine, tmp_path)


def test_it_goes_with_its_order_and_counts_among_its_fills() -> None:
    engine = LoggedEngine()
    engine.admit(order(), T0)
    share = engine.state.orders.shares.of(engine.state.desks["desk-alpha"].share)
    engine.submit(reduce())
    assert share.fills == 1
    engine.submit(cancel())
    engine.admit(order("A-2"), T0 + 3 * WINDOW_NS)
    assert (share.fills, share.ids) == (0, 1)
    assert engine.submit(reduce()).code == "unknown_order"


def test_where_no_more_can_be_remembered_nothing_changes() -> None:
    engine = opened()
    engine.state.orders.shares.fills_per_order_max = 2
    for number in range(2):
        assert isinstance(engine.submit(reduce(f"R-{number}", 1)), Reduced)
    answer = engine.submit(reduce("R-2", 1))
    assert (answer.code, answer.field) == ("fill_window_full", "reduce_id")
    assert left_of(engine)[0] == 98


def test_a_story_does_not_count_it_as_a_fill() -> None:
    engine = opened()
    engine.submit(reduce())
    engine.submit(fill("F-1", 10, 0))
    told = engine.submit(status())
    assert (told.filled_quantity, told.reduced_quantity, told.open_quantity) == (10, 30, 60)


def test_rules_of_before_have_none(tmp_path: Path) -> None:
    engine = opened()
    engine.submit(reduce())
    old = LoggedEngine(rules_version=2)
    old.admit(order())
    records = [*old.records, engine.records[-1]]
    write_log(tmp_path / "log", records)
    with pytest.raises(ReplayMismatch, match=r"since version 3 of the rules"):
        replay_log(tmp_path / "log", ChainHasher(KEY))
