"""What a client is told of a desk's positions, and of what is used of its limits."""

from typing import Any

import pytest

from guard.protocol.messages import SymbolPosition
from guard.server import positions_shown
from guard.server.limits_shown import show_limits
from guard.server.positions_shown import show_positions
from guard_limits_support import WAIVED, limited
from guard_support import LoggedEngine, cancel, fill, order

TICK = 1_000_000  # what a lot of AAPL is worth at one tick


def shown(engine: LoggedEngine, desk: str = "desk-alpha", first: str = "") -> Any:
    return show_positions(engine.state, sorted(engine.state.instruments), desk, first)


def used(engine: LoggedEngine, desk: str = "desk-alpha", symbol: str = "AAPL") -> dict[str, Any]:
    return {line.limit: line.used for line in show_limits(engine.state, desk, symbol).limits}


def test_a_desk_without_any_has_none() -> None:
    engine = LoggedEngine()
    since = engine.state.positions.since_sequence
    assert since > 0
    assert shown(engine) == positions_shown.PositionsReply("desk-alpha", [], since)


def test_under_rules_that_count_none_that_is_said() -> None:
    engine = LoggedEngine(rules_version=2)
    engine.admit(order())
    assert (shown(engine).positions, shown(engine).since_sequence) == ([], 0)


def test_what_is_held_and_works_is_shown_by_symbol() -> None:
    engine = LoggedEngine()
    engine.admit(order(quantity=3, price=10))
    assert shown(engine).positions == [SymbolPosition("AAPL", 0, 0, 3, 0, 0, 0, 0)]
    engine.submit(fill("F-1", 2))
    engine.submit(fill("F-2", 1, price=11))
    # 31 ticks for three lots: a lot cost a third of a microcent more than can be said
    cost = 31 * TICK
    assert shown(engine).positions == [
        SymbolPosition("AAPL", 3, 3, 0, 0, cost, cost // 3 + 1, 0),
    ]
    engine.admit(order("A-2", side="sell", quantity=1, price=12))
    engine.submit(fill("F-3", 1, client_order_id="A-2"))
    left = cost - (cost // 3 + 1)
    assert shown(engine).positions == [
        SymbolPosition("AAPL", 2, 2, 0, 0, left, left // 2 + left % 2, 12 * TICK - cost // 3 - 1),
    ]
    assert shown(engine, "desk-beta").positions == []


def test_what_was_sold_short_is_below_zero_and_its_average_rounded_down() -> None:
    engine = LoggedEngine()
    engine.admit(order(side="sell", quantity=3, price=10))
    engine.submit(fill("F-1", 2))
    engine.submit(fill("F-2", 1, price=11))
    (line,) = shown(engine).positions
    assert (line.position_lots, line.average_cost_microcents) == (-3, 31 * TICK // 3)


def test_pages_name_every_symbol_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LoggedEngine()
    symbols = sorted(engine.state.instruments)
    for number, symbol in enumerate(symbols):
        engine.admit(order(f"A-{number}", symbol=symbol, quantity=1_000, price=1_000))
    for listed, scanned in ((1, 100), (100, 1), (2, 3), (len(symbols), len(symbols))):
        monkeypatch.setattr(positions_shown, "LISTED_MAX", listed)
        monkeypatch.setattr(positions_shown, "SCANNED_MAX", scanned)
        found, first = [], ""
        while first is not None:
            page = shown(engine, first=first)
            assert len(page.positions) <= min(listed, scanned)
            found += [line.symbol for line in page.positions]
            first = page.next_symbol
        assert found == symbols
    assert shown(engine, first="~").next_symbol is None


def test_what_is_used_of_positions_and_open_orders_is_the_desks_own() -> None:
    limits = "position_long_max = 100\nposition_short_max = 50\nopen_orders_max = 9\n"
    engine = limited(WAIVED + limits)
    names = ("position_long_max", "position_short_max", "open_orders_max")

    def figures(desk: str = "desk-alpha", symbol: str = "AAPL") -> list[int | None]:
        said = used(engine, desk, symbol)
        return [said[name] for name in names]

    assert figures() == [0, 0, 0]
    engine.admit(order(quantity=40))
    assert figures() == [40, 0, 1]
    engine.admit(order("A-2", side="sell", quantity=50))
    assert figures() == [40, 50, 2]
    engine.submit(fill("F-1", 40))
    assert figures() == [40, 10, 1]
    assert figures("desk-beta") == [0, 0, 0]
    assert figures(symbol=sorted(engine.state.instruments)[-1]) == [0, 0, 1]
    engine.submit(cancel("A-2"))
    assert figures() == [40, 0, 0]


def test_budget_and_cap_are_told_without_any_limits() -> None:
    engine = LoggedEngine()
    engine.admit(order(quantity=100, price=100))
    engine.submit(fill("F-1", 40, 5_000))
    held = 60 * 100 * TICK
    assert used(engine) == {"budget": held + 5_000, "exposure_cap": held}
    assert show_limits(engine.state, "desk-beta", "AAPL").limits[-1].value is None
