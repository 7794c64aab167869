"""Orders: every reason at its stage with its exact detail, in the documented order."""

from typing import Any

import pytest

from guard.engine.engine import Engine
from guard.engine.events import FillAccepted
from guard.engine.request_events import OrderDecided, OrderRefused
from guard.engine.state import GuardState
from guard.protocol.messages import Admit, Reject
from guard.record.applying import RecordFolder
from guard_support import (
    ALPHA_BUDGET,
    ALPHA_CAP,
    BETA_BUDGET,
    I64_MAX,
    NO_GATES,
    ORDER_FEE,
    ORDER_NOTIONAL,
    SECOND_NS,
    T0,
    U32_MAX,
    U64_MAX,
    WINDOW_NS,
    LoggedEngine,
    actor,
    balances,
    cancel,
    decide,
    describe,
    dev_config,
    fill,
    order,
    status,
)
from kernel import KERNEL_FORM, InvariantError, PolicySnapshot
from reference.origin import Origin

FIRST_ORDER_SEQUENCE = 8  # log_opened, settings, policy, two instruments, two desks

RICH = (
    ("2000000.00", "92233720368.54775807"),
    ('exposure_cap = "1500000.00"', 'exposure_cap = "none"'),
)


def rich_engine() -> LoggedEngine:
    """desk-alpha may use all that an i64 of microcents holds."""
    return LoggedEngine(dev_config(*RICH))


def test_the_protocol_pages_order_is_admitted_as_written_there() -> None:
    engine = LoggedEngine()
    answer = engine.submit(order())
    assert answer == Admit(
        "A-1",
        FIRST_ORDER_SEQUENCE,
        1,
        10,
        False,
        ORDER_NOTIONAL,
        ORDER_FEE,
        "requested_model_maximizes_utility",
        False,
    )
    assert balances(engine.state) == (ALPHA_BUDGET - ORDER_NOTIONAL, ORDER_NOTIONAL, 0)
    assert balances(engine.state, "desk-beta") == (BETA_BUDGET, 0, 0)


def test_a_better_venue_is_named_and_charged_for() -> None:
    engine = LoggedEngine()
    answer = engine.admit(order(venue=20))
    assert (answer.venue, answer.substituted, answer.reason) == (
        10,
        True,
        "alternative_maximizes_utility",
    )
    assert answer.fee_microcents == ORDER_FEE


@pytest.mark.parametrize("venue", [0, 11, U32_MAX])
def test_an_unknown_venue_is_substituted_by_the_best(venue: int) -> None:
    answer = LoggedEngine().admit(order(venue=venue))
    assert (answer.venue, answer.substituted) == (10, True)


def _gates(**counts: int) -> dict[str, int]:
    return NO_GATES | counts


KERNEL_REJECTS: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("risk_hard_limit", {"risk_bps": 9_600}, _gates(asked=9_600, limit=9_600)),
    ("risk_hard_limit", {"risk_bps": 10_000}, _gates(asked=10_000, limit=9_600)),
    ("confidence_hard_limit", {"confidence_bps": 6_999}, _gates(asked=6_999, limit=7_000)),
    ("risk_ceiling_constraint", {"risk_bps": 9_501}, _gates(risk_ceiling=3)),
    ("quality_constraint", {"minimum_quality_bps": 9_901}, _gates(quality=3)),
    ("latency_constraint", {"max_p95_latency_ms": 41}, _gates(latency=3)),
    ("capability_constraint", {"required_capabilities": 2**63}, _gates(capability=3)),
    ("provider_constraint", {"allowed_providers": 8}, _gates(provider=3)),
    ("provider_constraint", {"allowed_providers": 0}, _gates(provider=3)),
    ("budget_constraint", {"max_fee_microcents": 4_200}, _gates(budget=3)),
    ("budget_constraint", {"max_fee_microcents": 0}, _gates(budget=3)),
    ("non_positive_utility", {"symbol": "BTC-USD", "quantity": 1, "price": 1}, _gates(utility=3)),
    (
        "substitution_not_allowed",
        {"venue": 20, "allow_substitute": False},
        _gates(asked=20, chosen=10),
    ),
    (
        "substitution_not_allowed",
        {"minimum_quality_bps": 9_500, "venue": 30, "allow_substitute": False},
        _gates(asked=30, chosen=10, quality=2),
    ),
]


@pytest.mark.parametrize(("reason", "changes", "detail"), KERNEL_REJECTS)
def test_kernel_rejects(reason: str, changes: dict[str, Any], detail: dict[str, int]) -> None:
    engine = LoggedEngine()
    answer = engine.submit(order(**changes))
    assert answer == Reject("A-1", FIRST_ORDER_SEQUENCE, "kernel", reason, detail, False)
    assert b'"action":' in engine.records[-1]
    assert balances(engine.state) == (ALPHA_BUDGET, 0, 0)


@pytest.mark.parametrize(
    ("changes"),
    [
        {"risk_bps": 9_500},
        {"confidence_bps": 7_000},
        {"minimum_quality_bps": 9_900},
        {"max_p95_latency_ms": 42},
        {"allowed_providers": 1},
        {"max_fee_microcents": ORDER_FEE},
        {"required_regions": 2**63},
        {"allow_substitute": False},
    ],
)
def test_the_last_value_on_the_good_side_passes(changes: dict[str, Any]) -> None:
    assert LoggedEngine().admit(order(**changes)).venue == 10


def test_region_constraint() -> None:
    config = dev_config(("provider = ", "regions = 1\nprovider = "))
    answer = LoggedEngine(config).reject(order(required_regions=2))
    assert (answer.stage, answer.reason) == ("kernel", "region_constraint")
    assert answer.detail == _gates(region=3)


def test_no_enabled_model_where_most_venues_are_off() -> None:
    config = dev_config(
        ("venue = 10\n", "venue = 10\nenabled = false\n"),
        ("venue = 20\n", "venue = 20\nenabled = false\n"),
    )
    answer = LoggedEngine(config).reject(order(minimum_quality_bps=8_601))
    assert (answer.stage, answer.reason) == ("kernel", "no_enabled_model")
    assert answer.detail == _gates(disabled=2, quality=1)


ORDER_REJECTS: list[tuple[str, str, dict[str, Any], dict[str, int]]] = [
    ("order", "unknown_desk", {"desk": "desk-gamma"}, {}),
    ("order", "unknown_desk", {"desk": "DESK-ALPHA"}, {}),
    ("order", "unknown_symbol", {"symbol": "aapl"}, {}),
    (
        "order",
        "quantity_out_of_range",
        {"quantity": U32_MAX + 1},
        {"asked": U32_MAX + 1, "limit": U32_MAX, "used": 0},
    ),
    (
        "order",
        "quantity_out_of_range",
        {"quantity": I64_MAX, "price": I64_MAX},
        {"asked": I64_MAX, "limit": U32_MAX, "used": 0},
    ),
    (
        "ledger",
        "overflow",
        {"quantity": 1, "price": 9_223_372_036_855},
        {"asked": 9_223_372_036_855_000_000, "limit": I64_MAX, "used": 0},
    ),
    (
        "ledger",
        "overflow",
        {"quantity": U32_MAX, "price": I64_MAX},
        {"asked": U64_MAX, "limit": I64_MAX, "used": 0},
    ),
    (
        "ledger",
        "overflow",
        {"symbol": "BTC-USD", "quantity": 101, "price": I64_MAX},
        {"asked": -(-101 * I64_MAX // 100), "limit": I64_MAX, "used": 0},
    ),
]


@pytest.mark.parametrize(("stage", "reason", "changes", "detail"), ORDER_REJECTS)
def test_refused_before_the_kernel(
    stage: Any, reason: str, changes: dict[str, Any], detail: dict[str, int]
) -> None:
    engine = LoggedEngine()
    wanted = order(**changes)
    answer = engine.submit(wanted)
    assert answer == Reject("A-1", FIRST_ORDER_SEQUENCE, stage, reason, detail, False)
    assert engine.records[-1].startswith(b'{"event":"order_refused",')
    assert engine.submit(wanted).repeat is True  # remembered: refused stays refused
    assert len(engine.records) == FIRST_ORDER_SEQUENCE


def test_a_quantity_of_all_u32_lots_is_in_range() -> None:
    engine = rich_engine()
    assert engine.admit(order(quantity=U32_MAX, price=1)).notional_microcents == U32_MAX * 10**6


def test_the_notional_may_be_all_of_an_i64_and_no_more() -> None:
    engine = rich_engine()
    answer = engine.admit(order(symbol="BTC-USD", quantity=100, price=I64_MAX))
    assert answer.notional_microcents == I64_MAX
    assert balances(engine.state) == (0, I64_MAX, 0)


@pytest.mark.parametrize(
    ("quantity", "price", "notional"),
    [(10**6, 10**4, 10**8), (10**6 + 1, 10**4 + 1, 100_010_101), (1_000_001, 10_007, 100_070_101)],
)
def test_the_notional_is_rounded_up_to_a_microcent(
    quantity: int, price: int, notional: int
) -> None:
    answer = LoggedEngine().admit(order(symbol="BTC-USD", quantity=quantity, price=price))
    assert answer.notional_microcents == notional == -(-quantity * price // 100)


def test_exposure_limit_exceeded_to_the_microcent() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1", quantity=1, price=1_900_000))
    used = 1_900_000 * 10**6
    answer = engine.reject(order("A-2", quantity=1, price=148_100_001))
    assert (answer.stage, answer.reason) == ("ledger", "exposure_limit_exceeded")
    assert answer.detail == {"asked": 148_100_001 * 10**6, "limit": ALPHA_CAP, "used": used}
    assert engine.admit(order("A-3", quantity=1, price=148_100_000)).reservation_id == 2
    assert balances(engine.state) == (ALPHA_BUDGET - ALPHA_CAP, ALPHA_CAP, 0)


def test_insufficient_counts_what_is_held_and_spent() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1", desk="desk-beta"))
    engine.submit(fill(desk="desk-beta", quantity=100, fee=7))
    engine.admit(order("A-2", desk="desk-beta"))
    free = BETA_BUDGET - ORDER_NOTIONAL - 7
    answer = engine.reject(order("A-3", desk="desk-beta", quantity=1, price=free // 10**6 + 1))
    assert (answer.stage, answer.reason) == ("ledger", "insufficient")
    assert answer.detail == {
        "asked": (free // 10**6 + 1) * 10**6,
        "limit": BETA_BUDGET,
        "used": ORDER_NOTIONAL + 7,
    }


def test_holds_beyond_an_i64_overflow() -> None:
    engine = rich_engine()
    engine.admit(order("A-1", quantity=9_000_000, price=1_000_000))
    answer = engine.reject(order("A-2", quantity=9_000_000, price=1_000_000))
    assert (answer.stage, answer.reason) == ("ledger", "overflow")
    assert answer.detail == {"asked": 9 * 10**18, "limit": I64_MAX, "used": 9 * 10**18}


def _halt(engine: LoggedEngine, unpaid: int) -> None:
    """Halts desk-alpha by a fee on an order that nobody knows, which a person accepts."""
    fee = ALPHA_BUDGET + unpaid
    reply = engine.submit(fill("H-1", client_order_id="nobody", fee=fee, quantity=1))
    names = {"desk": "desk-alpha", "client_order_id": "nobody", "fill_id": "H-1"}
    fees = {"fee_microcents": fee, "unpaid_fee_microcents": unpaid}
    sequence = reply.wal_sequence
    engine.log(actor().event(FillAccepted, **names, **fees, fill_sequence=sequence))


def test_desk_halted_says_what_is_unpaid() -> None:
    engine = LoggedEngine()
    _halt(engine, 123)
    answer = engine.reject(order())
    assert (answer.stage, answer.reason) == ("order", "desk_reducing")
    assert answer.detail == {"asked": 0, "limit": 0, "used": 123}
    assert b'"action":"ExecuteRequested"' in engine.records[-1]  # the kernel was asked all the same
    assert engine.admit(order("B-1", desk="desk-beta")).reservation_id == 1


# Each step breaks all the rules from its reason on; the first one broken is the reason.
_EVERYTHING: dict[str, Any] = {
    "sent_at_ns": T0 - WINDOW_NS - 1,
    "desk": "nobody",
    "symbol": "nothing",
    "quantity": U32_MAX + 1,
    "price": I64_MAX,
    "risk_bps": 10_000,
    "confidence_bps": 0,
    "minimum_quality_bps": 10_000,
    "venue": 99,
    "allow_substitute": False,
}
PRECEDENCE: list[tuple[str, dict[str, Any]]] = [
    ("stale_order", {}),
    ("idempotency_window_full", {"sent_at_ns": T0 - 2 * SECOND_NS}),
    ("unknown_desk", {}),  # the window has room from here on
    ("unknown_symbol", {"desk": "desk-alpha"}),
    ("quantity_out_of_range", {"symbol": "AAPL"}),
    ("overflow", {"quantity": U32_MAX}),
    ("canceled_before_arrival", {"quantity": 1_000, "price": 1_000_000}),
    ("order_too_old", {}),  # the order was not canceled from here on
    ("order_age_unknown", {"sent_at_ns": None}),
    ("unknown_venue", {"sent_at_ns": T0 - SECOND_NS}),
    ("desk_reducing", {"venue": 20}),
    ("risk_hard_limit", {}),  # the desk is resumed from here on
    ("confidence_hard_limit", {"risk_bps": 9_599}),
    ("quality_constraint", {"confidence_bps": 9_000}),
    ("risk_ceiling_constraint", {"minimum_quality_bps": 0}),
    ("substitution_not_allowed", {"risk_bps": 200}),
    ("exposure_limit_exceeded", {"allow_substitute": True}),
    ("insufficient", {"desk": "desk-beta"}),
]


AGE = "max_order_age_ms = 1_000"


def test_precedence_of_the_reasons() -> None:
    reasons = []
    changes = dict(_EVERYTHING)
    for reason, repaired in PRECEDENCE:
        changes |= repaired
        engine = LoggedEngine(
            dev_config(
                ('exposure_cap = "1500000.00"', f'exposure_cap = "1500000.00"\n{AGE}'),
                remembered_orders_max=1,
            )
        )
        if reason in ("stale_order", "idempotency_window_full"):
            engine.reject(order("filler", desk="nobody"))
        if reasons.count("desk_reducing") == 0 and reason != "stale_order":
            _halt(engine, 1)
        if "canceled_before_arrival" not in reasons:
            engine.submit(cancel())
        reasons.append(engine.reject(order("A-1", **changes)).reason)
    assert reasons == [reason for reason, _ in PRECEDENCE]


def test_the_window_comes_before_the_halt_and_the_kernel() -> None:
    engine = LoggedEngine(dev_config(remembered_orders_max=1))
    engine.admit(order("filler", desk="desk-beta"))
    _halt(engine, 1)
    bad: dict[str, Any] = {"risk_bps": 10_000}
    assert engine.reject(order(sent_at_ns=1, **bad)).reason == "stale_order"
    assert engine.records[-1].startswith(b'{"audit":')
    assert engine.reject(order(**bad)).reason == "idempotency_window_full"
    assert engine.records[-1].startswith(b'{"audit":')


def test_a_known_id_comes_before_everything() -> None:
    engine = LoggedEngine(dev_config(remembered_orders_max=1))
    engine.admit(order())
    assert engine.submit(order()).repeat is True
    answer = engine.reject(order(**_EVERYTHING | {"desk": "desk-alpha"}))
    assert (answer.reason, answer.field) == ("client_order_id_reused", "symbol")


@pytest.mark.parametrize(
    ("sent_at_ns", "is_stale"),
    [
        (T0 - WINDOW_NS - 1, True),
        (T0 - WINDOW_NS, False),
        (T0 - 1, False),
        (T0, False),
        (T0 + 1, False),
        (T0 + WINDOW_NS, False),
        (T0 + WINDOW_NS + 1, True),
        (1, True),
        (I64_MAX, True),
    ],
)
def test_stale_order_to_the_nanosecond(sent_at_ns: int, is_stale: bool) -> None:
    engine = LoggedEngine()
    answer = engine.submit(order(sent_at_ns=sent_at_ns))
    if is_stale:
        detail = {"asked": sent_at_ns, "limit": WINDOW_NS, "used": T0}
        assert answer == Reject("A-1", FIRST_ORDER_SEQUENCE, "order", "stale_order", detail, False)
        assert engine.submit(status()).state == "unknown"
        # Not remembered: the same id may come again, with a time that is good.
        assert engine.admit(order(sent_at_ns=T0)).wal_sequence == FIRST_ORDER_SEQUENCE + 1
    else:
        assert isinstance(answer, Admit)


def test_a_stale_order_is_recorded_with_a_decision_where_the_kernel_can_be_asked() -> None:
    engine = LoggedEngine()
    engine.reject(order(sent_at_ns=1))
    assert engine.records[-1].startswith(b'{"audit":')
    engine.reject(order(sent_at_ns=1, desk="nobody"))
    assert engine.records[-1].startswith(b'{"event":"order_refused",')


def test_a_full_window_refuses_entries_until_an_id_expires() -> None:
    engine = LoggedEngine(dev_config(remembered_orders_max=4, remembered_order_window_s=10))
    engine.admit(order("A-1"))
    engine.reject(order("A-2", risk_bps=10_000))
    full = Reject(
        "A-3", 10, "order", "idempotency_window_full", {"asked": 1, "limit": 2, "used": 2}, False
    )
    assert engine.submit(order("A-3")) == full
    assert engine.submit(order("A-2", risk_bps=10_000)).repeat is True  # known ones are answered
    last_ns = T0 + 10 * SECOND_NS
    assert engine.reject(order("A-3"), last_ns).reason == "idempotency_window_full"
    assert engine.submit(order("A-2", risk_bps=10_000)).repeat is True
    assert isinstance(engine.submit(order("A-3"), last_ns + 1), Admit)  # A-2 made place
    assert engine.submit(status("A-2")).state == "unknown"
    assert engine.submit(status("A-1")).state == "open"  # never while it is open
    assert engine.reject(order("A-4")).reason == "idempotency_window_full"


def test_open_orders_are_never_forgotten() -> None:
    engine = LoggedEngine(dev_config(remembered_orders_max=1, remembered_order_window_s=1))
    engine.admit(order())
    ten_years_ns = 315_360_000 * SECOND_NS
    assert engine.submit(order(), T0 + ten_years_ns).repeat is True
    assert engine.reject(order("A-2")).reason == "idempotency_window_full"


def test_refused_at_the_door_is_not_remembered() -> None:
    engine = LoggedEngine(dev_config(remembered_orders_max=1))
    engine.admit(order())
    for _ in range(3):
        answer = engine.reject(order("A-2"))
        assert (answer.reason, answer.repeat) == ("idempotency_window_full", False)
    assert engine.submit(status("A-2")).state == "unknown"
    assert len(engine.state.orders) == 1


def test_deciding_without_a_policy_is_our_bug() -> None:
    engine = LoggedEngine()
    engine.state.policy = None
    with pytest.raises(InvariantError, match="before any policy"):
        decide(engine.engine, order(), Origin(T0, "local", 1))


def test_an_empty_state_knows_no_desk() -> None:
    decided = decide(Engine(GuardState()), order(), Origin(T0, "local", 1))
    assert isinstance(decided.outcome, OrderRefused)  # type: ignore[union-attr]
    assert decided.outcome.answer.reason == "idempotency_window_full"  # type: ignore[union-attr]


@pytest.mark.skipif(KERNEL_FORM == "compiled", reason="a compiled class cannot be of two minds")
def test_a_kernel_that_gives_two_answers_stops_everything() -> None:
    engine = LoggedEngine()

    class TwoMinds(PolicySnapshot):
        answers = iter([bytes(83), bytes([1]) * 83])

        def decide_into(self, _input_row: Any, output_row: Any) -> None:
            output_row[:83] = next(self.answers)

    policy = engine.state.policy
    assert policy is not None
    engine.state.policy = TwoMinds.from_dict(policy.as_dict())
    with pytest.raises(InvariantError, match="sequence 8 in two ways"):
        decide(engine.engine, order(), Origin(T0, "local", 1))


def test_the_outcome_carries_its_origin() -> None:
    decided = decide(LoggedEngine().engine, order(), Origin(T0 + 5, "local", 3))
    outcome = decided.outcome  # type: ignore[union-attr]
    assert isinstance(outcome, OrderDecided)
    assert (outcome.received_at_ns, outcome.client, outcome.batch_first_sequence) == (
        T0 + 5,
        "local",
        3,
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("required_capabilities", "0"),
        ("allowed_providers", str(2**64 - 1)),
        ("required_regions", "0"),
        ("max_fee_microcents", str(2**64 - 1)),
    ],
)
@pytest.mark.parametrize("value", [2**64, 2**70, -1])
def test_a_recorded_order_with_an_impossible_integer_is_refused_whole(
    name: str, written: str, value: int
) -> None:
    engine = LoggedEngine()
    engine.admit(order())
    before = describe(engine.state)
    data = engine.records[-1]
    changed = data.replace(b'"%b":%b' % (name.encode(), written.encode()),
                           b'"%b":%d' % (name.encode(), value))  # fmt: skip
    assert changed != data
    with pytest.raises(ValueError, match="is not allowed; allowed: "):
        RecordFolder(engine.engine, engine.state.key_id).read(9, changed, "")
    assert describe(engine.state) == before
