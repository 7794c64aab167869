"""What the limits of customers, accounts, traders and algorithms come to in a day, and why they
refused: in the report, in an explanation, and in what a daemon watches as it runs.
"""

from typing import Any

import pytest

from audit_support import audited
from guard.audit.audit import Audit
from guard.engine.events import TradingHalted, TradingReduced
from guard.engine.limit_use import key_of
from guard.engine.limit_watch import LimitWatch
from guard_limits_support import WAIVED
from guard_support import LoggedEngine, actor, dev_config, order

ACCOUNTS = """
[accounts.one]
desk = "desk-alpha"
customer = "ACME"
[accounts.two]
desk = "desk-alpha"
"""
RATES = 'rates = [{kind = "orders", window_ms = 60000, max = %d}]'
LIMITS = f"""
[limits]
{WAIVED}
{RATES % 9}
[limits.customer.ACME]
quantity_max = 60
{RATES % 3}
[limits.trader.t]
quantity_max = 80
{RATES % 2}
"""


def begun(limits: str = LIMITS) -> LoggedEngine:
    return LoggedEngine(dev_config(("[settings]", f"{ACCOUNTS}{limits}\n[settings]")))


def lines_of(day: LoggedEngine) -> dict[tuple[str, str], dict[str, Any]]:
    listed = audited(day.records)["limits"]["listed"]
    return {(line["said"], line["limit"]): line for line in listed if line["highest"]}


def told(day: LoggedEngine, client_order_id: str) -> dict[str, Any]:
    account: dict[str, Any] = audited(day.records, Audit(client_order_id, "desk-alpha"))[
        "explanations"
    ][-1]
    return account


def played() -> LoggedEngine:
    day = begun()
    for number, (quantity, names) in enumerate((
        (50, {"account": "one"}), (60, {"account": "one"}), (61, {"account": "one"}),
        (70, {"account": "two", "trader": "t"}), (81, {"account": "two", "trader": "t"}),
        (10, {"account": "one", "trader": "t"}), (10, {"account": "two", "trader": "t"}),
        (10, {"account": "one"}), (90, {"account": "two"}),
    )):  # fmt: skip
        day.submit(order(f"A-{number}", quantity=quantity, **names))
    return day


def test_the_report_has_what_was_used_of_each_and_whose_limit_refused() -> None:
    lines = lines_of(played())
    rate = "rate of orders in 60000 ms"
    found = {
        place: (line["highest"]["used"], line["highest"]["bound"], line["refused"])
        for place, line in lines.items()
        if place[0].startswith("limits")
    }
    assert found == {
        ("limits", rate): (5, 9, 0),
        ("limits.customer.ACME", "quantity_max"): (60, 60, 1),
        ("limits.customer.ACME", rate): (3, 3, 1),
        ("limits.trader.t", "quantity_max"): (70, 80, 1),
        ("limits.trader.t", rate): (2, 2, 1),
    }


def test_an_explanation_names_the_customer_and_has_its_limits() -> None:
    day = played()
    refused = told(day, "A-7")
    assert refused["customer"] == "ACME"
    assert refused["answer"]["reason"] == "order_rate_exceeded"
    limits = {(line["limit"], line["scope"]): line for line in refused["limits"]}
    assert limits["quantity_max", "customer"]["value"] == 60
    rate = limits["rate of orders in 60000 ms", "customer"]
    assert (rate["value"], rate["used"], rate["is_own"]) == (3, 3, False)
    (asked,) = [line for line in refused["checks"] if line["check"] == "order_rate_exceeded"]
    assert (asked["verdict"], asked["scope"]) == ("refuses", "customer")
    # Of an order that another one's limit refuses: what is left of the rates of whom it names.
    other = told(day, "A-4")
    assert "customer" not in other
    (asked,) = [line for line in other["checks"] if line["check"] == "order_rate_exceeded"]
    assert (asked["limit"], asked["used"], asked["scope"]) == (2, 1, "trader")


def test_what_is_watched_as_it_runs_has_the_rates_of_names() -> None:
    day = played()
    watch = LimitWatch(day.state, 100)
    watch.step()
    watch.step()
    uses = [(use.place[0], use.used, use.most) for use in watch.worst() if "rate" in key_of(use)]
    assert uses == [("limits.customer.ACME", 3, 3)]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TradingHalted, "a person had stopped the orders of customer ACME"),
        (
            TradingReduced,
            "a person lets customer ACME but reduce positions, and this order would not",
        ),
    ],
)
def test_a_customer_that_a_person_stopped(kind: Any, text: str) -> None:
    day = begun("")
    day.log(actor().event(kind, scope="customer", name="ACME"))
    day.reject(order("A-1", account="one"))
    day.admit(order("A-2", account="two"))
    assert told(day, "A-1")["sentence"] == f"Rejected: {text}."
    stopped = ["customer ACME"] if kind is TradingHalted else []
    assert audited(day.records)["session"]["stopped_names"] == stopped
