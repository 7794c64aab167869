"""An order's explanation: exact on the golden day, and never at odds with what was decided."""

from typing import Any

import pytest
from hypothesis import given, settings

from audit_support import IDS, STEPS, audited, live
from cancel_all_support import cancel_all
from guard.audit import explain
from guard.audit.audit import AmbiguousOrderError, Audit, UnknownOrderError
from guard.engine.events import HoldFreed
from guard.protocol.messages import Reduce
from guard_day_support import trading_day
from guard_support import (
    ALPHA_BUDGET,
    ALPHA_CAP,
    DEV_POLICY_DIGEST_HEX,
    ORDER_NOTIONAL,
    T0,
    LoggedEngine,
    actor,
    cancel,
    dev_config,
    fill,
    order,
)
from replace_support import rejected, replace

DAY = trading_day().records


def explained(client_order_id: str, desk: str | None = None) -> list[dict[str, Any]]:
    explanations: list[dict[str, Any]] = audited(DAY, Audit(client_order_id, desk))["explanations"]
    return explanations


def test_a_substituted_order_venue_by_venue() -> None:
    (account,) = explained("A-2")
    assert account["summary"] == "admitted to venue 10 instead of 20: alternative_maximizes_utility"
    assert (account["sequence"], account["segment"]) == (9, "00000001.jsonl")
    assert account["request"]["venue"] == 20
    assert account["request"]["sent_at_ns"] == T0 - 1
    assert account["answer"]["reservation_id"] == 2
    assert account["notional_microcents"] == ORDER_NOTIONAL
    assert account["policy"]["digest_hex"] == DEV_POLICY_DIGEST_HEX
    assert account["kernel"]["decision"]["counterfactual_model_id"] == 20
    assert account["kernel"]["decision"]["action"] == "substitute"
    assert account["kernel"]["venues"][0] == {
        "model_index": 0, "status": "eligible", "gate": None, "measured": None, "limit": None,
        "cost_microunits": 14_001, "quality_adjusted_microunits": 1_692_900_000_000,
        "risk_penalty_microunits": 15_200_000_000, "latency_penalty_microunits": 168,
        "utility_microunits": 1_677_699_985_831, "venue": 10, "is_requested": False,
        "is_chosen": True, "is_counterfactual": False,
    }  # fmt: skip
    assert [venue["is_requested"] for venue in account["kernel"]["venues"]] == [False, True, False]
    line = {"granted_microcents": ALPHA_BUDGET, "spent_microcents": 0}
    assert account["ledger"] == {
        "cap_microcents": ALPHA_CAP,
        "before": line
        | {
            "remaining_microcents": ALPHA_BUDGET - ORDER_NOTIONAL,
            "held_microcents": ORDER_NOTIONAL,
        },
        "after": line
        | {
            "remaining_microcents": ALPHA_BUDGET - 2 * ORDER_NOTIONAL,
            "held_microcents": 2 * ORDER_NOTIONAL,
        },
    }
    assert [(event["sequence"], event["event"]) for event in account["following"]] == [
        (20, "fill"),
        (21, "fill"),
    ]


def test_a_hard_limit_leaves_no_venue() -> None:
    (account,) = explained("A-3")
    assert account["summary"] == "rejected at the kernel: risk_hard_limit"
    assert account["kernel"]["venues"] == []
    assert account["kernel"]["hard_limits"][0] == {
        "limit": "hard_risk_limit_bps", "measured": 9_600, "limit_bps": 9_600,
        "allowed": "below 9600",
        "passed": False,
    }  # fmt: skip
    assert account["kernel"]["hard_limits"][1]["passed"]
    assert account["ledger"]["before"] == account["ledger"]["after"]


def test_an_order_before_the_kernel_and_of_no_desk() -> None:
    (account,) = explained("A-5")
    assert account["summary"] == "rejected at the order: unknown_desk"
    assert account["kernel"] is None
    assert account["ledger"] is None
    assert account["halts"] == {
        "entries": None, "desk": None, "desk_unpaid_fees_microcents": 0, "desk_stopped": None,
        "firm_stopped": False, "symbol_stopped": False,
    }  # fmt: skip


def test_halts_are_told() -> None:
    (halted,) = explained("A-10")
    assert halted["halts"]["desk"] is True
    assert halted["halts"]["desk_unpaid_fees_microcents"] > 0
    (low,) = explained("A-12")
    assert low["halts"]["entries"] == {"reason": "disk_low", "free_bytes": 7, "reserve_bytes": 8}


def test_a_reused_id_is_a_second_account_and_what_follows_stays_with_the_first() -> None:
    first, second = explained("A-1", "desk-alpha")
    assert second["summary"] == "rejected at the order: client_order_id_reused"
    assert second["following"] == []
    assert [event["event"] for event in first["following"]] == ["fill", "fill", "release", "fill"]
    assert first["following"][-1]["answer"]["flags"] == ["late"]


def test_fills_of_an_order_that_the_log_never_saw() -> None:
    (account,) = explained("X-1")
    assert account["sequence"] is None
    assert account["following"][0]["answer"]["flags"] == ["unknown", "uncharged"]


def test_a_hold_that_a_person_freed_is_told() -> None:
    day = LoggedEngine()
    day.admit(order())
    who = actor(T0 + 5, day.engine.next_sequence)
    freed = {"desk": "desk-alpha", "released_microcents": ORDER_NOTIONAL}
    day.log(who.event(HoldFreed, client_order_id="A-1", **freed))
    document = audited(day.records, Audit("A-1"))
    (account,) = document["explanations"]
    (event,) = account["following"]
    assert (event["event"], event["answer"]) == (
        "hold_freed",
        {"released_microcents": ORDER_NOTIONAL},
    )
    assert (event["request"]["by"], event["request"]["why"]) == ("tester", "a test")
    rows = document["exposure"]["desks"]["desk-alpha"]["rows"]
    assert [row[1:4] for row in rows] == [[ORDER_NOTIONAL, ORDER_NOTIONAL, 0]]


def test_the_record_that_ended_many_is_told_of_each() -> None:
    day = LoggedEngine()
    day.admit(order())
    day.admit(order("A-2"))
    day.admit(order("B-1", desk="desk-beta"))
    cancel_all(day, of_desk="desk-alpha")
    document = audited(day.records, Audit("A-1"))
    (account,) = document["explanations"]
    (event,) = account["following"]
    assert (event["event"], event["sequence"]) == ("cancel_all", 11)
    assert event["request"]["of_desk"] == "desk-alpha"
    assert event["answer"] == {"released_microcents": ORDER_NOTIONAL}
    rows = document["exposure"]["desks"]["desk-alpha"]["rows"]
    assert rows[-1][3] == 0


def test_a_reduction_is_told_and_counted() -> None:
    day = LoggedEngine()
    day.admit(order())
    day.submit(Reduce("desk-alpha", "A-1", "R-1", 30))
    document = audited(day.records, Audit("A-1"))
    (account,) = document["explanations"]
    (event,) = account["following"]
    assert (event["event"], event["request"]["reduce_id"]) == ("reduce", "R-1")
    assert event["answer"]["released_microcents"] == ORDER_NOTIONAL * 30 // 100
    assert document["executions"]["reductions"] == 1
    rows = document["exposure"]["desks"]["desk-alpha"]["rows"]
    assert rows[-1][3] == ORDER_NOTIONAL * 70 // 100


def test_a_replace_is_an_order_that_says_whose_place_it_takes() -> None:
    day = LoggedEngine()
    day.admit(order())
    day.admit(replace(quantity=150))
    day.submit(rejected())
    day.reject(replace("B-2", quantity=10**6))
    document = audited(day.records, Audit("B-1"))
    (account,) = document["explanations"]
    assert (account["replaces"], account["request"]["symbol"]) == ("A-1", "AAPL")
    assert account["quantity_that_fits"] is None
    (event,) = account["following"]
    assert (event["event"], event["answer"]["type"]) == ("replace_rejected", "replace_settled")
    counted = document["executions"]
    assert (counted["replaced"], counted["replace_rejected"]) == (0, 1)
    rows = document["exposure"]["desks"]["desk-alpha"]["rows"]
    assert rows[-1][3] == ORDER_NOTIONAL
    (account,) = audited(day.records, Audit("B-2"))["explanations"]
    assert account["sentence"].startswith("Rejected: beyond what A-1 holds already, its ")


def test_an_unknown_id() -> None:
    with pytest.raises(UnknownOrderError, match=r"the log holds no client order id 'Z-9'$"):
        explained("Z-9")
    with pytest.raises(UnknownOrderError, match=r"'A-1' of desk 'desk-beta'$"):
        explained("A-1", "desk-beta")


def test_an_id_of_several_desks_lists_them() -> None:
    day = LoggedEngine()
    day.admit(order("A-1"))
    day.admit(order("A-1", desk="desk-beta"))
    day.submit(fill(desk="desk-beta"))
    with pytest.raises(AmbiguousOrderError, match=r"desk-alpha \(record 8\), desk-beta \(record 9"):
        audited(day.records, Audit("A-1"))
    (account,) = audited(day.records, Audit("A-1", "desk-beta"))["explanations"]
    assert account["sequence"] == 9
    assert len(account["following"]) == 1


def test_accounts_and_what_follows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "EXPLANATIONS_MAX", 2)
    monkeypatch.setattr(explain, "FOLLOWING_MAX", 1)
    day = LoggedEngine()
    day.admit(order())
    for quantity in (1, 2, 3):
        day.reject(order(quantity=quantity))
        day.submit(fill(f"F-{quantity}", quantity))
    document = audited(day.records, Audit("A-1"))
    assert len(document["explanations"]) == 2
    assert document["explanations_left_out"] == 2
    assert len(document["explanations"][0]["following"]) == 1
    assert document["explanations"][0]["following_left_out"] == 2


def test_what_follows_an_order_left_out_is_not_told_of_an_earlier_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explain, "EXPLANATIONS_MAX", 1)
    day = LoggedEngine(dev_config(remembered_order_window_s=1))
    first = day.admit(order())
    day.submit(cancel())
    day.now_ns += 10**10  # the id is forgotten, and an order may have it anew
    second = day.admit(order(sent_at_ns=day.now_ns))
    assert second.reservation_id != first.reservation_id
    day.submit(fill())
    assert day.reject(order(quantity=2, sent_at_ns=day.now_ns)).reason == "client_order_id_reused"
    day.submit(cancel())
    document = audited(day.records, Audit("A-1"))
    (account,) = document["explanations"]
    assert account["answer"]["reservation_id"] == first.reservation_id
    assert [event["event"] for event in account["following"]] == ["release"]
    assert account["following_left_out"] == 0
    # The second order, its fill, the reused id, its cancel.
    assert document["explanations_left_out"] == 4


def test_accounts_of_what_the_log_never_saw_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "EXPLANATIONS_MAX", 2)
    day = LoggedEngine()
    for number in range(5):
        day.submit(fill(desk=f"stranger-{number}"))
    explainer = explain.OrderExplainer("A-1")

    class Telling:
        def observe(self, entry: Any, decided: Any, state: Any) -> None:
            explainer.observe(entry, decided, state)

        def document(self, report: Any) -> dict[str, Any]:
            return {}

    audited(day.records, Telling())  # type: ignore[arg-type]
    assert list(explainer.desks()) == ["stranger-0", "stranger-1"]
    assert explainer.left_out == 3


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_an_account_agrees_with_the_answer(steps: list[Any]) -> None:
    day = live(steps)
    for client_order_id in IDS[:3]:
        try:
            accounts = audited(day.records, Audit(client_order_id, "desk-alpha"))["explanations"]
        except UnknownOrderError:
            continue
        for account in accounts:
            if account["sequence"] is not None:
                _check_account(account)


def _check_account(account: dict[str, Any]) -> None:
    answer, kernel = account["answer"], account["kernel"]
    assert account["answer"]["wal_sequence"] == account["sequence"]
    for when in ("before", "after"):
        line = account["ledger"][when]
        parts = line["remaining_microcents"] + line["held_microcents"] + line["spent_microcents"]
        assert parts == line["granted_microcents"]
    if answer["type"] == "admit":
        (chosen,) = [venue for venue in kernel["venues"] if venue["is_chosen"]]
        assert chosen["venue"] == answer["venue"]
        assert chosen["cost_microunits"] == answer["fee_microcents"]
        best = max(v["utility_microunits"] for v in kernel["venues"] if v["status"] == "eligible")
        assert chosen["utility_microunits"] == best
    if kernel is not None and all(limit["passed"] for limit in kernel["hard_limits"]):
        stopped: dict[str, int] = {}
        for venue in kernel["venues"]:
            if venue["gate"] is not None:
                stopped[venue["gate"]] = stopped.get(venue["gate"], 0) + 1
        assert {gate: n for gate, n in kernel["gates"].items() if n} == stopped
