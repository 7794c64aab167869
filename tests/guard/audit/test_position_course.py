"""The positions of a report: how they ended, what they made, and how they came there."""

from typing import Any

import pytest
from hypothesis import given, settings

from audit_support import STEPS, audited, live
from guard.audit import position_course
from guard.audit.page import render_page
from guard.audit.tables import tables
from guard.engine.positions import POSITION_ROW
from guard_limits_support import WAIVED, limited
from guard_support import SECOND_NS, T0, LoggedEngine, fill, order, settled

FIELDS = {
    "position_lots": "position_lots",
    "bought_lots": "bought_lots",
    "sold_lots": "sold_lots",
    "working_buy_lots": "working_buys",
    "working_sell_lots": "working_sells",
    "cost_microcents": "cost_microcents",
    "realised_microcents": "realised_microcents",
}


def positions_of(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(line["desk"], line["symbol"]): line for line in document["positions"]["listed"]}


def kept_in(engine: LoggedEngine) -> dict[tuple[str, str], dict[str, int]]:
    """What the state that the log folds into has, by desk and symbol."""
    kept, names = engine.state.positions, list(engine.state.positions.symbols)
    desks = {desk.share: name for name, desk in engine.state.desks.items()}
    found = {}
    for row in range(kept.count):
        desk, symbol = kept.key_of(row)
        found[desks[desk], names[symbol]] = {
            field: kept.value(row, POSITION_ROW.index(name)) for field, name in FIELDS.items()
        }
    return found


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_the_end_is_the_state_and_the_course_leads_there(steps: list[Any]) -> None:
    day = live(steps)
    document = audited(day.records)
    shown, wanted = positions_of(document), kept_in(day)
    assert {key: {name: line[name] for name in FIELDS} for key, line in shown.items()} == wanted
    for line in shown.values():
        rows = line["rows"]
        times = [row[0] for row in rows]
        assert times == sorted(set(times))
        made = line["realised_microcents"] + (line["unrealised_microcents"] or 0)
        assert rows[-1][1:] == [line["position_lots"], made]
    assert document["positions"]["left_out"] == 0


def bought_and_sold() -> LoggedEngine:
    """100 bought at 190.00 and 60 of them sold at 191.00, beside a mark of 192.00."""
    engine = limited(f"{WAIVED}revalue_bps = 1")
    engine.marks["AAPL"] = (19_200, 5)
    at_ns = T0 + SECOND_NS
    for name, side, lots, price in (("A-1", "buy", 100, 19_000), ("A-2", "sell", 60, 19_100)):
        at_ns += 60 * SECOND_NS
        engine.admit(order(name, side=side, quantity=lots, price=price), at_ns)
        engine.submit(fill("F-1", client_order_id=name, quantity=lots, price=price), at_ns)
    return engine


def test_profit_is_realised_and_at_the_recorded_price_unrealised() -> None:
    document = audited(settled(bought_and_sold().records))
    line = positions_of(document)["desk-alpha", "AAPL"]
    assert (line["position"], line["price"]) == ("40", "192.00")
    assert line["cost_microcents"] == 40 * 190 * 10**8
    assert line["realised_microcents"] == 60 * 10**8
    assert line["unrealised_microcents"] == 40 * 2 * 10**8
    assert [row[1:] for row in line["rows"]] == [[100, 100 * 2 * 10**8], [40, 140 * 10**8]]


def test_text_and_page_show_it() -> None:
    document = audited(settled(bought_and_sold().records))
    (table,) = [table for table in tables(document) if table.slug == "positions"]
    assert table.rows == [
        ("desk-alpha", "AAPL", "40", "7,600.00", "192.00", "60.00", "80.00"),
    ]
    page = render_page(document, "day/log")
    assert 'data-chart="position" data-course="0"' in page
    assert "desk-alpha in AAPL" in page
    nothing = render_page(audited(live([]).records), "day/log")
    assert "Nothing was filled that counts in a position." in nothing


def test_without_a_price_nothing_is_unrealised() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    engine.submit(fill("F-1", quantity=7, price=19_000))
    (line,) = audited(engine.records)["positions"]["listed"]
    assert (line["position_lots"], line["price"], line["unrealised_microcents"]) == (7, None, None)


def test_what_is_listed_and_drawn_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position_course, "LISTED_MAX", 1)
    monkeypatch.setattr(position_course, "COURSES_MAX", 0)
    engine = LoggedEngine()
    beta = {"desk": "desk-beta", "client_order_id": "B-1"}
    engine.admit(order("A-1"))
    engine.admit(order(**beta, symbol="BTC-USD", quantity=10**8, price=10**5))
    engine.submit(fill("F-1", quantity=7, price=19_000))
    engine.submit(fill("F-1", **beta, quantity=7, price=10**5))
    positions = audited(engine.records)["positions"]
    assert [line["symbol"] for line in positions["listed"]] == ["AAPL"]
    assert positions["left_out"] == 1
    assert positions["listed"][0]["rows"] == []


def test_a_long_day_is_looked_at_less_often() -> None:
    engine, now_ns = LoggedEngine(), T0
    engine.admit(order("A-1", quantity=100))
    for number in range(40):
        now_ns += 3_600 * SECOND_NS
        engine.submit(fill(f"F-{number}", quantity=1, price=19_000), now_ns)
    positions = audited(engine.records)["positions"]
    (line,) = positions["listed"]
    width_ns = positions["bucket_width_ns"]
    assert all(row[0] % width_ns == 0 for row in line["rows"])
    assert [row[1] for row in line["rows"]] == list(range(1, 41))
    assert line["rows"][-1][0] <= now_ns < line["rows"][-1][0] + width_ns
