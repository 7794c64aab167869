"""When a checkpoint is due, and that what becomes of one never ends the service.

Real children write into a real log; the clock, and the loop's timer, are the test's.
"""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guard.config.activation import opening_events
from guard.engine.engine import Engine
from guard.engine.events import CheckpointTaken, Decided, DeskToppedUp, Outcome
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.recovery.checkpoint_schedule import (
    CHILD_LIFE_MAX_NS,
    REST_FACTOR,
    RETRY_NS,
    RETRY_NS_MAX,
    Checkpointer,
    CheckpointPlan,
    payload_bytes_max,
    write_state,
)
from guard.recovery.recover import recover_log
from guard_support import (
    KEY,
    LOG_ID,
    actor,
    apply,
    dev_config,
)
from kernel import InvariantError
from reference.journal import encode_data
from wal import EMPTY_HEAD, ChainHasher, Head, LogWriter, read_checkpoints

HASHER = ChainHasher(KEY)
PATIENCE_S = 20.0
OPENING = 7
ONLY_ASKED = CheckpointPlan(0, 0, 0, 0)


class Stand:
    """An engine, its log and its checkpointer, on a clock that stands still."""

    def __init__(self, directory: Path, plan: CheckpointPlan) -> None:
        self.directory = directory
        self.engine = Engine()
        self.now_ns = 0
        self.free = 2**40
        self.disk_error: OSError | None = None
        self.said: list[str] = []
        self.alarms: list[str] = []
        self.events: list[CheckpointTaken] = []
        self.timers: list[Callable[[], None]] = []
        self.writer = LogWriter.open(directory, HASHER, EMPTY_HEAD, monotonic_ns=lambda: 0)
        for event in opening_events(dev_config(), actor(), LOG_ID, HASHER.key_id):
            self.record(event)
        self.checkpointer = Checkpointer(
            self.engine,
            self.writer,
            directory,
            HASHER,
            plan,
            last_sequence=0,
            record=self.record,
            actor=lambda why: actor(why=why),
            call_later=lambda _delay_s, call: self.timers.append(call),
            space_left=self.space_left,
            monotonic_ns=lambda: self.now_ns,
            say=self.said.append,
            alarm=self.alarms.append,
        )

    def space_left(self) -> int:
        if self.disk_error is not None:
            raise self.disk_error
        return self.free

    def record(self, event: Outcome) -> None:
        sequence = self.engine.next_sequence
        self.writer.append(sequence, encode_data(Decided(event)))
        apply(self.engine, sequence, event)
        if isinstance(event, CheckpointTaken):
            self.events.append(event)

    def grow(self, count: int = 1) -> Head:
        """So many records more, not durable yet."""
        for _ in range(count):
            self.record(actor().event(DeskToppedUp, desk="desk-alpha", amount_microcents=1))
        return self.writer.staged_head

    def settle(self) -> None:
        """Lets the timer run until no child is at work."""
        deadline = time.monotonic() + PATIENCE_S
        while self.timers:
            assert time.monotonic() < deadline, self.alarms
            self.timers.pop(0)()
            time.sleep(0.002)

    def tick(self) -> int:
        """A beat, and all that follows; how many checkpoints there are by then."""
        self.writer.sync_now()
        self.checkpointer.tick()
        self.settle()
        return len(self.events)

    def listed(self) -> list[int]:
        return [info.head.sequence for info in read_checkpoints(self.directory, HASHER)]


@pytest.fixture
def open_stand(tmp_path: Path) -> Iterator[Callable[[CheckpointPlan], Stand]]:
    stands: list[Stand] = []

    def open_one(plan: CheckpointPlan) -> Stand:
        stands.append(Stand(tmp_path, plan))
        return stands[-1]

    yield open_one
    for stand in stands:
        stand.checkpointer.stop()
        stand.writer.close()


Opener = Callable[[CheckpointPlan], Stand]


def test_what_is_asked_for_is_taken_and_recorded(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    head = stand.grow(3)
    digest_hex = state_digest_hex(stand.engine.state)
    stand.writer.sync_now()
    stand.checkpointer.request()
    stand.grow(5)  # the state goes on
    stand.settle()
    (event,) = stand.events
    assert (event.checkpoint_sequence, event.checkpoint_hash) == head
    assert (event.state_digest_hex, event.why) == (digest_hex, "asked for")
    (info,) = read_checkpoints(stand.directory, HASHER)
    assert (info.head.head, info.head.state_digest_hex) == (head, digest_hex)
    assert (info.path.name, info.head.payload_bytes) == (event.file_name, event.payload_bytes)
    assert stand.said[0].startswith(f"checkpoint of record {head.sequence}: ")
    stand.writer.sync_now()
    stand.writer.close()
    recovered = recover_log(stand.directory, HASHER)
    recovered.lock.release()
    assert recovered.checkpoint == info.head
    assert state_digest_hex(recovered.engine.state) == state_digest_hex(stand.engine.state)


def test_none_is_published_before_its_record_is_durable(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    head = stand.grow()
    stand.checkpointer.request()
    for _ in range(100):
        stand.timers.pop(0)()
        time.sleep(0.002)
        assert list(stand.directory.glob("checkpoint*")) == []
    stand.writer.sync_now()
    stand.settle()
    assert stand.listed() == [head.sequence]


def test_one_at_a_time(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    stand.grow()
    stand.checkpointer.request()
    stand.checkpointer.request()
    stand.checkpointer.tick()
    assert len(stand.timers) == 1
    stand.writer.sync_now()
    stand.settle()
    assert len(stand.events) == 1


def test_the_next_batch_begins_a_segment(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    stand.writer.sync_now()
    stand.checkpointer.request()
    stand.grow()
    stand.writer.sync_now()
    assert stand.writer.segment_number == 2
    stand.settle()


def test_by_count_with_a_rest_in_between(open_stand: Opener) -> None:
    stand = open_stand(CheckpointPlan(20, 0, 0, 0))
    stand.grow(19 - OPENING)
    assert stand.tick() == 0
    stand.grow()
    assert stand.tick() == 1
    assert [event.why for event in stand.events] == ["20 records since the last"]
    stand.grow(30)
    stand.now_ns += REST_FACTOR * 1_000  # no child does its work in a microsecond
    assert stand.tick() == 1
    stand.now_ns += REST_FACTOR * int(PATIENCE_S) * NANOSECONDS_PER_SECOND
    assert stand.tick() == 2
    assert stand.tick() == 2


def test_by_time_unless_nothing_has_happened(open_stand: Opener) -> None:
    stand = open_stand(CheckpointPlan(0, 60 * NANOSECONDS_PER_SECOND, 0, 0))
    assert stand.tick() == 0
    stand.now_ns = 60 * NANOSECONDS_PER_SECOND
    assert stand.tick() == 1
    stand.now_ns *= 3  # since then there is its own record alone
    assert stand.tick() == 1
    stand.grow()
    assert stand.tick() == 2
    stand.grow()
    assert stand.tick() == 2


def test_nothing_is_due_where_nothing_is_planned(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    stand.grow(100)
    stand.now_ns = 10**18
    assert stand.tick() == 0


@pytest.mark.parametrize("plan", [ONLY_ASKED, CheckpointPlan(1, 1, 0, 0)])
def test_no_space_is_an_alarm_and_not_tried_at_once_again(
    plan: CheckpointPlan, open_stand: Opener
) -> None:
    stand = open_stand(plan)
    stand.now_ns = 1
    stand.free = payload_bytes_max(stand.engine.state) - 1
    stand.checkpointer.request() if plan is ONLY_ASKED else stand.tick()
    assert stand.timers == []
    (alarm,) = stand.alarms
    assert alarm.startswith("no checkpoint was taken, orders go on: it may take ")
    stand.free += 1
    assert stand.tick() == 0
    stand.now_ns += RETRY_NS
    assert stand.tick() == (0 if plan is ONLY_ASKED else 1)


def test_the_reserve_is_not_for_checkpoints(open_stand: Opener) -> None:
    stand = open_stand(CheckpointPlan(0, 0, 0, 2**30))
    stand.free = payload_bytes_max(stand.engine.state) + 2**30 - 1
    stand.checkpointer.request()
    assert "are reserved for records" in stand.alarms[0]


def test_free_space_that_cannot_be_found_out_is_an_alarm(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)

    def fail() -> int:
        raise OSError(5, "Input/output error")

    stand.checkpointer._space_left = fail
    stand.checkpointer.request()
    assert stand.alarms[0].endswith(
        "nobody can say how much of its disk is free: [Errno 5] Input/output error"
    )


def test_what_a_child_may_still_write_is_promised_and_given_back(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    assert stand.checkpointer.promised_bytes() == 0
    stand.checkpointer.request()  # its record is not durable: it waits
    bytes_max = payload_bytes_max(stand.engine.state)
    assert stand.checkpointer.promised_bytes() == bytes_max
    head = stand.writer.staged_head
    beside = stand.directory / f"checkpoint-{head.sequence:020d}.new"
    beside.write_bytes(bytes(1_000))
    assert stand.checkpointer.promised_bytes() == bytes_max - 1_000
    stand.checkpointer.give_way()
    stand.checkpointer.give_way()
    assert stand.checkpointer.promised_bytes() == 0
    assert not beside.exists()
    (alarm,) = stand.alarms
    assert alarm.endswith("records need the space that it would take")
    stand.settle()
    assert stand.events == []
    stand.writer.sync_now()
    stand.checkpointer.request()
    stand.settle()
    assert len(stand.events) == 1


def test_what_the_disk_refuses_is_an_alarm(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    head = stand.writer.sync_now()
    beside = stand.directory / f"checkpoint-{head.sequence:020d}.new"
    beside.mkdir()
    stand.checkpointer.request()
    stand.settle()
    (alarm,) = stand.alarms
    assert alarm.startswith("no checkpoint was taken, orders go on: cannot write the checkpoint")
    assert (stand.events, stand.listed()) == ([], [])
    beside.rmdir()
    stand.checkpointer.request()
    stand.settle()
    assert stand.listed() == [head.sequence]


def without_descriptors(act: Callable[[], object]) -> None:
    """Does it in a process that may not open anything."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        act()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("is_asked_for", [True, False])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (without_descriptors, "cannot fork: [Errno 24] Too many open files"),
        (lambda act: act(), "nobody can say how much of its disk is free: [Errno 5] "),
    ],
)
def test_what_the_system_refuses_is_an_alarm_and_tried_later(
    make: Callable[[Callable[[], None]], None], said: str, is_asked_for: bool, open_stand: Opener
) -> None:
    stand = open_stand(CheckpointPlan(1, 1, 0, 0))
    stand.now_ns = 1
    stand.writer.sync_now()
    stand.disk_error = OSError(5, "Input/output error") if "disk" in said else None
    act = stand.checkpointer.request if is_asked_for else stand.checkpointer.tick
    rotations = stand.writer.segment_number
    for count in range(1, 7):
        make(act)
        assert len(stand.alarms) == count
        assert stand.alarms[-1].startswith(f"no checkpoint was taken, orders go on: {said}")
        # Twice as late each time, but not later than that.
        stand.now_ns += min(RETRY_NS * 2 ** (count - 1), RETRY_NS_MAX) - 1
        assert stand.tick() == 0
        assert len(stand.alarms) == count
        stand.now_ns += 1
    assert (stand.events, stand.timers) == ([], [])
    stand.grow()
    stand.writer.sync_now()
    assert stand.writer.segment_number == rotations  # none that holds nothing
    stand.disk_error = None
    assert stand.tick() == 1
    stand.disk_error = OSError(5, "Input/output error")
    stand.grow()
    stand.now_ns += CHILD_LIFE_MAX_NS * REST_FACTOR
    stand.checkpointer.tick()
    stand.now_ns += RETRY_NS
    stand.disk_error = None
    assert stand.tick() == 2


@pytest.mark.parametrize("is_known", [True, False])
def test_a_child_that_is_killed_is_an_alarm(is_known: bool, open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    stand.checkpointer.request()  # its record is not durable: it waits
    underway = stand.checkpointer._underway
    assert underway is not None
    os.kill(underway.child.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    if not is_known:
        os.waitpid(underway.child.pid, 0)  # type: ignore[attr-defined]
    stand.settle()
    how = "its process ended with signal SIGKILL"
    unknown = "somebody else has taken its process's exit code"
    assert stand.alarms[0].endswith(how if is_known else unknown)
    stand.writer.sync_now()
    stand.checkpointer.request()
    stand.settle()
    assert len(stand.events) == 1


def test_at_a_stop_what_the_system_refuses_is_an_alarm(open_stand: Opener) -> None:
    stand = open_stand(CheckpointPlan(0, 0, 1, 0))
    stand.writer.sync_now()
    stand.disk_error = OSError(5, "Input/output error")
    stand.checkpointer.take_at_stop()
    stand.disk_error = None
    without_descriptors(stand.checkpointer.take_at_stop)
    assert len(stand.alarms) == 2
    assert "Too many open files" in stand.alarms[1]
    stand.checkpointer.take_at_stop()
    assert len(stand.events) == 1


def test_a_child_that_hangs_is_ended(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    stand.checkpointer.request()  # its record is not durable: it waits
    stand.now_ns = CHILD_LIFE_MAX_NS
    stand.timers.pop(0)()
    assert len(stand.timers) == 1
    stand.now_ns += 1
    stand.timers.pop(0)()
    assert stand.timers == []
    assert stand.alarms[0].endswith("it took too long and was ended")
    stand.writer.sync_now()
    stand.checkpointer.request()
    stand.settle()
    assert len(stand.events) == 1


def test_a_stop_ends_a_child_that_is_at_work(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    stand.checkpointer.request()
    stand.checkpointer.stop()
    stand.checkpointer.stop()
    stand.settle()  # the timer that is left finds nothing
    assert (stand.said, stand.alarms, stand.events) == ([], [], [])


def test_at_a_stop_when_there_is_enough_to_read(open_stand: Opener) -> None:
    stand = open_stand(CheckpointPlan(0, 0, 20, 0))
    stand.grow(19 - OPENING)
    stand.writer.sync_now()
    stand.checkpointer.take_at_stop()
    assert stand.events == []
    head = stand.grow()
    stand.writer.sync_now()
    stand.checkpointer.take_at_stop()
    assert (stand.events[0].checkpoint_sequence, stand.events[0].why) == (
        head.sequence,
        "clean stop",
    )
    assert stand.listed() == [head.sequence]


def test_a_state_of_another_record_is_a_bug(open_stand: Opener) -> None:
    stand = open_stand(ONLY_ASKED)
    head = stand.writer.sync_now()
    stand.grow()
    with pytest.raises(InvariantError, match=r"^state before 9 is not that after Head"):
        write_state(stand.directory, HASHER, stand.engine.state, head)
    assert stand.listed() == []
