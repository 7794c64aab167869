"""What a replace is held to: what limits and states say of it, exits, and who only lowers risk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.admin import messages as asked
from guard.admin.queries import answer as query
from guard.engine.apply_event import build_policy
from guard.engine.events import (
    EntriesHalted,
    FillBusted,
    HoldFreed,
    PolicyActivated,
    PolicyContent,
    TradingHalted,
    TradingReduced,
)
from guard.protocol.messages import Admit, Cancel
from guard_limits_support import WAIVED, limited
from guard_support import (
    I64_MAX,
    ORDER_NOTIONAL,
    T0,
    WINDOW_NS,
    LoggedEngine,
    actor,
    balances,
    cancel,
    fill,
    order,
    status,
)
from log_checks_support import checked, checked_at_end
from position_support import position, say
from replace_support import DESK, rejected, replace, replaced, stands

S = 10**9
LOTS = 100
Engines = list[LoggedEngine]


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, checked)


def begun(engines: Engines, text: str, **changes: Any) -> LoggedEngine:
    """A guard with such limits, and A-1 open."""
    engine = limited(f"{WAIVED}{text}")
    engines.append(engine)
    engine.admit(order(**changes))
    return engine


def verdict(engine: LoggedEngine, **changes: Any) -> str:
    """What a replace of A-1 gets: `admitted`, or the reason."""
    answer = engine.submit(replace(f"V-{len(engine.records)}", **changes))
    return "admitted" if isinstance(answer, Admit) else answer.reason


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_position_counts_what_is_more(side: str, engines: Engines) -> None:
    name = "long" if side == "buy" else "short"
    for lots, limit, expected in (
        (149, 150, True), (150, 150, True), (151, 150, False), (100, 100, True), (101, 100, False),
        (2**32 - 1, 1000, False),
    ):  # fmt: skip
        engine = begun(engines, f"position_{name}_max = {limit}", side=side)
        engine.submit(fill("F-1", 30, 0))
        got = verdict(engine, quantity=lots, price=1 if lots > 1000 else 19_000)
        assert got == ("admitted" if expected else f"position_{name}_above_max")


def test_what_adds_no_lots_is_not_refused_by_a_position_beyond(engines: Engines) -> None:
    engine = begun(engines, "position_long_max = 150")
    engine.admit(order("A-2", quantity=50))
    engine.submit(fill("F-1", 100, 0, client_order_id="A-2"))  # 50 too many
    assert verdict(engine, quantity=101) == "position_long_above_max"
    assert verdict(engine, price=19_001) == "admitted"


def test_bounds_of_size_are_of_the_whole(engines: Engines) -> None:
    engine = begun(engines, "quantity_step = 10")
    assert verdict(engine, quantity=105) == "quantity_off_step"
    for lots, expected in ((149, "admitted"), (150, "admitted"), (151, "quantity_above_max")):
        engine = limited(WAIVED.replace('quantity_max = "none"', "quantity_max = 150"))
        engines.append(engine)
        engine.admit(order())
        assert verdict(engine, quantity=lots) == expected


def test_the_collar_is_of_the_new_price(engines: Engines) -> None:
    text = WAIVED.replace('collar_bps = "none"', "collar_bps = 100\nreference_age_max_ms = 1000")
    engine = limited(text, {"AAPL": (19_000, 1)})
    engines.append(engine)
    engine.admit(order())
    assert verdict(engine, price=19_191) == "price_outside_collar"
    assert verdict(engine, price=19_190) == "admitted"


def test_a_rate_of_value_counts_what_is_more(engines: Engines) -> None:
    lots = ORDER_NOTIONAL // LOTS
    number = f"{150 * lots // 10**8}.{150 * lots % 10**8:08d}"
    text = f'rates = [{{ kind = "notional", window_ms = 10_000, max = "{number}" }}]'
    for more, expected in ((49, True), (50, True), (51, False)):
        engine = begun(engines, text)
        got = verdict(engine, quantity=LOTS + more)
        assert got == ("admitted" if expected else "notional_rate_exceeded"), more
    assert verdict(engine, quantity=LOTS) == "admitted"


def test_orders_rate_and_number_and_duplicates_are_none_of_its(engines: Engines) -> None:
    text = 'rates = [{ kind = "orders", window_ms = 10_000, max = 1 }]\nopen_orders_max = 1\n'
    engine = begun(engines, f"{text}duplicate_window_ms = 10_000")
    assert verdict(engine, price=19_001) == "admitted"
    engine.submit(replaced(f"V-{len(engine.records) - 1}"))
    assert engine.reject(order("A-2", price=18_000)).reason == "order_rate_exceeded"


def test_a_rate_of_replaces(engines: Engines) -> None:
    """Those that only lower risk count, and are not refused; a reducing order's do neither."""
    text = 'rates = [{ kind = "replaces", window_ms = 10_000, max = 2 }]'
    engine = begun(engines, text)
    last = "A-1"
    for number, (lots, expected) in enumerate(
        ((101, True), (100, True), (101, False), (99, True), (98, True), (99, False))
    ):
        name = f"B-{number}"
        answer = engine.submit(replace(name, last, quantity=lots))
        assert isinstance(answer, Admit) == expected, number
        if expected:
            engine.submit(replaced(name))
            last = name
        else:
            assert (answer.reason, answer.detail["limit"]) == ("replace_rate_exceeded", 2)
    later_ns = T0 + 11 * S
    assert isinstance(engine.submit(replace("C-1", last, quantity=99), later_ns), Admit)
    assert isinstance(engine.submit(order("D-1"), later_ns), Admit)
    exits = exiting(engines, 10, text=text)
    for number in range(5):
        exits.admit(replace(f"S-{number}", f"S-{number - 1}" if number else "A-1",
                            quantity=11 + number))  # fmt: skip
        exits.submit(replaced(f"S-{number}"))


STOPS: dict[str, Any] = {
    "firm_halted": (TradingHalted, {"scope": "firm", "name": ""}),
    "desk_halted": (TradingHalted, {"scope": "desk", "name": DESK}),
    "symbol_halted": (TradingHalted, {"scope": "symbol", "name": "AAPL"}),
    "firm_reducing": (TradingReduced, {"scope": "firm", "name": ""}),
    "desk_reducing": (TradingReduced, {"scope": "desk", "name": DESK}),
    "symbol_reducing": (TradingReduced, {"scope": "symbol", "name": "AAPL"}),
    "disk_low": (EntriesHalted, {"reason": "disk_low", "free_bytes": 1, "reserve_bytes": 2}),
}


@pytest.mark.parametrize("reason", STOPS)
def test_what_stops_entries_stops_all_that_does_not_lower_risk(
    reason: str, engines: Engines
) -> None:
    engine = begun(engines, "")
    kind, fields = STOPS[reason]
    engine.log(actor().event(kind, **fields))
    for changes in (
        {"quantity": LOTS + 1}, {"price": 19_001}, {"order_type": "market"},
        {"time_in_force": "gtc"},
    ):  # fmt: skip
        assert verdict(engine, **changes) == reason, changes
    assert verdict(engine, quantity=LOTS, price=18_999) == "admitted"
    assert stands(engine) == ("open", 0, LOTS, ORDER_NOTIONAL)


def test_a_sell_is_lowered_by_a_higher_price(engines: Engines) -> None:
    engine = begun(engines, "", side="sell")
    engine.log(actor().event(TradingHalted, scope="firm", name=""))
    assert verdict(engine, price=18_999) == "firm_halted"
    assert verdict(engine, price=20_000) == "admitted"
    told = engine.submit(status())
    assert told.hold_microcents == ORDER_NOTIONAL  # worth no more than it was


def test_lowered_it_is_worth_no_more_however_the_mark_has_moved(engines: Engines) -> None:
    engine = limited(WAIVED, {"AAPL": (19_000, 1)})
    engines.append(engine)
    engine.admit(order(side="sell", quantity=7, price=1))
    held = engine.submit(status()).hold_microcents
    engine.marks = {"AAPL": (I64_MAX, 1)}
    engine.admit(replace(quantity=6, price=1))
    assert balances(engine.state)[1] == held
    engine.submit(replaced())
    assert balances(engine.state)[1] == held * 6 // 7


@pytest.mark.parametrize("what", ["disabled", "gone", "risk"])
def test_the_kernel_keeps_none_from_lowering_risk(what: str, engines: Engines) -> None:
    engine = begun(engines, "")
    policy = engine.state.policy
    assert policy is not None
    content = msgspec.convert(policy.as_dict(), PolicyContent)
    for venue in content.models:
        if venue.model_id == 10:
            venue.enabled = 0 if what == "disabled" else venue.enabled
            venue.model_id = 99 if what == "gone" else 10
    content.models.sort(key=lambda venue: venue.model_id)
    if what == "risk":
        content.hard_risk_limit_bps = 1
    digest_hex = build_policy(content).digest.hex()
    engine.log(actor().event(PolicyActivated, policy=content, policy_digest_hex=digest_hex))
    assert verdict(engine, quantity=LOTS + 1) != "admitted"
    answer = engine.admit(replace(quantity=LOTS - 1))
    assert (answer.venue, answer.substituted) == (10, False)


def test_it_stays_at_its_venue(engines: Engines) -> None:
    """The order was sent elsewhere than it asked for: its replace goes there, and nowhere else."""
    engine = begun(engines, "", venue=0)
    venue = engine.submit(status()).answer.venue
    answer = engine.admit(replace(quantity=LOTS + 1))
    assert (answer.venue, answer.substituted) == (venue, False)


# Exits.


def exiting(engines: Engines, lots: int = LOTS, of: int = LOTS, text: str = "") -> LoggedEngine:
    """A desk that has bought lots, and sells so many of them in A-1."""
    engine = limited(f"{WAIVED}{text}")
    engines.append(engine)
    engine.admit(order("L-1", quantity=of))
    engine.submit(fill("F-1", of, 0, client_order_id="L-1"))
    assert engine.admit(order(side="sell", quantity=lots)).reducing is True
    return engine


@pytest.mark.parametrize(("lots", "expected"), [(99, True), (100, True), (101, False)])
def test_an_exit_may_become_as_large_as_the_position(
    lots: int, expected: bool, engines: Engines
) -> None:
    engine = exiting(engines, 60)
    engine.log(actor().event(TradingReduced, scope="firm", name=""))
    before = balances(engine.state)
    answer = engine.submit(replace(quantity=lots, price=18_000))
    assert isinstance(answer, Admit) == expected, answer
    if expected:
        assert (answer.reducing, answer.reservation_id, answer.notional_microcents) == (True, 0, 0)
        assert position(engine)[3] == lots
        assert engine.state.positions.open_exits == 1
        engine.submit(replaced())
        engine.submit(fill("F-2", lots, 0, client_order_id="B-1"))
        assert position(engine)[:4] == (100 - lots, 100 - lots, 0, 0)
        assert engine.state.positions.open_exits == 0
    else:
        assert answer.reason == "firm_reducing"
    assert balances(engine.state) == before


def test_an_exit_becomes_no_entry(engines: Engines) -> None:
    engine = exiting(engines, 60)
    answer = engine.reject(replace(quantity=101))
    assert answer.reason == "exit_beyond_position"
    assert answer.detail == {"asked": 101, "limit": 100, "used": 0}
    engine.admit(order("S-2", side="sell", quantity=40))
    answer = engine.reject(replace("B-2", quantity=61))
    assert answer.detail == {"asked": 61, "limit": 60, "used": 0}
    engine.admit(replace("B-3", quantity=60, price=18_999))
    assert position(engine)[3] == 100


def test_an_exit_whose_position_is_gone_may_be_lowered_and_no_more(engines: Engines) -> None:
    engine = exiting(engines)
    say(engine, FillBusted, client_order_id="L-1")
    assert (position(engine)[0], engine.state.positions.surplus_of(1)) == (0, LOTS)
    assert verdict(engine, quantity=LOTS, price=18_000) == "desk_reducing"
    assert verdict(engine, quantity=50) == "admitted"
    engine.submit(replaced(f"V-{len(engine.records) - 1}"))
    assert (balances(engine.state)[1], engine.state.positions.surplus_of(1)) == (0, 50)


# Facts that come early, and what people do.


def test_a_cancel_that_came_before_the_replace_keeps_it_from_the_venue(engines: Engines) -> None:
    engine = begun(engines, "")
    early = engine.submit(cancel("B-1"))
    assert early.flags == ["early"]
    answer = engine.reject(replace(quantity=50))
    assert answer.reason == "canceled_before_arrival"
    assert stands(engine) == ("open", 0, LOTS, ORDER_NOTIONAL)


def test_a_fill_that_came_before_the_replace_counts_with_it(engines: Engines) -> None:
    engine = begun(engines, "")
    assert engine.submit(fill("F-1", 10, 0, client_order_id="B-1")).flags == ["unknown"]
    engine.admit(replace(quantity=150))
    assert stands(engine)[:3] == ("open", 10, 140)
    assert engine.submit(fill("F-1", 10, 0, client_order_id="B-1")).repeat
    assert position(engine)[:4] == (10, 10, 140, 0)


def open_orders(engine: LoggedEngine, at_ns: int = T0, **asked_for: Any) -> list[Any]:
    return query(engine.state, asked.ListOpenOrders(**asked_for), at_ns).orders


def test_both_ids_are_listed_until_the_venue_has_spoken(engines: Engines) -> None:
    engine = begun(engines, "")
    engine.admit(replace(quantity=150))
    old, new = open_orders(engine, T0 + 5)
    assert (old.client_order_id, old.hold_microcents, old.replaces) == (
        "A-1", ORDER_NOTIONAL * 3 // 2, msgspec.UNSET,
    )  # fmt: skip
    assert (new.client_order_id, new.quantity, new.hold_microcents) == ("B-1", 150, 0)
    assert (new.replaces, new.pending_ns) == ("A-1", 5)
    engine.submit(replaced())
    (only,) = open_orders(engine)
    assert (only.client_order_id, only.hold_microcents) == ("B-1", ORDER_NOTIONAL * 3 // 2)
    assert only.replaces is msgspec.UNSET
    engine.submit(cancel())
    assert open_orders(engine) == []


@pytest.mark.parametrize(("after_s", "expected"), [(9, False), (10, True)])
def test_a_replace_that_waits_too_long_is_suspect(
    after_s: int, expected: bool, engines: Engines
) -> None:
    engine = begun(engines, "immediate_order_s = 10")
    engine.submit(replace(quantity=150), T0 + S)
    at_ns = T0 + S + after_s * S
    told = engine.submit(status(), at_ns)
    assert (told.suspect is True) == expected
    shown = open_orders(engine, at_ns, suspect=True)
    assert len(shown) == (2 if expected else 0)
    engine.submit(rejected())
    assert engine.submit(status(), at_ns + 100 * S).suspect is msgspec.UNSET


def test_a_person_frees_the_hold_of_both(engines: Engines) -> None:
    engine = begun(engines, "")
    engine.admit(replace(quantity=150))
    engine.log(
        actor().event(
            HoldFreed, desk=DESK, client_order_id="B-1",
            released_microcents=ORDER_NOTIONAL * 3 // 2,
        )
    )  # fmt: skip
    for name in ("A-1", "B-1"):
        assert stands(engine, name)[0] == "closed"
    assert (balances(engine.state)[1], position(engine)[2]) == (0, 0)


def test_what_was_replaced_is_forgotten_as_what_was_closed(engines: Engines) -> None:
    """But for the first one, which is remembered for as long as the chain is open."""
    engine = begun(engines, "")
    engine.admit(replace(quantity=150))
    engine.submit(replaced(), T0 + S)
    engine.submit(replace("B-2", "B-1", quantity=160), T0 + 2 * S)
    engine.submit(replaced("B-2"), T0 + 3 * S)
    late_ns = T0 + 4 * S + WINDOW_NS
    for name, state in (("A-1", "open"), ("B-1", "unknown"), ("B-2", "open")):
        assert engine.submit(status(name), late_ns).state == state
    assert engine.submit(fill("F-1", 1, 0, client_order_id="B-1"), late_ns).flags == ["unknown"]
    engine.submit(fill("F-2", 160, 0, client_order_id="B-2"), late_ns)
    assert len(engine.state.orders._chains) == 1
    engine.submit(Cancel(DESK, "X-1"), late_ns + WINDOW_NS + S)
    engine.submit(order("A-1", quantity=1), late_ns + WINDOW_NS + 2 * S)
    assert stands(engine)[:3] == ("open", 0, 1)
    assert len(engine.state.orders._chains) == 0
