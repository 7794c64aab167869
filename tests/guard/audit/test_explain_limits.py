"""What is told of an order that a limit refused, or that limits let in."""

from typing import Any

import pytest

from audit_support import audited
from guard.audit.audit import Audit
from guard.audit.explain_tables import explanation_tables
from guard_limits_support import WAIVED, limited
from guard_support import LoggedEngine, fill, order

COLLARED = (
    'quantity_max = 150\nvalue_max = "30000.00"\nprice_collar_bps = 100\n'
    "reference_age_max_ms = 1000\nduplicate_window_ms = 500\n"
    '[[limits.rates]]\nkind = "orders"\nwindow_ms = 1000\nmax = 2\n'
    '[limits.desk.desk-alpha]\nsides = ["buy"]\n'
)
MARKS = {"AAPL": (19_000, 2_000_000)}


def account(engine: LoggedEngine, name: str) -> dict[str, Any]:
    explanations = audited(engine.records, Audit(name, "desk-alpha"))["explanations"]
    found: dict[str, Any] = explanations[0]
    return found


SENTENCES = [
    ({"quantity": 151}, "Rejected: its quantity of 151 is above 150, the limit of the firm."),
    ({"side": "sell"}, "Rejected: its side is not allowed by the limits of the desk."),
    (
        {"price": 19_191, "quantity": 1},
        "Rejected: its price of 19,191 ticks lies further than 100 bps from the reference of "
        "19,000, the collar of the firm.",
    ),
    (
        {"price": 25_000, "quantity": 149},
        "Rejected: its value of 37,250.00 USD is above 30,000.00 USD, the limit of the firm.",
    ),
    ({"order_type": "market"}, "Rejected: no scope says a market_buffer_bps, without which there "
                               "are no market orders."),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), SENTENCES)
def test_a_sentence_says_what_was_asked_and_whose_limit_it_is(
    changes: dict[str, Any], sentence: str
) -> None:
    engine = limited(COLLARED, MARKS)
    engine.submit(order("A-1", **changes))
    assert account(engine, "A-1")["sentence"] == sentence


def test_a_rate_a_duplicate_and_a_reference_that_is_old() -> None:
    engine = limited(COLLARED, MARKS)
    engine.admit(order("A-1"))
    engine.reject(order("A-2"))
    engine.admit(order("A-3", quantity=1))
    engine.reject(order("A-4", quantity=2))
    engine.marks = {"AAPL": (19_000, 1_500_000_000)}
    engine.reject(order("A-5", quantity=3))
    engine.marks = {}
    engine.reject(order("A-6", quantity=4))
    assert [account(engine, f"A-{number}")["sentence"] for number in (2, 4, 5, 6)] == [
        "Rejected: the same order was admitted under another id 0 ms before, within the 500 ms of "
        "the firm.",
        "Rejected: the firm admits 2 orders in a window.",
        "Rejected: the reference price was 1,500 ms old, and the limits of the firm allow 1,000 "
        "ms.",
        "Rejected: no reference price of AAPL was known.",
    ]


def test_positions_and_open_orders() -> None:
    text = "position_long_max = 150\nposition_short_max = 0\nopen_orders_max = 2"
    engine = limited(f"{WAIVED}{text}")
    engine.admit(order("A-1"))
    engine.reject(order("A-2", quantity=51))
    engine.reject(order("A-3", side="sell", quantity=2))
    engine.admit(order("A-4", quantity=50))
    engine.reject(order("A-5", symbol="BTC-USD", quantity=1))
    assert [account(engine, f"A-{number}")["sentence"] for number in (2, 3, 5)] == [
        "Rejected: with all that works the desk could come to be 151 lots long in this symbol (100 "
        "without this order), above 150, the limit of the firm.",
        "Rejected: with all that works the desk could come to be 2 lots short in this symbol (0 "
        "without this order), above 0, the limit of the firm.",
        "Rejected: the desk has 2 open orders, and the limits of the firm allow it 2.",
    ]


def test_the_tables_show_what_counted_and_what_was_used() -> None:
    engine = limited(COLLARED, MARKS)
    engine.admit(order("A-1"))
    found = account(engine, "A-1")
    assert found["reference"] == {"price": 19_000, "age_ns": 2_000_000}
    tables = {table.slug: table.rows for table in explanation_tables(found, "USD")}
    assert ("the symbol's mark then", "19,000 ticks, 2.00 ms old") in tables["explain-record"]
    shown = {row[0]: row[1:] for row in tables["explain-scopes"]}
    assert shown["quantity max"] == ("150", "–", "firm")
    assert shown["value max"] == ("30,000.00", "–", "firm")
    assert shown["sides"] == ("buy", "–", "desk")
    assert shown["rate of orders in 1000 ms"] == ("2", "1", "firm")


def test_without_limits_there_is_no_such_table() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    found = account(engine, "A-1")
    assert (found["limits"], found["reference"]) == ([], None)
    assert "explain-scopes" not in {table.slug for table in explanation_tables(found, "USD")}


def test_a_market_order_is_told_at_what_it_was_valued() -> None:
    engine = limited(f"{WAIVED}market_buffer_bps = 100", MARKS)
    engine.admit(order("A-1", order_type="market", price=1))
    assert account(engine, "A-1")["notional_microcents"] == 100 * 19_190 * 10**6


def test_a_loss_and_a_mark_that_has_jumped() -> None:
    text = f"{WAIVED}revalue_bps = 0\nmark_jump_bps = 1_000\nmark_confirm_ms = 1\n"
    own = '[limits.desk.desk-alpha]\nday_loss_max = "9.99"\n'
    firm = 'day_loss_max = "9.99"\n'
    found = []
    for limit in (own, firm):
        engine = limited(text + limit, MARKS)
        engine.admit(order("A-1"))
        engine.submit(fill("F-1", 100, fee=0, price=19_000))
        engine.jumps = {"AAPL": 25_000}
        engine.reject(order("A-2"))
        engine.jumps, engine.marks = {}, {"AAPL": (18_990, 1)}
        engine.reject(order("A-3"))
        found.append([account(engine, name)["sentence"] for name in ("A-2", "A-3")])
    jumped = (
        "Rejected: the reference price had jumped from 19,000 to 25,000 ticks, further than the "
        "1,000 bps that count at once by the limits of the firm, and nothing had confirmed that."
    )
    lost = "lost more than the 9.99 USD that it may lose in a day"
    behind = "no person has lifted that, and this order would not but reduce a position."
    assert found[0] == [
        jumped, f"Rejected: the desk has {lost} (10.00 USD as this order came), {behind}",
    ]  # fmt: skip
    assert found[1] == [jumped, f"Rejected: the firm has {lost}, {behind}"]
    reference = account(engine, "A-2")["reference"]
    assert reference == {"price": 19_000, "age_ns": 2_000_000, "jump": 25_000}
