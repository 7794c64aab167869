"""What is pulled out of a record, of every kind that is there in two golden days."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from guard.archive.columns import COLUMN_NAMES, ColumnError, day_of, row_of
from guard.archive.schema import SCHEMA, make_partition, partition_day, partition_name, statements
from wal import Entry

DATA = Path(__file__).resolve().parents[2] / "data"
LOG_ID = "0123456789abcdef" * 2


def row(data: bytes, sequence: int = 1, segment: int | None = None) -> dict[str, Any]:
    entry = Entry(sequence, "genesis", "ab" * 32, data)
    return dict(zip(COLUMN_NAMES, row_of(LOG_ID, entry, segment), strict=True))


def golden(event: str) -> dict[str, Any]:
    """The row of the first record of such an event."""
    for name in ("golden_facts.jsonl", "golden_day.jsonl"):
        for line in (DATA / name).read_bytes().splitlines():
            record = json.loads(line)
            if record.get("metadata", record)["event"] == event:
                return row(line, 7, 3)
    raise AssertionError(event)


def said(found: dict[str, Any]) -> dict[str, Any]:
    """What is not empty, but the text and what every row has."""
    unsaid = {"day", "received_at", "received_at_ns", "entry_hash", "data", "log_id", "client"}
    return {name: value for name, value in found.items() if value and name not in unsaid}


def test_an_order_that_was_admitted() -> None:
    found = golden("order")
    assert said(found) == {
        "wal_sequence": 7,
        "segment": 3,
        "event": "order",
        "desk": "desk-alpha",
        "symbol": "AAPL",
        "client_order_id": found["client_order_id"],
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "day",
        "venue": 10,
        "quantity": 100,
        "price": 19_000,
        "verdict": "admit",
        "reason": "requested_model_maximizes_utility",
        "notional_microcents": found["notional_microcents"],
        "fee_microcents": found["fee_microcents"],
    }
    answer = json.loads(found["data"])["metadata"]["answer"]
    assert found["notional_microcents"] == answer["notional_microcents"] > 0
    assert found["day"] == date(2023, 11, 14)
    assert found["received_at"].tzinfo is UTC
    assert found["entry_hash"] == bytes.fromhex("ab" * 32)


def test_whose_an_order_is() -> None:
    names = {"account": "ACC-1", "trader": "t.one", "algo": "vwap"}
    asked = {"type": "order", **names}
    found = row(
        json.dumps({"event": "order_refused", "received_at_ns": 1, "order": asked}).encode()
    )
    assert {name: found[name] for name in names} == names
    added = [text for text in statements() if "ADD COLUMN" in text]
    assert [text.split()[-2] for text in added] == ["trader", "algo"]


def test_a_fill_a_cancel_and_an_act_of_a_person() -> None:
    fill = golden("fill")
    assert (fill["event"], fill["desk"], fill["fact_id"]) == ("fill", "desk-alpha", "F-1")
    assert (fill["flags"], fill["fee_microcents"]) == (["unknown", "uncharged"], 7)
    cancel = golden("release")
    assert (cancel["client_order_id"], cancel["flags"], cancel["quantity"]) == (
        "A-2",
        ["early"],
        None,
    )
    opened = golden("desk_opened")
    assert (opened["desk"], opened["acted_by"], opened["why"]) == ("desk-alpha", "tester", "a test")
    assert opened["verdict"] is None
    assert opened["halts_desk"] is False


@pytest.mark.parametrize("name", ["golden_day.jsonl", "golden_facts.jsonl"])
def test_every_record_keeps_its_text(name: str) -> None:
    for line in (DATA / name).read_bytes().splitlines():
        assert row(line)["data"].encode() == line


def test_a_halt_names_a_desk_by_its_scope() -> None:
    text = '{"event":"trading_halted","received_at_ns":1,"scope":"%s","name":"x"}'
    assert row((text % "desk").encode())["desk"] == "x"
    assert row((text % "symbol").encode())["symbol"] == "x"
    assert row((text % "symbol").encode())["desk"] is None


def test_a_cancel_of_many_names_its_scope() -> None:
    text = b'{"event":"cancel_all","received_at_ns":1,"cancel_all":%s,"answer":{"type":"canceled"}}'
    scope = b'{"type":"cancel_all","of_desk":"d","of_symbol":"AAPL","of_venue":10}'
    found = row(text % scope)
    assert (found["desk"], found["symbol"], found["venue"]) == ("d", "AAPL", 10)
    found = row(text % b'{"type":"cancel_all","of_desk":null,"of_symbol":null,"of_venue":null}')
    assert (found["desk"], found["symbol"], found["venue"]) == (None, None, None)


def test_what_no_column_holds_is_left_to_the_text() -> None:
    data = (
        b'{"event":"later","received_at_ns":1700000000123456789,"quantity":9223372036854775808,'
        b'"price":true,"why":"a\\u0000b","desk":7}'
    )
    found = row(data)
    assert (found["quantity"], found["price"], found["desk"]) == (None, None, None)
    assert found["why"] == "a\ufffdb"
    assert found["data"].encode() == data
    assert found["received_at"] == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    assert found["received_at_ns"] == 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b"7",
        b'{"event":7,"received_at_ns":1}',
        b'{"event":"x"}',
        b'{"event":"x","received_at_ns":-1}',
        b'{"event":"x","received_at_ns":9223372036854775808}',
        b"[" * 100_000,
        b'{"event":',
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(ColumnError):
        row(data)


def test_days_and_their_tables() -> None:
    day = date(2026, 11, 30)
    assert partition_name(day) == "records_20261130"
    assert partition_day("records_20261130") == day
    for other in (
        "records",
        "records_2026113",
        "records_20261340",
        "records_2026-1-3",
        "x20261130",
    ):
        assert partition_day(other) is None
    assert make_partition(day) == (
        f"CREATE TABLE IF NOT EXISTS {SCHEMA}.records_20261130 PARTITION OF {SCHEMA}.records "
        "FOR VALUES FROM ('2026-11-30') TO ('2026-12-01')"
    )
    entry = Entry(1, "genesis", "ab" * 32, b'{"event":"x","received_at_ns":0}')
    assert day_of(row_of(LOG_ID, entry, 1)) == date(1970, 1, 1)
    assert len(statements()) == len(set(statements()))
