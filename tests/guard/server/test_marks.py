"""Marks: the last one counts, for what comes behind it, and its age is what the record says."""

from pathlib import Path

import pytest

from guard_limits_support import WAIVED, limits_config
from guard_support import (
    ALPHA_BUDGET,
    ALPHA_CAP,
    ORDER_NOTIONAL,
    SECOND_NS,
    T0,
    dev_config,
)
from request_path_support import Guard, mark, order

MS = 1_000_000
COLLARED = (
    'quantity_max = "none"\nvalue_max = "none"\nprice_collar_bps = 100\n'
    "reference_age_max_ms = 1000\nmarket_buffer_bps = 50\n"
)


def test_a_mark_counts_for_the_orders_behind_it(tmp_path: Path) -> None:
    guard = Guard(tmp_path, limits_config(COLLARED))
    assert guard.ask(order("A-1"))["reason"] == "reference_missing"
    replies = guard.ask(order("A-2"), mark(19_000, request_id=7), order("A-3"))
    assert [reply.get("reason") for reply in replies] == [
        "reference_missing",
        None,
        "requested_model_maximizes_utility",
    ]
    assert replies[1] == {"type": "marked", "symbol": "AAPL", "price": 19_000, "request_id": 7}
    guard.now_ns += 1_000 * MS
    replies = guard.ask(order("A-4"), mark(1), mark(21_000), order("A-5"), mark(19_100))
    assert replies[0]["type"] == "admit"
    assert replies[3]["detail"] == {"asked": 19_000, "limit": 100, "used": 21_000, "scope": 1}
    guard.now_ns += 1_000 * MS + 1
    assert guard.ask(order("A-6"))["reason"] == "reference_stale"
    assert guard.ask(order("A-7", order_type="market", symbol="BTC-USD"))["reason"] == (
        "reference_missing"
    )
    tails = [line.rpartition(b"}")[0].rpartition(b'"repeat":')[2] for line in guard.end()[8:]]
    said = [tail for tail in tails if b"mark_price" in tail]
    assert [int(tail.split(b'"mark_price":')[1].split(b",")[0]) for tail in said] == [
        *(19_000, 19_000, 21_000, 19_100)
    ]
    assert [int(tail.split(b'"mark_age_ns":')[1].split(b",")[0]) for tail in said] == [
        *(1, 1_000 * MS, 1, 1_000 * MS + 1)
    ]


@pytest.mark.parametrize(
    ("as_of_ns", "age_ns"),
    [
        (None, 5 * MS), (T0, 5 * MS), (T0 - 1, 5 * MS + 1), (T0 - SECOND_NS, SECOND_NS + 5 * MS),
        (T0 + 10**18, 5 * MS), (1, T0 - 1 + 5 * MS),
    ],
)  # fmt: skip
def test_a_mark_is_as_old_as_it_says_or_as_it_came(
    as_of_ns: int | None, age_ns: int, tmp_path: Path
) -> None:
    guard = Guard(tmp_path, dev_config())
    guard.ask(mark(19_000, as_of_ns=as_of_ns))
    guard.now_ns += 5 * MS
    assert guard.ask(order("A-1"))["type"] == "admit"
    assert b'"mark_price":19000,"mark_age_ns":%d}' % age_ns in guard.end()[-1]


@pytest.mark.parametrize("price", [1, 2**63 - 2, 2**63 - 1])
@pytest.mark.parametrize("said", [1, 2**63 - 1])
def test_the_least_and_the_greatest_mark_are_decided_again(
    price: int, said: int, tmp_path: Path
) -> None:
    guard = Guard(tmp_path, limits_config(COLLARED))
    assert guard.ask(mark(price, as_of_ns=said))["price"] == price
    guard.ask(order("A-1"), order("A-2", side="sell", order_type="market"))
    assert b'"mark_price":%d,' % price in guard.end()[-1]


def test_a_mark_is_never_older_than_a_record_can_say(tmp_path: Path) -> None:
    guard = Guard(tmp_path, dev_config())
    guard.system_ns = 2**63 - 3
    guard.ask(mark(19_000, as_of_ns=1))
    guard.now_ns += 60 * SECOND_NS
    guard.ask(order("A-1"))
    assert b'"mark_age_ns":%d,' % (2**63 - 2) in guard.end()[-1]


def test_a_mark_is_late_by_the_systems_clock(tmp_path: Path) -> None:
    guard = Guard(tmp_path, dev_config())
    guard.system_ns = T0 + 60 * SECOND_NS
    guard.ask(mark(19_000, as_of_ns=T0 + 58 * SECOND_NS))
    guard.ask(order("A-1"))
    assert b'"mark_age_ns":%d,"clock_ns":' % (2 * SECOND_NS) in guard.end()[-1]


def test_marks_that_are_no_marks_change_nothing(tmp_path: Path) -> None:
    guard = Guard(tmp_path, dev_config())
    guard.ask(mark(19_000, bid=18_999, ask=18_999), mark(7, bid=7), mark(8, ask=1))
    for wrong, code, field in (
        (mark(1, "NONE"), "unknown_symbol", "symbol"),
        (mark(1, "a b"), "invalid_field", "symbol"),
        (mark(0), "invalid_field", "price"),
        (mark(2**63), "invalid_field", "price"),
        (mark(1, bid=3, ask=2), "invalid_field", "bid"),
        (mark(1, as_of_ns=0), "invalid_field", "as_of_ns"),
        (mark(1, desk="d"), "unknown_field", "desk"),
        ({"type": "mark", "symbol": "AAPL"}, "missing_field", "price"),
    ):
        reply = guard.ask({**wrong, "request_id": 3})
        assert (reply["code"], reply["field"], reply["request_id"]) == (code, field, 3)
        assert "client_order_id" not in reply
    guard.ask(order("A-1"))
    counters = guard.path.decided_counters()
    assert (counters["marks_received"], counters["marked_symbols"]) == (3, 1)
    assert counters["request_errors"] == 8
    assert b'"mark_price":8,' in guard.end()[-1]


def test_a_log_of_earlier_rules_says_no_marks(tmp_path: Path) -> None:
    guard = Guard(tmp_path, dev_config(), rules_version=2)
    guard.ask(mark(19_000))
    guard.ask(order("A-1"))
    assert b"mark_price" not in guard.end()[-1]


def test_what_counts_and_what_is_used_is_told(tmp_path: Path) -> None:
    rates = "".join(
        f'[[limits{scope}.rates]]\nkind = "orders"\nwindow_ms = 1000\nmax = {most}\n'
        for scope, most in (("", 9), (".desk.desk-alpha", 5))
    )
    guard = Guard(tmp_path, limits_config(f"{WAIVED}quantity_min = 1\n{rates}"))
    question = {"type": "limits", "desk": "desk-alpha", "symbol": "AAPL", "request_id": "q"}
    assert guard.ask(order("A-1"))["type"] == "admit"
    assert guard.ask(question) == {
        "type": "limits",
        "desk": "desk-alpha",
        "symbol": "AAPL",
        "limits": [
            {"limit": "quantity_min", "scope": "firm", "value": 1, "used": None},
            {"limit": "quantity_max", "scope": "firm", "value": None, "used": None},
            {"limit": "value_max", "scope": "firm", "value": None, "used": None},
            {"limit": "price_collar_bps", "scope": "firm", "value": None, "used": None},
            {"limit": "rate of orders in 1000 ms", "scope": "firm", "value": 9, "used": None},
            {"limit": "rate of orders in 1000 ms", "scope": "desk", "value": 5, "used": 1},
            {
                "limit": "budget",
                "scope": "desk",
                "value": ALPHA_BUDGET,
                "used": ORDER_NOTIONAL // 100,
            },
            {
                "limit": "exposure_cap",
                "scope": "desk",
                "value": ALPHA_CAP,
                "used": ORDER_NOTIONAL // 100,
            },
        ],
        "request_id": "q",
    }
    assert guard.ask({**question, "desk": "nobody"})["code"] == "unknown_desk"
    assert guard.ask({**question, "symbol": "NONE"})["code"] == "unknown_symbol"
    asked = {"type": "positions", "desk": "desk-alpha", "request_id": 7}
    shown = guard.ask(asked)
    assert (shown["request_id"], shown["positions"][0]["working_buys"]) == (7, 1)
    assert guard.ask({**asked, "from_symbol": "AAPM"})["positions"] == []
    error = guard.ask({**asked, "desk": "nobody"})
    assert (error["code"], error["field"], error["request_id"]) == ("unknown_desk", "desk", 7)
    guard.end()


def test_time_goes_on_by_what_passes_and_never_back(tmp_path: Path) -> None:
    guard = Guard(tmp_path, limits_config(WAIVED))
    for at_ns in (T0, T0 + 5, T0 - 10**15, T0 - 10**15 + 7, T0 + 10**9):
        guard.now_ns = at_ns
        guard.ask(order(f"A-{at_ns}"))
    assert guard.engine.state.elapsed_ns == 1 + 5 + 7 + (10**15 - 7 + 10**9)
    guard.end()
