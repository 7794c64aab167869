"""What every check said of a refused order: none is missing, and each figure is the check's own."""

from typing import Any

import pytest

from audit_support import audited
from guard.admin import messages as asked
from guard.audit.audit import Audit
from guard.audit.explain_tables import explanation_tables
from guard.engine.checks import BEFORE_KERNEL_BY_VERSION, BEHIND_KERNEL_BY_VERSION
from guard.engine.events import RULES_VERSION, TradingHalted
from guard.protocol.fields import REASON_WORDS
from guard.protocol.messages import Reject
from guard_limits_support import WAIVED, limited
from guard_support import SECOND_NS, T0, LoggedEngine, actor, fill, order, settled
from people_support import LIMITS, Desk, guard
from replace_support import replace

MARKS = {"AAPL": (19_000, 2_000_000)}
ALL = [
    *BEFORE_KERNEL_BY_VERSION[RULES_VERSION],
    *BEHIND_KERNEL_BY_VERSION[RULES_VERSION],
]


def checks(engine: LoggedEngine, name: str, desk: str = "desk-alpha") -> list[dict[str, Any]]:
    records = settled(engine.records)
    found: list[dict[str, Any]] = audited(records, Audit(name, desk))["explanations"][0]["checks"]
    return found


def refusing(lines: list[dict[str, Any]]) -> list[str]:
    return [line["check"] for line in lines if line["verdict"] == "refuses"]


def line_of(lines: list[dict[str, Any]], word: str, key: str | None = None) -> tuple[Any, ...]:
    line = next(x for x in lines if x["check"] == word and key in (None, x["key"]))
    return line["verdict"], line["measured"], line["limit"], line["used"], line["scope"]


def test_every_check_there_is_has_its_line_in_its_order() -> None:
    engine = limited(WAIVED)
    engine.reject(order("A-1", risk_bps=9_700))
    lines = checks(engine, "A-1")
    assert [(line["key"], line["of"]) for line in lines] == [(c.key, c.scope) for c in ALL]
    words = [REASON_WORDS[c.number] if c.number else "risk_hard_limit" for c in ALL]
    assert [line["check"] for line in lines] == words
    assert refusing(lines) == ["risk_hard_limit"]
    shown = explanation_tables(
        audited(settled(engine.records), Audit("A-1", "desk-alpha"))["explanations"][0], "USD"
    )
    (table,) = (table for table in shown if table.slug == "explain-checks")
    assert len(table.rows) == len(ALL)


def test_all_that_refuse_are_shown_and_not_the_first_alone() -> None:
    text = (
        'quantity_max = 50\nvalue_max = "1000.00"\nprice_collar_bps = 100\n'
        "reference_age_max_ms = 1\nposition_long_max = 70\nopen_orders_max = 1\nrevalue_bps = 0\n"
        '[[limits.rates]]\nkind = "orders"\nwindow_ms = 1000\nmax = 1\n'
        '[limits.desk.desk-alpha]\nsides = ["sell"]\nexposure_gross_max = "900.00"\n'
    )
    engine = limited(text, {"AAPL": (19_000, 1)})
    engine.admit(order("A-0", side="sell", quantity=1, price=19_000))
    engine.marks = MARKS
    answer = engine.reject(order("A-1", price=20_000))
    assert answer.reason == "side_not_allowed"
    lines = checks(engine, "A-1")
    assert refusing(lines) == [
        "side_not_allowed", "quantity_above_max", "value_above_max", "reference_stale",
        "price_outside_collar", "order_rate_exceeded", "position_long_above_max",
        "open_orders_above_max", "exposure_gross_above_max",
    ]  # fmt: skip
    assert line_of(lines, "quantity_above_max") == ("refuses", 100, 50, 0, "firm")
    assert line_of(lines, "price_outside_collar") == ("refuses", 20_000, 100, 19_000, "firm")
    assert line_of(lines, "position_long_above_max") == ("refuses", 100, 70, 0, "firm")
    gross = line_of(lines, "exposure_gross_above_max")
    assert gross == ("refuses", 19_000 * 100 * 10**6, 900 * 10**8, 19_000 * 10**6, "desk")


def test_what_passes_says_what_it_was_asked_about() -> None:
    text = (
        'quantity_max = 500\nvalue_max = "90000.00"\nprice_collar_bps = 100\n'
        "reference_age_max_ms = 1000\nposition_long_max = 1000\nopen_orders_max = 5\n"
        'revalue_bps = 0\nexposure_gross_max = "90000.00"\n'
        '[[limits.rates]]\nkind = "orders"\nwindow_ms = 1000\nmax = 4\n'
    )
    engine = limited(text, MARKS)
    engine.admit(order("A-0"))
    engine.reject(order("A-1", quantity=20, price=19_095, risk_bps=9_700))
    lines = checks(engine, "A-1")
    assert line_of(lines, "quantity_above_max") == ("passes", 20, 500, None, "firm")
    worth = 20 * 19_095 * 10**6
    assert line_of(lines, "value_above_max") == ("passes", worth, 9 * 10**12, None, "firm")
    assert line_of(lines, "price_outside_collar") == ("passes", 50, 100, None, "firm")
    assert line_of(lines, "reference_stale") == ("passes", 2, 1_000, None, "firm")
    assert line_of(lines, "order_rate_exceeded") == ("passes", 1, 4, 1, "firm")
    assert line_of(lines, "position_long_above_max") == ("passes", None, 1_000, 100, "firm")
    assert line_of(lines, "open_orders_above_max") == ("passes", None, 5, 1, "firm")
    held = 100 * 19_000 * 10**6
    assert line_of(lines, "exposure_gross_above_max")[1:4] == (None, 9 * 10**12, held)
    assert line_of(lines, "insufficient")[1] == worth
    assert line_of(lines, "insufficient")[3] == held
    assert line_of(lines, "quantity_off_step")[1:] == (None, None, None, None)


def test_what_bars_the_kernel_bars_what_stands_behind() -> None:
    engine = LoggedEngine()
    engine.reject(order("A-1", desk="nobody"))
    lines = checks(engine, "A-1", "nobody")
    at = [line["check"] for line in lines].index("unknown_desk")
    assert lines[at]["verdict"] == "refuses"
    assert {line["verdict"] for line in lines[at + 1 :]} == {"barred"}


def test_an_exit_is_spared_by_some() -> None:
    engine = limited(f"{WAIVED}open_orders_max = 1\n", MARKS)
    engine.admit(order("A-0"))
    engine.submit(fill("F-1", 100, fee=0, client_order_id="A-0"))
    engine.log(actor(engine.now_ns).event(TradingHalted, scope="firm", name=""))
    engine.reject(order("A-1", side="sell", quantity=10))
    lines = checks(engine, "A-1")
    assert refusing(lines) == ["firm_halted"]
    assert line_of(lines, "open_orders_above_max")[0] == "spared"


def test_an_order_that_two_people_let_past_one_check() -> None:
    engine = guard(limits=LIMITS)
    desk = Desk(engine)
    big = order("A-1", desk="desk-beta", quantity=101, price=10_000, risk_bps=9_700)
    fields: Any = {"order": big, "checks": ["quantity_above_max"], "lasts_s": 60}
    desk.do("ann", asked.OverrideOrder, action_id="o", **fields)
    desk.do("bob", asked.Approve, proposal="o")
    assert isinstance(engine.submit(big), Reject)
    lines = checks(engine, "A-1", "desk-beta")
    assert line_of(lines, "quantity_above_max")[:3] == ("overridden", 101, 100)
    assert refusing(lines) == ["risk_hard_limit"]


def test_a_replace_that_is_refused() -> None:
    engine = limited(f"{WAIVED}quantity_max = 150\n".replace('quantity_max = "none"\n', ""))
    engine.admit(order("A-1"))
    engine.submit(replace("R-1", quantity=200))
    lines = checks(engine, "R-1")
    assert refusing(lines) == ["quantity_above_max"]


@pytest.mark.parametrize("changes", [{"quantity": 99}, {"price": 1}])
def test_an_id_used_again_was_refused_by_none(changes: dict[str, Any]) -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"), T0 + SECOND_NS)
    engine.reject(order("A-1", **changes))
    found = audited(engine.records, Audit("A-1", "desk-alpha"))["explanations"]
    assert [each["checks"] for each in found] == [None, None]
