"""Limits of positions and of open orders: at the limit, one below, one above, and beyond counting.

Every order goes through the bytes of its record, and each test's log is replayed, folded, and its
state taken through a checkpoint, which must count as much as before (`carried`).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guard.config.activation import limits_event
from guard.engine.events import RULES_VERSION, RulesActivated
from guard.engine.state import GuardState
from guard.protocol.messages import I64_MAX, U32_MAX, U64_MAX, Admit
from guard.recovery.checkpoint_payload import state_digest_hex
from guard_limits_support import WAIVED, limit_detail, limited, limits_config, verdict
from guard_support import LoggedEngine, actor, cancel, fill, order
from log_checks_support import carried, check_states, checked_at_end

FIRM, DESK, SYMBOL, DESK_SYMBOL = 1, 2, 3, 4
LONG, SHORT = "position_long_above_max", "position_short_above_max"
OPEN = "open_orders_above_max"


def open_counts(state: GuardState) -> list[int]:
    return [share.open_count for share in state.orders.shares.all]


def shown(state: GuardState) -> Any:
    return state_digest_hex(state), open_counts(state)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, partial(check_states, shown=shown))


def begun(engines: list[LoggedEngine], text: str) -> LoggedEngine:
    engine = limited(f"{WAIVED}{text}")
    engines.append(engine)
    return engine


def key_of(side: str) -> tuple[str, str]:
    """The key that limits orders of that side, and its reason."""
    return ("position_long_max", LONG) if side == "buy" else ("position_short_max", SHORT)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_an_order_alone(side: str, engines: list[LoggedEngine]) -> None:
    key, reason = key_of(side)
    for lots, limit in ((99, 100), (100, 100), (101, 100), (1, 0), (U32_MAX, 1)):
        engine = begun(engines, f"{key} = {limit}")
        wanted = "admitted" if lots <= limit else (reason, limit_detail(lots, limit, 0, FIRM))
        assert verdict(engine, side=side, quantity=lots, price=1) == wanted
    other = begun(engines, f"{key_of('sell' if side == 'buy' else 'buy')[0]} = 0")
    assert verdict(other, side=side) == "admitted"


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_what_works_and_what_was_filled_count_alike(side: str, engines: list[LoggedEngine]) -> None:
    key, reason = key_of(side)
    engine = begun(engines, f"{key} = 100")
    engine.admit(order(side=side, quantity=60))
    assert verdict(engine, side=side, quantity=41) == (reason, limit_detail(101, 100, 60, FIRM))
    engine.submit(fill("F-1", 25, fee=0))
    assert verdict(engine, side=side, quantity=41) == (reason, limit_detail(101, 100, 60, FIRM))
    engine.submit(cancel())
    assert verdict(engine, side=side, quantity=76) == (reason, limit_detail(101, 100, 25, FIRM))
    engine.admit(order("A-2", side=side, quantity=75))
    assert verdict(engine, side=side, quantity=1) == (reason, limit_detail(101, 100, 100, FIRM))
    # The other side's working orders do not help; another desk and another symbol have their own.
    opposite = "sell" if side == "buy" else "buy"
    engine.admit(order("B-1", side=opposite, quantity=90))
    assert verdict(engine, side=side, quantity=1) == (reason, limit_detail(101, 100, 100, FIRM))
    assert verdict(engine, side=side, desk="desk-beta", quantity=100) == "admitted"
    assert verdict(engine, side=side, symbol="BTC-USD", quantity=100, price=2 * 10**9) == "admitted"


def test_beyond_the_limit_by_an_overfill_and_back(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, "position_long_max = 100")
    engine.admit(order())
    engine.submit(fill("F-1", 150, fee=0))
    assert verdict(engine, quantity=1) == (LONG, limit_detail(151, 100, 150, FIRM))
    assert verdict(engine, side="sell", quantity=400) == "admitted"  # no limit of short ones
    assert verdict(engine, quantity=1) == (LONG, limit_detail(151, 100, 150, FIRM))


def test_a_position_of_the_other_side_makes_room(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, "position_long_max = 50\nposition_short_max = 100")
    engine.admit(order(side="sell"))
    engine.submit(fill("F-1", 100, fee=0))
    assert verdict(engine, quantity=151) == (LONG, limit_detail(51, 50, 0, FIRM))
    assert verdict(engine, quantity=150) == "admitted"
    assert verdict(engine, quantity=1) == (LONG, limit_detail(51, 50, 50, FIRM))
    assert verdict(engine, side="sell", quantity=1) == (SHORT, limit_detail(101, 100, 100, FIRM))


def test_exits_pass_and_zero_refuses_short_sales(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, "position_long_max = 100\nposition_short_max = 0\nopen_orders_max = 1")
    engine.admit(order())
    engine.submit(fill("F-1", 100, fee=0))
    assert verdict(engine, side="sell", quantity=101) == (SHORT, limit_detail(1, 0, 0, FIRM))
    for name in ("S-1", "S-2"):  # one more than may be open
        answer = engine.submit(order(name, side="sell", quantity=50))
        assert isinstance(answer, Admit)
        assert answer.reducing is True
    assert verdict(engine, side="sell", quantity=1) == (SHORT, limit_detail(1, 0, 0, FIRM))
    assert open_counts(engine.state) == [0, 2, 0]
    found = verdict(engine, symbol="BTC-USD", quantity=1)
    assert found == (OPEN, limit_detail(1, 1, 2, FIRM))


def test_lots_that_cannot_be_counted_are_refused(engines: list[LoggedEngine]) -> None:
    for text, limit in ((f"position_long_max = {I64_MAX - 1}", I64_MAX - 1),
                        ('position_long_max = "none"', I64_MAX)):  # fmt: skip
        engine = begun(engines, text)
        engine.admit(order(price=1))
        engine.submit(fill("F-1", I64_MAX, fee=0))
        lots = U32_MAX
        detail = limit_detail(I64_MAX + lots, limit, I64_MAX, FIRM)
        assert verdict(engine, quantity=lots, price=1) == (LONG, detail)
        assert I64_MAX + lots < U64_MAX


SCOPES = [
    ("[limits.desk.desk-alpha]\nposition_long_max = 99", DESK),
    ("[limits.symbol.AAPL]\nposition_long_max = 99", SYMBOL),
    ("[limits.desk.desk-alpha.symbol.AAPL]\nposition_long_max = 99", DESK_SYMBOL),
    ("position_long_max = 200\n[limits.symbol.AAPL]\nposition_long_max = 99", SYMBOL),
    ("[limits.desk.desk-beta]\nposition_long_max = 99", 0),
    ("[limits.symbol.BTC-USD]\nposition_long_max = 99", 0),
]


@pytest.mark.parametrize(("text", "scope"), SCOPES)
def test_each_scope(text: str, scope: int, engines: list[LoggedEngine]) -> None:
    wanted: Any = (LONG, limit_detail(100, 99, 0, scope)) if scope else "admitted"
    assert verdict(begun(engines, text)) == wanted


def test_open_orders_of_a_desk(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, "open_orders_max = 3\n[limits.desk.desk-beta]\nopen_orders_max = 1")
    for name in ("A-1", "A-2", "A-3"):
        engine.admit(order(name))
    assert verdict(engine) == (OPEN, limit_detail(1, 3, 3, FIRM))
    assert verdict(engine, symbol="BTC-USD", quantity=1) == (OPEN, limit_detail(1, 3, 3, FIRM))
    assert verdict(engine, desk="desk-beta") == "admitted"
    assert verdict(engine, desk="desk-beta") == (OPEN, limit_detail(1, 1, 1, DESK))
    engine.submit(fill("F-1", 99, fee=0))
    assert verdict(engine) == (OPEN, limit_detail(1, 3, 3, FIRM))  # one lot of it is open
    engine.submit(fill("F-2", 1, fee=0))
    assert open_counts(engine.state) == [0, 2, 1]
    engine.submit(fill("F-3", 1, fee=0))  # late: nothing is open of it any more
    engine.submit(cancel("A-2"))
    engine.submit(cancel("A-2"))
    assert open_counts(engine.state) == [0, 1, 1]
    engine.admit(order("A-4"))
    engine.admit(order("A-5"))
    assert verdict(engine) == (OPEN, limit_detail(1, 3, 3, FIRM))


def test_a_lowered_limit_closes_nothing_and_refuses_from_then_on(
    engines: list[LoggedEngine],
) -> None:
    engine = begun(engines, "position_long_max = 300\nopen_orders_max = 5")
    for name in ("A-1", "A-2", "A-3"):
        engine.admit(order(name))
    assert verdict(engine, quantity=1) == (LONG, limit_detail(301, 300, 300, FIRM))
    tree = limits_config(f"{WAIVED}position_long_max = 100\nopen_orders_max = 2").limits
    engine.log(limits_event(tree, actor(engine.now_ns)))
    assert verdict(engine, quantity=1) == (LONG, limit_detail(301, 100, 300, FIRM))
    assert verdict(engine, side="sell") == (OPEN, limit_detail(1, 2, 3, FIRM))
    assert open_counts(engine.state) == [0, 3, 0]


@pytest.mark.parametrize("version", [1, 2])
def test_open_orders_of_a_log_of_earlier_rules_are_counted(version: int) -> None:
    engine = LoggedEngine(rules_version=version)
    engine.admit(order())
    engine.admit(order("B-1", desk="desk-beta"))
    engine.admit(order("A-2"))
    engine.submit(cancel())
    assert sum(open_counts(engine.state)) == sum(open_counts(carried(engine.state))) == 2
    activated = {"rules_version": RULES_VERSION, "previous_rules_version": version}
    engine.log(actor(engine.now_ns).event(RulesActivated, **activated))
    assert open_counts(engine.state) == open_counts(carried(engine.state)) == [0, 1, 1]
    tree = limits_config(f"{WAIVED}open_orders_max = 1\nposition_long_max = 100").limits
    engine.log(limits_event(tree, actor(engine.now_ns)))
    assert verdict(engine, quantity=1) == (LONG, limit_detail(101, 100, 100, FIRM))
    assert verdict(engine, side="sell", quantity=1) == (OPEN, limit_detail(1, 1, 1, FIRM))
