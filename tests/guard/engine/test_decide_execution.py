"""Fills, cancels and status: what is freed, what is paid, what is flagged, in every phase."""

from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from guard.config.activation import resume_event
from guard.protocol.messages import Admit, ErrorReply, Filled, Released, StatusReply
from guard_support import (
    ALPHA_BUDGET,
    BETA_BUDGET,
    I64_MAX,
    ORDER_NOTIONAL,
    SECOND_NS,
    T0,
    WINDOW_NS,
    LoggedEngine,
    actor,
    balances,
    cancel,
    dev_config,
    fill,
    order,
    status,
)

HELD = ORDER_NOTIONAL


def admitted() -> LoggedEngine:
    engine = LoggedEngine()
    engine.admit(order())
    return engine


def test_a_partial_fill_is_answered_as_the_protocol_page_says() -> None:
    engine = admitted()
    assert engine.submit(fill(price=19_000, executed_at_ns=T0)) == Filled(
        "desk-alpha", "A-1", "F-1", 9, 60, 1_140_000_000_000, 760_000_000_000, 5_000, 0, [], False
    )
    assert balances(engine.state) == (ALPHA_BUDGET - 1_140_000_005_000, 1_140_000_000_000, 5_000)


def test_the_last_fill_frees_the_rest_and_closes() -> None:
    engine = admitted()
    engine.submit(fill())
    last = engine.submit(fill("F-2", quantity=60, fee=1))
    assert (last.open_quantity, last.hold_microcents, last.flags) == (0, 0, [])
    assert last.released_microcents == HELD * 60 // 100
    assert balances(engine.state) == (ALPHA_BUDGET - 5_001, 0, 5_001)
    assert engine.state.ledger.active_reservations == 0


def test_an_overfill_of_an_open_order_closes_it() -> None:
    engine = admitted()
    reply = engine.submit(fill(quantity=101))
    assert (reply.open_quantity, reply.hold_microcents, reply.released_microcents) == (0, 0, HELD)
    assert reply.flags == ["overfill"]
    assert engine.submit(status()).filled_quantity == 101


def test_a_fill_after_the_last_one_is_late_and_over() -> None:
    engine = admitted()
    engine.submit(fill(quantity=100, fee=0))
    reply = engine.submit(fill("F-2", quantity=1, fee=3))
    assert (reply.flags, reply.released_microcents, reply.open_quantity) == (
        ["overfill", "late"],
        0,
        0,
    )
    assert balances(engine.state) == (ALPHA_BUDGET - 3, 0, 3)


def test_a_fill_after_a_cancel_is_late() -> None:
    engine = admitted()
    engine.submit(fill())
    engine.submit(cancel())
    reply = engine.submit(fill("F-2", quantity=60))
    assert (reply.flags, reply.released_microcents, reply.hold_microcents) == (["late"], 0, 0)
    assert engine.submit(fill("F-3", quantity=1)).flags == ["overfill", "late"]
    assert engine.submit(status()) == StatusReply(
        "desk-alpha", "A-1", "closed", engine.submit(status()).answer, 101, 0, 0
    )
    assert balances(engine.state) == (ALPHA_BUDGET - 15_000, 0, 15_000)


def test_before_version_2_of_the_rules_every_fee_was_charged() -> None:
    engine = LoggedEngine(rules_version=1)
    engine.reject(order(risk_bps=10_000))
    assert engine.submit(fill(fee=2)).flags == ["unknown", "refused"]
    unknown = engine.submit(fill(client_order_id="A-9", fee=3))
    assert unknown == Filled("desk-alpha", "A-9", "F-1", 10, 0, 0, 0, 3, 0, ["unknown"], False)
    assert balances(engine.state) == (ALPHA_BUDGET - 5, 0, 5)
    assert engine.submit(status()).state == "refused"
    assert engine.submit(status("A-9")).state == "unknown"


def test_before_version_2_all_of_an_unknown_desks_fee_was_unpaid() -> None:
    engine = LoggedEngine(rules_version=1)
    reply = engine.submit(fill(desk="nobody", fee=7))
    assert (reply.flags, reply.fee_microcents, reply.unpaid_fee_microcents) == (["unknown"], 7, 7)
    assert engine.submit(fill(desk="nobody", fee=7)) == structs.replace(reply, repeat=True)
    assert "nobody" not in engine.state.desks
    assert engine.submit(fill("F-2", desk="nobody", fee=-7)).unpaid_fee_microcents == 0


@given(
    quantity=st.integers(1, 5_000),
    price=st.integers(2_000_000, 20_000_000),
    sizes=st.lists(st.integers(1, 2_000), min_size=1, max_size=12),
)
def test_shares_against_exact_fractions(quantity: int, price: int, sizes: list[int]) -> None:
    engine = LoggedEngine()
    engine.is_checked = False
    wanted = order(symbol="BTC-USD", quantity=quantity, price=price, max_fee_microcents=2**63)
    wanted.risk_bps = 0
    answer = engine.submit(wanted)
    if not isinstance(answer, Admit):
        return  # too small a notional has no utility
    hold = -(-quantity * price // 100)
    assert answer.notional_microcents == hold
    filled, freed = 0, 0
    for number, size in enumerate(sizes):
        is_open = filled < quantity
        reply = engine.submit(fill(f"F-{number}", quantity=size, fee=0))
        filled += size
        share = floor(Fraction(hold) * min(filled, quantity) / quantity) - freed
        assert reply.released_microcents == (share if is_open else 0)
        freed += reply.released_microcents
        assert reply.hold_microcents == hold - freed
        assert reply.open_quantity == max(quantity - filled, 0)
        assert ("overfill" in reply.flags) == (filled > quantity)
        assert ("late" in reply.flags) == (not is_open)
    assert (freed == hold) == (filled >= quantity)


def test_a_fee_is_paid_from_what_the_fill_frees_too() -> None:
    engine = LoggedEngine(dev_config(("500000.00", "19000.00")))
    engine.admit(order(desk="desk-beta"))  # holds all of it
    assert balances(engine.state, "desk-beta") == (0, HELD, 0)
    reply = engine.submit(fill(desk="desk-beta", quantity=50, fee=HELD // 2))
    assert reply.unpaid_fee_microcents == 0
    assert balances(engine.state, "desk-beta") == (0, HELD // 2, HELD // 2)
    assert engine.state.desks["desk-beta"].is_halted is False


def test_before_version_2_what_came_free_paid_no_debt() -> None:
    engine = LoggedEngine(dev_config(("500000.00", "19000.00")), rules_version=1)
    engine.admit(order(desk="desk-beta"))
    reply = engine.submit(fill(desk="desk-beta", quantity=50, fee=HELD // 2 + 9))
    assert (reply.fee_microcents, reply.unpaid_fee_microcents) == (HELD // 2 + 9, 9)
    desk = engine.state.desks["desk-beta"]
    assert (desk.is_halted, desk.unpaid_fees_microcents) == (True, 9)
    assert balances(engine.state, "desk-beta") == (0, HELD // 2, HELD // 2)
    assert b'"halts_desk":true' in engine.records[-1]
    # Exits go on, and what stays unpaid adds up.
    second = engine.submit(fill("F-2", desk="desk-beta", quantity=10, fee=HELD))
    assert second.released_microcents == HELD // 10
    assert second.unpaid_fee_microcents == HELD - HELD // 10
    assert desk.unpaid_fees_microcents == 9 + HELD - HELD // 10
    released = engine.submit(cancel(desk="desk-beta"))
    assert released.released_microcents == HELD * 4 // 10
    refused = engine.reject(order("A-2", desk="desk-beta"))
    assert refused.detail == {"asked": 0, "limit": 0, "used": desk.unpaid_fees_microcents}
    # Resumed, it may enter again; what was refused stays refused.
    engine.log(resume_event("desk-beta", actor()))
    assert (desk.is_halted, desk.unpaid_fees_microcents) == (False, 0)
    assert engine.submit(order("A-2", desk="desk-beta")).repeat is True
    assert engine.admit(order("A-3", desk="desk-beta", quantity=1)).reservation_id == 2


def test_a_paid_fee_does_not_resume_a_halted_desk() -> None:
    engine = LoggedEngine(rules_version=1)
    engine.submit(fill("F-1", quantity=1, fee=ALPHA_BUDGET + 1))
    engine.submit(fill("F-2", quantity=1, fee=0))
    assert engine.state.desks["desk-alpha"].is_halted is True
    assert engine.state.desks["desk-beta"].is_halted is False


@pytest.mark.parametrize("fee", [-1, -(2**63), 0])
def test_a_rebate_is_recorded_and_not_committed(fee: int) -> None:
    engine = admitted()
    reply = engine.submit(fill(fee=fee))
    assert (reply.fee_microcents, reply.unpaid_fee_microcents) == (fee, 0)
    assert balances(engine.state)[2] == 0


def test_the_largest_fee_is_a_fee() -> None:
    engine = admitted()
    reply = engine.submit(fill(fee=I64_MAX))
    paid = ALPHA_BUDGET - HELD + reply.released_microcents
    assert reply.unpaid_fee_microcents == I64_MAX - paid
    assert balances(engine.state) == (0, HELD * 6 // 10, paid)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", 41),
        ("fee_microcents", 5_001),
        ("price", 1),
        ("executed_at_ns", 1),
    ],
)
def test_fill_ids_repeat_or_are_reused(field: str, value: Any, is_known: bool) -> None:
    engine = admitted() if is_known else LoggedEngine()
    first = engine.submit(fill())
    record_count = len(engine.records)
    assert engine.submit(fill(request_id="again")) == structs.replace(first, repeat=True)
    reply = engine.submit(structs.replace(fill(), **{field: value}))
    text = f"{field}: fill_id 'F-1' is known with another {field}"
    ids = {"desk": "desk-alpha", "client_order_id": "A-1", "fill_id": "F-1"}
    assert reply == ErrorReply("fill_id_reused", field, text, **ids)
    assert len(engine.records) == record_count


def test_the_first_difference_of_a_fill_is_named() -> None:
    engine = admitted()
    engine.submit(fill())
    assert engine.submit(fill(quantity=1, fee=1, price=1)).field == "quantity"
    assert engine.submit(fill(fee=1, price=1)).field == "fee_microcents"


def test_a_fill_id_belongs_to_its_order() -> None:
    engine = admitted()
    engine.admit(order("A-2"))
    engine.submit(fill())
    reply = engine.submit(fill(client_order_id="A-2", quantity=1))
    assert (reply.repeat, reply.open_quantity) == (False, 99)


def test_before_version_2_a_fill_that_came_before_its_order_stayed_what_it_was() -> None:
    engine = LoggedEngine(rules_version=1)
    early = engine.submit(fill())
    engine.admit(order())
    assert engine.submit(fill()) == structs.replace(early, repeat=True)
    assert engine.submit(fill(quantity=1)).code == "fill_id_reused"
    assert engine.submit(status()).filled_quantity == 0
    second = engine.submit(fill("F-2"))
    assert (second.flags, second.open_quantity) == ([], 60)


def test_orphan_fills_are_remembered_for_the_window() -> None:
    engine = LoggedEngine()
    engine.submit(fill())
    assert engine.submit(fill(), T0 + WINDOW_NS - 1).repeat is True
    assert engine.submit(fill(), T0 + WINDOW_NS + 1).repeat is False


def test_orphan_fills_are_bounded_the_oldest_goes() -> None:
    engine = LoggedEngine(dev_config(remembered_orders_max=2), rules_version=1)
    for name in ("X-1", "X-2", "X-3"):
        engine.submit(fill(client_order_id=name))
    assert engine.submit(fill(client_order_id="X-2")).repeat is True
    assert engine.submit(fill(client_order_id="X-3")).repeat is True
    assert engine.submit(fill(client_order_id="X-1")).repeat is False


def test_a_fill_of_a_forgotten_order_is_unknown() -> None:
    engine = admitted()
    engine.submit(cancel())
    reply = engine.submit(fill(), T0 + WINDOW_NS + 1)
    assert reply.flags == ["unknown", "uncharged"]


def test_a_fill_is_forgotten_with_its_order_to_the_nanosecond() -> None:
    """Not before something is recorded that sweeps the order out; then it is a new one."""
    for changed in (fill(), fill(fee=6)):
        engine = admitted()
        engine.submit(fill())
        engine.submit(cancel())
        for at_ns in (T0 + WINDOW_NS, T0 + WINDOW_NS + 1):
            assert engine.submit(fill(), at_ns).repeat is True
        assert engine.submit(fill("F-2", fee=6)).flags == ["unknown", "uncharged"]
        reply = engine.submit(changed)
        assert (reply.flags, reply.repeat) == (["unknown", "uncharged"], False)


@pytest.mark.parametrize(("version", "said"), [(1, []), (2, ["uncounted"])])
def test_filled_quantity_stops_at_what_a_reply_can_carry(version: int, said: list[str]) -> None:
    engine = LoggedEngine(rules_version=version)
    engine.admit(order())
    assert engine.submit(fill("F-1", quantity=I64_MAX, fee=0)).flags == ["overfill"]
    reply = engine.submit(fill("F-2", quantity=1, fee=0))
    assert reply.flags == ["overfill", "late", *said]
    assert engine.submit(status()).filled_quantity == I64_MAX
    assert engine.submit(fill("F-2", quantity=1, fee=0)).flags == reply.flags


def test_cancel_in_each_phase() -> None:
    engine = admitted()
    engine.submit(fill())
    released = engine.submit(cancel())
    assert released == Released("desk-alpha", "A-1", 10, HELD * 60 // 100, False)
    assert balances(engine.state) == (ALPHA_BUDGET - 5_000, 0, 5_000)
    assert engine.submit(cancel()) == structs.replace(released, repeat=True)
    engine.submit(fill("F-2", quantity=60))  # late: the answer to the cancel stays
    assert engine.submit(cancel()) == structs.replace(released, repeat=True)

    engine.admit(order("A-2"))
    engine.submit(fill(client_order_id="A-2", quantity=100))
    engine.reject(order("A-3", risk_bps=10_000))
    words = {
        "A-2": ("order_filled", "has nothing left that is open"),
        "A-3": ("order_refused", "was refused: it holds nothing"),
    }
    for name, (code, words_of_code) in words.items():
        text = f"client_order_id: {name!r} of desk 'desk-alpha' {words_of_code}"
        expected = ErrorReply(code, "client_order_id", text, "desk-alpha", name)
        assert engine.submit(cancel(name)) == expected
    text = "client_order_id: 'A-1' of desk 'nobody' is not known to the guard"
    unknown = ErrorReply("unknown_order", "client_order_id", text, "nobody", "A-1")
    assert engine.submit(cancel(desk="nobody")) == unknown


@pytest.mark.parametrize("version", [1, 2])
def test_a_cancel_is_forgotten_with_its_order(version: int) -> None:
    engine = LoggedEngine(rules_version=version)
    engine.admit(order())
    engine.submit(cancel())
    assert engine.submit(cancel(), T0 + WINDOW_NS).repeat is True
    reply = engine.submit(cancel(), T0 + WINDOW_NS + 1)
    if version == 1:
        assert reply.code == "unknown_order"
    else:
        assert (reply.flags, reply.repeat) == (["early"], False)


def test_status_in_each_phase() -> None:
    engine = LoggedEngine()
    unknown = StatusReply("desk-alpha", "A-1", "unknown", None, 0, 0, 0)
    assert engine.submit(status()) == unknown
    answer = engine.admit(order())
    assert engine.submit(status()) == StatusReply("desk-alpha", "A-1", "open", answer, 0, 100, HELD)
    engine.submit(fill())
    assert engine.submit(status()) == StatusReply(
        "desk-alpha", "A-1", "open", answer, 40, 60, HELD * 60 // 100
    )
    engine.submit(fill("F-2", quantity=60))
    assert engine.submit(status()) == StatusReply("desk-alpha", "A-1", "closed", answer, 100, 0, 0)
    refused = engine.reject(order("A-2", risk_bps=10_000))
    assert engine.submit(status("A-2")) == StatusReply(
        "desk-alpha", "A-2", "refused", refused, 0, 0, 0
    )
    engine.admit(order("A-3"), T0 + SECOND_NS)
    engine.submit(cancel("A-3"))
    assert engine.submit(status("A-3")).state == "closed"
    assert engine.submit(status(desk="desk-beta")).state == "unknown"
    record_count = len(engine.records)
    engine.submit(status())
    assert len(engine.records) == record_count


def test_other_desks_money_is_never_touched() -> None:
    engine = admitted()
    engine.submit(fill(fee=ALPHA_BUDGET * 2))
    assert balances(engine.state, "desk-beta") == (BETA_BUDGET, 0, 0)


HUGE = 200_000_000_000_000  # desk-alpha's whole budget


def test_the_fee_of_an_order_that_was_not_admitted_is_recorded_and_not_charged() -> None:
    engine = LoggedEngine()
    unknown = engine.submit(fill(client_order_id="A-9", fee=HUGE))
    assert unknown == Filled(
        "desk-alpha", "A-9", "F-1", 8, 0, 0, 0, HUGE, 0, ["unknown", "uncharged"], False
    )
    engine.reject(order(risk_bps=10_000))
    refused = engine.submit(fill(fee=2))
    assert refused.flags == ["unknown", "refused", "uncharged"]
    assert balances(engine.state) == (ALPHA_BUDGET, 0, 0)
    desk = engine.state.desks["desk-alpha"]
    assert (desk.is_halted, desk.unpaid_fees_microcents) == (False, 0)
    assert b'"halts_desk":false' in engine.records[-1]
    nobody = engine.submit(fill(desk="nobody", fee=7))
    assert (nobody.flags, nobody.unpaid_fee_microcents) == (["unknown", "uncharged"], 0)
    assert engine.submit(fill(desk="nobody", fee=7)) == structs.replace(nobody, repeat=True)


@pytest.mark.parametrize("fee", [0, -5])
def test_where_there_is_no_fee_none_is_uncharged(fee: int) -> None:
    engine = LoggedEngine()
    assert engine.submit(fill(client_order_id="A-9", fee=fee)).flags == ["unknown"]


def bounded(bps: int, minimum: str) -> LoggedEngine:
    """A guard whose desks' fills are charged up to so many basis points and a minimum."""
    terms = f'"1500000.00"\nfee_bound_bps = {bps}\nfee_minimum = "{minimum}"'
    engine = LoggedEngine(dev_config(('"1500000.00"', terms)))
    engine.admit(order())
    return engine


# 40 lots at 19,000 ticks of a million microcents: a notional of 760,000,000,000.
@pytest.mark.parametrize(
    ("bps", "minimum", "price", "bound"),
    [
        (10, "0.00", None, 760_000_000),
        (10, "1.00", None, 860_000_000),
        (0, "0.00000001", None, 1),
        (1, "0.00", 1, 4_000),  # at the fill's own price: 40,000,000
        (10_000, "0.00", I64_MAX, I64_MAX),  # a notional beyond 64 bits
    ],
)
def test_a_fee_is_charged_up_to_its_bound(
    bps: int, minimum: str, price: int | None, bound: int
) -> None:
    engine = bounded(bps, minimum)
    assert engine.submit(fill(fee=bound, price=price)).flags == []
    if bound == I64_MAX:
        return
    beyond = bounded(bps, minimum)
    reply = beyond.submit(fill(fee=bound + 1, price=price))
    assert (reply.flags, reply.unpaid_fee_microcents) == (["uncharged"], 0)
    assert reply.released_microcents == HELD * 40 // 100
    assert balances(beyond.state)[2] == 0
    assert beyond.submit(fill(fee=bound + 1, price=price)) == structs.replace(reply, repeat=True)


def test_a_desk_without_a_bound_is_charged_any_fee() -> None:
    engine = bounded(10, "0.00")
    engine.admit(order("B-1", desk="desk-beta", quantity=1))
    reply = engine.submit(fill(client_order_id="B-1", desk="desk-beta", quantity=1, fee=HUGE))
    assert (reply.flags, reply.unpaid_fee_microcents > 0) == ([], True)


def test_a_minimum_commission_halts_no_desk_for_good() -> None:
    """All of 100.00 held; a fill of half a unit of currency costs a whole one."""
    engine = LoggedEngine(dev_config(("500000.00", "100.00")))
    engine.admit(order(desk="desk-beta", quantity=200, price=50))
    one = 100_000_000
    reply = engine.submit(fill(desk="desk-beta", quantity=1, fee=one))
    assert (reply.released_microcents, reply.unpaid_fee_microcents) == (one // 2, one // 2)
    assert engine.reject(order("A-2", desk="desk-beta")).reason == "desk_reducing"
    released = engine.submit(cancel(desk="desk-beta"))
    assert (released.released_microcents, released.collected_microcents) == (
        99 * one + one // 2,
        one // 2,
    )
    desk = engine.state.desks["desk-beta"]
    assert (desk.is_halted, desk.unpaid_fees_microcents) == (False, 0)
    assert balances(engine.state, "desk-beta") == (99 * one, 0, one)
    assert b'"repeat":false,"collected_microcents":50000000}}' in engine.records[-1]
    assert engine.submit(cancel(desk="desk-beta")) == structs.replace(released, repeat=True)
    assert engine.admit(order("A-3", desk="desk-beta", quantity=1, price=1)).reservation_id == 2


def test_a_fill_pays_its_own_fee_first_and_then_the_debt() -> None:
    engine = LoggedEngine(dev_config(("500000.00", "19000.00")))
    engine.admit(order(desk="desk-beta"))
    assert engine.submit(fill(desk="desk-beta", quantity=10, fee=HELD // 10 + 9)).flags == []
    desk = engine.state.desks["desk-beta"]
    assert (desk.is_halted, desk.unpaid_fees_microcents) == (True, 9)
    second = engine.submit(fill("F-2", desk="desk-beta", quantity=10, fee=HELD // 10 - 4))
    assert (second.unpaid_fee_microcents, second.collected_microcents) == (0, 4)
    assert (desk.is_halted, desk.unpaid_fees_microcents) == (True, 5)
    assert engine.submit(fill("F-2", desk="desk-beta", quantity=10, fee=HELD // 10 - 4)) == (
        structs.replace(second, repeat=True)
    )
    third = engine.submit(fill("F-3", desk="desk-beta", quantity=10, fee=0))
    assert third.collected_microcents == 5
    assert (desk.is_halted, desk.unpaid_fees_microcents) == (False, 0)
    assert balances(engine.state, "desk-beta") == (HELD // 10 - 5, HELD * 7 // 10, HELD // 5 + 5)
