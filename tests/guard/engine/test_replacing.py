"""Replaces: what they add, what the venue's word frees, and what they cannot do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.engine import replacing
from guard.protocol.messages import Admit, ErrorReply, Reduce, ReplaceSettled
from guard.protocol.outcome import Outcome
from guard_support import (
    I64_MAX,
    ORDER_NOTIONAL,
    LoggedEngine,
    balances,
    cancel,
    dev_config,
    fields_of,
    fill,
    order,
    status,
)
from log_checks_support import checked
from position_support import position
from replace_support import DESK, rejected, replace, replaced, stands

LOTS = 100


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LoggedEngine]:
    """One with the order A-1 open; its log is checked at the test's end."""
    found = LoggedEngine()
    found.admit(order())
    yield found
    checked(found, tmp_path)


def held(lots: int, of: int = LOTS, notional: int = ORDER_NOTIONAL) -> int:
    """What an order of so many lots holds with so many of them open."""
    return notional - notional * (of - lots) // of


def worth(lots: int) -> int:
    """What so many lots are worth at the order's price."""
    return ORDER_NOTIONAL * lots // LOTS


def reserved(engine: LoggedEngine) -> int:
    return balances(engine.state)[1]


def test_more_lots_are_held_and_work_at_once(engine: LoggedEngine) -> None:
    first = engine.submit(status()).answer
    answer = engine.admit(replace(quantity=150))
    assert answer.reservation_id == first.reservation_id
    assert answer.notional_microcents == worth(150)
    assert reserved(engine) == worth(150)
    assert position(engine)[2:4] == (150, 0)
    assert engine.state.ledger.active_reservations == 1
    told = engine.submit(status())
    assert (told.standing_wal_sequence, told.pending_wal_sequence) == (
        first.wal_sequence, answer.wal_sequence,
    )  # fmt: skip
    settled = engine.submit(replaced())
    assert settled == ReplaceSettled(
        DESK, "B-1", len(engine.records), 150, worth(150), 0, [], False
    )
    for name in ("A-1", "B-1"):
        assert stands(engine, name) == ("open", 0, 150, worth(150))
    told = engine.submit(status())
    assert told.standing_wal_sequence == answer.wal_sequence
    assert reserved(engine) == worth(150)


def test_fewer_lots_are_free_once_the_venue_has_spoken(engine: LoggedEngine) -> None:
    engine.admit(replace(quantity=60))
    assert (reserved(engine), position(engine)[2]) == (ORDER_NOTIONAL, 100)
    settled = engine.submit(replaced())
    assert (settled.open_quantity, settled.hold_microcents) == (60, worth(60))
    assert settled.released_microcents == worth(40)
    assert (reserved(engine), position(engine)[2]) == (worth(60), 60)


def test_rejected_the_old_one_stands_and_what_was_raised_is_free(engine: LoggedEngine) -> None:
    engine.admit(replace(quantity=150))
    settled = engine.submit(rejected())
    assert (settled.open_quantity, settled.hold_microcents) == (100, ORDER_NOTIONAL)
    assert settled.released_microcents == worth(50)
    assert (reserved(engine), position(engine)[2]) == (ORDER_NOTIONAL, 100)
    for name in ("A-1", "B-1"):
        assert stands(engine, name) == ("open", 0, 100, ORDER_NOTIONAL)
    engine.admit(replace("B-2", quantity=120))  # and may be replaced again


@pytest.mark.parametrize("name", ["A-1", "B-1"])
def test_a_fill_may_come_under_either_id(engine: LoggedEngine, name: str) -> None:
    engine.admit(replace(quantity=150))
    answer = engine.submit(fill("F-1", 120, 0, client_order_id=name))
    assert (answer.flags, answer.open_quantity) == ([], 30)
    assert answer.hold_microcents == held(30, 150, worth(150))
    assert position(engine)[:4] == (120, 120, 30, 0)
    settled = engine.submit(replaced())
    assert settled.open_quantity == 30
    answer = engine.submit(fill("F-2", 30, 0, client_order_id=name))
    assert (answer.flags, answer.open_quantity, answer.hold_microcents) == ([], 0, 0)
    assert stands(engine, "B-1") == ("closed", 150, 0, 0)
    assert reserved(engine) == 0


def test_the_same_fill_under_the_other_id_is_a_repeat(engine: LoggedEngine) -> None:
    engine.submit(fill("F-0", 10, 0))
    engine.admit(replace(quantity=150))
    first = engine.submit(fill("F-1", 20, 0, client_order_id="B-1"))
    for fill_id, quantity in (("F-0", 10), ("F-1", 20)):
        for name in ("A-1", "B-1"):
            again = engine.submit(fill(fill_id, quantity, 0, client_order_id=name))
            assert again.repeat, (fill_id, name)
    assert position(engine)[0] == 30
    assert engine.submit(fill("F-1", 21, 0)).code == "fill_id_reused"
    assert first.open_quantity == 120


def test_replaced_below_what_is_filled_meanwhile_it_is_closed(engine: LoggedEngine) -> None:
    engine.admit(replace(quantity=60))
    engine.submit(fill("F-1", 70, 0))
    assert stands(engine) == ("open", 70, 30, held(30))
    settled = engine.submit(replaced())
    assert (settled.open_quantity, settled.hold_microcents) == (0, 0)
    assert settled.released_microcents == held(30)
    for name in ("A-1", "B-1"):
        assert stands(engine, name)[0] == "closed"
    assert engine.submit(cancel()).code == "order_filled"
    late = engine.submit(fill("F-2", 5, 0))
    assert late.flags == ["overfill", "late"]
    assert position(engine)[:4] == (75, 75, 0, 0)  # within what A-1 had


def test_filled_while_the_venue_rejects_it_is_closed(engine: LoggedEngine) -> None:
    engine.admit(replace(quantity=150))
    engine.submit(fill("F-1", 100, 0))
    assert stands(engine)[:3] == ("open", 100, 50)
    settled = engine.submit(rejected())
    assert (settled.open_quantity, settled.hold_microcents, reserved(engine)) == (0, 0, 0)
    assert stands(engine)[0] == "closed"
    assert position(engine)[:4] == (100, 100, 0, 0)


@pytest.mark.parametrize("name", ["A-1", "B-1"])
def test_a_cancel_under_either_id_frees_all(engine: LoggedEngine, name: str) -> None:
    engine.admit(replace(quantity=150))
    engine.submit(fill("F-1", 30, 0))
    answer = engine.submit(cancel(name))
    assert answer.released_microcents == held(120, 150, worth(150))
    assert (reserved(engine), position(engine)[2]) == (0, 0)
    for other in ("A-1", "B-1"):
        assert engine.submit(cancel(other)).repeat
        assert stands(engine, other)[0] == "closed"
    late = engine.submit(replaced())
    assert (late.flags, late.open_quantity, late.hold_microcents) == (["late"], 0, 0)
    again = engine.submit(replaced())
    assert (again.repeat, again.flags, again.wal_sequence) == (True, ["late"], late.wal_sequence)
    assert reserved(engine) == 0


def test_sent_again_it_has_its_first_answer(engine: LoggedEngine) -> None:
    first = engine.admit(replace(quantity=150))
    for _ in range(2):
        again = engine.submit(replace(quantity=150))
        assert again.repeat
        again.repeat = False
        assert again == first
        engine.submit(replaced())
    other = engine.reject(replace(quantity=151))
    assert (other.reason, other.field) == ("client_order_id_reused", "quantity")
    other = engine.reject(replace(quantity=150, original="B-1"))
    assert other.field == "original_client_order_id"
    as_order = engine.reject(order("B-1", quantity=150))
    assert (as_order.reason, as_order.field) == (
        "client_order_id_reused", "original_client_order_id",
    )  # fmt: skip
    assert reserved(engine) == worth(150)


@pytest.mark.parametrize("is_later", [False, True])
def test_completed_ahead_it_is_completed_once_or_anew(engine: LoggedEngine, is_later: bool) -> None:
    """What a replace does not say is looked up once, and anew where a record comes between."""
    request, outcome = fields_of(replace(quantity=150), engine.now_ns), Outcome()
    replacing.complete_ahead(engine.state, request)
    assert request.symbol == "AAPL"
    request.symbol_bytes = 0  # as one that is not completed again would stay
    if is_later:
        engine.admit(order("A-2"))
    engine.engine.decide(request, outcome)
    assert request.symbol == ("AAPL" if is_later else "")
    request.symbol_bytes = 0
    engine.engine.decide(request, outcome)
    assert request.symbol == "AAPL", "what was completed ahead counts for one decision"


def test_the_id_of_another_order_is_none_for_it(engine: LoggedEngine) -> None:
    engine.admit(order("A-2"))
    for name in ("A-1", "A-2"):
        answer = engine.reject(replace(name))
        assert (answer.reason, answer.field) == (
            "client_order_id_reused", "original_client_order_id",
        )  # fmt: skip
    assert stands(engine) == ("open", 0, 100, ORDER_NOTIONAL)


def error(answer: Any, code: str) -> ErrorReply:
    assert isinstance(answer, ErrorReply), answer
    assert answer.code == code
    return answer


def test_what_cannot_be_replaced(engine: LoggedEngine) -> None:
    wanted = error(engine.submit(replace(original="A-9")), "unknown_order")
    assert wanted.field == "original_client_order_id"
    first = engine.admit(replace(quantity=150))
    told = error(engine.submit(replace("B-2", quantity=90)), "replace_pending")
    assert f"record {first.wal_sequence}" in told.message
    error(engine.submit(replace("B-2", original="B-1")), "replace_pending")
    engine.submit(replaced())
    told = error(engine.submit(replace("B-2")), "order_replaced")
    assert f"record {first.wal_sequence}" in told.message
    second = engine.admit(replace("B-2", original="B-1", quantity=150))
    engine.submit(rejected("B-2"))
    told = error(engine.submit(replaced("B-2")), "replace_settled")
    error(engine.submit(rejected("B-1")), "replace_settled")
    error(engine.submit(replaced("A-1")), "no_replace")
    error(engine.submit(replaced("A-9")), "unknown_order")
    engine.submit(cancel())
    error(engine.submit(replace("B-3", original="B-1")), "order_canceled")
    assert second.wal_sequence > first.wal_sequence


def test_a_refused_order_and_a_refused_replace(engine: LoggedEngine) -> None:
    engine.reject(order("A-2", quantity=I64_MAX))
    error(engine.submit(replace("B-2", original="A-2")), "order_refused")
    refused = engine.reject(replace("B-3", quantity=I64_MAX))
    assert refused.reason == "quantity_out_of_range"
    assert engine.submit(replace("B-3", quantity=I64_MAX)).repeat
    error(engine.submit(replaced("B-3")), "order_refused")
    assert stands(engine) == ("open", 0, 100, ORDER_NOTIONAL)
    answer = engine.submit(fill("F-1", 5, 0, client_order_id="B-3"))
    assert answer.flags == ["unknown", "refused"]


UNIT = ORDER_NOTIONAL // LOTS


def room(engine: LoggedEngine) -> int:
    """How many lots budget and cap let through yet."""
    line = engine.state.ledger.line(DESK)
    assert line is not None
    free = min(line.remaining, line.cap - line.reserved) if line.cap else line.remaining
    return int(free // UNIT)


def bounded(by: str) -> LoggedEngine:
    """A guard whose first desk has a budget, or a cap, and not the other one."""
    cap = 'exposure_cap = "1500000.00"'
    engine = LoggedEngine(dev_config((cap, 'exposure_cap = "none"' if by == "budget" else cap)))
    line = engine.state.ledger.line(DESK)
    assert line is not None
    assert (line.cap > 0) == (by == "cap")
    return engine


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize(
    ("by", "reason"), [("budget", "insufficient"), ("cap", "exposure_limit_exceeded")]
)
def test_only_what_is_more_needs_budget_and_cap(
    by: str, reason: str, more: int, tmp_path: Path
) -> None:
    engine = bounded(by)
    engine.admit(order(quantity=2))
    engine.submit(fill("F-1", 1, 0))
    engine.admit(order("A-2", quantity=room(engine) - 50))
    answer = engine.submit(replace(quantity=2 + 50 + more))
    if more <= 0:
        assert isinstance(answer, Admit)
        assert room(engine) == -more
        assert stands(engine)[2] == 51 + more
    else:
        assert (answer.reason, answer.detail["asked"]) == (reason, (50 + more) * UNIT)
        assert stands(engine) == ("open", 1, 1, UNIT)
        assert engine.submit(replaced()).code == "order_refused"
    checked(engine, tmp_path)


@pytest.mark.parametrize("by", ["budget", "cap"])
def test_with_nothing_left_it_may_be_lowered(by: str, tmp_path: Path) -> None:
    engine = bounded(by)
    lots = room(engine)
    engine.admit(order(quantity=lots))
    assert room(engine) == 0
    for number, quantity in enumerate((lots, lots - 1, 1)):
        last = f"B-{number - 1}" if number else "A-1"
        engine.admit(replace(f"B-{number}", last, quantity=quantity))
        settled = engine.submit(replaced(f"B-{number}"))
        assert (settled.open_quantity, settled.hold_microcents) == (quantity, quantity * UNIT)
    checked(engine, tmp_path)


def test_reductions_are_each_orders_own(engine: LoggedEngine) -> None:
    engine.admit(replace(quantity=80))
    answer = engine.submit(Reduce(DESK, "A-1", "R-1", 10))
    assert (answer.open_quantity, answer.hold_microcents) == (90, held(90))
    answer = engine.submit(Reduce(DESK, "B-1", "R-2", 30))  # the larger one is as large
    assert (answer.open_quantity, answer.released_microcents) == (90, 0)
    answer = engine.submit(Reduce(DESK, "A-1", "R-3", 60))
    assert (answer.open_quantity, answer.hold_microcents) == (50, held(50, 80, worth(80)))
    settled = engine.submit(rejected())
    assert settled.open_quantity == 30
    assert engine.submit(Reduce(DESK, "B-1", "R-4", 5)).flags == ["late"]
    assert engine.submit(Reduce(DESK, "A-1", "R-5", 31)).flags == ["overreduced"]
    assert (stands(engine)[0], reserved(engine), position(engine)[2]) == ("closed", 0, 0)


def test_a_chain_of_many(engine: LoggedEngine) -> None:
    last = "A-1"
    for number in range(1, 30):
        name = f"B-{number}"
        engine.admit(replace(name, last, quantity=100 + number))
        engine.submit(fill(f"F-{number}", 1, 0, client_order_id=last))
        engine.submit(replaced(name))
        assert stands(engine, "A-1") == stands(engine, name)
        last = name
    assert stands(engine, "B-7")[:3] == ("open", 29, 100)
    assert engine.state.orders.shares.of(engine.state.desks[DESK].share).open_count == 1
    engine.submit(cancel("B-3"))
    assert (reserved(engine), position(engine)[:4]) == (0, (29, 29, 0, 0))
