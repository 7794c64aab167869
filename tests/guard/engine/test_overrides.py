"""Overrides: one order passes named checks once, by two people, and nothing else does."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from guard.admin import messages as asked
from guard.admin.override_actions import read_order
from guard.audit.explain import OrderExplainer
from guard.engine.apply_event import apply_event
from guard.engine.events import OrderOverridden
from guard.engine.facts import NEVER
from guard.engine.overrides import OVERRIDABLE, order_digest_hex
from guard.engine.people_events import LatchSet
from guard.protocol.messages import Admit
from guard.replay.replay import ReplayMismatch, replay_log
from guard_support import KEY, SECOND_NS, T0, LoggedEngine, actor, order, write_log
from kernel import InvariantError
from people_support import LIMITS, Desk, guard, held_well
from wal import ChainHasher

TOO_MANY = "quantity_above_max"


def lets(desk: Desk, order_: Any, *checks: str, lasts_s: int = 60) -> Any:
    """Two people let the order pass."""
    name = f"o-{desk.engine.state.next_sequence}"
    fields: Any = {"order": order_, "checks": list(checks or [TOO_MANY]), "lasts_s": lasts_s}
    proposed = desk.do("ann", asked.OverrideOrder, action_id=name, **fields)
    assert proposed.beyond == [f"orders.{order_.desk}.{order_.client_order_id}"]
    return desk.do("bob", asked.Approve, proposal=name)


def big(name: str = "A-1", **changes: Any) -> Any:
    return order(name, **({"desk": "desk-beta", "quantity": 101, "price": 10_000} | changes))


def test_that_order_passes_once_and_no_other(tmp_path: Path) -> None:
    engine = guard(limits=LIMITS)
    desk = Desk(engine)
    lets(desk, big())
    held_well(engine, tmp_path / "waiting")
    for other in (big("A-2"), big("A-3", quantity=102), big("A-4", price=9_999)):
        assert engine.submit(other).reason == TOO_MANY
    assert isinstance(engine.submit(structs.replace(big(), sent_at_ns=T0)), Admit)
    assert not engine.state.has_overrides
    assert engine.state.due_at_ns == NEVER
    assert engine.submit(structs.replace(big(), sent_at_ns=T0)).repeat is True
    assert engine.submit(big("A-5")).reason == TOO_MANY
    held_well(engine, tmp_path / "used")


@pytest.mark.parametrize("change", [{"quantity": 102}, {"price": 10_001}, {"side": "sell"}])
def test_another_content_under_the_id_does_not_and_leaves_it(change: Any) -> None:
    engine = guard(limits=LIMITS)
    lets(Desk(engine), big())
    assert engine.submit(big(**change)).reason == TOO_MANY
    assert engine.state.has_overrides


def test_only_the_named_checks_are_passed() -> None:
    engine = guard(limits=f"{LIMITS}open_orders_max = 1\n")
    engine.admit(order("B-0", desk="desk-beta", quantity=1, price=10_000))
    desk = Desk(engine)
    lets(desk, big("A-1"))
    assert engine.submit(big("A-1")).reason == "open_orders_above_max"
    assert not engine.state.has_overrides  # its record has used it up
    lets(desk, big("A-2"), TOO_MANY, "open_orders_above_max")
    assert isinstance(engine.submit(big("A-2")), Admit)


LOT_WORTH = 'exposure_{}_max = "1.00"\n'
OF_MONEY = {
    "exposure_gross_above_max": LOT_WORTH.format("gross"),
    "exposure_net_above_max": LOT_WORTH.format("net"),
    "exposure_long_above_max": LOT_WORTH.format("long"),
    "exposure_short_above_max": LOT_WORTH.format("short"),
    "concentration_above_max": 'concentration_max_bps = 5000\nconcentration_from = "1.00"\n',
}


def money(*texts: str) -> LoggedEngine:
    engine = guard(limits=f"{LIMITS}revalue_bps = 0\n{''.join(texts)}")
    engine.marks = {"AAPL": (10_000, 1)}
    return engine


def few(name: str, **changes: Any) -> Any:
    return big(name, **({"quantity": 10} | changes))


@pytest.mark.parametrize("check", OF_MONEY)
def test_a_limit_of_money_is_passed(check: str, tmp_path: Path) -> None:
    engine = money(OF_MONEY[check])
    side = "sell" if "short" in check else "buy"
    one = few("A-1", side=side)
    lets(Desk(engine), one, check)
    assert engine.submit(few("A-2", side=side)).reason == check
    assert isinstance(engine.submit(one), Admit)
    assert engine.submit(few("A-3", side=side)).reason == check
    held_well(engine, tmp_path)


@pytest.mark.parametrize("check", OF_MONEY)
def test_of_limits_of_money_only_the_named_are_passed(check: str, tmp_path: Path) -> None:
    side = "sell" if "short" in check else "buy"
    unmet = "exposure_long_above_max" if side == "sell" else "exposure_short_above_max"
    others = [each for each in OF_MONEY if each not in (check, unmet)]
    engine = money(*OF_MONEY.values())
    desk = Desk(engine)
    lets(desk, few("A-1", side=side), *others)
    assert engine.submit(few("A-1", side=side)).reason == check
    lets(desk, few("A-2", side=side), check, *others)
    assert isinstance(engine.submit(few("A-2", side=side)), Admit)
    held_well(engine, tmp_path)


def test_without_a_price_the_limits_of_money_look_at_this_order(tmp_path: Path) -> None:
    engine = money('exposure_gross_max = "0.01"\n')
    engine.marks = {"BTC-USD": (2_000_000, 1)}
    assert engine.submit(few("A-1")).reason == "reference_missing"
    lets(Desk(engine), few("A-2"), "reference_missing")
    before = big("A-3", symbol="BTC-USD", quantity=100, price=2_000_000)
    assert engine.submit(before).reason == "exposure_gross_above_max"
    assert isinstance(engine.submit(few("A-2")), Admit)  # whatever was worked out for that one
    held_well(engine, tmp_path)


def test_it_expires(tmp_path: Path) -> None:
    engine = guard(limits=LIMITS)
    desk = Desk(engine)
    lets(desk, big(), lasts_s=2)
    desk.pass_to(T0 + 2 * SECOND_NS)
    assert engine.submit(big()).reason == TOO_MANY
    held_well(engine, tmp_path)


def test_a_replay_finds_one_that_was_used_twice(tmp_path: Path) -> None:
    engine = guard(limits=LIMITS)
    lets(Desk(engine), big())
    waiting = dict(engine.state.people.overrides)
    engine.submit(big())
    engine.state.people.overrides = waiting  # as if it were not used up
    engine.state.has_overrides = True
    ((digest, override),) = waiting.items()
    engine.log(
        actor(T0, engine.state.next_sequence).event(
            LatchSet, desk="desk-alpha", symbol="", latch="silence"
        )
    )
    assert override.event.order_digest_hex == digest
    write_log(tmp_path / "log", engine.records)
    replay_log(tmp_path / "log", ChainHasher(KEY))
    # The next one is let pass under the first one's override.
    passing = structs.replace(override.event, order_digest_hex=digest_of(engine, big("A-9")))
    engine.state.people.overrides = {passing.order_digest_hex: override._replace(event=passing)}
    assert isinstance(engine.submit(big("A-9")), Admit)
    write_log(tmp_path / "other", engine.records)
    with pytest.raises(ReplayMismatch, match="decided again it differs"):
        replay_log(tmp_path / "other", ChainHasher(KEY))


def digest_of(engine: LoggedEngine, one: Any) -> str:
    return order_digest_hex(read_order(engine.state, one))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"checks": []}, "invalid"),
        ({"checks": ["firm_halted"]}, "invalid"),
        ({"checks": ["symbol_restricted"]}, "invalid"),
        ({"checks": ["order_rate_exceeded"]}, "invalid"),
        ({"checks": ["exposure_limit_exceeded"]}, "invalid"),
        ({"order": big(desk="desk-none")}, "unknown_desk"),
        ({"order": big(symbol="NONE")}, "unknown_symbol"),
        ({"order": big(currency="EUR")}, "invalid"),
        ({"order": big("B-0")}, "already_so"),
        ({"lasts_s": 601}, "too_much"),
    ],
)
def test_what_cannot_be_overridden(changes: Any, code: str) -> None:
    engine = guard(limits=LIMITS)
    engine.submit(big("B-0"))
    fields: Any = {"order": big(), "checks": [TOO_MANY]} | changes
    assert Desk(engine).refused("ann", asked.OverrideOrder, **fields) == code


def test_nobody_overrides_alone_whatever_the_terms() -> None:
    without = LoggedEngine()
    fields: Any = {"order": big(), "checks": [TOO_MANY]}
    assert Desk(without).refused("ann", asked.OverrideOrder, **fields) == "not_permitted"
    for engine in (without, guard(limits=LIMITS)):
        event = actor(T0, engine.state.next_sequence).event(
            OrderOverridden,
            desk="desk-beta",
            client_order_id="A-1",
            order_digest_hex="0" * 64,
            checks=[TOO_MANY],
            until_ns=T0 + 1,
        )
        with pytest.raises(InvariantError):
            apply_event(engine.state, engine.state.next_sequence, event)


def test_explain_says_by_whom(tmp_path: Path) -> None:
    engine = guard(limits=LIMITS)
    lets(Desk(engine), big())
    answer = engine.submit(big())
    write_log(tmp_path / "log", engine.records)
    explainer = OrderExplainer("A-1", "desk-beta")
    replay_log(tmp_path / "log", ChainHasher(KEY), observe=explainer.observe)
    (account,) = [each for each in explainer.explanations if each.get("override")]
    assert account["override"]["approval"]["person"] == "bob"
    assert "proposed by ann of a test" in account["sentence"]
    assert answer.wal_sequence > 0


def test_halts_stand_and_so_does_the_table() -> None:
    assert TOO_MANY in OVERRIDABLE
    assert not {"firm_halted", "desk_reducing", "limit_unsaid"} & set(OVERRIDABLE)
    assert not {"duplicate_order", "symbol_restricted", "notional_rate_exceeded"} & set(OVERRIDABLE)
    assert set(OF_MONEY) < set(OVERRIDABLE)
