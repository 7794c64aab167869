"""Prices of positions as the daemon records them: before an order, each symbol's last mark."""

import json
from pathlib import Path
from typing import Any

from guard.config.activation import limits_event
from guard.server.request_path import record_event
from guard_limits_support import WAIVED, limits_config
from guard_support import SECOND_NS, T0, actor
from request_path_support import Guard, mark, order

RULE = f"{WAIVED}revalue_bps = 100\nrevalue_s = 60\n"
BTC = {"symbol": "BTC-USD", "price": 6_000_000}


def begun(tmp_path: Path, text: str = RULE) -> Guard:
    return Guard(tmp_path, limits_config(text))


def prices(lines: list[bytes]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for line in lines:
        event: Any = json.loads(line)["data"]
        if event.get("event") == "revalued":
            found.append((event["symbol"], event["price"], event["age_ns"]))
    return found


def test_marks_are_recorded_before_the_next_order_whichever_its_symbol(tmp_path: Path) -> None:
    guard = begun(tmp_path)
    guard.ask(mark(19_000), mark(6_000_000, "BTC-USD"), mark(19_100), mark(18_000))
    before = guard.engine.next_sequence
    assert guard.ask(order("A-1"))["wal_sequence"] == before + 2  # the last of AAPL's, and BTC's
    guard.ask(mark(18_100), mark(6_070_000, "BTC-USD"))  # the one too little, the other enough
    assert guard.ask(order("A-2"), order("A-3"))[1]["wal_sequence"] == before + 5
    guard.now_ns += 60 * SECOND_NS - 1
    assert guard.ask(order("A-4"))["wal_sequence"] == before + 6
    guard.now_ns += 1
    # No mark has come since; what lay near the price for so long is recorded all the same.
    assert guard.ask(order("B-1", **BTC))["wal_sequence"] == before + 8
    assert prices(guard.end()) == [
        ("AAPL", 18_000, 1),
        ("BTC-USD", 6_000_000, 1),
        ("BTC-USD", 6_070_000, 1),
        ("AAPL", 18_100, 60 * SECOND_NS),
    ]


def test_a_mark_that_comes_back_is_not_recorded(tmp_path: Path) -> None:
    guard = begun(tmp_path)
    guard.ask(mark(19_000), order("A-1"), mark(25_000), mark(19_000), order("A-2"))
    guard.now_ns += 61 * SECOND_NS
    guard.ask(mark(19_001), mark(19_000), order("A-3"), mark(19_010), order("A-4"))
    assert prices(guard.end()) == [("AAPL", 19_000, 1), ("AAPL", 19_010, 1)]


def test_a_repeat_and_a_refusal_record_what_is_due_as_well(tmp_path: Path) -> None:
    guard = begun(tmp_path)
    guard.ask(order("A-1"), mark(19_000), order("A-1"), mark(25_000), order("A-2", symbol="NONE"))
    guard.ask(mark(6_000_000, "BTC-USD"), {**order("A-1"), "type": "status"} | {"type": "ping"})
    assert prices(guard.end()) == [("AAPL", 19_000, 1), ("AAPL", 25_000, 1)]


def test_while_the_disk_takes_no_order_no_price_is_recorded(tmp_path: Path) -> None:
    guard = begun(tmp_path)
    guard.path.refused = 1
    before = guard.engine.next_sequence
    assert [reply.get("code") for reply in guard.ask(mark(19_000), order("A-1"))] == [
        None,
        "disk_full",
    ]
    assert guard.engine.next_sequence == before
    guard.path.refused = 0
    assert guard.ask(order("A-1"))["wal_sequence"] == before + 1
    assert prices(guard.end()) == [("AAPL", 19_000, 1)]


def test_under_other_limits_other_prices_are_due(tmp_path: Path) -> None:
    guard = begun(tmp_path, WAIVED)
    guard.ask(mark(19_000), mark(6_000_000, "BTC-USD"), order("A-1"))
    for text in (RULE, f"{WAIVED}revalue_bps = 10", WAIVED):
        tree = limits_config(text).limits
        record_event(guard.engine, guard.writer, limits_event(tree, actor(guard.now_ns)))
        guard.ask(order(f"A-{guard.now_ns - T0 + 2}"), mark(19_100))
        guard.now_ns += 1
    assert prices(guard.end()) == [
        ("AAPL", 19_000, 1),
        ("BTC-USD", 6_000_000, 1),
        ("AAPL", 19_100, 1),
    ]


def test_what_came_while_no_price_was_kept_is_due_when_the_same_limits_are_back(
    tmp_path: Path,
) -> None:
    guard = begun(tmp_path)
    guard.ask(mark(19_000), mark(6_000_000, "BTC-USD"), order("A-1"))
    for text in (WAIVED, RULE):
        tree = limits_config(text).limits
        record_event(guard.engine, guard.writer, limits_event(tree, actor(guard.now_ns)))
        if text == WAIVED:
            guard.ask(mark(7_000_000, "BTC-USD"))
    guard.ask(order("A-2"))
    assert prices(guard.end())[2:] == [("BTC-USD", 7_000_000, 1)]
