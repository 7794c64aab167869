"""Remembered orders: repeats, reuse, and when an id may be forgotten."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, msgpack, structs

from guard.engine.forgetting import forget_expired
from guard.engine.remembered import NEVER, RememberedOrders
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.protocol.messages import Order, Reject
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.wire import parse_message
from guard.record.codec import decode_data
from guard_support import (
    SECOND_NS,
    T0,
    U64_MAX,
    WINDOW_NS,
    LoggedEngine,
    cancel,
    dev_config,
    fields_of,
    fill,
    order,
    status,
)
from reference.difference import first_difference

# Another value for every field of an order but its identity (desk and id). In the protocol's order.
OTHER: dict[str, Any] = {
    "symbol": "BTC-USD",
    "side": "sell",
    "quantity": 101,
    "price": 19_001,
    "venue": 11,
    "risk_bps": 201,
    "confidence_bps": 9_001,
    "minimum_quality_bps": 1,
    "max_p95_latency_ms": 1_000,
    "required_capabilities": 1,
    "allowed_providers": 7,
    "required_regions": 1,
    "max_fee_microcents": U64_MAX - 1,
    "allow_substitute": False,
    "order_type": "market",
    "time_in_force": "gtc",
    "currency": "EUR",
    "sent_at_ns": T0,
    "locate_id": "L-1",
    "account": "ACC-1",
    "trader": "t.one",
    "algo": "vwap/2",
}


def test_the_table_has_every_field_of_an_order_but_its_identity() -> None:
    left_out = {"client_order_id", "desk", "request_id"}
    assert list(OTHER) == [name for name in Order.__struct_fields__ if name not in left_out]


@pytest.mark.parametrize("field", OTHER)
def test_reuse_names_the_field_that_differs(field: str) -> None:
    engine = LoggedEngine()
    first = engine.admit(order())
    answer = engine.submit(order(**{field: OTHER[field]}))
    detail = {"original_wal_sequence": 8}
    assert answer == Reject("A-1", 9, "order", "client_order_id_reused", detail, False, field=field)
    # The id keeps its first answer, and the reuse is refused afresh each time.
    assert engine.submit(order()) == structs.replace(first, repeat=True)
    assert engine.reject(order(**{field: OTHER[field]})).wal_sequence == 10
    assert engine.submit(status()).answer == first


def test_reuse_names_the_first_of_several_fields() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    fields = list(OTHER)
    for at, field in enumerate(fields):
        changed = {name: OTHER[name] for name in fields[at:]}
        assert engine.reject(order(**changed)).field == field


def test_first_difference_sees_the_identity_too_and_never_the_request_id() -> None:
    assert first_difference(order("A-1"), order("A-2")) == "client_order_id"
    assert first_difference(order(), order(desk="x")) == "desk"
    assert first_difference(order(request_id=1), order(request_id="two")) is None


def test_an_id_is_the_desks_own() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    assert engine.admit(order(desk="desk-beta")).reservation_id == 2


def _parsed(body: bytes) -> Order:
    (request,) = parse_message(body, "USD").requests
    assert isinstance(request, Order), request
    return request


def test_a_repeat_is_equal_after_defaults_and_in_either_encoding() -> None:
    engine = LoggedEngine()
    short = {
        "type": "order",
        "client_order_id": "A-1",
        "desk": "desk-alpha",
        "symbol": "AAPL",
        "side": "buy",
        "quantity": 100,
        "price": 19_000,
        "venue": 10,
        "risk_bps": 200,
        "confidence_bps": 9_000,
    }
    long = dict(reversed(short.items())) | {
        "minimum_quality_bps": 0,
        "max_p95_latency_ms": 0,
        "required_capabilities": 0,
        "allowed_providers": U64_MAX,
        "required_regions": 0,
        "max_fee_microcents": U64_MAX,
        "allow_substitute": True,
        "order_type": "limit",
        "time_in_force": "day",
        "currency": "USD",
        "sent_at_ns": None,
        "request_id": None,
    }
    first = engine.admit(_parsed(json.encode(short)))
    record_count = len(engine.records)
    for body in (json.encode(long), msgpack.encode(short), msgpack.encode(long)):
        assert engine.submit(_parsed(body)) == structs.replace(first, repeat=True)
    for request_id in (1, "again", -(2**63)):
        repeated = _parsed(msgpack.encode(long | {"request_id": request_id}))
        assert engine.submit(repeated) == structs.replace(first, repeat=True)
    assert len(engine.records) == record_count


@pytest.mark.parametrize(
    "changes",
    [{"desk": "nobody"}, {"symbol": "X"}, {"risk_bps": 9_600}, {"price": 10**8}],
)
def test_refused_stays_refused_when_the_reason_is_gone(changes: dict[str, Any]) -> None:
    engine = LoggedEngine()
    first = engine.reject(order(**changes))
    again = engine.submit(order(**changes), T0 + WINDOW_NS)
    assert again == structs.replace(first, repeat=True)


def test_a_repeat_of_a_filled_or_canceled_order_is_its_first_answer() -> None:
    engine = LoggedEngine()
    first = engine.admit(order())
    engine.submit(fill(quantity=100))
    assert engine.submit(order()) == structs.replace(first, repeat=True)
    second = engine.admit(order("A-2"))
    engine.submit(cancel("A-2"))
    assert engine.submit(order("A-2")) == structs.replace(second, repeat=True)


@pytest.mark.parametrize("end", ["fill", "cancel"])
def test_a_closed_id_is_remembered_for_the_window_after_its_close(end: str) -> None:
    engine = LoggedEngine()
    engine.admit(order())
    closed_ns = T0 + 5 * SECOND_NS
    engine.submit(fill(quantity=100) if end == "fill" else cancel(), closed_ns)
    last_ns = closed_ns + WINDOW_NS
    assert engine.submit(order(), last_ns).repeat is True
    assert engine.submit(status(), last_ns).state == "closed"
    assert engine.submit(status(), last_ns + 1).state == "unknown"
    answer = engine.admit(order())  # it names no time of sending: it acts again
    assert (answer.reservation_id, answer.repeat) == (2, False)


@pytest.mark.parametrize("sent_at_ns", [T0 - 5, T0, T0 + 1, T0 + SECOND_NS, T0 + WINDOW_NS])
@pytest.mark.parametrize("end", ["reject", "fill", "cancel"])
def test_an_order_with_a_time_acts_once_whenever_it_comes_again(end: str, sent_at_ns: int) -> None:
    """At no nanosecond is its id forgotten while it is not stale yet."""
    engine = LoggedEngine()
    wanted = order(sent_at_ns=sent_at_ns, risk_bps=9_600 if end == "reject" else 200)
    engine.submit(wanted)
    if end != "reject":
        engine.submit(fill(quantity=100, fee=0) if end == "fill" else cancel())
    forgotten_ns = max(T0, sent_at_ns) + WINDOW_NS + 1
    for at_ns in (forgotten_ns - 2, forgotten_ns - 1):
        assert engine.submit(wanted, at_ns).repeat is True
    assert engine.reject(wanted, forgotten_ns).reason == "stale_order"
    assert engine.reject(wanted, forgotten_ns + 1).reason == "stale_order"


def test_a_smaller_window_forgets_no_id_before_those_closed_earlier() -> None:
    engine = LoggedEngine()
    engine.reject(order("A-1", risk_bps=10_000))
    changed = LoggedEngine(dev_config(remembered_order_window_s=1))
    engine.log(decode_data(changed.records[1]).outcome)  # settings_activated
    engine.reject(order("A-2", risk_bps=10_000))
    last_ns = T0 + WINDOW_NS
    assert engine.submit(status("A-2"), last_ns).state == "refused"
    assert engine.submit(status("A-2"), last_ns + 1).state == "unknown"


def _added(remembered: RememberedOrders, number: int) -> int:
    """The row of an order that was admitted."""
    outcome = Outcome()
    outcome.kind, outcome.reason = OutcomeKind.ADMITTED, 1
    outcome.sequence = outcome.reservation_id = outcome.notional_microcents = 1
    request = fields_of(order(f"{number}"), 1)
    return remembered.add(remembered.shares.of(0), request, outcome, False)


@given(
    closes=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), max_size=30),
    now_ns=st.integers(0, 120),
)
def test_what_has_expired_is_always_at_the_front(
    closes: list[tuple[int, int]], now_ns: int
) -> None:
    """Against a plain list: an id is found until it and all closed before it have expired."""
    remembered = RememberedOrders()
    expected: dict[str, int] = {}
    latest = 0
    for number, (_, expires_ns) in enumerate(closes):
        remembered.close(_added(remembered, number), OrderPhase.CANCELED, 0, expires_ns)
        latest = max(latest, expires_ns)
        expected[str(number)] = latest
    alive = {name for name, expires_ns in expected.items() if expires_ns > now_ns}

    def known() -> set[str]:
        return {
            name
            for name in expected
            if remembered.find(fields_of(order(name), now_ns), now_ns) != NO_ROW
        }

    assert known() == alive
    expired_count = len(expected) - len(alive)
    for orders_max in range(1, len(expected) + 2):
        is_full = remembered.is_full(remembered.shares.of(0), orders_max, now_ns)
        assert is_full == (len(expected) >= orders_max and expired_count == 0)
    forget_expired(remembered, now_ns)
    assert known() == alive
    assert len(remembered) == len(alive)


def test_an_open_order_has_no_end() -> None:
    remembered = RememberedOrders()
    _added(remembered, 1)
    assert forget_expired(remembered, NEVER - 1) == 0
    assert remembered.find(fields_of(order("1"), 1), NEVER - 1) != NO_ROW
    assert NEVER == 2**63 - 1


def test_open_quantity_is_nothing_once_closed() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    assert engine.submit(status()).open_quantity == 100
    engine.submit(fill(quantity=40))
    assert engine.submit(status()).open_quantity == 60
    engine.submit(fill("F-2", quantity=60))
    assert engine.submit(status()).open_quantity == 0
    engine.admit(order("A-2"))
    engine.submit(cancel("A-2"))
    assert engine.submit(status("A-2")).open_quantity == 0
    engine.reject(order("A-3", risk_bps=10_000))
    assert engine.submit(status("A-3")).open_quantity == 0
