"""Orders that but reduce a position: which those are, what they pass, and what they do not."""

from typing import Any

import msgspec
import pytest

from guard.engine.apply_event import build_policy
from guard.engine.events import (
    EntriesHalted,
    FillBusted,
    PolicyActivated,
    PolicyContent,
    TradingHalted,
    TradingReduced,
    TradingResumed,
)
from guard.engine.people_events import LatchLifted
from guard.protocol.messages import Admit, Order
from guard.replay.replay import replay_log
from guard_limits_support import WAIVED, limited
from guard_support import (
    ALPHA_BUDGET,
    I64_MAX,
    KEY,
    LoggedEngine,
    actor,
    balances,
    cancel,
    dev_config,
    fill,
    order,
    status,
    write_log,
)
from position_support import position, say, settled
from wal import ChainHasher

LOTS = 100


def exit_order(name: str = "S-1", quantity: int = LOTS, **changes: Any) -> Order:
    return order(name, **({"side": "sell", "quantity": quantity} | changes))


def long(lots: int = LOTS, **settings: Any) -> LoggedEngine:
    """A desk that has bought so many lots, all confirmed."""
    engine = LoggedEngine(*settings.pop("config", ()), **settings)
    engine.admit(order(quantity=lots))
    engine.submit(fill("F-1", lots, fee=0))
    return engine


def is_exit(answer: Any) -> bool:
    """Was it admitted, and as an order that but reduces?"""
    if not isinstance(answer, Admit) or answer.reducing is not True:
        return False
    assert (answer.reservation_id, answer.notional_microcents) == (0, 0)
    return True


def test_an_exit_holds_nothing_and_frees_nothing(tmp_path: Any) -> None:
    engine = long()
    before = balances(engine.state)
    next_id = engine.state.ledger.next_reservation_id
    assert is_exit(engine.submit(exit_order()))
    again = engine.submit(exit_order())
    assert is_exit(again)
    assert again.repeat
    told = engine.submit(status("S-1"))
    assert (told.state, told.hold_microcents, told.open_quantity) == ("open", 0, LOTS)
    assert is_exit(told.answer)
    part = engine.submit(fill("G-1", 30, fee=0, client_order_id="S-1"))
    assert (part.open_quantity, part.hold_microcents, part.released_microcents) == (70, 0, 0)
    freed = engine.submit(cancel("S-1"))
    assert (freed.released_microcents, freed.repeat) == (0, False)
    assert engine.submit(cancel("S-1")).repeat
    assert balances(engine.state) == before
    assert engine.state.ledger.next_reservation_id == next_id
    assert position(engine)[:4] == (70, 70, 0, 0)
    settled(engine)
    write_log(tmp_path / "log", engine.records)
    replay_log(tmp_path / "log", ChainHasher(KEY))


@pytest.mark.parametrize(("lots", "is_one"), [(1, True), (99, True), (100, True), (101, False)])
@pytest.mark.parametrize("side", ["sell", "buy"])
def test_its_lots_are_at_most_the_position(lots: int, is_one: bool, side: str) -> None:
    engine = LoggedEngine()
    engine.admit(order(side="buy" if side == "sell" else "sell"))
    engine.submit(fill("F-1", LOTS, fee=0))
    assert is_exit(engine.admit(exit_order(quantity=lots, side=side))) is is_one
    settled(engine)


def test_beside_all_that_works_that_way() -> None:
    engine = long()
    assert is_exit(engine.admit(exit_order("S-1", 60)))
    assert not is_exit(engine.admit(exit_order("S-2", 41)))  # it works, and holds
    assert not is_exit(engine.admit(exit_order("S-3", 1)))
    engine.submit(cancel("S-2"))
    assert is_exit(engine.admit(exit_order("S-4", 39)))
    assert not is_exit(engine.admit(exit_order("S-5", 1)))
    settled(engine)


def test_of_its_own_desk_and_symbol_alone() -> None:
    engine = long()
    assert not is_exit(engine.admit(exit_order(desk="desk-beta")))
    assert not is_exit(engine.admit(exit_order("S-2", symbol="BTC-USD", quantity=10**7)))
    assert not is_exit(engine.admit(exit_order("B-1", 1, side="buy")))


def test_of_a_size_that_overflows() -> None:
    engine = long()
    for quantity in (2**32 - 1, 2**32, I64_MAX):
        answer = engine.submit(exit_order(f"S-{quantity}", quantity))
        assert not is_exit(answer)


def halted_by(engine: LoggedEngine, cause: str) -> None:
    if cause == "disk":
        event = actor().event(EntriesHalted, reason="disk_low", free_bytes=1, reserve_bytes=2)
        engine.log(event)
    elif cause == "fees":
        engine.submit(fill("F-9", 1, fee=2 * ALPHA_BUDGET))
        assert engine.state.desks["desk-alpha"].is_halted
    else:
        name = {"firm": "", "desk": "desk-alpha", "symbol": "AAPL"}[cause]
        engine.log(actor().event(TradingReduced, scope=cause, name=name))


REASONS = {
    "disk": "disk_low",
    "fees": "desk_reducing",
    "firm": "firm_reducing",
    "desk": "desk_reducing",
    "symbol": "symbol_reducing",
}


@pytest.mark.parametrize("cause", REASONS)
def test_exits_pass_what_stops_entries(cause: str) -> None:
    engine = long()
    halted_by(engine, cause)
    assert engine.reject(order("A-2", quantity=1)).reason == REASONS[cause]
    assert is_exit(engine.admit(exit_order()))
    assert engine.reject(exit_order("S-2", 1)).reason == REASONS[cause]
    settled(engine)


@pytest.mark.parametrize("scope", ["firm", "desk", "symbol"])
def test_what_a_person_halts_stops_exits_too(scope: str) -> None:
    engine = long()
    name = {"firm": "", "desk": "desk-alpha", "symbol": "AAPL"}[scope]
    engine.log(actor().event(TradingReduced, scope=scope, name=name))
    engine.log(actor().event(TradingHalted, scope=scope, name=name))
    assert engine.reject(exit_order("S-1")).reason == f"{scope}_halted"
    engine.log(actor().event(TradingReduced, scope=scope, name=name))
    assert is_exit(engine.admit(exit_order("S-2")))
    engine.log(actor().event(TradingResumed, scope=scope, name=name))
    assert isinstance(engine.submit(order("A-2", quantity=1)), Admit)
    settled(engine)


def test_an_exit_passes_where_the_budget_is_spent_and_the_cap_is_full() -> None:
    engine = LoggedEngine(dev_config(("2000000.00", "19000.00")))
    engine.admit(order())
    engine.submit(fill("F-1", LOTS, fee=1_900_000_000_000))
    assert balances(engine.state)[0] == 0
    assert engine.reject(order("A-2", quantity=1)).reason == "insufficient"
    assert is_exit(engine.admit(exit_order()))
    # Its fee is unpaid, as that of any fill would be.
    told = engine.submit(fill("G-1", LOTS, fee=7, client_order_id="S-1"))
    assert (told.unpaid_fee_microcents, told.open_quantity) == (7, 0)
    settled(engine)


OVERRULED = {
    "risk_hard_limit": {"risk_bps": 9_999},
    "confidence_hard_limit": {"confidence_bps": 0},
    "budget_constraint": {"max_fee_microcents": 0},
    "quality_constraint": {"minimum_quality_bps": 10_000},
}


@pytest.mark.parametrize("reason", OVERRULED)
def test_what_the_kernel_says_of_it_is_recorded_and_overruled(reason: str) -> None:
    engine = long()
    said = OVERRULED[reason]
    assert engine.reject(order("A-2", **({"quantity": 1} | said))).reason == reason
    answer = engine.admit(exit_order(**said))
    assert is_exit(answer)
    assert (answer.reason, answer.venue, answer.substituted) == (reason, 10, False)
    # The decision in the record is the kernel's own.
    assert b'"action":"Reject"' in engine.records[-1]
    settled(engine)


@pytest.mark.parametrize(
    "said",
    [
        {"venue": 99, "risk_bps": 9_999},
        {"required_capabilities": 2**63},
        {"allowed_providers": 0},
    ],
)
def test_but_not_where_the_venue_cannot_take_it(said: dict[str, int]) -> None:
    engine = long()
    assert not is_exit(engine.submit(exit_order(**said)))
    assert position(engine)[3] == 0


def test_nor_to_a_venue_that_is_out_of_use_or_elsewhere() -> None:
    engine = long()
    policy = engine.state.policy
    assert policy is not None
    for changes in ({"enabled": 0}, {"region_mask": 1}):
        content = policy.as_dict()
        content["policy_epoch"] += 1
        content["models"] = [
            model | (changes if model["model_id"] == 10 else {}) for model in content["models"]
        ]
        content = msgspec.convert(content, PolicyContent)
        digest_hex = build_policy(content).digest.hex()
        event = actor().event(PolicyActivated, policy=content, policy_digest_hex=digest_hex)
        engine.log(event)
        name = next(iter(changes))
        answer = engine.submit(exit_order(name, risk_bps=9_999, required_regions=2))
        assert not is_exit(answer)
        assert answer.reason == "risk_hard_limit"
    settled(engine)


def test_an_exit_that_is_worth_less_than_its_fee_passes() -> None:
    engine = LoggedEngine()
    engine.admit(order(symbol="BTC-USD", quantity=10**7))
    engine.submit(fill("F-1", 10**7, fee=0))
    small = {"symbol": "BTC-USD", "price": 1}
    assert engine.reject(order("A-2", quantity=1, **small)).reason == "non_positive_utility"
    answer = engine.admit(exit_order("S-1", 1, **small))
    assert is_exit(answer)
    assert (answer.reason, answer.venue) == ("non_positive_utility", 10)
    settled(engine)


def test_an_exit_goes_to_the_venue_that_it_asks_for_where_it_may_to_no_other() -> None:
    engine = long()
    answer = engine.admit(exit_order(venue=30, allow_substitute=False))
    assert is_exit(answer)
    assert (answer.venue, answer.substituted) == (30, False)


@pytest.mark.parametrize("kind", ["unknown", "refused", "overfill", "busted"])
def test_nothing_that_was_not_filled_within_an_order_lets_an_entry_pass(kind: str) -> None:
    engine = LoggedEngine()
    if kind == "refused":
        engine.reject(order(risk_bps=9_999))
        engine.submit(fill("F-1", LOTS, fee=0))
    elif kind == "unknown":
        engine.submit(fill("F-1", LOTS, fee=0))
    else:
        engine.admit(order(quantity=1 if kind == "overfill" else LOTS))
        engine.submit(fill("F-1", LOTS, fee=0))
        if kind == "busted":
            say(engine, FillBusted)
    assert not is_exit(engine.admit(exit_order("S-1", LOTS)))
    assert not is_exit(engine.admit(exit_order("S-2", 2)))
    assert is_exit(engine.submit(exit_order("S-3", 1))) is False
    settled(engine)


def test_rules_before_have_none(tmp_path: Any) -> None:
    engine = long(rules_version=2)
    assert engine.admit(exit_order()).reservation_id == 2
    write_log(tmp_path / "log", engine.records)
    replay_log(tmp_path / "log", ChainHasher(KEY))


def test_a_full_share_of_ids_leaves_some_to_exits() -> None:
    engine = LoggedEngine(dev_config(remembered_orders_max=40))
    engine.is_checked = False
    engine.admit(order())
    engine.submit(fill("F-1", LOTS, fee=0))
    share = engine.state.orders.shares
    for number in range(40):
        if not isinstance(engine.submit(order(f"B-{number}", quantity=1)), Admit):
            break
    assert engine.reject(order("C", quantity=1)).reason == "idempotency_window_full"
    extra = share.exits_extra
    assert extra == 10 // 8
    assert is_exit(engine.admit(exit_order("S-0", 1)))
    last = engine.reject(exit_order("S-1", 1))
    assert last.reason == "idempotency_window_full"
    engine.is_checked = True
    settled(engine)


def surplus(engine: LoggedEngine) -> int:
    settled(engine)
    return engine.state.positions.surplus_of(engine.state.desks["desk-alpha"].share)


def test_a_bust_under_a_working_exit_leaves_a_surplus_and_stops_entries() -> None:
    engine = long()
    engine.admit(exit_order())
    assert surplus(engine) == 0
    say(engine, FillBusted)
    assert surplus(engine) == LOTS
    assert engine.reject(order("A-2", quantity=1)).reason == "desk_reducing"
    assert engine.reject(exit_order("S-2", 1)).reason == "desk_reducing"
    assert isinstance(engine.submit(order("B-1", desk="desk-beta", quantity=1)), Admit)
    engine.submit(fill("G-1", 30, fee=0, client_order_id="S-1"))
    assert surplus(engine) == 70
    engine.submit(cancel("S-1"))
    assert surplus(engine) == 0
    # Nothing but a person ends it.
    assert engine.reject(order("A-5", quantity=31)).reason == "desk_reducing"
    engine.log(actor().event(LatchLifted, desk="desk-alpha", symbol="", latch="surplus"))
    # It is short of what its exit has sold, and may buy that back.
    assert is_exit(engine.admit(order("A-3", quantity=30)))
    assert isinstance(engine.admit(order("A-4", quantity=1)), Admit)


@pytest.mark.parametrize("mark", [10**15, I64_MAX])
def test_no_mark_however_absurd_keeps_anybody_from_getting_out(mark: int) -> None:
    engine = limited(WAIVED)
    engine.admit(order(quantity=LOTS))
    engine.submit(fill("F-1", LOTS, fee=0))
    engine.marks = {"AAPL": (mark, 0)}
    assert is_exit(engine.admit(exit_order("S-1", 40, price=1)))
    assert engine.reject(exit_order("S-2", LOTS)).reason == "overflow"
    assert is_exit(engine.admit(exit_order("S-3", 60)))


@pytest.mark.parametrize(("side", "order_type"), [("buy", "market"), ("sell", "limit")])
def test_a_wrong_mark_counts_against_no_exit_s_value(side: str, order_type: str) -> None:
    """A mark a hundred times too high: 10 lots may be worth 2,000.00, at 20,000 ticks a lot."""
    text = 'quantity_max = "none"\nprice_collar_bps = "none"\nmarket_buffer_bps = 100\n'
    opening = {"buy": "sell", "sell": "buy"}[side]
    out = {"side": side, "order_type": order_type, "price": 20_000}
    for limit, is_within in (("2000.00", True), ("1999.99", False)):
        engine = limited(f'{text}value_max = "{limit}"\n')
        engine.marks = {"AAPL": (19_000, 1)}
        engine.admit(order(side=opening, quantity=10, price=19_000))
        engine.submit(fill("F-1", 10, fee=0))
        engine.marks = {"AAPL": (1_900_000, 1)}
        answer = engine.submit(order("X-1", quantity=10, **out))
        assert is_exit(answer) == is_within
        assert is_within or answer.reason == "value_above_max"
        entry = order("E-1", quantity=11, **(out | {"side": "sell"}))
        assert engine.reject(entry).reason == "value_above_max"


def test_no_price_of_its_own_makes_an_exit_too_small() -> None:
    engine = limited('quantity_max = "none"\nprice_collar_bps = "none"\nvalue_max = "none"\n'
                     'value_min = "1900.00"\n')  # fmt: skip
    engine.marks = {"AAPL": (19_000, 1)}
    engine.admit(order(quantity=20, price=19_000))
    engine.submit(fill("F-1", 20, fee=0))
    assert engine.reject(exit_order("S-1", 9, price=1)).reason == "value_below_min"
    assert is_exit(engine.admit(exit_order("S-2", 10, price=1)))


def test_so_does_an_entry_that_is_filled_before_it() -> None:
    engine = long()
    engine.admit(exit_order("S-1", 60))
    assert not is_exit(engine.admit(exit_order("S-2", 70)))
    engine.submit(fill("G-1", 40, fee=0, client_order_id="S-2"))
    assert surplus(engine) == 0
    engine.submit(fill("G-2", 30, fee=0, client_order_id="S-2"))
    assert surplus(engine) == 30
    engine.submit(fill("G-3", 31, fee=0, client_order_id="S-1"))
    assert (position(engine)[0], surplus(engine)) == (-1, 29)
    assert engine.reject(order("B-1", quantity=31)).reason == "desk_reducing"
    engine.submit(fill("G-4", 29, fee=0, client_order_id="S-1"))
    assert (position(engine)[0], surplus(engine)) == (-30, 0)
    # Nobody has to lift what a desk that quotes both sides brings about every day.
    assert not is_exit(engine.admit(order("B-2", quantity=31)))


def test_open_exits_are_counted() -> None:
    engine = long()
    counts = []
    for step in (
        exit_order("S-1", 10), exit_order("S-2", 10), fill("G-1", 4, client_order_id="S-1"),
        fill("G-2", 7, client_order_id="S-1"), cancel("S-2"), fill("G-3", 7, client_order_id="S-2"),
    ):  # fmt: skip
        engine.submit(step)
        counts.append(engine.state.positions.open_exits)
        settled(engine)
    assert counts == [1, 2, 2, 1, 0, 0]
