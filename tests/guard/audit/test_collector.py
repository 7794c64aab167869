"""The collector: what it counts is what a plain reading of the records counts."""

import json
from collections import Counter
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from msgspec import structs

from audit_support import STEPS, audited, live
from form_support import played
from guard.audit import answers, collector, day_counts
from guard.audit.answers import OTHER_NAMES
from guard.audit.audit import Audit
from guard.audit.day_counts import LATENCY_SHOWN_NS_MAX
from guard.config.activation import find_differences
from guard.engine.apply_event import build_policy
from guard.engine.events import DeskResumed, PolicyActivated
from guard_day_support import trading_day
from guard_support import ALPHA_BUDGET, T0, LoggedEngine, actor, cancel, dev_config, fill, order


def _events(records: list[bytes]) -> list[dict[str, Any]]:
    events = []
    for data in records:
        record = json.loads(data)
        events.append(record.get("metadata", record))
    return events


@settings(max_examples=played(40), deadline=None)
@given(STEPS)
def test_the_counts_are_those_of_a_plain_reading(steps: list[Any]) -> None:
    day = live(steps)
    document = audited(day.records)
    events = _events(day.records)
    orders = [event for event in events if event["event"] in ("order", "order_refused")]
    admits = [event for event in orders if event["answer"]["type"] == "admit"]
    rejects = [event for event in orders if event["answer"]["type"] == "reject"]
    answers = document["answers"]
    assert (answers["admitted"], answers["rejected"]) == (len(admits), len(rejects))
    stages = Counter(event["answer"]["stage"] for event in rejects)
    assert {k: v for k, v in answers["rejected_by_stage"].items() if v} == stages
    assert {line["reason"]: line["count"] for line in answers["by_reason"]} == Counter(
        event["answer"]["reason"] for event in orders
    )
    for key, of in (
        ("by_desk", lambda one: one["desk"]),
        ("by_symbol", lambda one: one["symbol"]),
        ("by_venue", lambda one: str(one["venue"])),
    ):
        table = document[key]
        for name, counts in table.items():
            mine = [event for event in orders if of(event["order"]) == name]
            taken = [event for event in mine if event["answer"]["type"] == "admit"]
            assert (counts["admitted"], counts["rejected"]) == (len(taken), len(mine) - len(taken))
            assert counts["reasons"] == Counter(event["answer"]["reason"] for event in mine)
            notional = sum(event["answer"]["notional_microcents"] for event in taken)
            assert counts["admitted_notional_microcents"] == notional
            assert counts["substituted"] == sum(e["answer"]["substituted"] for e in taken)
        assert sum(counts["admitted"] for counts in table.values()) == len(admits)
    for name, counts in document["by_venue"].items():
        to = [event["answer"] for event in admits if str(event["answer"]["venue"]) == name]
        assert counts["admitted_to"] == len(to)
        assert counts["fees_microcents"] == sum(answer["fee_microcents"] for answer in to)
    fills = [event for event in events if event["event"] == "fill"]
    executions = document["executions"]
    assert executions["fill_flags"] == Counter(f for e in fills for f in e["answer"]["flags"])
    fills = [event for event in fills if "early" not in event["answer"]["flags"]]
    assert executions["fills"] == len(fills)
    assert executions["fees_microcents"] == sum(e["answer"]["fee_microcents"] for e in fills)
    assert executions["cancels"] == sum(event["event"] == "release" for event in events)
    _check_times(document, events, orders)
    _check_exposure(document, day)


def _check_times(
    document: dict[str, Any], events: list[dict[str, Any]], orders: list[dict[str, Any]]
) -> None:
    rows = document["timeline"]["rows"]
    assert document["timeline"]["columns"] == [
        "start_ns", "admitted", "rejected_order", "rejected_kernel", "rejected_ledger", "fills",
        "cancels",
    ]  # fmt: skip
    width_ns = document["timeline"]["bucket_width_ns"]
    for row in rows:
        mine = [e for e in orders if e["received_at_ns"] // width_ns * width_ns == row[0]]
        assert row[1] == sum(event["answer"]["type"] == "admit" for event in mine)
        assert sum(row[1:5]) == len(mine)
    assert sum(sum(row[1:5]) for row in rows) == len(orders)
    sent = [event for event in orders if event["order"]["sent_at_ns"] is not None]
    lags = [
        e["received_at_ns"] - e["order"]["sent_at_ns"]
        for e in sent
        if e["answer"]["reason"] != "stale_order"
    ]
    latency = document["latency"]
    assert latency["clock_skew"] == sum(lag < 0 for lag in lags)
    assert latency["orders"]["count"] == sum(0 <= lag <= LATENCY_SHOWN_NS_MAX for lag in lags)
    assert latency["orders"]["count"] + latency["clock_skew"] + latency["too_old"] == len(sent)
    batches = Counter(event["batch_first_sequence"] for event in events)
    assert document["batches"]["count"] == len(batches)
    assert document["batches"]["max_records"] == max(batches.values())


def _check_exposure(document: dict[str, Any], day: LoggedEngine) -> None:
    state = day.state
    for line in document["ledger"]["desks"]:
        desk = line["desk"]
        assert line["balanced"]
        assert line["granted_microcents"] == state.ledger.initial_microcents(desk)
        assert line["held_microcents"] == state.ledger.reserved_microcents(desk)
        parts = line["remaining_microcents"] + line["held_microcents"] + line["spent_microcents"]
        assert parts == line["granted_microcents"]
        assert line["halted"] == state.desks[desk].is_halted
        rows = document["exposure"]["desks"][desk]["rows"]
        assert rows[-1][3] == line["held_microcents"]
        assert rows[-1][4] == line["spent_microcents"]
        assert rows[-1][5] == line["granted_microcents"]
        peak = document["exposure"]["desks"][desk]["held_peak_microcents"]
        assert peak == max(row[1] for row in rows)
        for before, after in pairwise(rows):
            assert after[1] >= before[3]
            assert after[2] >= before[3] + before[4]
    assert document["ledger"]["open_holds"] == state.ledger.active_reservations


def test_the_golden_day() -> None:
    document = audited(trading_day().records)
    assert document["range"] == {
        "first_sequence": 1, "last_sequence": document["records"],
        "first_received_at_ns": T0, "last_received_at_ns": T0 + 7,
        "records": document["records"],
    }  # fmt: skip
    answers = document["answers"]
    assert (answers["admitted"], answers["rejected"]) == (4, 10)
    assert answers["rejected_by_stage"] == {"order": 6, "kernel": 2, "ledger": 2}
    assert document["by_venue"]["10"]["admitted_to"] == 4
    assert document["by_venue"]["10"]["fees_microcents"] == 876_003
    assert document["by_desk"]["nobody"]["reasons"] == {"unknown_desk": 1}
    assert document["executions"] == {
        "fills": 7,
        "fill_flags": {"late": 2, "overfill": 1, "refused": 1, "uncharged": 2, "unknown": 2},
        "fees_microcents": 400_000_000_024_997,
        "rebates_microcents": 3,
        "unpaid_fees_microcents": 200_000_000_015_000,
        "uncharged_fees_microcents": 10_000,
        "charged_later_microcents": 0,
        "returned_microcents": 0,
        "collected_microcents": 0,
        "busted_fills": 0,
        "corrected_fills": 0,
        "cancels": 1,
        "reductions": 0,
        "replaced": 0,
        "replace_rejected": 0,
        "executions": 0,
        "execution_flags": {},
    }
    alpha = document["exposure"]["desks"]["desk-alpha"]
    assert (alpha["held_peak_microcents"], alpha["held_peak_sequence"]) == (3_800_000_000_000, 9)
    (policy,) = document["policies"]
    assert (policy["from_sequence"], policy["decisions"]) == (3, 10)
    assert policy["content"]["model_count"] == 3
    named = [(event["sequence"], event["event"]) for event in document["administrative"]]
    assert (26, "desk_halted") in named
    assert {"session_closed", "session_started", "halt", "resume", "checkpoint"} <= {
        name for _, name in named
    }
    started = next(e for e in document["administrative"] if e["event"] == "session_started")
    assert started["fields"]["cuts"][0]["bytes_cut"] == 512
    # As JSON it is the same again, and it is JSON that anything reads.
    assert json.loads(json.dumps(document)) == document


def test_names_of_strangers_are_bounded_and_ours_are_not(monkeypatch: Any) -> None:
    monkeypatch.setattr(answers, "NAMES_MAX", 3)
    day = LoggedEngine()
    for number in range(9):
        day.reject(order(f"A-{number}", desk=f"stranger-{number}", venue=1_000 + number))
    day.admit(order("B-1"))
    desks = audited(day.records)["by_desk"]
    assert desks[OTHER_NAMES]["rejected"] == 6
    assert desks["desk-alpha"]["admitted"] == 1
    assert len(desks) == 5


def test_administrative_events_are_bounded_and_the_first_and_last_stay(monkeypatch: Any) -> None:
    monkeypatch.setattr(collector, "ADMINISTRATIVE_FIRST_MAX", 7)
    monkeypatch.setattr(collector, "ADMINISTRATIVE_LAST_MAX", 2)
    day = LoggedEngine()
    for _ in range(5):
        day.log(actor().event(DeskResumed, desk="desk-alpha"))
    document = audited(day.records)
    sequences = [event["sequence"] for event in document["administrative"]]
    assert sequences == [1, 2, 3, 4, 5, 6, 7, 11, 12]
    assert document["administrative_left_out"] == 3


def test_fills_for_desks_that_do_not_exist_halt_none_and_displace_nothing() -> None:
    day = LoggedEngine()
    for number in range(2_250):
        day.submit(fill(f"F-{number}", desk="nobody", client_order_id="X"), T0)
    day.admit(order("A-1"))
    for number in range(3):
        day.submit(fill(f"G-{number}", quantity=1, fee=2 * ALPHA_BUDGET), T0)
    day.restart()
    document = audited(day.records)
    halts = [event for event in document["administrative"] if event["event"] == "desk_halted"]
    # Once: the two fees behind it found it halted.
    assert [event["fields"]["desk"] for event in halts] == ["desk-alpha"]
    assert document["administrative_left_out"] == 0
    assert document["administrative"][-1]["event"] == "session_started"
    assert document["executions"]["fill_flags"]["unknown"] == 2_250


def test_a_desk_that_was_resumed_halts_again() -> None:
    day = LoggedEngine()
    day.admit(order("A-1"))
    day.submit(fill("F-1", quantity=1, fee=2 * ALPHA_BUDGET))
    day.log(actor(batch=day.engine.next_sequence).event(DeskResumed, desk="desk-alpha"))
    day.submit(fill("F-2", quantity=1, fee=2 * ALPHA_BUDGET))
    named = [event["event"] for event in audited(day.records)["administrative"]]
    assert named[7:] == ["desk_halted", "desk_resumed", "desk_halted"]


def test_a_fill_that_moves_nothing_is_no_exposure_and_a_bucket_begins_with_what_was_held() -> None:
    held = 5_850_000_000_000
    peaks = []
    for with_fill in (False, True):
        day = LoggedEngine()
        day.admit(order("A-1", quantity=300, price=19_500))
        later_ns = T0 + 50_000_000
        if with_fill:
            day.submit(fill("F-1", client_order_id="X", fee=0), later_ns)
        day.submit(cancel("A-1"), later_ns)
        rows = audited(day.records)["exposure"]["desks"]["desk-alpha"]["rows"]
        peaks.append([row[1:4] for row in rows])
    assert peaks[0] == peaks[1] == [[held, held, held], [held, held, 0]]


def test_a_fill_that_moves_nothing_makes_no_row() -> None:
    day = LoggedEngine()
    day.submit(fill("F-1", client_order_id="X", fee=0), T0 + 10**9)
    day.admit(order("A-1"), T0 + 2 * 10**9)
    rows = audited(day.records)["exposure"]["desks"]["desk-alpha"]["rows"]
    assert [row[0] - T0 for row in rows] == [0, 2 * 10**9]


def test_an_order_without_a_clock_is_no_latency() -> None:
    day = LoggedEngine()
    day.admit(order("A-1", sent_at_ns=T0 - 5))
    day.reject(order("A-2", sent_at_ns=1))  # stale
    day.reject(order("A-3", sent_at_ns=1, desk="nobody"))
    day.submit(fill("F-1", executed_at_ns=1))
    day.submit(fill("F-2", executed_at_ns=T0 - 7))
    latency = audited(day.records)["latency"]
    assert (latency["orders"]["count"], latency["orders"]["mean_ns"]) == (1, 5)
    assert (latency["fills"]["count"], latency["fills"]["max_ns"]) == (1, 7)
    assert (latency["clock_skew"], latency["too_old"]) == (0, 3)


def test_the_age_of_a_stale_order_is_no_latency_in_a_short_window_either() -> None:
    day = LoggedEngine(dev_config(remembered_order_window_s=60))
    day.reject(order("A-1", sent_at_ns=T0 - 61 * 10**9))
    latency = audited(day.records)["latency"]
    assert (latency["orders"]["count"], latency["too_old"]) == (0, 1)


def test_a_clock_set_back_stays_at_the_latest_time() -> None:
    day = LoggedEngine()
    day.admit(order("A-1"), T0 + 10**9)
    day.admit(order("A-2"), T0 - 10**15)
    document = audited(day.records)
    assert [row[1] for row in document["timeline"]["rows"]] == [2]
    assert document["range"]["last_received_at_ns"] == T0 + 10**9


def test_a_range_begins_with_what_is_in_force() -> None:
    """Told only of later records, it still knows the policy and every desk's line."""
    audit, whole = Audit(), Audit()
    seen = []

    class Late:
        def observe(self, entry: Any, decided: Any, state: Any) -> None:
            whole.observe(entry, decided, state)
            if entry.sequence >= 20:
                seen.append(entry.sequence)
                audit.observe(entry, decided, state)

        def document(self, report: Any) -> dict[str, Any]:
            return audit.document(report)

    document = audited(trading_day().records, Late())  # type: ignore[arg-type]
    assert document["range"]["first_sequence"] == 20
    assert document["range"]["records"] == len(seen)
    (policy,) = document["policies"]
    assert policy["from_sequence"] is None
    assert policy["content"]["model_count"] == 3
    assert set(document["exposure"]["desks"]) == {"desk-alpha", "desk-beta", "desk-gamma"}
    # What was held when the range began no record of it has reached; beta's order is record 25.
    alpha, beta = (document["exposure"]["desks"][f"desk-{name}"] for name in ("alpha", "beta"))
    assert (alpha["held_peak_microcents"] > 0, alpha["held_peak_sequence"]) == (True, None)
    assert beta["held_peak_sequence"] == 25


def test_a_range_that_begins_with_a_policy_lists_it_once() -> None:
    day = LoggedEngine()
    config = dev_config(("policy_epoch = 7", "policy_epoch = 8"))
    (difference,) = find_differences(day.state, config, actor(T0))
    assert difference.event is not None
    day.log(difference.event)
    sequence = len(day.records)
    day.admit(order("A-1"))
    audit = Audit()

    class Late:
        def observe(self, entry: Any, decided: Any, state: Any) -> None:
            if entry.sequence >= sequence:
                audit.observe(entry, decided, state)

        def document(self, report: Any) -> dict[str, Any]:
            return audit.document(report)

    document = audited(day.records, Late())  # type: ignore[arg-type]
    (policy,) = document["policies"]
    assert (policy["from_sequence"], policy["decisions"]) == (sequence, 1)
    assert policy["content"]["policy_epoch"] == 8


def test_counting_in_bulk_counts_the_same_however_small_the_bulk(monkeypatch: Any) -> None:
    document = audited(trading_day().records)
    monkeypatch.setattr(day_counts, "ALIKE_MAX", 1)
    assert audited(trading_day().records) == document


def test_policies_are_bounded_and_the_last_ones_stay(monkeypatch: Any) -> None:
    monkeypatch.setattr(collector, "POLICIES_MAX", 2)
    monkeypatch.setattr(collector, "POLICY_VENUES_MAX", 2)
    day = LoggedEngine()
    config = dev_config()
    for epoch in (8, 9):
        content = structs.replace(config.policy, policy_epoch=epoch)
        digest_hex = build_policy(content).digest.hex()
        event = actor(batch=day.engine.next_sequence).event(
            PolicyActivated, policy=content, policy_digest_hex=digest_hex
        )
        day.log(event)
        day.admit(order(f"A-{epoch}"))
    document = audited(day.records)
    assert document["policies_left_out"] == 1
    assert [
        (period["content"]["policy_epoch"], period["from_sequence"], period["decisions"])
        for period in document["policies"]
    ] == [(8, 8, 1), (9, 10, 1)]
    assert document["policies"][1]["content"]["models"] == []
    assert document["policies"][1]["content"]["model_count"] == 3
