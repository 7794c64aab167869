"""The disk's reserve, counted by the byte: when entries halt, what is refused, the next look."""

import errno
import os
from pathlib import Path

import pytest

from guard.engine.events import EntriesHalted, EntriesResumed, Outcome
from guard.server.disk_reserve import (
    BATCH_BYTES_MIN,
    EVENT_SPACE_BYTES,
    LOOK_EVERY_BYTES,
    SEGMENT_BYTES,
    UNBOUNDED,
    Allowance,
    DiskReserve,
    Refused,
    batch_bytes_max,
    bytes_to_edge,
    disk_event,
    refused_at,
)
from guard_support import LoggedEngine, actor, cancel, fill, order
from wal import EMPTY_HEAD, ChainHasher, LogWriter

RESERVE = 1_000
BIG = 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("is_halted", "left", "expected"),
    [
        (False, RESERVE, None),
        (False, RESERVE - 1, EntriesHalted),
        (False, 0, EntriesHalted),
        (False, -5, EntriesHalted),
        (True, RESERVE, None),
        (True, RESERVE * 5 // 4 - 1, None),
        (True, RESERVE * 5 // 4, EntriesResumed),
    ],
)
def test_entries_halt_below_the_reserve_and_resume_a_quarter_above(
    is_halted: bool, left: int, expected: type | None
) -> None:
    engine = LoggedEngine()
    if is_halted:
        halt = actor().event(EntriesHalted, reason="disk_low", free_bytes=1, reserve_bytes=RESERVE)
        engine.log(halt)
    event = disk_event(engine.state, left, RESERVE, actor())
    assert (None if event is None else type(event)) is expected
    if isinstance(event, EntriesHalted):
        assert (event.free_bytes, event.reserve_bytes) == (max(left, 0), RESERVE)


def test_a_halt_stops_entries_and_nothing_else() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    who = actor()
    engine.log(who.event(EntriesHalted, reason="disk_low", free_bytes=7, reserve_bytes=8))
    answer = engine.reject(order("A-2"))
    assert (answer.stage, answer.reason) == ("order", "disk_low")
    assert answer.detail == {"free_bytes": 7, "reserve_bytes": 8}
    assert engine.submit(order("A-1")).repeat is True
    assert engine.submit(fill("F-1")).open_quantity == 60
    assert engine.submit(cancel("A-1")).released_microcents > 0
    engine.log(who.event(EntriesResumed, free_bytes=10))
    assert engine.submit(order("A-2")).reason == "disk_low"  # a refused order stays refused
    engine.admit(order("A-3"))


@pytest.mark.parametrize(
    ("left", "refused", "to_edge"),
    [
        (5_000, Refused.NOTHING, 4_001),
        (1_001, Refused.NOTHING, 2),
        (1_000, Refused.NOTHING, 1),
        (999, Refused.NOTHING, 500),
        (500, Refused.NOTHING, 1),
        (499, Refused.ORDERS, 250),
        (250, Refused.ORDERS, 1),
        (249, Refused.EVERYTHING, UNBOUNDED),
        (-1, Refused.EVERYTHING, UNBOUNDED),
    ],
)
def test_the_edges(left: int, refused: Refused, to_edge: int) -> None:
    assert refused_at(left, RESERVE) is refused
    assert bytes_to_edge(left, RESERVE) == to_edge


def test_a_reserve_larger_than_the_disk_halts_entries_and_no_more() -> None:
    """What a stop and a start need does not grow with it."""
    huge = 2**50
    assert refused_at(BIG // 2, huge) is Refused.NOTHING
    assert refused_at(BIG // 2 - 1, huge) is Refused.ORDERS
    assert refused_at(BIG // 4 - 1, huge) is Refused.EVERYTHING
    assert bytes_to_edge(BIG // 2 + 9, huge) == 10


def test_a_batch_leaves_a_start_room_for_its_copy() -> None:
    assert batch_bytes_max(0) == UNBOUNDED
    assert batch_bytes_max(1) == BATCH_BYTES_MIN
    assert batch_bytes_max(BIG) == batch_bytes_max(2**50) == BIG // 4


class Stand:
    """A reserve over a real log and a disk of so many bytes."""

    def __init__(self, directory: Path, reserve_bytes: int = BIG) -> None:
        self.engine = LoggedEngine()
        self.writer = LogWriter.open(
            directory, ChainHasher(None), EMPTY_HEAD, monotonic_ns=lambda: 0
        )
        self.free = 3 * BIG
        self.error: OSError | None = None
        self.looks = 0
        self.promised = 0
        self.said: list[str] = []
        self.events: list[Outcome] = []
        self.reserve = DiskReserve(
            self.engine.state,
            self.writer,
            reserve_bytes,
            free_bytes=self._free_bytes,
            record=self._record,
            actor=actor,
            say=self.said.append,
            alarm=lambda text: self.said.append(f"ALARM: {text}"),
        )
        self.reserve.promise(lambda: self.promised, self._break_promise)

    def _free_bytes(self) -> int:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.free

    def _record(self, event: Outcome) -> None:
        self.events.append(event)
        self.engine.log(event)

    def _break_promise(self) -> None:
        self.promised = 0

    def left(self, left: int) -> None:
        """So much shall be left."""
        self.free = left + SEGMENT_BYTES + self.writer.ahead_bytes

    def stage(self, data_bytes: int) -> int:
        """A record with so much data; how many bytes it takes."""
        before = self.writer.staged_total_bytes
        self.writer.append(self.writer.staged_head.sequence + 1, b'"%s"' % (b"x" * data_bytes))
        return self.writer.staged_total_bytes - before


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_without_a_reserve_nothing_is_looked_at(tmp_path: Path) -> None:
    stand = Stand(tmp_path, 0)
    stand.free = 0
    assert stand.reserve.look() == Allowance(UNBOUNDED, Refused.NOTHING)
    assert stand.looks == 0


def test_with_space_it_looks_again_after_so_many_bytes(stand: Stand) -> None:
    staged = stand.stage(1_000)
    assert stand.reserve.look() == Allowance(staged + LOOK_EVERY_BYTES, Refused.NOTHING)
    stand.left(BIG + 5_000)
    assert stand.reserve.look() == Allowance(staged + 5_001, Refused.NOTHING)
    assert (stand.events, stand.said) == ([], [])


def test_what_is_staged_is_no_longer_left(stand: Stand) -> None:
    """It was looked at once a second, and what had been staged since was not counted."""
    stand.left(BIG + 3_000)
    allowance = stand.reserve.look()
    while stand.writer.staged_total_bytes < allowance.staged_bytes:
        stand.stage(1_000)
        assert stand.events == []
    stand.reserve.look()
    (event,) = stand.events
    assert isinstance(event, EntriesHalted)
    assert BIG - 1_300 < event.free_bytes < BIG
    assert event.reserve_bytes == BIG


def test_a_batch_that_is_on_its_way_may_be_counted_already(stand: Stand) -> None:
    """Nothing more is taken in until it is known: a halt is a record, and flapping is two."""
    bytes_ = stand.stage(10_000)
    stand.writer._take()
    assert (stand.writer.under_way_bytes, stand.writer.staged_bytes) == (bytes_, 0)
    stand.left(BIG - 1)
    assert stand.reserve.look() == Allowance(bytes_, Refused.NOTHING)
    assert stand.events == []
    stand.left(BIG - bytes_ - 1)
    stand.reserve.look()
    assert len(stand.events) == 1
    # Once entries are halted there is no doubt to wait for.
    stand.left(BIG - 1)
    assert stand.reserve.look().staged_bytes > bytes_


def test_a_checkpoint_s_child_gives_way_to_records(stand: Stand) -> None:
    stand.promised = 10_000
    stand.left(BIG + 10_001)
    stand.reserve.look()
    assert stand.promised == 10_000
    stand.left(BIG + 9_999)
    assert stand.reserve.look().refused is Refused.NOTHING
    assert (stand.promised, stand.events) == (0, [])
    stand.left(BIG - 1)
    stand.reserve.look()
    assert len(stand.events) == 1


def test_the_stages_down_and_up(stand: Stand) -> None:
    stages = [
        (BIG - 1, Refused.NOTHING, 1),
        (BIG // 2 - 1, Refused.ORDERS, 1),
        (BIG // 4 - 1, Refused.EVERYTHING, 1),
        (0, Refused.EVERYTHING, 1),
        (BIG // 4, Refused.ORDERS, 1),
        (BIG // 2, Refused.NOTHING, 1),
        (BIG * 5 // 4 - 1, Refused.NOTHING, 1),
        (BIG * 5 // 4, Refused.NOTHING, 2),
    ]
    for left, refused, events in stages:
        stand.left(left)
        assert stand.reserve.look().refused is refused, left
        assert len(stand.events) == events, left
    told = [text for text in stand.said if text.endswith(("(disk_full)", "recorded again"))]
    assert told == [
        f"ALARM: {BIG // 2 - 1:,} bytes are left on the log's disk: "
        "orders that need a record get an error (disk_full)",
        f"ALARM: {BIG // 4 - 1:,} bytes are left on the log's disk: "
        "whatever needs a record gets an error (disk_full)",
        f"ALARM: {BIG // 4:,} bytes are left on the log's disk: "
        "orders that need a record get an error (disk_full)",
        f"{BIG // 2:,} bytes are left on the log's disk: requests are recorded again",
    ]


def test_a_full_disk_takes_no_event_either(stand: Stand) -> None:
    """Its record would be the write that fails."""
    stand.left(EVENT_SPACE_BYTES - 1)
    assert stand.reserve.look().refused is Refused.EVERYTHING
    assert stand.events == []
    stand.left(EVENT_SPACE_BYTES)
    stand.reserve.look()
    assert len(stand.events) == 1


def test_a_look_that_fails_is_counted_on_from_the_one_before(stand: Stand) -> None:
    stand.left(BIG + 3_000)
    allowance = stand.reserve.look()
    stand.error = OSError(errno.EIO, os.strerror(errno.EIO))
    stand.stage(1_000)
    assert stand.reserve.look() == allowance
    while not stand.events:
        stand.stage(1_000)
        stand.reserve.look()
    assert isinstance(stand.events[0], EntriesHalted)
    assert BIG - 1_300 < stand.events[0].free_bytes < BIG
    alarms = [text for text in stand.said if "cannot be found out" in text]
    assert len(alarms) == 1
    stand.error = None
    stand.left(2 * BIG)
    stand.reserve.look()
    assert isinstance(stand.events[-1], EntriesResumed)
    stand.error = OSError(errno.EIO, os.strerror(errno.EIO))
    stand.reserve.look()
    assert len([text for text in stand.said if "cannot be found out" in text]) == 2


def test_the_first_look_must_not_fail(stand: Stand) -> None:
    stand.error = OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        stand.reserve.look()
