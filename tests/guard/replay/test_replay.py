"""Replay: a log that the rules give passes; one changed anywhere that the rules reach is found."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guard.engine.events import Decided
from guard.engine.request_events import FillRecorded, OrderDecided
from guard.engine.state import GuardState
from guard.record.codec import decode_data
from guard.replay.replay import ForeignLogError, Place, ReplayMismatch, replay_log
from guard_day_support import trading_day
from guard_support import KEY, LoggedEngine, describe, fill, fold, order, write_log
from kernel import DECISION_ROW_BYTES, TRACE
from reference.journal import encode_data
from wal import (
    EMPTY_HEAD,
    GENESIS,
    ChainHasher,
    WalDamage,
    WalKeyMismatch,
    encode_line,
    parse_line,
)
from wal.parallel import cut_stretches

DAY = trading_day()
HASHER = ChainHasher(KEY)


def chained(records: list[bytes]) -> bytes:
    """The text of a well chained log of these records."""
    previous, lines = GENESIS, []
    for sequence, data in enumerate(records, 1):
        entry_hash = HASHER.entry_hash(previous, data)
        lines.append(encode_line(sequence, previous, entry_hash, data))
        previous = entry_hash
    return b"".join(lines)


def replay_records(path: Path, records: list[bytes]) -> Any:
    path.write_bytes(chained(records))
    return replay_log(path, HASHER)


def test_a_good_log_is_replayed_to_the_same_state(tmp_path: Path) -> None:
    head = write_log(tmp_path / "log", DAY.records)
    report = replay_log(tmp_path / "log", HASHER)
    assert report.head == head
    assert report.record_count == len(DAY.records) == 42
    assert report.decision_count == 10
    assert report.events == {
        "log_opened": 1,
        "settings_activated": 2,
        "policy_activated": 1,
        "instrument_defined": 3,
        "desk_opened": 3,
        "order": 10,
        "order_refused": 4,
        "fill": 7,
        "release": 1,
        "session_closed": 1,
        "session_started": 2,
        "checkpoint": 1,
        "desk_topped_up": 1,
        "desk_capped": 2,
        "desk_resumed": 1,
        "halt": 1,
        "resume": 1,
    }
    assert report.reasons == {
        "requested_model_maximizes_utility": 3,
        "alternative_maximizes_utility": 1,
        "risk_hard_limit": 1,
        "disk_low": 1,
        "substitution_not_allowed": 1,
        "unknown_desk": 1,
        "quantity_out_of_range": 1,
        "overflow": 1,
        "client_order_id_reused": 1,
        "stale_order": 1,
        "exposure_limit_exceeded": 1,
        "desk_reducing": 1,
    }
    assert describe(report.engine.state) == describe(DAY.state)
    assert describe(fold(DAY.records).state) == describe(DAY.state)


def test_an_observer_is_told_of_every_record_in_order(tmp_path: Path) -> None:
    seen: list[tuple[int, bytes, Any]] = []
    counted: dict[int, tuple[int, ...]] = {}
    first_desk: list[int] = []

    def observe(place: Place, decided: Decided, state: GuardState) -> None:
        assert state.next_sequence == place.sequence + 1
        at = place.offset
        line = text[at : text.index(b"\n", at) + 1]
        assert (place.segment, parse_line(line).entry_hash) == ("00000001.jsonl", place.entry_hash)
        assert encode_data(decided) == parse_line(line).data
        seen.append((place.sequence, encode_data(decided), type(decided.outcome)))
        if decided.kernel is not None:
            counted[place.sequence] = TRACE.unpack(decided.kernel.output_row[DECISION_ROW_BYTES:])
        if state.desks and not first_desk:
            first_desk.append(place.sequence)

    day = LoggedEngine()
    day.admit(order())
    day.reject(order("A-2", required_capabilities=1 << 63))
    day.submit(fill())
    write_log(tmp_path / "log", day.records)
    text = (tmp_path / "log" / "00000001.jsonl").read_bytes()
    replay_log(tmp_path / "log", HASHER, observe=observe)
    assert [data for _, data, _ in seen] == day.records
    assert [sequence for sequence, _, _ in seen] == list(range(1, 11))
    assert [kind for _, _, kind in seen[7:]] == [OrderDecided, OrderDecided, FillRecorded]
    assert counted == {8: (0,) * 9, 9: (0, 0, 0, 0, 3, 0, 0, 0, 0)}  # no record has the counts
    assert first_desk == [6]


def test_an_observer_is_not_told_of_a_record_that_the_rules_do_not_give(tmp_path: Path) -> None:
    records = list(DAY.records)
    records[8] = records[8].replace(b'"reservation_id":2', b'"reservation_id":3')
    write_log(tmp_path / "log", records)
    seen: list[int] = []
    with pytest.raises(ReplayMismatch):
        replay_log(
            tmp_path / "log", HASHER, observe=lambda entry, *_rest: seen.append(entry.sequence)
        )
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8]


def test_an_empty_log_gives_an_empty_report(tmp_path: Path) -> None:
    report = replay_log(tmp_path, HASHER)
    assert (report.record_count, report.head) == (0, EMPTY_HEAD)


def test_a_changed_record_of_a_real_log_is_named(tmp_path: Path) -> None:
    records = list(DAY.records)
    records[8] = records[8].replace(b'"reservation_id":2', b'"reservation_id":3')
    write_log(tmp_path / "log", records)
    with pytest.raises(ReplayMismatch) as caught:
        replay_log(tmp_path / "log", HASHER)
    damage = caught.value
    assert (damage.segment, damage.sequence) == ("00000001.jsonl", 9)
    lines = (tmp_path / "log" / "00000001.jsonl").read_bytes().splitlines(keepends=True)
    assert damage.offset == sum(map(len, lines[:8]))
    assert "decided again it differs from byte" in damage.reason


# What a log states and the rules cannot know better: the world outside, and what nothing depends
# on. Against a change of these stands the chain, whose key the liar needs, and the head's anchor.
FACTS = {
    "received_at_ns",
    "client",
    "batch_first_sequence",
    "by",
    "why",
    "log_id",
    "software_version",
    "key_id",
    "epoch",
    "opening_records",
    "symbol",  # of an instrument
    "tick_size",
    "lot_size",
    "multiplier",
    "remembered_orders_max",
    "remembered_order_window_ns",
    "desk",  # of a desk
    "budget_microcents",
    "max_reserved_microcents",
    "amount_microcents",
    "currency",
    "recovered_sequence",
    "recovered_hash",
    "after_clean_stop",
    "cuts",
    # What a client asked for, unless the kernel was asked with it.
    "order",
    "fill",
    "cancel",
}
KERNEL_FIELDS = {
    "client_order_id",  # stands in the answer too
    "symbol",
    "quantity",
    "price",
    "venue",
    "risk_bps",
    "confidence_bps",
    "minimum_quality_bps",
    "max_p95_latency_ms",
    "required_capabilities",
    "allowed_providers",
    "required_regions",
    "max_fee_microcents",
}


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in _leaves(value[key], (*path, key))]
    if isinstance(value, list):
        return [leaf for at, item in enumerate(value) for leaf in _leaves(item, (*path, at))]
    return [path]


def _tampered(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    return 1


def _tamper(data: bytes, path: tuple[Any, ...]) -> bytes:
    record = json.loads(data)
    place = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = _tampered(place[path[-1]])
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


def _found_at(path: Path, records: list[bytes]) -> int | None:
    """The sequence at which replay finds these records wrong, None where it does not."""
    try:
        replay_records(path, records)
    except WalDamage as damage:
        return damage.sequence
    except ForeignLogError:
        return 1
    return None


# The records whose every leaf is changed: one of each event, and each kind of answer to an order.
TAMPERED = [1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 15, 17, 18, 19, 21, 24, 26, 27, 28, 29, 33, 34, 36]


@pytest.mark.parametrize("sequence", TAMPERED)
def test_every_change_that_the_rules_reach_is_found(sequence: int, tmp_path: Path) -> None:
    data = DAY.records[sequence - 1]
    is_fact_checked = 0
    for path in _leaves(json.loads(data)):
        records = list(DAY.records)
        records[sequence - 1] = _tamper(data, path)
        names = [str(step) for step in path if step != "metadata"]
        is_fact = names[0] in FACTS
        if data.startswith(b'{"audit":') and names[0] == "order":
            is_fact = names[1] not in KERNEL_FIELDS
        found_at = _found_at(tmp_path / "log.jsonl", records)
        if is_fact:
            # It may show later, where it no longer fits what was decided on it.
            assert found_at is None or found_at >= sequence, path
        else:
            assert found_at == sequence, f"{path} of record {sequence}: found at {found_at}"
        is_fact_checked += is_fact
    assert is_fact_checked > 0


@pytest.mark.parametrize("sequence", range(8, 27))
def test_a_record_left_out_is_found(sequence: int, tmp_path: Path) -> None:
    records = DAY.records[: sequence - 1] + DAY.records[sequence:]
    with pytest.raises(ReplayMismatch) as caught:
        replay_records(tmp_path / "log.jsonl", records)
    assert caught.value.sequence == sequence  # the next one, now in its place


@pytest.mark.parametrize("sequence", range(8, 28))
def test_a_record_repeated_is_found(sequence: int, tmp_path: Path) -> None:
    records = DAY.records[:sequence] + DAY.records[sequence - 1 :]
    with pytest.raises(ReplayMismatch) as caught:
        replay_records(tmp_path / "log.jsonl", records)
    assert caught.value.sequence == sequence + 1


def test_a_record_that_the_rules_answer_without_one(tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill())
    again = engine.records[-1].replace(b'"wal_sequence":9', b'"wal_sequence":10')
    with pytest.raises(ReplayMismatch, match=r"record 10: .*: the rules answer it"):
        replay_records(tmp_path / "log.jsonl", [*engine.records, again])


def test_a_second_log_opened_is_found(tmp_path: Path) -> None:
    with pytest.raises(ReplayMismatch, match="record 43: log_opened stands in the middle"):
        replay_records(tmp_path / "log.jsonl", [*DAY.records, DAY.records[0]])


@pytest.mark.parametrize(
    "event",
    [
        b'"event":"desk_opened","desk":"desk-beta","budget_microcents":1,'
        b'"max_reserved_microcents":null',
        b'"event":"desk_topped_up","desk":"nobody","amount_microcents":1',
        b'"event":"desk_topped_up","desk":"desk-beta","amount_microcents":9223372036854775807',
        b'"event":"desk_capped","desk":"nobody","max_reserved_microcents":1',
        b'"event":"desk_resumed","desk":"nobody"',
        b'"event":"instrument_defined","symbol":"X","tick_size":"0",'
        b'"lot_size":"1","multiplier":"1"',
        b'"event":"instrument_defined","symbol":"","tick_size":"1","lot_size":"1","multiplier":"1"',
    ],
    ids=lambda event: repr(event)[11:40],
)
def test_an_administrative_event_that_cannot_follow(event: bytes, tmp_path: Path) -> None:
    name, _, rest = event.partition(b",")
    head = (
        b',"received_at_ns":1700000000000000007,"client":"local","batch_first_sequence":43,'
        b'"by":"x","why":"y",'
    )
    data = b"{" + name + head + rest + b"}"
    decode_data(data)
    words = "record 43: the event cannot follow: .*(desk|top-up|size|symbol)"
    with pytest.raises(ReplayMismatch, match=words):
        replay_records(tmp_path / "log.jsonl", [*DAY.records, data])


def test_other_rules_are_refused(tmp_path: Path) -> None:
    records = [DAY.records[0].replace(b'"rules_version":3', b'"rules_version":4')]
    with pytest.raises(ReplayMismatch, match=r"record 1: .*version 4, .* versions 1 to 3"):
        replay_records(tmp_path / "log.jsonl", records)


@pytest.mark.parametrize("data", [b'{"kind":"foreign"}', DAY.records[1], DAY.records[7]])
def test_a_foreign_log_has_no_policy_to_replay_under(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ForeignLogError, match="does not begin with log_opened"):
        replay_records(tmp_path / "log.jsonl", [data, *DAY.records])


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayMismatch, match="record 43: no record of this guard"):
        replay_records(tmp_path / "log.jsonl", [*DAY.records, b'{"event":"bogus"}'])


def test_another_key(tmp_path: Path) -> None:
    write_log(tmp_path / "log", DAY.records)
    for hasher in (ChainHasher(bytes(32)), ChainHasher(None)):
        with pytest.raises(WalKeyMismatch):
            replay_log(tmp_path / "log", hasher)


def verdict(source: Path, jobs: int, key: bytes = KEY) -> object:
    """All that a replay says: its report and what an observer saw, or why there is none."""
    seen: list[object] = []

    def observe(place: Place, decided: Decided, state: GuardState) -> None:
        where = (place.segment, place.offset, place.entry_hash)
        seen.append((place.sequence, where, encode_data(decided), state.next_sequence))

    try:
        report = replay_log(source, ChainHasher(key), observe=observe, jobs=jobs)
    except (WalDamage, ForeignLogError) as error:
        return type(error), str(error), seen
    counts = (report.record_count, report.decision_count, report.events, report.reasons)
    return report.head, counts, describe(report.engine.state), seen


@pytest.fixture
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records to a process at a time."""
    monkeypatch.setattr(
        "wal.map_records.cut_stretches", partial(cut_stretches, stretch_bytes=9_000)
    )


@pytest.mark.usefixtures("small_stretches")
def test_the_same_report_whatever_the_number_of_processes(tmp_path: Path) -> None:
    write_log(tmp_path / "log", DAY.records)
    alone = verdict(tmp_path / "log", 1)
    assert isinstance(alone, tuple)
    assert alone[0] == EMPTY_HEAD._replace(sequence=42, entry_hash=alone[0].entry_hash)
    for jobs in (2, 3):
        assert verdict(tmp_path / "log", jobs) == alone


@pytest.mark.slow
@pytest.mark.usefixtures("small_stretches")
def test_the_same_verdict_on_every_damage(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    whole = chained(DAY.records)
    lines = whole.splitlines(keepends=True)
    damaged = {
        "a record left out, chained anew": chained(DAY.records[:19] + DAY.records[20:]),
        "a record twice, chained anew": chained(DAY.records[:30] + DAY.records[29:]),
        "a second opening, chained anew": chained([*DAY.records, DAY.records[0]]),
        "no record of ours, chained anew": chained([*DAY.records, b'{"event":"bogus"}']),
        "a foreign log": chained([b"{}", *DAY.records]),
        "two records swapped": b"".join([*lines[:20], lines[21], lines[20], *lines[22:]]),
        "a blank line": whole + b"\n",
        "no newline": whole[:-1],
        "two damages": chained(
            [data.replace(b'"fee_microcents":', b'"fee_microcents":1') for data in DAY.records]
        )[:-1],
    }
    for sequence in TAMPERED[::3]:
        for at in (2, -3):
            records = list(DAY.records)
            leaves = _leaves(json.loads(records[sequence - 1]))
            records[sequence - 1] = _tamper(records[sequence - 1], leaves[at])
            damaged[f"{leaves[at]} of record {sequence}, chained anew"] = chained(records)
    for at in range(11, len(whole), len(whole) // 8):
        damaged[f"byte {at}"] = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
    for name, content in damaged.items():
        path.write_bytes(content)
        assert verdict(path, 2) == verdict(path, 1), name
    path.write_bytes(whole)
    assert verdict(path, 2, bytes(32)) == verdict(path, 1, bytes(32))
