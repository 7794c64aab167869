"""Each limit at its value, one below and one above, of each scope; what is missing; both forms.

Every order goes through the bytes of its record (`guard_support.LoggedEngine`), and each test's log
is replayed: what was decided is decided again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from guard.config.activation import limits_event
from guard.engine.limit_checks import moved_up
from guard.protocol.limits import LimitScope
from guard.protocol.messages import I64_MAX, U32_MAX
from guard.recovery.checkpoint_payload import state_digest_hex
from guard_limits_support import T0, WAIVED, limit_detail, limited, limits_config, verdict
from guard_support import LoggedEngine, actor, fill, order
from log_checks_support import carried, check_states, checked_at_end

FIRM, DESK, SYMBOL, DESK_SYMBOL = 1, 2, 3, 4
MS = 1_000_000
NOTIONAL = 100 * 19_000 * 1_000_000  # of the usual order, in microcents


def check_log(engine: LoggedEngine, place: Path) -> None:
    """The log decides the same again, and folds into the same state."""
    check_states(engine, place, state_digest_hex)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, check_log)


PER_ORDER: list[tuple[str, dict[str, Any], Any]] = [
    ("quantity_max = 100", {"quantity": 99}, None),
    ("quantity_max = 100", {"quantity": 100}, None),
    ("quantity_max = 100", {"quantity": 101},
     ("quantity_above_max", limit_detail(101, 100, 0, FIRM))),
    ("quantity_max = 1", {"quantity": U32_MAX, "price": 1},
     ("quantity_above_max", limit_detail(U32_MAX, 1, 0, FIRM))),
    ("quantity_min = 100", {"quantity": 99},
     ("quantity_below_min", limit_detail(99, 100, 0, FIRM))),
    ("quantity_min = 100", {"quantity": 100}, None),
    ("quantity_min = 100", {"quantity": 101}, None),
    ("quantity_step = 50", {"quantity": 100}, None),
    ("quantity_step = 50", {"quantity": 101},
     ("quantity_off_step", limit_detail(101, 50, 1, FIRM))),
    ("quantity_step = 50", {"quantity": 99},
     ("quantity_off_step", limit_detail(99, 50, 49, FIRM))),
    ("price_step = 10", {"price": 19_000}, None),
    ("price_step = 10", {"price": 18_999}, ("price_off_step", limit_detail(18_999, 10, 9, FIRM))),
    ("price_step = 10", {"price": 19_001}, ("price_off_step", limit_detail(19_001, 10, 1, FIRM))),
    ('value_max = "19000.00"', {}, None),
    ('value_max = "19000.01"', {}, None),
    ('value_max = "18999.99999999"', {},
     ("value_above_max", limit_detail(NOTIONAL, NOTIONAL - 1, 0, FIRM))),
    ('value_max = "0.00000001"', {"quantity": U32_MAX, "price": 2_000},
     ("value_above_max", limit_detail(U32_MAX * 2_000 * 10**6, 1, 0, FIRM))),
    ('value_min = "19000.00"', {}, None),
    ('value_min = "18999.99999999"', {}, None),
    ('value_min = "19000.00000001"', {},
     ("value_below_min", limit_detail(NOTIONAL, NOTIONAL + 1, 0, FIRM))),
    ('sides = ["buy"]', {}, None),
    ('sides = ["sell"]', {}, ("side_not_allowed", {"scope": FIRM})),
    ("sides = []", {}, ("side_not_allowed", {"scope": FIRM})),
    ('order_types = ["limit"]', {}, None),
    ('order_types = ["market"]\nmarket_buffer_bps = 0', {},
     ("order_type_not_allowed", {"scope": FIRM})),
    ("", {"order_type": "market"}, ("order_type_not_allowed", {"scope": 0})),
    ('times_in_force = ["day", "ioc"]', {"time_in_force": "ioc"}, None),
    ('times_in_force = ["day", "ioc"]', {"time_in_force": "gtc"},
     ("time_in_force_not_allowed", {"scope": FIRM})),
    ("venues = [10, 20]", {"allow_substitute": False}, None),
    ("venues = [20]", {}, ("venue_not_allowed", {"asked": 10, "scope": FIRM})),
    ("venues = [30]", {"venue": 30}, ("venue_not_allowed", {"asked": 10, "scope": FIRM})),
    ('symbols = ["AAPL"]', {}, None),
    ('symbols = ["BTC-USD"]', {}, ("symbol_not_allowed", {"scope": FIRM})),
    ('symbols = ["AAPL"]', {"symbol": "BTC-USD"}, ("symbol_not_allowed", {"scope": FIRM})),
    ('restricted_symbols = ["AAPL"]', {}, ("symbol_restricted", {"scope": FIRM})),
    ('restricted_symbols = ["AAPL"]', {"symbol": "BTC-USD"}, None),
    # The narrower scopes.
    ("[limits.desk.desk-alpha]\nquantity_max = 99", {},
     ("quantity_above_max", limit_detail(100, 99, 0, DESK))),
    ("[limits.desk.desk-beta]\nquantity_max = 99", {}, None),
    ("[limits.symbol.AAPL]\nquantity_max = 99", {},
     ("quantity_above_max", limit_detail(100, 99, 0, SYMBOL))),
    ("[limits.symbol.BTC-USD]\nquantity_max = 99", {}, None),
    ("[limits.desk.desk-alpha.symbol.AAPL]\nquantity_max = 99", {},
     ("quantity_above_max", limit_detail(100, 99, 0, DESK_SYMBOL))),
    ("[limits.desk.desk-beta.symbol.AAPL]\nquantity_max = 99", {}, None),
    ("quantity_step = 4\n[limits.symbol.AAPL]\nquantity_step = 6", {"quantity": 24}, None),
    ("quantity_step = 4\n[limits.symbol.AAPL]\nquantity_step = 6", {"quantity": 16},
     ("quantity_off_step", limit_detail(16, 12, 4, SYMBOL))),
    ('sides = ["buy", "sell"]\n[limits.desk.desk-alpha]\nsides = ["sell"]', {},
     ("side_not_allowed", {"scope": DESK})),
    ('symbols = ["AAPL"]\n[limits.desk.desk-alpha]\nrestricted_symbols = ["AAPL"]', {},
     ("symbol_restricted", {"scope": DESK})),
]  # fmt: skip


def with_waived(text: str) -> str:
    """The text, and "none" for what the firm's scope leaves unsaid of what must be said."""
    said = text.partition("[limits")[0]
    waived = [line for line in WAIVED.splitlines() if line.split()[0] not in said]
    return "\n".join([*waived, text])


@pytest.mark.parametrize(("text", "changes", "wanted"), PER_ORDER)
def test_a_limit_of_an_order(
    text: str, changes: dict[str, Any], wanted: Any, engines: list[LoggedEngine]
) -> None:
    engine = limited(with_waived(text))
    engines.append(engine)
    found = verdict(engine, **changes)
    if wanted is None:
        assert found == "admitted" or found[0] in ("exposure_limit_exceeded", "overflow")
    else:
        assert found == wanted


def test_the_strictest_scope_wins_and_the_widest_of_equals(engines: list[LoggedEngine]) -> None:
    text = (
        f"{WAIVED}[limits.desk.desk-alpha]\nquantity_max = 50\n"
        "[limits.symbol.AAPL]\nquantity_max = 40\n"
        "[limits.desk.desk-alpha.symbol.AAPL]\nquantity_max = 40"
    )
    engine = limited(text)
    engines.append(engine)
    assert verdict(engine) == ("quantity_above_max", limit_detail(100, 40, 0, SYMBOL))
    assert verdict(engine, symbol="BTC-USD") == (
        "quantity_above_max",
        limit_detail(100, 50, 0, DESK),
    )
    assert verdict(engine, desk="desk-beta", symbol="BTC-USD") == "admitted"


COLLARED = 'quantity_max = "none"\nvalue_max = "none"\nprice_collar_bps = 100\n'
AGED = f"{COLLARED}reference_age_max_ms = 1000\nmarket_buffer_bps = 50\n"
MARKED = {"AAPL": (20_000, 5 * MS)}


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_collar(side: str, engines: list[LoggedEngine]) -> None:
    engine = limited(AGED, MARKED)
    engines.append(engine)
    for price in (19_800, 20_000, 20_200):
        assert verdict(engine, side=side, price=price, quantity=1) == "admitted"
    for price in (19_799, 20_201, 1, I64_MAX):
        found = verdict(engine, side=side, price=price, quantity=1)
        if price == I64_MAX:
            assert found[0] == "overflow"
        else:
            detail = limit_detail(price, 100, 20_000, FIRM)
            assert found == ("price_outside_collar", detail)


def test_a_reference_that_is_missing_or_old(engines: list[LoggedEngine]) -> None:
    engine = limited(AGED)
    engines.append(engine)
    assert verdict(engine, quantity=1) == ("reference_missing", {"scope": FIRM})
    for age_ns in (1, 1_000 * MS):
        engine.marks = {"AAPL": (19_000, age_ns)}
        assert verdict(engine, quantity=1) == "admitted"
    engine.marks = {"AAPL": (19_000, 1_000 * MS + 1)}
    wanted = ("reference_stale", limit_detail(1_001, 1_000, 0, FIRM))
    assert verdict(engine, quantity=1) == wanted
    assert verdict(engine, quantity=1, symbol="BTC-USD") == ("reference_missing", {"scope": FIRM})


@pytest.mark.parametrize("scope", [FIRM, SYMBOL])
def test_a_reference_that_has_jumped(scope: int, engines: list[LoggedEngine]) -> None:
    """10 % count at once; what lies further waits, whichever way, however far."""
    place = "" if scope == FIRM else "[limits.symbol.AAPL]\n"
    engine = limited(f"{WAIVED}{place}mark_jump_bps = 1_000\nmark_confirm_ms = 1")
    engines.append(engine)
    engine.marks = {"AAPL": (20_000, 1)}
    engine.admit(order(quantity=1))
    engine.submit(fill("F-1", 1, fee=0))
    for jump in (22_001, 17_999, 1, I64_MAX):
        engine.jumps = {"AAPL": jump}
        wanted = ("reference_unconfirmed", limit_detail(jump, 1_000, 20_000, scope))
        assert verdict(engine, quantity=1) == wanted
        assert verdict(engine, quantity=1, desk="desk-beta", side="sell") == wanted
        btc = {"symbol": "BTC-USD", "quantity": 1, "price": 6_000_000}
        assert verdict(engine, **btc) == "admitted"
    answer = engine.submit(order("S-1", side="sell", quantity=1))
    assert answer.reducing is True


def test_no_reference_is_needed_where_a_collar_is_waived(engines: list[LoggedEngine]) -> None:
    engine = limited(f"{WAIVED}market_buffer_bps = 0")
    engines.append(engine)
    assert verdict(engine) == "admitted"
    assert verdict(engine, order_type="market") == ("reference_missing", {"scope": FIRM})


VALUED = [
    # What an order of one lot may cost at most, in ticks: its own price, the mark, or more.
    ({"side": "buy", "price": 19_900}, 19_900),
    ({"side": "sell", "price": 19_900}, 20_200),
    ({"side": "sell", "price": 20_200}, 20_200),
    ({"side": "buy", "price": 1, "order_type": "market"}, 20_100),
    ({"side": "sell", "price": 1, "order_type": "market"}, 20_100),
    ({"side": "buy", "price": 25_000, "order_type": "market"}, 20_100),
]


@pytest.mark.parametrize(("changes", "ticks"), VALUED)
def test_what_an_order_is_valued_at(
    changes: dict[str, Any], ticks: int, engines: list[LoggedEngine]
) -> None:
    engine = limited(AGED, MARKED)
    engines.append(engine)
    assert verdict(engine, quantity=1, **changes) == "admitted"
    assert engine.state.ledger.reserved_microcents("desk-alpha") == ticks * 10**6


def test_a_sell_at_one_tick_holds_the_reference_where_the_collar_is_waived() -> None:
    engine = limited(WAIVED, MARKED)
    assert verdict(engine, side="sell", price=1) == "admitted"
    assert engine.state.ledger.reserved_microcents("desk-alpha") == 100 * 20_000 * 10**6


@pytest.mark.parametrize(
    ("price", "bps", "moved"),
    [
        (1, 0, 1), (1, 1, 2), (20_000, 50, 20_100), (20_001, 50, 20_102), (10_000, 10_000, 20_000),
        (I64_MAX, 0, I64_MAX), (I64_MAX, 100_000, I64_MAX), (I64_MAX - 1, 1, I64_MAX),
    ],
)  # fmt: skip
def test_a_price_is_moved_up_and_rounded_up(price: int, bps: int, moved: int) -> None:
    assert moved_up(price, bps) == moved


def rate(kind: str, window_ms: int, most: str, scope: str = "limits") -> str:
    return f'[[{scope}.rates]]\nkind = "{kind}"\nwindow_ms = {window_ms}\nmax = {most}\n'


RATES = [
    ("limits", FIRM, 0),
    ("limits.desk.desk-alpha", DESK, 3),
    ("limits.symbol.AAPL", SYMBOL, 0),
    ("limits.desk.desk-alpha.symbol.AAPL", DESK_SYMBOL, 3),
]


@pytest.mark.parametrize(("place", "scope", "told"), RATES)
def test_a_rate_of_orders(place: str, scope: int, told: int, engines: list[LoggedEngine]) -> None:
    engine = limited(WAIVED + rate("orders", 1_600, "3", place))
    engines.append(engine)
    over = ("order_rate_exceeded", limit_detail(1, 3, told, scope))
    small = {"quantity": 1}
    for at_ms in (0, 100, 200):
        assert verdict(engine, T0 + at_ms * MS, **small) == "admitted"
    # What is refused takes nothing, by whatever it is refused.
    for at_ms in (200, 1_599, 1_600):
        assert verdict(engine, T0 + at_ms * MS, **small) == over
    assert verdict(engine, T0 + 1_700 * MS, **small) == "admitted"  # a part later at the most
    assert verdict(engine, T0 + 1_700 * MS, **small) == over
    assert verdict(engine, T0 + 10_000 * MS, **small) == "admitted"


def test_a_rate_of_value(engines: list[LoggedEngine]) -> None:
    engine = limited(WAIVED + rate("notional", 1_000, '"38000.00"'))
    engines.append(engine)
    assert verdict(engine) == "admitted"
    assert verdict(engine, quantity=101) == (
        "notional_rate_exceeded",
        limit_detail(NOTIONAL + 19_000 * 10**6, 2 * NOTIONAL, 0, FIRM),
    )
    assert verdict(engine) == "admitted"
    assert verdict(engine, quantity=1, price=1)[0] == "notional_rate_exceeded"


def test_another_desk_has_its_own_rate(engines: list[LoggedEngine]) -> None:
    text = WAIVED + rate("orders", 1_000, "1", "limits.desk.desk-alpha")
    engine = limited(text)
    engines.append(engine)
    assert verdict(engine, quantity=1) == "admitted"
    assert verdict(engine, quantity=1)[0] == "order_rate_exceeded"
    for _ in range(3):
        assert verdict(engine, quantity=1, desk="desk-beta") == "admitted"


def test_the_same_again_under_another_id(engines: list[LoggedEngine]) -> None:
    engine = limited(f"{WAIVED}duplicate_window_ms = 500")
    engines.append(engine)
    assert verdict(engine, T0, quantity=1) == "admitted"
    for at_ns, since_ms in ((T0, 0), (T0 + 500 * MS - 1, 499)):
        wanted = ("duplicate_order", limit_detail(since_ms, 500, 0, FIRM))
        assert verdict(engine, at_ns, quantity=1) == wanted
    for changes in (
        {"desk": "desk-beta"}, {"side": "sell"}, {"price": 18_999}, {"quantity": 2},
        {"symbol": "BTC-USD", "quantity": 10**9, "price": 10**7},
    ):  # fmt: skip
        assert verdict(engine, T0 + 500 * MS - 1, **{"quantity": 1} | changes) == "admitted"
    assert verdict(engine, T0 + 500 * MS, quantity=1) == "admitted"
    assert verdict(engine, T0 + 999 * MS, quantity=1)[0] == "duplicate_order"
    assert verdict(engine, T0 + 1_000 * MS, quantity=1) == "admitted"


def test_what_is_used_outlives_a_restart_and_a_change_of_the_limits() -> None:
    rates = rate("orders", 1_000, "2") + rate("notional", 1_000, '"38000.00"')
    engine = limited(f"{WAIVED}duplicate_window_ms = 500\n{rates}")
    assert verdict(engine, T0) == "admitted"
    for _ in range(2):
        state = engine.engine.state = carried(engine.state)
        assert verdict(engine, T0 + 1)[0] == "duplicate_order"
        assert verdict(engine, T0 + 1, quantity=101)[0] == "notional_rate_exceeded"
        tree = limits_config(f"quantity_min = 1\n{WAIVED}duplicate_window_ms = 400\n{rates}").limits
        engine.log(limits_event(tree, actor()))
    assert verdict(engine, T0 + 1, quantity=2) == "admitted"
    assert verdict(engine, T0 + 1, quantity=1) == (
        "order_rate_exceeded",
        limit_detail(1, 2, 0, FIRM),
    )
    state.set_limits([], "")
    assert state.limits.recent.dump() == []


UNSAID = [
    ({"quantity_max": UNSET}, 1), ({"value_max_microcents": UNSET}, 5),
    ({"price_collar_bps": UNSET}, 6), ({"price_collar_bps": 10}, 7),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "key"), UNSAID)
def test_what_is_unsaid_refuses_also_where_it_came_later(
    changes: dict[str, Any], key: int, engines: list[LoggedEngine]
) -> None:
    said = {"quantity_max": None, "value_max_microcents": None, "price_collar_bps": None}
    engine = LoggedEngine()
    engines.append(engine)
    engine.log(limits_event([LimitScope("", "AAPL", **said | changes)], actor()))
    assert verdict(engine) == ("limit_unsaid", {"asked": key})
    assert verdict(engine, symbol="BTC-USD") == ("limit_unsaid", {"asked": 1})


def test_without_limits_nothing_is_asked_of_a_mark(engines: list[LoggedEngine]) -> None:
    engine = LoggedEngine()
    engines.append(engine)
    engine.marks = {"AAPL": (1, 10**15)}
    assert verdict(engine, order_type="market") == "admitted"
    assert verdict(engine, side="sell", price=1) == "admitted"
    assert engine.state.ledger.reserved_microcents("desk-alpha") == NOTIONAL + 100 * 10**6
    assert b'"mark_price":1,"mark_age_ns":1000000000000000}' in engine.records[-1]
    assert b"elapsed_ns" not in engine.records[-1]
