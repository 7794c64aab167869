"""What if: the same rules move nothing; other rules move just what a day lived under them gives."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from audit_support import STEPS, audited, live
from cancel_all_support import cancel_all
from guard.audit.audit import Audit
from guard.audit.changes import CHANGES
from guard.audit.course import Course
from guard.audit.overrides import Overrides, load_overrides
from guard.config.errors import ConfigError
from guard.config.file import DeskTerms
from guard.engine.amendments import FillName, assess_bust
from guard.engine.events import (
    BudgetLowered,
    DeskToppedUp,
    FillBusted,
    HoldFreed,
)
from guard.engine.people_events import LatchLifted
from guard_day_support import trading_day
from guard_limits_support import WAIVED, limits_config
from guard_support import (
    ALPHA_BUDGET,
    BETA_BUDGET,
    ORDER_NOTIONAL,
    SECOND_NS,
    T0,
    LoggedEngine,
    actor,
    cancel,
    dev_config,
    fill,
    order,
)
from guard_windows_support import accept_clock
from replace_support import replace, replaced


def what_if(records: list[bytes], overrides: Overrides) -> dict[str, Any]:
    fields: dict[str, Any] = audited(records, Audit(overrides=overrides))["what_if"]
    return fields


def other_policy(*replacements: tuple[str, str]) -> Overrides:
    config = dev_config(*replacements)
    return Overrides(policy=config.policy, policy_digest_hex=config.policy_digest_hex)


def terms(desk: str, budget: int, cap: int | None = None) -> Overrides:
    return Overrides(desks={desk: DeskTerms(desk, budget, cap)})


def test_a_replace_is_lived_again_with_its_order() -> None:
    """Under a cap for one of the orders the replace of the other one finds nothing to replace."""
    day = LoggedEngine()
    day.admit(order("A-1"))
    day.admit(replace("B-1", "A-1", quantity=150))
    day.submit(replaced("B-1"))
    day.submit(fill("F-1", 150, client_order_id="B-1"))
    day.admit(order("A-2", quantity=10))
    day.admit(replace("B-2", "A-2", quantity=20))
    same = what_if(day.records, terms("desk-alpha", ALPHA_BUDGET))
    assert same["before"] == same["after"]
    assert all(same[name]["count"] == 0 for name in CHANGES)
    capped = what_if(day.records, terms("desk-alpha", ALPHA_BUDGET, ORDER_NOTIONAL // 2))
    moved = capped["newly_refused"]
    assert [example["client_order_id"] for example in moved["examples"]] == ["A-1", "B-1"]
    assert moved["examples"][1]["after"]["reason"] == "order_refused"
    assert capped["after"]["admitted"] == 2


def test_the_same_rules_move_nothing() -> None:
    for records in (trading_day().records, live([]).records):
        document = audited(records, Audit(overrides=other_policy()))
        fields = document["what_if"]
        assert fields["before"] == fields["after"]
        assert fields["same"] == document["answers"]["admitted"] + document["answers"]["rejected"]
        assert all(fields[name]["count"] == 0 for name in CHANGES)
        assert (fields["fills_left_out"], fields["cancels_left_out"]) == (0, 0)
        assert fields["ledger_digest_hex"] == document["ledger_digest_hex"]
        for line in fields["desks"].values():
            assert line["held_peak_microcents_before"] == line["held_peak_microcents_after"]
        assert {desk: line["rows"] for desk, line in fields["exposure_after"]["desks"].items()} == {
            desk: line["rows"] for desk, line in document["exposure"]["desks"].items()
        }


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_a_day_lived_under_the_other_rules_gives_the_same_answers(steps: list[Any]) -> None:
    """Orders alone depend on nothing that a what-if has to guess."""
    steps = [step for step in steps if step[1][0] in ("order", "close")]
    cap = 400_000_000_000_000
    records = live(steps).records
    overrides = Overrides(
        policy=dev_config(("9600", "300")).policy,
        policy_digest_hex=dev_config(("9600", "300")).policy_digest_hex,
        desks={"desk-beta": DeskTerms("desk-beta", cap, cap), "nobody": DeskTerms("nobody", 7, 7)},
    )
    fields = what_if(records, overrides)
    text = '"500000.00"\nexposure_cap = "none"'
    nobody = '\n[[desks]]\ndesk = "nobody"\nbudget = "0.00000007"\nexposure_cap = "0.00000007"\n'
    again = '"4000000.00"\nexposure_cap = "4000000.00"' + nobody
    config = dev_config(("9600", "300"), (text, again), remembered_orders_max=1_000)
    lived = LoggedEngine(config)
    lived.is_checked = False
    now_ns = T0
    for later_ns, (kind, client_order_id, desk, changes) in steps:
        now_ns += later_ns
        if kind == "order":
            lived.submit(order(client_order_id, desk=desk, **changes), now_ns)
    answers = audited(lived.records)["answers"]
    # An id refused before under a reason that leaves no trace may come again.
    assert fields["after"]["admitted"] == answers["admitted"]
    moved = fields["newly_refused"]["count"] - fields["newly_admitted"]["count"]
    assert fields["before"]["admitted"] - fields["after"]["admitted"] == moved
    total = fields["same"] + sum(fields[name]["count"] for name in CHANGES) + fields["repeats"]
    assert total == fields["before"]["admitted"] + fields["before"]["rejected"]


def _day() -> LoggedEngine:
    """Two orders admitted, one filled and one canceled, and one that the cap stops."""
    day = LoggedEngine()
    day.admit(order("A-1"))
    day.submit(fill("F-1", 100))
    day.admit(order("A-2", venue=20))
    day.submit(cancel("A-2"), T0 + SECOND_NS)
    day.reject(order("A-3", quantity=8_000))
    day.admit(order("B-1", desk="desk-beta"))
    return day


def test_limits_refuse_as_on_a_day_that_had_them(tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    rate = '[[limits.rates]]\nkind = "orders"\nwindow_ms = 1000\nmax = 1\n'
    file.write_text(f"[limits]\n{WAIVED}[limits.desk.desk-beta]\nquantity_max = 99\n")
    fields = what_if(_day().records, load_overrides(None, file))
    assert fields["newly_refused"]["count"] == 1
    (example,) = fields["newly_refused"]["examples"]
    assert (example["desk"], example["after"]["reason"]) == ("desk-beta", "quantity_above_max")
    # A day that had limits, under none, and under others: what they refuse has its own course.
    had = LoggedEngine(limits_config(f"quantity_min = 1\n{WAIVED}{rate}"))
    had.admit(order("A-1"))
    had.reject(order("A-2"))
    had.admit(order("A-3"), T0 + 2 * SECOND_NS)
    assert what_if(had.records, Overrides(limits=[]))["newly_admitted"]["count"] == 1
    assert what_if(had.records, Overrides())["same"] == 3
    file.write_text(f"[limits]\n{WAIVED}{rate}")
    # Time is counted by the records where the day did not count it.
    again = LoggedEngine()
    for number in range(3):
        again.admit(order(f"A-{number}"), T0 + number * 600_000_000)
    fields = what_if(again.records, load_overrides(None, file))
    assert (fields["newly_refused"]["count"], fields["same"]) == (1, 2)


def test_a_lower_budget_refuses_and_leaves_out_what_followed() -> None:
    fields = what_if(_day().records, terms("desk-alpha", ORDER_NOTIONAL - 1))
    assert fields["newly_refused"]["count"] == 2
    assert fields["newly_refused"]["notional_microcents"] == 2 * ORDER_NOTIONAL
    assert fields["newly_refused"]["moves"] == [
        {"before": "venue 10", "after": "insufficient", "count": 2}
    ]
    assert fields["newly_refused"]["desks"] == {"desk-alpha": 2}
    assert fields["newly_refused"]["examples"][0] == {
        "sequence": 8,
        "desk": "desk-alpha",
        "client_order_id": "A-1",
        "symbol": "AAPL",
        "before": {
            "answer": "admit",
            "reason": "requested_model_maximizes_utility",
            "venue": 10,
            "fee_microcents": 14_001,
        },
        "after": {
            "answer": "reject",
            "stage": "ledger",
            "reason": "insufficient",
            "detail": {"asked": ORDER_NOTIONAL, "limit": ORDER_NOTIONAL - 1, "used": 0},
        },
    }
    assert (fields["fills_left_out"], fields["cancels_left_out"]) == (1, 1)
    assert fields["other_reason"]["moves"] == [
        {"before": "exposure_limit_exceeded", "after": "insufficient", "count": 1}
    ]
    assert fields["desks"]["desk-alpha"]["held_peak_microcents_after"] == 0
    assert fields["desks"]["desk-alpha"]["used_peak_microcents_after"] == 0
    assert fields["desks"]["desk-beta"]["held_peak_microcents_after"] == ORDER_NOTIONAL
    assert (fields["before"]["admitted"], fields["after"]["admitted"]) == (3, 1)


def test_no_cap_admits_and_what_is_admitted_lives_as_the_order_most_like_it() -> None:
    fields = what_if(_day().records, terms("desk-alpha", ALPHA_BUDGET))
    assert fields["newly_admitted"]["count"] == 1
    assert fields["newly_admitted"]["moves"] == [
        {"before": "exposure_limit_exceeded", "after": "venue 10", "count": 1}
    ]
    desk = fields["desks"]["desk-alpha"]
    assert desk["held_peak_microcents_before"] == ORDER_NOTIONAL
    assert desk["held_peak_microcents_after"] == 80 * ORDER_NOTIONAL
    # A-2, the last before it, was canceled at once, and A-3 is so, too.
    assert fields["exposure_after"]["desks"]["desk-alpha"]["rows"][-1][3] == 0
    assert fields["assumed"] == {
        "newly_admitted": 1,
        "ended_as_replaced": 0,
        "ended_as_like_order": 1,
        "held_to_the_end": 0,
        "like_orders_of": "same_desk",
        "replaced_by_orders_of": None,
        "replaced_within_ns": None,
    }
    assert fields["assumption"].startswith("Of the 1 orders that only now are admitted no end is")
    assert (fields["fills_left_out"], fields["cancels_left_out"]) == (0, 0)


def _refused_then_canceled(big: int) -> list[bytes]:
    """20 big orders that a cap of 4.8 million refuses, and 20 small ones, each canceled at once."""
    day = LoggedEngine(dev_config(('exposure_cap = "1500000.00"', 'exposure_cap = "4800000.00"')))
    for number in range(20):
        day.submit(order(f"B-{number}", quantity=30_700 + number), T0 + number)
    for number in range(big):
        day.admit(order(f"S-{number}", quantity=1_000), T0 + SECOND_NS + number)
        day.submit(cancel(f"S-{number}"), T0 + SECOND_NS + number)
    return day.records


def test_a_higher_cap_does_not_admit_less_since_nothing_of_what_it_admits_ends() -> None:
    limits = terms("desk-alpha", 600_000_000_000_000, 590_000_000_000_000)
    fields = what_if(_refused_then_canceled(20), limits)
    assert fields["before"]["admitted"] == 20
    assert fields["after"]["admitted"] == fields["high"]["admitted"] == 40
    assert fields["low"]["admitted"] == 1
    assert fields["low"]["rejected"] == 0
    assert fields["high"]["rejected"] == 39
    desk = fields["desks"]["desk-alpha"]
    assert [desk[f"admitted_{when}"] for when in ("before", "after", "low", "high")] == [
        20, 40, 1, 40
    ]  # fmt: skip


def test_what_nothing_is_like_holds_to_the_end() -> None:
    limits = terms("desk-alpha", 600_000_000_000_000, 590_000_000_000_000)
    fields = what_if(_refused_then_canceled(0), limits)
    assert fields["assumed"]["held_to_the_end"] == 1
    assert fields["after"]["admitted"] == 1
    assert (fields["low"]["admitted"], fields["high"]["admitted"]) == (1, 20)
    assert "1, which none is like, hold to the end" in fields["assumption"]


def test_a_recorded_fill_of_an_order_that_is_now_admitted_fills_it() -> None:
    day = LoggedEngine()
    day.admit(order("A-1", quantity=4_000))
    day.submit(fill("F-1", 4_000, fee=7), T0 + SECOND_NS)
    day.reject(order("A-2", quantity=8_000), T0 + 2 * SECOND_NS)
    day.submit(fill("F-2", 8_000, fee=11, client_order_id="A-2"), T0 + 3 * SECOND_NS)
    fields = what_if(day.records, terms("desk-alpha", ALPHA_BUDGET))
    assert fields["newly_admitted"]["count"] == 1
    rows = fields["exposure_after"]["desks"]["desk-alpha"]["rows"]
    # A desk that reports such fills has no others: 11 is charged once, no fee like A-1's beside.
    assert rows[-1][3:5] == [0, 18]


def test_fills_of_a_like_order_are_taken_in_proportion() -> None:
    day = LoggedEngine()
    day.admit(order("A-1", quantity=4_000))
    day.submit(fill("F-1", 1_000, fee=100), T0 + SECOND_NS)
    day.submit(fill("F-2", 3_000, fee=300), T0 + 3 * SECOND_NS)
    day.reject(order("A-2", quantity=8_000), T0 + 4 * SECOND_NS)
    day.admit(order("B-1", desk="desk-beta"), T0 + 20 * SECOND_NS)
    fields = what_if(day.records, terms("desk-alpha", ALPHA_BUDGET))
    rows = {
        row[0] - T0: row[3:5] for row in fields["exposure_after"]["desks"]["desk-alpha"]["rows"]
    }
    half, all_of_it = 6_000 * ORDER_NOTIONAL // 100, 8_000 * ORDER_NOTIONAL // 100
    assert rows[4 * SECOND_NS] == [all_of_it, 400]
    assert rows[5 * SECOND_NS] == [half, 600]
    assert rows[7 * SECOND_NS] == [0, 1_200]


def test_what_a_person_did_to_an_order_or_a_budget_happens_as_far_as_it_can() -> None:
    day = LoggedEngine()
    day.admit(order("A-1"))
    day.log(
        actor().event(
            HoldFreed, desk="desk-alpha", client_order_id="A-1", released_microcents=ORDER_NOTIONAL
        )
    )
    day.admit(order("B-1", desk="desk-beta"))
    lowered = BETA_BUDGET - ORDER_NOTIONAL
    day.log(actor().event(BudgetLowered, desk="desk-beta", amount_microcents=lowered))
    day.log(actor().event(DeskToppedUp, desk="desk-beta", amount_microcents=7))
    none = other_policy(("hard_risk_limit_bps = 9600", "hard_risk_limit_bps = 1"))
    fields = what_if(day.records, none)
    assert fields["after"]["admitted"] == 0
    rows = fields["exposure_after"]["desks"]["desk-beta"]["rows"]
    assert rows[-1][5] == ORDER_NOTIONAL + 7
    held = what_if(day.records, terms("desk-beta", 2 * ORDER_NOTIONAL))
    assert held["exposure_after"]["desks"]["desk-beta"]["rows"][-1][5] == 2 * ORDER_NOTIONAL


def test_a_record_that_ends_many_ends_those_that_there_are_here() -> None:
    day = LoggedEngine()
    day.admit(order("A-1", risk_bps=9_000))
    day.admit(order("A-2"))
    day.admit(order("B-1", desk="desk-beta"))
    cancel_all(day, of_desk="desk-alpha")
    stricter = other_policy(("hard_risk_limit_bps = 9600", "hard_risk_limit_bps = 8999"))
    fields = what_if(day.records, stricter)
    assert fields["after"]["admitted"] == 2
    rows = fields["exposure_after"]["desks"]["desk-alpha"]["rows"]
    assert rows[-1][3] == 0


def _surplus() -> LoggedEngine:
    """A position is reduced by E-1, its fill is busted, and E-1 canceled: the latch can go."""
    day = LoggedEngine()
    day.admit(order("A-1"))
    day.submit(fill("F-1", 100))
    day.admit(order("E-1", side="sell"))
    name = FillName("desk-alpha", "A-1", "F-1")
    busted = assess_bust(day.state, name, day.now_ns)
    assert busted is not None
    day.log(actor(day.now_ns).event(FillBusted, **busted))
    day.reject(order("A-2"))
    day.submit(cancel("E-1"))
    assert day.state.is_latched("desk-alpha", "")
    return day


def test_a_lifted_latch_is_lifted_where_it_is_set() -> None:
    day = _surplus()
    day.log(actor(day.now_ns).event(LatchLifted, desk="desk-alpha", symbol="", latch="surplus"))
    day.admit(order("A-3"))
    same = what_if(day.records, other_policy())
    assert (same["before"], same["newly_refused"]["count"]) == (same["after"], 0)
    # Nothing is admitted, nothing reduced: there is no latch that could be lifted.
    none = what_if(day.records, other_policy(("limit_bps = 9600", "limit_bps = 1")))
    assert none["after"]["admitted"] == 0


def test_a_surplus_that_the_day_had_not_is_lifted_when_it_is_over() -> None:
    day = _surplus()
    course = Course(Overrides(), day.engine)
    course.lift_own(day.state, day.now_ns)
    assert day.state.is_latched("desk-alpha", "")  # the day has it, too, and its people left it
    course.lift_own(LoggedEngine().state, day.now_ns)
    assert not day.state.has_latches


LOSING = f"""{WAIVED}revalue_bps = 0
[limits.desk.desk-alpha]
day_loss_max = "%s"
"""


def _losing(limit: str) -> LoggedEngine:
    """100 AAPL that lose ten ticks, which is 10.00, and two orders behind that."""
    day = LoggedEngine(limits_config(LOSING % limit))
    day.marks = {"AAPL": (20_000, 1)}
    day.admit(order("A-1", price=20_000))
    day.submit(fill(fee=0, quantity=100, price=20_000))
    day.marks = {"AAPL": (19_990, 1)}
    day.submit(order("A-2", quantity=1))
    day.submit(order("A-3", quantity=2))
    return day


def test_a_loss_is_beyond_the_limits_of_the_course_alone() -> None:
    looser, tighter = (limits_config(LOSING % limit).limits for limit in ("10.00", "9.99"))
    had, had_not = _losing("9.99"), _losing("10.00")
    assert what_if(had.records, Overrides())["same"] == 3
    fields = what_if(had.records, Overrides(limits=looser))
    assert (fields["newly_admitted"]["count"], fields["same"]) == (2, 1)
    fields = what_if(had_not.records, Overrides(limits=tighter))
    assert (fields["newly_refused"]["count"], fields["same"]) == (2, 1)
    assert fields["newly_refused"]["examples"][0]["after"]["reason"] == "day_loss_above_max"
    # With limits as they were, another policy changes what was lost: without the order nothing.
    none = what_if(had.records, other_policy(("limit_bps = 9600", "limit_bps = 1")))
    assert none["after"]["admitted"] == 0


def test_a_loss_that_the_day_had_not_is_lifted_when_it_is_over() -> None:
    day = _losing("9.99")
    course = Course(Overrides(), day.engine)
    course.lift_own(LoggedEngine().state, day.now_ns)
    assert day.state.latches.of("desk-alpha", "").keys() == {"loss"}
    day.marks = {"AAPL": (20_000, 1)}
    day.submit(order("A-4", quantity=3))
    course.lift_own(LoggedEngine().state, day.now_ns)
    assert not day.state.has_latches


def test_what_is_assumed_waits_where_a_clock_that_was_ahead_is_set_back() -> None:
    day, ahead = LoggedEngine(), T0 + 1_000 * SECOND_NS
    day.admit(order("A-1"), ahead)
    day.submit(cancel("A-1"), ahead + 10 * SECOND_NS)
    day.reject(order("A-2", quantity=8_000), ahead + 20 * SECOND_NS)
    accept_clock(day, T0 + SECOND_NS)
    day.admit(order("A-3"), T0 + 2 * SECOND_NS)
    day.submit(cancel("A-3"), T0 + 3 * SECOND_NS)
    fields = what_if(day.records, terms("desk-alpha", ALPHA_BUDGET))
    assert fields["newly_admitted"]["count"] == 1
    assert fields["after"]["admitted"] == 3
    assert fields["exposure_after"]["desks"]["desk-alpha"]["rows"][-1][3] == 80 * ORDER_NOTIONAL
    # The clock has come to where A-2 ends, 10 s after it was admitted, as A-1 did.
    day.admit(order("B-1", desk="desk-beta"), ahead + 30 * SECOND_NS)
    fields = what_if(day.records, terms("desk-alpha", ALPHA_BUDGET))
    assert fields["exposure_after"]["desks"]["desk-alpha"]["rows"][-1][3] == 0


def test_another_policy_sends_elsewhere_at_another_fee() -> None:
    fields = what_if(_day().records, other_policy(("quality_bps = 9900", "quality_bps = 90")))
    assert fields["other_venue"]["count"] == 3
    assert fields["other_venue"]["moves"] == [
        {"before": "venue 10", "after": "venue 20", "count": 3}
    ]
    assert fields["fills_left_out"] == 0  # an order that goes elsewhere is still filled
    assert fields["after"]["fees_microcents"] == 3 * 9_501
    dearer = what_if(_day().records, other_policy(("order = 14000", "order = 15000")))
    assert dearer["other_fee"]["count"] == 3
    assert dearer["after"]["fees_microcents"] - dearer["before"]["fees_microcents"] == 3_000


def test_a_desk_that_the_log_never_opened_is_opened() -> None:
    day = LoggedEngine()
    day.reject(order("C-1", desk="desk-new"))
    fields = what_if(day.records, terms("desk-new", BETA_BUDGET))
    assert fields["newly_admitted"]["moves"] == [
        {"before": "unknown_desk", "after": "venue 10", "count": 1}
    ]


def test_terms_hold_all_day_in_place_of_top_ups_and_caps() -> None:
    fields = what_if(trading_day().records, terms("desk-beta", 1, 1))
    assert fields["newly_refused"]["desks"] == {"desk-beta": 1}
    rows = fields["exposure_after"]["desks"]["desk-beta"]["rows"]
    assert {(row[5], row[6]) for row in rows} == {(1, 1)}


def test_a_fill_from_outside_stands_also_where_its_order_was_refused() -> None:
    day = LoggedEngine(rules_version=1)  # which charged such a fill's fee
    day.reject(order("A-1", risk_bps=9_600))
    day.submit(fill("F-1"))
    day.submit(fill("F-1", client_order_id="X-1"))
    fields = what_if(day.records, terms("desk-alpha", 10_000))
    assert fields["fills_left_out"] == 0
    assert fields["desks"]["desk-alpha"]["used_peak_microcents_after"] == 10_000


def test_settings() -> None:
    day = LoggedEngine()
    day.reject(order("A-1", sent_at_ns=1))
    day.reject(order("A-1", sent_at_ns=1), T0 + 1)
    day.reject(order("A-2", sent_at_ns=T0 - 90_000 * SECOND_NS))
    fields = what_if(day.records, Overrides(remembered_order_window_ns=2**62))
    assert fields["newly_admitted"]["moves"] == [
        {"before": "stale_order", "after": "venue 10", "count": 2}
    ]
    assert fields["repeats"] == 1  # the second A-1 is the first one again, once that is known
    full = what_if(_day().records, Overrides(remembered_orders_max=1, currency="USD"))
    assert full["newly_refused"]["moves"][0]["after"] == "idempotency_window_full"
    with pytest.raises(ConfigError, match=r"settings.currency: 'EUR' is not allowed; .* 'USD'"):
        what_if(day.records, Overrides(currency="EUR"))


def test_a_fee_that_now_cannot_be_paid_halts_the_desk() -> None:
    day = LoggedEngine()
    day.admit(order("A-1"))
    day.submit(fill("F-1", 100, fee=ORDER_NOTIONAL + 5))
    day.admit(order("A-2"))
    fields = what_if(day.records, terms("desk-alpha", ORDER_NOTIONAL))
    assert fields["newly_refused"]["moves"] == [
        {"before": "venue 10", "after": "desk_reducing", "count": 1}
    ]


def test_examples_are_few() -> None:
    day = LoggedEngine()
    for number in range(25):
        day.admit(order(f"A-{number}", quantity=1), actor().received_at_ns)
    fields = what_if(day.records, terms("desk-alpha", 0))
    assert fields["newly_refused"]["count"] == 25
    assert len(fields["newly_refused"]["examples"]) == 20
