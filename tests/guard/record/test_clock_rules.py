"""Times that run back, and clocks that say something else, where no guard writes them."""

from pathlib import Path

import pytest

from guard.recovery.recover import NotOurLogError, fold_log
from guard.replay.replay import ReplayMismatch, replay_log
from guard_support import (
    SECOND_NS,
    T0,
    LoggedEngine,
    cancel,
    describe,
    fill,
    order,
    settled,
    write_log,
)
from guard_windows_support import HASHER, accept_clock

AHEAD_NS = T0 + 1_000 * SECOND_NS
CLOCK = f'"clock_ns":{T0 + 5 * SECOND_NS}'


def day() -> LoggedEngine:
    """A clock that was ahead; one that says something else; one that was accepted."""
    engine = LoggedEngine()
    engine.admit(order("A-1"), AHEAD_NS)
    engine.clock_ns = T0 + 5 * SECOND_NS
    engine.reject(order("A-2", desk="nobody"))
    engine.submit(fill())
    engine.submit(cancel())
    engine.restart()
    engine.clock_ns = 0
    accept_clock(engine, T0 + 6 * SECOND_NS)
    engine.admit(order("A-3"))
    return engine


RECORDS = day().records
ACCEPTED = len(RECORDS) - 1


def test_the_day_is_one(tmp_path: Path) -> None:
    write_log(tmp_path, RECORDS)
    engine, _ = fold_log(tmp_path, HASHER)
    assert engine.state.last_received_at_ns == T0 + 6 * SECOND_NS
    assert describe(replay_log(tmp_path, HASHER).engine.state) == describe(engine.state)


@pytest.mark.parametrize(
    ("at", "old", "new", "words"),
    [
        *(
            (at, CLOCK, f'"clock_ns":{value}', f"clock_ns: {value} is not allowed")
            for at in (9, 10, 11)
            for value in (0, AHEAD_NS, AHEAD_NS + SECOND_NS, AHEAD_NS - SECOND_NS)
        ),
        (9, CLOCK, '"clock_ns":-1', "clock_ns"),
        (9, CLOCK, f'"clock_ns":{2**63 - 1}', "clock_ns"),
        (9, CLOCK, '"clock_ns":null', "clock_ns"),
        (
            ACCEPTED,
            f'"previous_ns":{AHEAD_NS}',
            f'"previous_ns":{AHEAD_NS - 1}',
            f"previous_ns: {AHEAD_NS - 1} is not allowed; allowed: {AHEAD_NS}",
        ),
        *(
            (
                ACCEPTED,
                f'"received_at_ns":{T0 + 6 * SECOND_NS}',
                f'"received_at_ns":{value}',
                f"received_at_ns: {value} is not allowed; allowed: below {AHEAD_NS}, previous_ns",
            )
            for value in (AHEAD_NS, AHEAD_NS + 1)
        ),
        (
            len(RECORDS),
            f'"received_at_ns":{T0 + 6 * SECOND_NS}',
            f'"received_at_ns":{T0 + 6 * SECOND_NS - 1}',
            "received_at_ns: ",
        ),
    ],
)
def test_what_no_guard_writes(at: int, old: str, new: str, words: str, tmp_path: Path) -> None:
    data = RECORDS[at - 1]
    assert old.encode() in data
    records = [*RECORDS[: at - 1], data.replace(old.encode(), new.encode(), 1), *RECORDS[at:]]
    write_log(tmp_path, settled(records))
    with pytest.raises(NotOurLogError, match=f"record {at}: .*{words}"):
        fold_log(tmp_path, HASHER)
    with pytest.raises(ReplayMismatch, match=f"record {at}: .*{words}"):
        replay_log(tmp_path, HASHER)


def test_without_the_record_that_accepts_it_no_time_runs_back(tmp_path: Path) -> None:
    records = [*RECORDS[: ACCEPTED - 1], RECORDS[ACCEPTED]]
    write_log(tmp_path, records)
    with pytest.raises(NotOurLogError, match=r"received_at_ns: .* is not allowed; allowed: from"):
        fold_log(tmp_path, HASHER)


def test_a_clock_is_accepted_once(tmp_path: Path) -> None:
    engine = day()
    last = RECORDS[ACCEPTED - 1].replace(b'"batch_first_sequence":14', b'"batch_first_sequence":16')
    write_log(tmp_path, [*engine.records, last])
    with pytest.raises(NotOurLogError, match=r"previous_ns: .* is not allowed"):
        fold_log(tmp_path, HASHER)
