"""Apply: an outcome → the state, and what cannot follow is our bug, found at once."""

from typing import Any

import pytest
from msgspec import structs

from guard.engine.apply_event import build_policy
from guard.engine.events import (
    DeskCapped,
    DeskOpened,
    DeskResumed,
    DeskToppedUp,
    InstrumentDefined,
    LogOpened,
    Outcome,
    PolicyActivated,
    RulesActivated,
    SessionClosed,
    SessionStarted,
    SettingsActivated,
)
from guard.engine.request_events import FillRecorded, OrderDecided, OrderReleased
from guard.engine.state import GuardState
from guard.protocol.messages import Filled, Released
from guard.record.codec import RecordError, decode_data
from guard_day_support import checkpoint_taken
from guard_support import (
    ALPHA_BUDGET,
    ALPHA_CAP,
    DEV_POLICY_DIGEST_HEX,
    KEY,
    ORDER_NOTIONAL,
    SECOND_NS,
    T0,
    LoggedEngine,
    actor,
    apply,
    balances,
    cancel,
    describe,
    dev_config,
    fill,
    order,
)
from kernel import InvariantError, KernelInputError, PolicyError
from wal import ChainHasher


def test_a_fresh_state_folds_the_first_records() -> None:
    state = LoggedEngine().state
    assert (state.log_id, state.key_id, state.epoch, state.rules_version) == (
        "0123456789abcdef0123456789abcdef",
        ChainHasher(KEY).key_id,
        1,
        3,
    )
    assert (state.currency, state.remembered_orders_max) == ("USD", 1_000_000)
    assert state.remembered_order_window_ns == 86_400_000_000_000
    assert state.policy_digest_hex == DEV_POLICY_DIGEST_HEX
    assert state.policy is not None
    assert state.policy.digest.hex() == DEV_POLICY_DIGEST_HEX
    assert list(state.instruments) == ["AAPL", "BTC-USD"]
    assert list(state.desks) == ["desk-alpha", "desk-beta"]
    assert balances(state) == (ALPHA_BUDGET, 0, 0)
    assert state.ledger.max_reserved_microcents("desk-alpha") == ALPHA_CAP
    assert state.ledger.max_reserved_microcents("desk-beta") is None
    assert (state.next_sequence, state.last_received_at_ns) == (8, T0)
    assert state.is_closed_cleanly is False


@pytest.mark.parametrize("sequence", [0, 7, 9, 100])
def test_events_come_in_their_order(sequence: int) -> None:
    engine = LoggedEngine()
    before = describe(engine.state)
    with pytest.raises(InvariantError, match=f"event {sequence} is applied where 8 is due"):
        engine.engine.apply_event(sequence, actor().event(SessionClosed))
    assert describe(engine.state) == before


def _after(*events: Outcome) -> GuardState:
    engine = LoggedEngine()
    for event in events:
        engine.log(event)
    return engine.state


def test_administrative_events() -> None:
    who = actor()
    state = _after(
        who.event(DeskToppedUp, desk="desk-alpha", amount_microcents=5),
        who.event(DeskCapped, desk="desk-beta", max_reserved_microcents=9),
        who.event(DeskCapped, desk="desk-alpha", max_reserved_microcents=None),
    )
    assert balances(state) == (ALPHA_BUDGET + 5, 0, 0)
    assert state.ledger.initial_microcents("desk-alpha") == ALPHA_BUDGET + 5
    assert state.ledger.max_reserved_microcents("desk-beta") == 9
    assert state.ledger.max_reserved_microcents("desk-alpha") is None


def test_a_clean_stop_is_remembered_until_anything_follows() -> None:
    who = actor()
    assert _after(who.event(SessionClosed)).is_closed_cleanly is True
    started = who.event(
        SessionStarted,
        epoch=2,
        software_version="1",
        recovered_sequence=8,
        recovered_hash="h",
        after_clean_stop=True,
        cuts=[],
    )
    state = _after(who.event(SessionClosed), started)
    assert (state.is_closed_cleanly, state.epoch, state.next_sequence) == (False, 2, 10)


def test_a_checkpoint_is_noted_and_changes_nothing() -> None:
    before, after = describe(_after()), describe(_after(checkpoint_taken(actor(), 7)))
    assert after.pop("next_sequence") == before.pop("next_sequence") + 1
    assert after == before


def test_another_policy_is_in_force_from_its_event_on() -> None:
    engine = LoggedEngine()
    config = dev_config(("hard_risk_limit_bps = 9600", "hard_risk_limit_bps = 200"))
    engine.admit(order("A-1"))
    engine.log(
        actor().event(
            PolicyActivated, policy=config.policy, policy_digest_hex=config.policy_digest_hex
        )
    )
    answer = engine.reject(order("A-2"))
    assert (answer.reason, answer.detail["limit"]) == ("risk_hard_limit", 200)
    assert config.policy_digest_hex.encode() in engine.records[-1]


def test_another_size_is_in_force_from_its_event_on() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    engine.log(
        actor().event(
            InstrumentDefined, symbol="AAPL", tick_size="0.02", lot_size="1", multiplier="1"
        )
    )
    assert engine.admit(order("A-2")).notional_microcents == 2 * ORDER_NOTIONAL
    released = engine.submit(cancel("A-1"))
    assert released.released_microcents == ORDER_NOTIONAL  # what was held stays what it was


def _opened(**changes: Any) -> LogOpened:
    fields: dict[str, Any] = {
        "log_id": "x",
        "format_version": 1,
        "rules_version": 1,
        "software_version": "1",
        "key_id": "k",
        "epoch": 1,
    }
    return actor().event(LogOpened, **fields | changes)


def _rules(version: int) -> RulesActivated:
    return actor().event(RulesActivated, rules_version=version, previous_rules_version=2)


CANNOT_FOLLOW: list[tuple[Any, str]] = [
    (lambda: _opened(rules_version=4), "rules are version 4, and this software knows .* 1 to 3"),
    (lambda: _rules(4), "rules are version 4, and this software knows versions 1 to 3"),
    (lambda: _opened(format_version=2), "format is version 2"),
    (
        lambda: actor().event(
            DeskOpened, desk="desk-beta", budget_microcents=1, max_reserved_microcents=None
        ),
        "desk-beta is opened twice",
    ),
    (
        lambda: actor().event(DeskToppedUp, desk="nobody", amount_microcents=1),
        "top-up of nobody: the ledger answers MissingTenant",
    ),
    (
        lambda: actor().event(DeskToppedUp, desk="desk-beta", amount_microcents=0),
        "InvalidAmount",
    ),
    (
        lambda: actor().event(DeskToppedUp, desk="desk-beta", amount_microcents=2**63 - 1),
        "Overflow",
    ),
    (
        lambda: actor().event(DeskCapped, desk="nobody", max_reserved_microcents=1),
        "nobody was never opened",
    ),
    (lambda: actor().event(DeskResumed, desk="nobody"), "nobody was never opened"),
    (
        lambda: actor().event(
            PolicyActivated, policy=dev_config().policy, policy_digest_hex="00" * 32
        ),
        f"digest is {DEV_POLICY_DIGEST_HEX}, recorded as 0000",
    ),
    (
        lambda: checkpoint_taken(actor(), 8),
        "a checkpoint of record 8 is recorded before that record",
    ),
]


@pytest.mark.parametrize(("make", "words"), CANNOT_FOLLOW)
def test_administrative_events_that_cannot_follow(make: Any, words: str) -> None:
    engine = LoggedEngine()
    before = describe(engine.state)
    with pytest.raises(InvariantError, match=words):
        apply(engine.engine, 8, make())
    assert describe(engine.state) == before


def _filled(fee: int = 5_000, **changes: Any) -> FillRecorded:
    answer = Filled("desk-alpha", "A-1", "F-1", 9, 60, 1, 1, fee, 0, [], False)
    return FillRecorded(T0, "local", 9, fill(fee=fee), structs.replace(answer, **changes), False)


def _released(name: str, sequence: int = 9) -> OrderReleased:
    answer = Released("desk-alpha", name, sequence, 1, False)
    return OrderReleased(T0, "local", 9, cancel(name), answer)


def test_requests_outcomes_that_cannot_follow() -> None:
    too_much = ORDER_NOTIONAL + 1
    for event, words in (
        (
            _filled(released_microcents=too_much),
            "record 9 frees 1900000000001 microcents and leaves 1 and 60 lots",
        ),
        (
            _filled(hold_microcents=ORDER_NOTIONAL - 1, released_microcents=2),
            "record 9 frees 2 microcents and leaves .* and 60 lots",
        ),
        (
            _filled(hold_microcents=ORDER_NOTIONAL - 1, open_quantity=61),
            "record 9 frees 1 microcents .* and 61 lots, .* with 60 lots",
        ),
        (_filled(2**62, hold_microcents=ORDER_NOTIONAL - 1), "settle of record 9: .*Overrun"),
        (_released("A-1"), "record 9 releases 1 microcents of an order that holds 1900000000000"),
        (_released("A-2"), "record 9 releases an order that is not open"),
        (_again("A-3", reservation_id=7), "record 9 holds reservation 7, the ledger gave 2"),
        (_again("A-3", notional_microcents=2**62), "reserve for record 9: .*Exposure"),
    ):
        engine = LoggedEngine()
        engine.admit(order())
        with pytest.raises(InvariantError, match=words):
            apply(engine.engine, 9, event)


def _again(name: str, **changes: Any) -> OrderDecided:
    engine = LoggedEngine()
    engine.admit(order(name))
    outcome = decode_data(engine.records[-1]).outcome
    assert isinstance(outcome, OrderDecided)
    outcome.answer = structs.replace(outcome.answer, wal_sequence=9, **changes)
    return outcome


def test_a_release_after_the_last_fill_or_a_release_cannot_follow() -> None:
    for first in (fill(quantity=100), cancel()):
        engine = LoggedEngine()
        engine.admit(order())
        engine.submit(first)
        with pytest.raises(InvariantError, match="releases 1 microcents of an order that holds 0"):
            apply(engine.engine, 10, _released("A-1", 10))


def test_a_charge_that_the_desk_cannot_pay_cannot_follow() -> None:
    engine = LoggedEngine()
    answer = Filled("desk-beta", "X", "F-1", 8, 0, 0, 0, 2**60, 0, ["unknown"], False)
    wanted = fill(desk="desk-beta", client_order_id="X", fee=2**60)
    event = FillRecorded(T0, "local", 8, wanted, answer, False)
    with pytest.raises(InvariantError, match=r"fee of desk-beta: .*Overrun"):
        apply(engine.engine, 8, event)


def test_received_times_never_run_backwards_in_the_state() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"), T0 + 5)
    engine.admit(order("A-2"), T0 + 3)
    assert engine.state.last_received_at_ns == T0 + 5


def test_settings_change_what_is_decided_next() -> None:
    engine = LoggedEngine()
    engine.log(
        actor().event(
            SettingsActivated,
            currency="USD",
            remembered_orders_max=1,
            remembered_order_window_ns=SECOND_NS,
        )
    )
    engine.admit(order("A-1", sent_at_ns=T0 - SECOND_NS))
    assert engine.reject(order("A-2", sent_at_ns=T0 - SECOND_NS - 1)).reason == "stale_order"
    assert engine.reject(order("A-2")).reason == "idempotency_window_full"


def test_a_policy_of_bad_values_names_the_field() -> None:
    content = dev_config().policy
    with pytest.raises(PolicyError, match="hard_risk_limit_bps is 10001"):
        build_policy(structs.replace(content, hard_risk_limit_bps=10_001))
    with pytest.raises(PolicyError, match="models is empty"):
        build_policy(structs.replace(content, models=[]))
    with pytest.raises(KernelInputError, match="policy_epoch is -1"):
        build_policy(structs.replace(content, policy_epoch=-1))


@pytest.mark.parametrize("changes", [{"notional_microcents": 2**70}, {"reservation_id": 2**70}])
def test_an_admission_with_an_impossible_integer_cannot_follow(changes: dict[str, int]) -> None:
    engine = LoggedEngine()
    engine.admit(order())
    with pytest.raises((InvariantError, KernelInputError, RecordError)):
        apply(engine.engine, 9, _again("A-3", **changes))
    assert engine.state.next_sequence == 9
