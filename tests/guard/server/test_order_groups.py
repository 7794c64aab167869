"""Orders that stand or fall together, at the door: one record, one answer, and nothing beside."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.config.clients import ClientTerms
from guard.engine.order_group import SINCE_RULES
from guard.protocol.messages import AllOrNoneAnswer
from guard.server.permits import Permit
from guard_limits_support import WAIVED, limits_config
from guard_support import dev_config
from request_path_support import Guard, mark, order

CONFIG = dev_config()


def together(*orders: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "all_or_none", "orders": list(orders), **more}


def fill(name: str, fill_id: str, lots: int) -> dict[str, Any]:
    return {
        "type": "fill", "desk": "desk-alpha", "client_order_id": name, "fill_id": fill_id,
        "quantity": lots, "fee_microcents": 0,
    }  # fmt: skip


def permitted(guard: Guard, body: Any, permit: Permit) -> Any:
    answer = guard.path.answer(json.dumps(body).encode(), 1, permit)
    assert isinstance(answer, bytes)
    return json.loads(answer)


def terms(**changes: Any) -> Permit:
    fields: dict[str, Any] = {
        "name": "c", "person": "c", "public_key": None, "user": 7, "desks": None,
        "may": frozenset({"orders"}),
    }  # fmt: skip
    return Permit(ClientTerms(**fields | changes))


def events(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["data"].get("event", "order") for line in lines]


def test_one_record_and_one_answer_with_that_of_each(tmp_path: Path) -> None:
    guard = Guard(tmp_path, CONFIG)
    at = guard.engine.next_sequence
    answer = guard.ask(together(order("A-1"), order("A-2", side="sell"), request_id=7))
    assert {name: value for name, value in answer.items() if name != "answers"} == {
        "type": "all_or_none", "desk": "desk-alpha", "wal_sequence": at, "admitted": True,
        "repeat": False, "request_id": 7,
    }  # fmt: skip
    assert [(each["type"], each["client_order_id"], each["wal_sequence"]) for each in
            answer["answers"]] == [("admit", "A-1", at), ("admit", "A-2", at)]  # fmt: skip
    assert [each["reservation_id"] for each in answer["answers"]] == [1, 2]
    assert all(each["received_at_ns"] == guard.now_ns for each in answer["answers"])
    assert guard.engine.next_sequence == at + 1
    assert guard.path.decided_counters()["requests"] == 2
    again = guard.ask(together(order("A-1"), order("A-2", side="sell")))
    assert again["repeat"] is True
    assert [each["repeat"] for each in again["answers"]] == [True, True]
    assert guard.engine.next_sequence == at + 1
    # Each is an order like any other.
    assert guard.ask(order("A-2", side="sell"))["repeat"] is True
    assert guard.ask(fill("A-1", "F-1", 1))["open_quantity"] == 0
    status = {"type": "status", "desk": "desk-alpha", "client_order_id": "A-2"}
    assert guard.ask(status)["state"] == "open"
    assert guard.ask({**status, "type": "cancel"})["released_microcents"] > 0
    assert events(guard.end())[at - 1 :] == ["all_or_none", "fill", "release"]


def test_a_refused_one_leaves_what_rejects_leave(tmp_path: Path) -> None:
    guard = Guard(tmp_path, CONFIG)
    at = guard.engine.next_sequence
    before = guard.path.decided_counters()
    answer = guard.ask(together(order("A-1"), order("A-2", quantity=10**6), order("A-3")))
    assert (answer["admitted"], answer["refused_index"], answer["wal_sequence"]) == (False, 1, at)
    assert [each["reason"] for each in answer["answers"]] == [
        "all_or_none_refused", "exposure_limit_exceeded", "all_or_none_refused",
    ]  # fmt: skip
    assert answer["answers"][0]["detail"] == {"refused_index": 1}
    counters = guard.path.decided_counters()
    changed = {name for name in counters if counters[name] != before[name]}
    assert changed == {"messages", "requests", "rejects", "records", "remembered_orders"}
    assert counters["rejects"] == 3
    assert counters["open_holds"] == 0
    again = guard.ask(together(order("A-1"), order("A-2", quantity=10**6), order("A-3")))
    assert (again["repeat"], again["refused_index"], again["wal_sequence"]) == (True, 1, at)
    guard.end()


def test_both_encodings_say_the_same(tmp_path: Path) -> None:
    guard = Guard(tmp_path, CONFIG)
    body = together(order("A-1"), order("A-2", quantity=10**6), request_id="r")
    told = guard.path.answer(msgspec.msgpack.encode(body), 1)
    assert isinstance(told, bytes)
    packed = msgspec.msgpack.decode(told)
    listed = guard.ask(body)
    assert packed.pop("repeat") is False
    assert listed.pop("repeat") is True
    for each in (*packed["answers"], *listed["answers"]):
        del each["repeat"]
    assert packed == listed
    assert msgspec.msgpack.decode(told, type=AllOrNoneAnswer).refused_index == 1
    guard.end()


def test_what_is_malformed_is_no_record(tmp_path: Path) -> None:
    guard = Guard(tmp_path, CONFIG)
    at = guard.engine.next_sequence
    answer = guard.ask(together(order("A-1"), order("A-1"), request_id=3))
    assert (answer["type"], answer["code"], answer["request_id"]) == ("error", "invalid_field", 3)
    assert guard.path.decided_counters()["request_errors"] == 1
    assert guard.engine.next_sequence == at
    guard.end()


def test_rules_before_version_3_do_not_know_it(tmp_path: Path) -> None:
    guard = Guard(tmp_path, CONFIG, rules_version=2)
    answer = guard.ask(together(order("A-1"), request_id=3))
    assert (answer["code"], answer["field"], answer["request_id"]) == ("unknown_type", "type", 3)
    assert answer["message"].endswith(f"since version {SINCE_RULES} of the rules")
    assert guard.ask(order("A-1"))["type"] == "admit"
    guard.end()


def test_a_disk_that_takes_no_orders_takes_none_of_them(tmp_path: Path) -> None:
    guard = Guard(tmp_path, CONFIG)
    guard.ask(together(order("A-1"), order("A-2")))
    at = guard.engine.next_sequence
    guard.path.refused = 1
    answer = guard.ask(together(order("B-1"), order("B-2"), request_id=1))
    assert (answer["code"], answer["request_id"]) == ("disk_full", 1)
    assert guard.ask(together(order("A-1"), order("A-2")))["repeat"] is True
    guard.path.refused = 0
    assert guard.engine.next_sequence == at
    assert guard.ask(together(order("B-1"), order("B-2")))["admitted"] is True
    guard.end()


@pytest.mark.parametrize("changes", [{"desks": frozenset({"desk-beta"})}, {"may": frozenset()}])
def test_who_may_not_send_the_orders_may_not_send_them_together(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    guard = Guard(tmp_path, CONFIG)
    at = guard.engine.next_sequence
    answer = permitted(guard, together(order("A-1"), request_id=1), terms(**changes))
    assert (answer["code"], answer["request_id"]) == ("not_permitted", 1)
    assert guard.path.take_denied()
    assert guard.engine.next_sequence == at
    guard.end()


def test_each_counts_in_its_client_s_rate_and_in_what_is_under_way(tmp_path: Path) -> None:
    guard = Guard(tmp_path, CONFIG)
    by_rate, by_way = terms(orders_per_s=3), terms(in_flight_max=3)
    for permit, code in ((by_rate, "a"), (by_way, "b")):
        two = together(order(f"{code}-1"), order(f"{code}-2"))
        assert permitted(guard, two, permit)["admitted"] is True
        beyond = together(order(f"{code}-3"), order(f"{code}-4"))
        assert permitted(guard, beyond, permit)["code"] == "rate_exceeded"
        # What was not taken is not counted: one more is at the limit.
        assert permitted(guard, order(f"{code}-5"), permit)["type"] == "admit"
        assert permitted(guard, order(f"{code}-6"), permit)["code"] == "rate_exceeded"
    assert by_way.under_way == 3
    guard.end()


def test_marks_are_said_by_each_and_prices_recorded_before_all(tmp_path: Path) -> None:
    text = f'{WAIVED}revalue_bps = 0\n[limits.desk.desk-alpha]\nexposure_gross_max = "9999999"\n'
    guard = Guard(tmp_path, limits_config(text))
    guard.ask(mark(19_000))
    at = guard.engine.next_sequence
    answer = guard.ask(together(order("A-1"), order("A-2")))
    assert answer["wal_sequence"] == at + 1
    lines = guard.end()
    assert events(lines)[at - 1 :] == ["revalued", "all_or_none"]
    parts = json.loads(lines[-1])["data"]["records"]
    assert [part["metadata"]["mark_price"] for part in parts] == [19_000, 19_000]


def test_fills_that_came_before_their_orders_are_the_next_records(tmp_path: Path) -> None:
    guard = Guard(tmp_path, CONFIG)
    guard.ask(fill("A-1", "F-1", 1), fill("A-2", "F-2", 1), fill("A-3", "F-3", 1))
    at = guard.engine.next_sequence
    refused = guard.ask(together(order("A-1"), order("A-9", quantity=10**6)))
    assert refused["admitted"] is False
    assert guard.engine.next_sequence == at + 1
    answer = guard.ask(together(order("A-2", quantity=2), order("A-3", quantity=2)))
    assert answer["admitted"] is True
    assert events(guard.end())[at - 1 :] == ["all_or_none", "all_or_none", "fill", "fill"]


def test_a_canceled_one_is_refused_and_the_others_with_it(tmp_path: Path) -> None:
    guard = Guard(tmp_path, CONFIG)
    early = {"type": "cancel", "desk": "desk-alpha", "client_order_id": "A-2"}
    assert guard.ask(early)["flags"] == ["early"]
    answer = guard.ask(together(order("A-1"), order("A-2")))
    assert [each["reason"] for each in answer["answers"]] == [
        "all_or_none_refused", "canceled_before_arrival",
    ]  # fmt: skip
    guard.end()
