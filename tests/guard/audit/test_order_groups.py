"""Orders that one record has together: whoever reads a log after the fact sees each of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from audit_support import audited
from guard.audit.audit import Audit
from guard.audit.changes import CHANGES
from guard.audit.claims import read_claim
from guard.audit.export import export_decisions
from guard.audit.overrides import Overrides
from guard.audit.prove import Wanted
from guard.audit.record_lines import Memory, line_of, seen_each
from guard.config.file import DeskTerms
from guard.feed.page import names_in
from guard.observe.tally import Tally
from guard.record.codec import DIALECT
from guard_audit_support import HASHER
from guard_support import (
    ALPHA_BUDGET,
    ORDER_NOTIONAL,
    LoggedEngine,
    cancel,
    dev_config,
    fill,
    order,
    write_log,
)
from order_group_support import together
from wal import ChainHasher, read_entries

pytest.importorskip("calybris")
import calybris
from calybris import _core as wheel


def a_day() -> LoggedEngine:
    engine = LoggedEngine()
    together(engine, order("A-1"), order("A-2", side="sell", quantity=50), order("A-3", venue=20))
    together(engine, order("B-1", quantity=1), order("B-2", risk_bps=9_700), order("B-3"))
    engine.submit(order("C-1"))
    engine.submit(fill("F-1", 100, 5_000))
    engine.submit(cancel("A-3"))
    return engine


ALPHA = "desk-alpha"
DAY = a_day().records
FIRST = next(i for i, data in enumerate(DAY, 1) if data.startswith(b'{"event":"all_or_none"'))


def explained(name: str) -> dict[str, Any]:
    (account,) = audited(DAY, Audit(name, "desk-alpha"))["explanations"]
    found: dict[str, Any] = account
    return found


def test_each_is_explained_with_the_ledger_as_it_found_it() -> None:
    for place, name in enumerate(("A-1", "A-2", "A-3")):
        account = explained(name)
        assert account["sequence"] == FIRST
        assert account["together"] == {
            "orders": 3, "place": place, "refused_index": None, "refused_client_order_id": None,
        }  # fmt: skip
        assert account["sentence"].endswith("; with it 2 other orders of the same record.")
    half = ORDER_NOTIONAL // 2
    assert [explained(name)["ledger"]["before"]["held_microcents"] for name in
            ("A-1", "A-2", "A-3")] == [0, ORDER_NOTIONAL, ORDER_NOTIONAL + half]  # fmt: skip
    after = explained("A-3")["ledger"]["after"]
    assert after["remaining_microcents"] == ALPHA_BUDGET - 2 * ORDER_NOTIONAL - half
    refused = explained("B-2")
    assert refused["kernel"]["input"]["risk_bps"] == 9_700
    assert refused["sentence"].endswith("; because of it 2 other orders.")
    others = explained("B-3")
    assert others["kernel"] is None
    assert others["sentence"] == (
        "Rejected: it stands or falls with 2 other orders, of which B-2 was refused."
    )
    assert others["ledger"]["before"] == others["ledger"]["after"] == refused["ledger"]["before"]
    assert [each["event"] for each in explained("A-1")["following"]] == ["fill"]


def test_the_report_counts_every_order_and_the_record_once() -> None:
    report = audited(DAY, Audit())
    assert report["records"] == len(DAY)
    assert report["events"]["all_or_none"] == 2
    assert report["range"]["records"] == len(DAY)
    reasons = report["reasons"]
    assert reasons["all_or_none_refused"] == 2
    assert reasons["risk_hard_limit"] == 1
    assert sum(reasons.values()) == 7
    assert report["decisions"] == 5  # four admitted, one refused by the kernel


def test_tail_shows_a_line_for_each() -> None:
    memory = Memory()
    lines = []
    for sequence, data in enumerate(DAY, 1):
        for seen in seen_each(sequence, json.loads(data)):
            memory.note(seen)
            lines.append((seen.verdict, seen.order_id, line_of(seen, memory, 300)))
    shown = [each for each in lines if each[0] in ("admit", "reject")]
    assert [(verdict, name) for verdict, name, _ in shown] == [
        ("admit", "A-1"), ("admit", "A-2"), ("admit", "A-3"),
        ("reject", "B-1"), ("reject", "B-2"), ("reject", "B-3"), ("admit", "C-1"),
    ]  # fmt: skip
    assert "another order refused, with which it stands or falls" in shown[3][2]
    assert f"{FIRST} admit" in shown[1][2]


def test_a_feed_of_the_desk_has_the_line_and_no_other_desk_is_named() -> None:
    assert names_in(DAY[FIRST - 1]) == {b"desk-alpha"}


def test_who_watches_counts_each() -> None:
    tally = Tally()
    lines = [b'{"sequence":%d,"data":%b}\n' % (n, data) for n, data in enumerate(DAY, 1)]
    counted = tally.take([*lines, b'{"sequence":99,"data":{"event":"all_or_none","records":[7]}}'])
    assert (tally.records, tally.unreadable) == (len(DAY), 1)
    assert len(counted) == len(DAY) + 4
    admitted = sum(n for (verdict, *_), n in tally.orders.items() if verdict == "admit")
    assert admitted == 4
    assert tally.orders["reject", "order", "all_or_none_refused"] == 2
    assert [json.loads(line)["sequence"] for line in tally.rejects] == [FIRST + 1] * 3


def test_a_proof_of_the_record_is_one_of_each_order() -> None:
    claim = read_claim(DAY[FIRST])
    assert (claim.event, claim.desk, claim.client_order_id) == ("all_or_none", "desk-alpha", None)
    assert [(each.client_order_id, each.answer, each.reason) for each in claim.orders] == [
        ("B-1", "reject", "all_or_none_refused"),
        ("B-2", "reject", "risk_hard_limit"),
        ("B-3", "reject", "all_or_none_refused"),
    ]
    for name, is_there in (("B-1", True), ("B-3", True), ("A-1", False)):
        assert Wanted("desk-alpha", name)._is_of(DAY[FIRST]) is is_there
    assert not Wanted("desk-beta", "B-1")._is_of(DAY[FIRST])
    deep = b'{"event":"all_or_none","desk":"d","records":[' * 400 + b"7" + b"]}" * 400
    assert read_claim(deep).orders == () or read_claim(deep).orders[0].orders == ()


def test_an_export_has_each_decision_and_the_reference_replays_it(tmp_path: Path) -> None:
    write_log(tmp_path / "log", DAY)
    unkeyed = ChainHasher(None)
    (part,) = export_decisions(tmp_path / "log", HASHER, tmp_path / "day.jsonl", unkeyed)
    data = [entry.data for entry in read_entries(part.path, unkeyed, DIALECT)]
    assert [json.loads(each)["metadata"]["order"]["client_order_id"] for each in data] == [
        "A-1", "A-2", "A-3", "B-2", "C-1",
    ]  # fmt: skip
    assert [json.loads(each)["input"]["request_sequence"] for each in data] == [
        *[FIRST] * 3, FIRST + 1, FIRST + 2,
    ]  # fmt: skip
    assert part.policy_path is not None
    content = json.loads(part.policy_path.read_text())["policy"]
    models = [calybris.KernelModel(**model) for model in content.pop("models")]
    policy = calybris.PolicySnapshot(**content, models=models)
    head = wheel.verify_audited_wal(part.path, hmac_key=None)
    assert head == (part.head.sequence, part.head.entry_hash)
    assert len(wheel.replay_verify_audited_wal(part.path, policy, hmac_key=None)) == 5


def what_if(records: list[bytes], overrides: Overrides) -> dict[str, Any]:
    fields: dict[str, Any] = audited(records, Audit(overrides=overrides))["what_if"]
    return fields


def test_the_same_rules_move_nothing() -> None:
    found = what_if(DAY, Overrides())
    assert found["same"] == 7
    assert found["before"] == found["after"] == found["low"] == found["high"]
    assert found["before"]["admitted"] == 4
    assert all(found[name]["count"] == 0 for name in CHANGES)


def test_other_rules_refuse_all_of_them_or_none() -> None:
    """Under a cap for two of three all three are refused, the one for itself."""
    cap = ORDER_NOTIONAL * 2
    found = what_if(DAY, Overrides(desks={ALPHA: DeskTerms(ALPHA, ALPHA_BUDGET, cap)}))
    refused = found["newly_refused"]
    assert refused["count"] == 3
    assert {move["after"]: move["count"] for move in refused["moves"]} == {
        "exposure_limit_exceeded": 1, "all_or_none_refused": 2,
    }  # fmt: skip
    assert (found["before"]["admitted"], found["after"]["admitted"]) == (4, 1)
    assert found["fills_left_out"] == 1
    assert found["desks"][ALPHA]["admitted_after"] == 1


def test_orders_that_a_day_refused_together_live_where_other_rules_let_them() -> None:
    day = LoggedEngine(dev_config(('exposure_cap = "1500000.00"', 'exposure_cap = "30000.00"')))
    assert together(day, order("A-1"), order("A-2")).refused_index == 1
    day.submit(order("B-1", quantity=1))
    found = what_if(day.records, Overrides(desks={ALPHA: DeskTerms(ALPHA, ALPHA_BUDGET, None)}))
    assert found["newly_admitted"]["count"] == 2
    assert found["after"]["admitted"] == 3
    assert (found["low"]["admitted"], found["high"]["admitted"]) == (3, 3)
