"""One sentence for each reason there is: exact, in units that people use."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_support import audited
from guard.audit import words
from guard.audit.audit import Audit
from guard.audit.sentences import FORMS, sentence_of
from guard.audit.tables import tables
from guard.audit.units import bits, fee_limit, in_units, price, quantity
from guard.engine.events import EntriesHalted, PlainEvent, TradingHalted, TradingReduced
from guard.protocol.reasons import Refusal
from guard_support import (
    ALPHA_BUDGET,
    SECOND_NS,
    T0,
    U32_MAX,
    LoggedEngine,
    actor,
    dev_config,
    fill,
    order,
)
from guard_windows_support import settings
from kernel import GATES, Reason

CAP = 'exposure_cap = "1500000.00"'
AGED = ((CAP, f"{CAP}\nmax_order_age_ms = 1_500"),)
TWO_OFF = (("provider = 0\n", "provider = 0\nenabled = false\n"),
           ("provider = 1\n", "provider = 1\nenabled = false\n"))  # fmt: skip


def told(day: LoggedEngine, client_order_id: str = "A-1") -> dict[str, Any]:
    """The last account of an order."""
    account: dict[str, Any] = audited(day.records, Audit(client_order_id, "desk-alpha"))[
        "explanations"
    ][-1]
    return account


def sentence(reason: str, *replacements: tuple[str, str], **fields: Any) -> str:
    day = LoggedEngine(dev_config(*replacements))
    day.submit(order(**fields))
    account = told(day)
    assert account["answer"]["reason"] == reason
    text: str = account["sentence"]
    return text


def test_every_reason_has_a_form_and_a_phrase() -> None:
    every = {reason.snake for reason in Reason} | {refusal.word for refusal in Refusal}
    assert set(FORMS) == every
    assert set(words.REASONS) == every
    assert len(set(words.REASONS.values())) == len(every)
    assert set(words.GATES) == set(GATES)


ADMITS = [
    ({}, "Admitted to venue 10, as asked: it is worth 16,776.99985831 USD there, 854.99995712 USD "
         "more than at venue 20, the next."),
    ({"venue": 20}, "Admitted to venue 10 instead of venue 20: it is worth 16,776.99985831 USD "
                    "there, 854.99995712 USD more than at venue 20, the next."),
    ({"venue": 30}, "Admitted to venue 10 instead of venue 30: it is worth 16,776.99985831 USD "
                    "there, 854.99995712 USD more than at venue 20, the next; at venue 30 it is "
                    "worth 14,553.99994679 USD."),
    ({"venue": 77}, "Admitted to venue 10 instead of venue 77: it is worth 16,776.99985831 USD "
                    "there, 854.99995712 USD more than at venue 20, the next; venue 77 is not in "
                    "the policy."),
    ({"minimum_quality_bps": 9_800}, "Admitted to venue 10, as asked: it is worth 16,776.99985831 "
                                     "USD there, no other venue passed."),
    ({"max_fee_microcents": 5_000}, "Admitted to venue 30 instead of venue 10: it is worth "
                                    "14,553.99994679 USD there, no other venue passed; at venue 10 "
                                    "the fee, 0.00014001 USD, exceeds the order's own limit of "
                                    "0.00005 USD."),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "text"), ADMITS)
def test_admits(fields: dict[str, Any], text: str) -> None:
    day = LoggedEngine()
    day.admit(order(**fields))
    assert told(day)["sentence"] == text


REJECTS = [
    ("risk_hard_limit", {"risk_bps": 9_600}, (),
     "Rejected: its risk of 9,600 bps is not below the policy's hard limit of 9,600 bps."),
    ("confidence_hard_limit", {"confidence_bps": 6_999}, (),
     "Rejected: its confidence of 6,999 bps is below the policy's minimum of 7,000 bps."),
    ("no_enabled_model", {"minimum_quality_bps": 9_000}, TWO_OFF,
     "Rejected: no venue is left: at 2 of 3 trading is switched off in the policy; at 1 of 3 the "
     "quality, 8,600 bps, is below the 9,000 bps that the order asks for."),
    ("quality_constraint", {"minimum_quality_bps": 9_950}, (),
     "Rejected: at every venue the quality, at best 9,900 bps, is below the 9,950 bps that the "
     "order asks for."),
    ("latency_constraint", {"max_p95_latency_ms": 41}, (),
     "Rejected: at every venue the latency, at best 42 ms, is above the 41 ms that the order "
     "allows."),
    ("capability_constraint", {"required_capabilities": 5}, (),
     "Rejected: at every venue a capability is missing of those that the order requires (0, 2)."),
    ("provider_constraint", {"allowed_providers": 8}, (),
     "Rejected: at every venue the provider is not one that the order allows (3)."),
    ("region_constraint", {"required_regions": 2},
     tuple((f"provider = {n}\n", f"provider = {n}\nregions = 1\n") for n in range(3)),
     "Rejected: at every venue none of the regions that the order allows (1) is served."),
    ("budget_constraint", {"max_fee_microcents": 4_200}, (),
     "Rejected: at every venue the fee, lowest 0.00004201 USD, exceeds the order's own limit of "
     "0.000042 USD; the desk's budget was not the cause."),
    ("risk_ceiling_constraint", {"risk_bps": 9_550}, (),
     "Rejected: at every venue the order's risk of 9,550 bps is above the venue's ceiling, at most "
     "9,500 bps."),
    ("non_positive_utility", {"quantity": 1, "price": 1},
     (("fee_microcents_per_order = 14000", "fee_microcents_per_order = 1400000"),
      ("fee_microcents_per_order = 9500", "fee_microcents_per_order = 1300000"),
      ("fee_microcents_per_order = 4200", "fee_microcents_per_order = 1200000")),
     "Rejected: at every venue the order is worth at best -0.00435121 USD, which is not above "
     "zero."),
    ("quality_constraint", {"minimum_quality_bps": 9_500, "max_fee_microcents": 9_000}, (),
     "Rejected: no venue is left: at 2 of 3 the quality, at best 9,400 bps, is below the 9,500 bps "
     "that the order asks for; at 1 of 3 the fee, 0.00014001 USD, exceeds the order's own limit of "
     "0.00009 USD; the desk's budget was not the cause."),
    ("stale_order", {"sent_at_ns": T0 - 90_000 * 10**9}, (),
     "Rejected: its stamp says that it was sent 90,000 s before it was received (2023-11-13 "
     "21:13:20.000 UTC), and ids are remembered for 86,400 s."),
    ("stale_order", {"sent_at_ns": T0 + 90_000 * 10**9}, (),
     "Rejected: its stamp says that it was sent 90,000 s after it was received (2023-11-15 "
     "23:13:20.000 UTC), and ids are remembered for 86,400 s."),
    ("unknown_symbol", {"symbol": "NONE"}, (), "Rejected: there is no symbol NONE."),
    ("quantity_out_of_range", {"quantity": U32_MAX + 1}, (),
     "Rejected: its 4,294,967,296 lots are more than the 4,294,967,295 that an order may have."),
    ("unknown_venue", {"venue": 99, "allow_substitute": False}, (),
     "Rejected: the policy has no venue 99."),
    ("order_age_unknown", {}, AGED,
     "Rejected: it does not say when it was sent, and the desk allows no order of unknown age."),
    ("order_too_old", {"sent_at_ns": T0 - 3 * SECOND_NS}, AGED,
     "Rejected: it was sent 3.00 s before, and the desk allows 1.50 s."),
    ("substitution_not_allowed", {"venue": 30, "allow_substitute": False}, (),
     "Rejected: venue 10 would have been chosen, where it is worth 16,776.99985831 USD, "
     "2,222.99991152 USD more than at venue 30, and the order allows only the venue that it asks "
     "for."),
    ("substitution_not_allowed",
     {"venue": 20, "allow_substitute": False, "max_fee_microcents": 5_000}, (),
     "Rejected: venue 30 would have been chosen, where it is worth 14,553.99994679 USD, and the "
     "order allows only the venue that it asks for; at venue 20 the fee, 0.00009501 USD, exceeds "
     "the order's own limit of 0.00005 USD."),
    ("exposure_limit_exceeded", {"quantity": 10_000}, (),
     "Rejected: its 1,900,000.00 USD exceed what the desk's cap of 1,500,000.00 leaves beside the "
     "0.00 that it holds, 1,500,000.00, by 400,000.00; a quantity of 7,894 would have fitted."),
    ("insufficient", {"quantity": 20_000}, (('"1500000.00"', '"none"'),),
     "Rejected: its 3,800,000.00 USD exceed what is left of the desk's budget, 2,000,000.00, by "
     "1,800,000.00; a quantity of 10,526 would have fitted."),
    ("insufficient", {"quantity": 1, "price": 300_000_000}, (('"1500000.00"', '"none"'),),
     "Rejected: its 3,000,000.00 USD exceed what is left of the desk's budget, 2,000,000.00, by "
     "1,000,000.00; no quantity would have fitted."),
    ("overflow", {"quantity": U32_MAX, "price": 2**62}, (),
     "Rejected: its 198,070,406,239,543,983,799,585,996.80 USD exceed the 92,233,720,368.54775807 "
     "USD that can be counted."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "fields", "changes", "text"), REJECTS, ids=lambda value: str(value)[:24]
)
def test_rejects(
    reason: str, fields: dict[str, Any], changes: tuple[tuple[str, str], ...], text: str
) -> None:
    assert sentence(reason, *changes, **fields) == text


def test_a_reused_id() -> None:
    day = LoggedEngine()
    day.admit(order())
    day.reject(order(side="sell"))
    assert told(day)["sentence"] == (
        "Rejected: its id stands for another order of the desk, that of record 8, whose side is "
        "another."
    )


def test_an_unknown_desk_and_a_full_window() -> None:
    day = LoggedEngine(dev_config(remembered_orders_max=4))
    day.reject(order(desk="nobody"))
    account = audited(day.records, Audit("A-1", "nobody"))["explanations"][-1]
    assert account["sentence"] == "Rejected: there is no desk nobody."
    day.admit(order("A-1", quantity=1))
    day.admit(order("A-2", quantity=1))
    day.reject(order("A-3"))
    assert told(day, "A-3")["sentence"] == (
        "Rejected: there was no room to remember its id: 2 ids had not expired."
    )


def test_a_stamp_of_what_may_be_forgotten_and_little_room_for_fills() -> None:
    day = LoggedEngine(dev_config(remembered_order_window_s=1))
    day.reject(order("A-1", risk_bps=10_000))
    day.reject(order("A-2", risk_bps=10_000), T0 + 3 * SECOND_NS)
    settings(day, 3_600)
    day.reject(order("A-3", sent_at_ns=T0))
    sent = told(day, "A-3")["sentence"]
    assert sent.startswith("Rejected: its stamp says that it was sent at 2023-11-14 22:13:20")
    assert "ids have been forgotten of orders that were closed until 2023-11-14 22:13:20" in sent
    account = {"answer": {"detail": {"asked": 1, "limit": 8, "used": 7}}}
    assert FORMS["fill_window_full"](account, "USD") == (
        "there was little room left to remember fills: at least 7 of 8 were taken"
    )


def test_halts() -> None:
    day = LoggedEngine()
    day.admit(order())
    day.submit(fill(fee=2 * ALPHA_BUDGET))
    day.reject(order("A-2"))
    owing = told(day, "A-2")["halts"]["desk_unpaid_fees_microcents"]
    assert owing > 0
    assert told(day, "A-2")["sentence"].startswith(
        "Rejected: the desk may but reduce its positions, with fees of 2,0"
    )
    who = actor(T0 + 5, day.engine.next_sequence)
    day.log(who.event(EntriesHalted, reason="disk_low", free_bytes=1_234, reserve_bytes=56_789))
    day.reject(order("A-3"))
    assert told(day, "A-3")["sentence"] == (
        "Rejected: all entries were halted: the log's disk had 1,234 bytes free, less than its "
        "reserve of 56,789."
    )


def test_what_a_person_stopped() -> None:
    for scope, name, text in (
        ("desk", "desk-alpha", "a person had stopped the desk's entries"),
        ("symbol", "AAPL", "a person had stopped the entries in AAPL"),
        ("firm", "", "a person had stopped the entries of every desk"),
    ):
        day = LoggedEngine()
        who = actor(T0, day.engine.next_sequence)
        day.log(who.event(TradingHalted, scope=scope, name=name))
        day.reject(order())
        assert told(day)["sentence"] == f"Rejected: {text}."
        document = audited(day.records)
        assert document["session"]["firm_stopped"] is (scope == "firm")
        assert document["session"]["stopped_symbols"] == (["AAPL"] if scope == "symbol" else [])
        assert document["ledger"]["desks"][0]["stopped"] is (scope == "desk")
        (lines,) = [table for table in tables(document) if table.slug == "conservation"]
        is_open = scope == "symbol"
        assert lines.rows[0][-1] == ("open" if is_open else "stopped by a person")


@pytest.mark.parametrize(("scope", "word"), [("trader", "trader"), ("algo", "algorithm")])
def test_whose_orders_a_person_stopped(scope: str, word: str) -> None:
    day = LoggedEngine()
    who = actor(T0, day.engine.next_sequence)
    day.log(who.event(TradingHalted, scope=scope, name="one"))
    day.log(who.event(TradingReduced, scope=scope, name="two"))
    day.reject(order(**{scope: "one"}))
    stopped = f"a person had stopped the orders of {word} one"
    assert told(day)["sentence"] == f"Rejected: {stopped}."
    day.reject(order("A-2", **{scope: "two"}))
    reducing = f"a person lets {word} two but reduce positions, and this order would not"
    assert told(day, "A-2")["sentence"] == f"Rejected: {reducing}."
    document = audited(day.records)
    assert document["session"]["stopped_names"] == [f"{scope} one"]
    shown = [row for table in tables(document) for row in table.rows if row[0] == "orders of"]
    assert shown == [("orders of", f"{scope} one: stopped by a person")]


def test_a_reason_of_another_version_is_told_by_its_word() -> None:
    account = {"answer": {"type": "reject", "reason": "moon_too_full"}}
    assert sentence_of(account, "USD") == "Rejected: moon too full."
    assert words.gate_words("new_gate") == "new gate"
    assert words.event_words("new_event") == "new event"


def test_the_quantity_that_fits_is_the_most_that_is_admitted() -> None:
    day = LoggedEngine()
    day.reject(order(quantity=10_000, price=18_997))
    most = told(day)["quantity_that_fits"]
    assert day.reject(order("A-2", quantity=most + 1, price=18_997)).reason == (
        "exposure_limit_exceeded"
    )
    day.admit(order("A-3", quantity=most, price=18_997))


def test_units() -> None:
    btc = {"tick_size": "0.01", "lot_size": "0.00000001"}
    assert (quantity(150_000_001, btc), price(6_412_345, btc)) == ("1.50000001", "64,123.45")
    assert (quantity(1_500, None), price(7, None)) == ("1,500 lots", "7 ticks")
    assert in_units(12, "10") == "120"
    assert [bits(mask) for mask in (0, 5, 2**64 - 1, 2**63, 0x1FF)] == [
        "none", "0, 2", "all", "63", "0x1ff",
    ]  # fmt: skip
    assert (fee_limit(2**64 - 1, "USD"), fee_limit(5, "EUR")) == ("no limit", "0.00000005 EUR")


@given(st.integers(1, 2**64 - 1), st.integers(0, 18))
def test_units_are_exact(number: int, places: int) -> None:
    size = "1" if places == 0 else f"0.{'1'.rjust(places, '0')}"
    text = in_units(number, size).replace(",", "")
    whole, _, part = text.partition(".")
    assert len(part) == places
    assert int(whole + part) == number


def test_every_administrative_event_has_a_phrase() -> None:
    answers = {"order", "order_refused", "fill", "reduce", "release"}
    tags = {kind.__struct_config__.tag for kind in get_args(PlainEvent)} | {"desk_halted"}
    assert set(words.EVENTS) >= tags - answers
