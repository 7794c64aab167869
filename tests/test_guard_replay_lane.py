"""The lane of replay: with it or without it the same report, state and words, on any day."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from guard.engine.engine import Engine
from guard.record.codec import encode_data
from guard.outcomes import Decided
from guard.replay import ReplayMismatch, replay_log
from guard.replay_lane import ReplayLane
from guard.replay_parts import DECIDED, FILLED, RAW, ROW_HEAD, Place
from guard.engine.state import GuardState
from guard_support import KEY, describe, write_log
from replay_support import BusyDay, row_of, text_of
from wal import ChainHasher, WalDamage

HASHER = ChainHasher(KEY)


def told(source: Path, *, with_lane: bool, jobs: int = 1) -> tuple[Any, ...]:
    """All that a replay says, and all that it tells."""
    seen: list[Any] = []

    def observe(place: Place, decided: Decided, state: GuardState) -> None:
        counts = None if decided.kernel is None else decided.kernel.output_row
        where = (place.sequence, place.segment, place.offset, place.entry_hash)
        seen.append((where, encode_data(decided), counts, state.next_sequence))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("guard.replay.GUARD_FORM", "compiled" if with_lane else "interpreted")
        try:
            report = replay_log(source, HASHER, observe=observe, jobs=jobs)
        except WalDamage as damage:
            return type(damage), str(damage), seen
    counts = (report.record_count, report.decision_count, report.events, report.reasons)
    return report.head, counts, describe(report.engine.state), seen


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_the_same_of_a_busy_day(seed: int, tmp_path: Path) -> None:
    day = BusyDay(seed, 220).engine
    write_log(tmp_path / "log", day.records)
    alone = told(tmp_path / "log", with_lane=False)
    assert alone[2] == describe(day.state)
    assert told(tmp_path / "log", with_lane=True) == alone
    if seed == 2:
        assert told(tmp_path / "log", with_lane=True, jobs=2) == alone


PLACES = (
    (b'"reservation_id":', b'"reservation_id":1'),
    (b'"policy_digest_hex":"6', b'"policy_digest_hex":"7'),
    (b'"price":', b'"price":1'),
    (b'"symbol":"AAPL"', b'"symbol":"BTC-USD"'),
    (b'"symbol":"AAPL"', b'"symbol":"AAPM"'),
    (b'"desk":"desk-alpha"', b'"desk":"desk-beta"'),
    (b'"desk":"desk-alpha"', b'"desk":"desk-omega"'),
    (b'"sent_at_ns":null', b'"sent_at_ns":1'),
    (b'"received_at_ns":', b'"received_at_ns":1'),
    (b'"received_at_ns":1', b'"received_at_ns":'),
    (b'"side":"buy"', b'"side":"sell"'),
    (b'"allow_substitute":true', b'"allow_substitute":false'),
    (b'"client":"local"', b'"client":"other"'),
    (b'"disabled":0', b'"disabled":1'),
    (b'"limit":9', b'"limit":8'),
    (b'"fill_id":"F-1', b'"fill_id":"F-2'),
    (b'"quantity":', b'"quantity":1'),
    (b'"fee_microcents":5000', b'"fee_microcents":6000'),
    (b'"fee_microcents":5000', b'"fee_microcents":9000000000000000000'),
    (b'"open_quantity":', b'"open_quantity":1'),
    (b'"hold_microcents":', b'"hold_microcents":1'),
    (b'"released_microcents":', b'"released_microcents":1'),
    (b'"executed_at_ns":null', b'"executed_at_ns":1'),
)


def test_the_same_verdict_on_what_only_the_state_can_tell(tmp_path: Path) -> None:
    """The record's text is one, and its digests are right: the rest is the lane's to see."""
    records = BusyDay(5, 120).engine.records
    verdicts = set()
    for old, new in PLACES:
        for sequence in [n for n, data in enumerate(records, 1) if row_of(data, n)[0]][::4]:
            changed = list(records)
            changed[sequence - 1] = records[sequence - 1].replace(old, new)
            if changed == records or b":1null" in changed[sequence - 1]:
                continue
            write_log(tmp_path / "log", changed)
            verdict = told(tmp_path / "log", with_lane=True)
            assert verdict == told(tmp_path / "log", with_lane=False), (old, sequence)
            verdicts.add(verdict[0] is ReplayMismatch)
            (tmp_path / "log" / "00000001.jsonl").unlink()
    assert verdicts == {True, False}


def test_what_is_not_the_lanes_changes_nothing() -> None:
    day = BusyDay(6, 60).engine
    engine = Engine()
    lane = ReplayLane(engine.state)
    sequence = next(n for n, data in enumerate(day.records, 1) if row_of(data, n)[0])
    kind, row = row_of(day.records[sequence - 1], sequence)
    rows = bytes([kind]) + len(row).to_bytes(4, "little") + row
    before = describe(engine.state)
    assert lane.fold(rows, 0, None, None) == 0
    assert (lane.order_count, describe(engine.state)) == (0, before)
    assert lane.reasons() == {}


def test_a_row_alone_is_told_where_that_is_wanted(tmp_path: Path) -> None:
    records = BusyDay(7, 160).engine.records
    write_log(tmp_path / "log", records)
    by_row: dict[int, tuple[int, bytes]] = {}
    others: list[int] = []

    def observe_row(rows: bytes, at: int, state: GuardState) -> None:
        kind, length = ROW_HEAD.unpack_from(rows, at)
        row = rows[at + ROW_HEAD.size : at + ROW_HEAD.size + length]
        by_row[state.next_sequence - 1] = kind, row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("guard.replay.GUARD_FORM", "compiled")
        replay_log(
            tmp_path / "log",
            HASHER,
            observe=lambda place, *_rest: others.append(place.sequence),
            observe_row=observe_row,
        )
    assert sorted([*by_row, *others]) == list(range(1, len(records) + 1))
    for sequence, (kind, row) in by_row.items():
        assert text_of(kind, row) == records[sequence - 1]
    for sequence in others:
        assert row_of(records[sequence - 1], sequence)[0] == RAW
    assert Counter(kind for kind, _ in by_row.values()).keys() == {DECIDED, FILLED}
