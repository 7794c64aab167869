"""One record of orders that stand or fall together: its text, and what no guard writes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.engine.engine import Engine
from guard.engine.events import LogOpened, RulesActivated
from guard.engine.order_group import OrderGroup
from guard.engine.request_events import AllOrNoneRecorded
from guard.record.applying import RecordFolder
from guard.record.codec import RecordError, decode_data, encode_event
from guard.record.order_groups import parts_of, read_group
from guard.record.reader import RecordReader
from guard.record.writer import RecordWriter
from guard.recovery.recover import recover_log
from guard.replay.replay import ReplayMismatch, replay_log
from guard_limits_support import WAIVED, limited
from guard_support import KEY, LoggedEngine, describe, order, write_log
from kernel import InvariantError
from order_group_support import together
from wal import GENESIS, ChainHasher

HASHER = ChainHasher(KEY)
SEGMENT = "00000001.jsonl"
Change = Callable[[dict[str, Any]], None]


def a_day(**changes: Any) -> LoggedEngine:
    engine = LoggedEngine()
    together(engine, order("A-1"), order("A-2", side="sell", **changes), order("A-3"))
    return engine


ADMITTED, REFUSED = a_day(), a_day(quantity=10**6)


@pytest.mark.parametrize("day", [ADMITTED, REFUSED], ids=["admitted", "refused"])
def test_the_text_is_that_of_each_order_s_own_record(day: LoggedEngine) -> None:
    data = day.records[-1]
    event = decode_data(data).outcome
    assert isinstance(event, AllOrNoneRecorded)
    assert encode_event(event) == data
    assert json.dumps(json.loads(data), separators=(",", ":")).encode() == data
    group = OrderGroup()
    read_group(RecordReader(), event, group)
    assert group.is_admitted is (day is ADMITTED)
    events = [RecordWriter().event(request, outcome) for request, outcome in group.pairs]
    assert all(event in part for event, part in zip(events, parts_of(data), strict=True))
    parts = parts_of(data)
    orders: list[Any] = [decode_data(part).outcome for part in parts]
    assert [each.order.client_order_id for each in orders] == ["A-1", "A-2", "A-3"]
    assert parts_of(parts[0]) == [parts[0]]
    with pytest.raises(RecordError):
        parts_of(b'{"event":"all_or_none","records":7}')


def test_an_order_that_comes_alone_has_the_text_of_its_part() -> None:
    alone, group = LoggedEngine(), LoggedEngine()
    alone.admit(order("A-1"))
    together(group, order("A-1"))
    assert parts_of(group.records[-1]) == [alone.records[-1]]


def of(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = part.get("metadata", part)
    return found


def put(place: int, name: str, value: Any, inside: str = "") -> Change:
    def change(record: dict[str, Any]) -> None:
        event = of(record["records"][place])
        (event[inside] if inside else event)[name] = value

    return change


def again(record: dict[str, Any]) -> None:
    record["records"].append(record["records"][0])


def too_many(record: dict[str, Any]) -> None:
    record["records"] = record["records"][:1] * 65


def none(record: dict[str, Any]) -> None:
    record["records"] = []


def nested(record: dict[str, Any]) -> None:
    record["records"][1] = {**record, "records": []}


def without_the_kernel(record: dict[str, Any]) -> None:
    record["records"][1] = {**record["records"][1]["metadata"], "event": "order_refused"}


def another_desk(record: dict[str, Any]) -> None:
    record["desk"] = "desk-beta"


def one_admitted(record: dict[str, Any]) -> None:
    record["records"][0] = json.loads(ADMITTED.records[-1])["records"][0]


FORGED: list[tuple[LoggedEngine, Change, str]] = [
    (ADMITTED, again, r"records\[3\]\.order\.client_order_id: 'A-1'"),
    (ADMITTED, too_many, "records: '65 records' .*1 to 64"),
    (ADMITTED, none, "records: '0 records' .*1 to 64"),
    (ADMITTED, nested, r"records\[1\]\.event: 'all_or_none'"),
    (ADMITTED, without_the_kernel, r"records\[1\]\.|no record of this guard"),
    (ADMITTED, another_desk, r"records\[0\]\.order\.desk: 'desk-alpha'"),
    (ADMITTED, put(1, "received_at_ns", 1), r"records\[1\]\.received_at_ns: 1 "),
    (ADMITTED, put(1, "client", "other"), r"records\[1\]\.client: 'other'"),
    (ADMITTED, put(1, "batch_first_sequence", 1), r"records\[1\]\.batch_first_sequence: 1 "),
    (ADMITTED, put(2, "clock_ns", 7), r"records\[2\]\.clock_ns: 7 "),
    (ADMITTED, put(2, "elapsed_ns", 7), r"records\[2\]\.elapsed_ns: 7 "),
    (ADMITTED, put(0, "replaces", "X"), r"records\[0\]\.replaces: 'X'"),
    (ADMITTED, put(0, "wal_sequence", 9, "answer"), r"records\[0\]\.answer\.wal_sequence: 9"),
    (ADMITTED, put(0, "repeat", True, "answer"), r"records\[0\]\.answer\.repeat: true"),
    (ADMITTED, put(0, "currency", "EUR", "order"), "EUR"),
    (REFUSED, one_admitted, r"records\[0\]\.answer\.reason"),
    (REFUSED, put(0, "reason", "disk_low", "answer"), "records: '2 refused for themselves'"),
    (REFUSED, put(1, "reason", "all_or_none_refused", "answer"), "'0 refused for themselves'"),
    (REFUSED, put(0, "detail", {"refused_index": 2}, "answer"), r"records\[0\]\.answer\.detail"),
    (REFUSED, put(2, "detail", {}, "answer"), r"records\[2\]\.answer\.detail"),
]


def forged(day: LoggedEngine, change: Change) -> list[bytes]:
    record = json.loads(day.records[-1])
    change(record)
    data = json.dumps(record, separators=(",", ":")).encode()
    assert data != day.records[-1]
    return [*day.records[:-1], data]


def start(records: list[bytes]) -> Engine:
    """What a start folds."""
    engine = Engine()
    folder = RecordFolder(engine, HASHER.key_id)
    before = GENESIS
    for sequence, data in enumerate(records, 1):
        folder.apply(sequence, folder.read(sequence, data, before))
        before = HASHER.entry_hash(before, data)
    return engine


@pytest.mark.parametrize(("day", "change", "words"), FORGED)
def test_what_no_guard_writes_is_refused_by_a_start_and_a_replay(
    tmp_path: Path, day: LoggedEngine, change: Change, words: str
) -> None:
    records = forged(day, change)
    with pytest.raises((ValueError, InvariantError), match=words):
        start(records)
    write_log(tmp_path, records)
    with pytest.raises(ReplayMismatch, match=words):
        replay_log(tmp_path, HASHER)


@pytest.mark.parametrize(
    ("day", "change"),
    [
        (ADMITTED, put(2, "quantity", 99, "order")),
        (ADMITTED, put(2, "venue", 20, "answer")),
        (ADMITTED, put(2, "reservation_id", 4, "answer")),
        (REFUSED, put(0, "quantity", 99_999, "order")),
        (REFUSED, put(1, "detail", {"asked": 1, "limit": 2, "used": 3}, "answer")),
        (REFUSED, put(1, "reason", "disk_low", "answer")),
    ],
)
def test_what_the_rules_do_not_give_is_refused_by_a_replay(
    tmp_path: Path, day: LoggedEngine, change: Change
) -> None:
    write_log(tmp_path, forged(day, change))
    with pytest.raises(ReplayMismatch):
        replay_log(tmp_path, HASHER)


def test_one_that_is_admitted_where_a_limit_refuses_it_is_refused_by_a_replay(
    tmp_path: Path,
) -> None:
    """The others of it count, also where it is decided again."""
    rates = 'rates = [{ kind = "orders", max = %d, window_ms = 9 }]\n'
    rates = f"{WAIVED}[limits.desk.desk-alpha]\n{rates}"
    two, three = (limited(rates % count) for count in (2, 3))
    told = together(three, order("A-1"), order("A-2"), order("A-3"))
    assert told.refused_index is None
    write_log(tmp_path, [*two.records, three.records[-1]])
    with pytest.raises(ReplayMismatch, match="decided again it differs"):
        replay_log(tmp_path, HASHER)


def test_rules_before_version_3_have_no_such_record() -> None:
    records = list(ADMITTED.records)
    opened = decode_data(records[0]).outcome
    assert isinstance(opened, LogOpened)
    opened.rules_version = 2
    assert not any(isinstance(decode_data(each).outcome, RulesActivated) for each in records)
    records[0] = encode_event(opened)
    with pytest.raises(RecordError, match="since version 3 of the rules"):
        start(records)


def test_a_repeat_is_no_record(tmp_path: Path) -> None:
    first = ADMITTED.records[-1]
    record = json.loads(first)
    for part in record["records"]:
        event = of(part)
        event["batch_first_sequence"] = event["answer"]["wal_sequence"] = 9
        part["input"]["request_sequence"] = part["decision"]["request_sequence"] = 9
        event["answer"]["reservation_id"] += 3
    record["batch_first_sequence"] = 9
    data = json.dumps(record, separators=(",", ":")).encode()
    write_log(tmp_path, [*ADMITTED.records, data])
    with pytest.raises(ReplayMismatch):
        replay_log(tmp_path, HASHER)


@pytest.mark.parametrize("day", [ADMITTED, REFUSED], ids=["admitted", "refused"])
def test_a_log_that_is_cut_within_the_record_keeps_none_of_them(
    tmp_path: Path, day: LoggedEngine
) -> None:
    write_log(tmp_path / "whole", day.records)
    content = (tmp_path / "whole" / SEGMENT).read_bytes().rstrip(b"\0")
    sequence = len(day.records)
    begin = content.rindex(b'{"sequence":%d,' % sequence)
    without = describe(LoggedEngine().state)
    places = [*range(begin, len(content), 61), *range(len(content) - 20, len(content))]
    for number, place in enumerate(places):
        directory = tmp_path / f"cut-{number}"
        directory.mkdir()
        (directory / SEGMENT).write_bytes(content[:place])
        recovered = recover_log(directory, HASHER)
        recovered.lock.release()
        # Without its newline the line is whole all the same, and is kept or cut as one.
        is_kept = recovered.head.sequence == sequence
        assert is_kept <= (place >= len(content) - 1)
        assert describe(recovered.engine.state) == (describe(day.state) if is_kept else without)
