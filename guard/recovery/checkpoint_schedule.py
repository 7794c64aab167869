"""Checkpoints of the running daemon: when one is due, and how one is taken while orders go on.

Owns the schedule, the child that writes (`guard.process.forked_child`), and the record that says
so. The payload is `guard.recovery.checkpoint_payload`'s, the files are `wal.checkpoint`'s.

How it works: between two callbacks of the loop the state is that after the last record staged. A
fork there gives a child that state, frozen; the loop stands still for the fork alone. The child
works out the digest, waits until that record is durable, and writes, resting behind each piece so
that the log's syncs find the disk free; the loop then logs a `checkpoint` event. The next batch
begins a segment, so that a start reads little behind it. At a clean stop, with nothing left to wait
for, the process writes the checkpoint itself, without a rest.

How it fails: whatever becomes of a checkpoint (no descriptor, no process, no memory, a child that
is killed or of which nobody knows how it ended) is an alarm to the operator, never an end of the
service: orders go on, older checkpoints and the log are as they were, the next try is later, and
twice as late each time until one is written. None is begun that the log's disk cannot hold beside
its reserve, and one at work gives way to records.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Final, Protocol

import msgspec

from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.engine.events import CheckpointTaken, Outcome
from guard.engine.state import GuardState
from guard.process.forked_child import DESCRIPTORS, Ended, ForkedChild, WaitForGo
from guard.process.line_forms import told
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.recovery.checkpoint_payload import encode_state, state_digest_hex
from kernel import InvariantError
from wal import (
    ChainHasher,
    CheckpointError,
    CheckpointInfo,
    Head,
    LogWriter,
    Spares,
    WalError,
    abandon_checkpoint,
    checkpoint_bytes_written,
    write_checkpoint,
)

POLL_S: Final = 0.05
# A child that takes longer hangs: ten million orders are written in half a minute.
CHILD_LIFE_MAX_NS: Final = 900 * NANOSECONDS_PER_SECOND
# By count of records, one begins this many times the last one's CPU time after it, so that writing
# checkpoints stays a small part of what the machine does. (Not its duration: where orders leave it
# little of a core it takes long, and the log behind it grows.)
REST_FACTOR: Final = 8
RETRY_NS: Final = 60 * NANOSECONDS_PER_SECOND
# The log behind the last one grows meanwhile, and a start reads it: not later than that.
RETRY_NS_MAX: Final = 16 * RETRY_NS
# With fewer records than this behind the last one, a clean stop writes none: they are read at once.
STOP_RECORDS_MIN: Final = 10_000
# Beside orders and holds: policy, desks, instruments, at the sizes that are common.
HEAD_BYTES: Final = 4 * 1024 * 1024
# What may keep one from being written.
_EXPECTED: Final = (WalError, OSError, MemoryError)


class Child(Protocol):
    """Who writes a checkpoint; `ForkedChild`, but in a simulation."""

    def let_go(self) -> None: ...
    def poll(self) -> Ended | None: ...
    def kill(self) -> None: ...


class StartChild(Protocol):
    """Begins `work` on the state as it is at this instant. Raises OSError."""

    def __call__(
        self,
        work: Callable[[GuardState, WaitForGo], str],
        subject: GuardState,
        expected_errors: tuple[type[Exception], ...],
    ) -> Child: ...


class _Taken(msgspec.Struct):
    """A child's word."""

    file_name: str
    payload_bytes: int
    state_digest_hex: str


_decode_taken: Final = msgspec.json.Decoder(_Taken).decode


@dataclass(frozen=True, slots=True)
class CheckpointPlan:
    """When to take one: with so many records behind the last one, after so long, at a clean stop
    with so many records behind it. 0: not for that reason.

    `reserve_bytes` of the disk are not for checkpoints.
    """

    every_records: int
    interval_ns: int
    stop_records: int
    reserve_bytes: int


@dataclass(slots=True)
class _Underway:
    """A child and what it writes."""

    child: Child
    head: Head
    why: str
    started_ns: int
    stood_still_ns: int
    bytes_max: int


def write_state(
    directory: Path, hasher: ChainHasher, state: GuardState, head: Head
) -> CheckpointInfo:
    """Writes the checkpoint of `state`, which is that after the durable record `head`."""
    if state.next_sequence != head.sequence + 1:
        raise InvariantError(f"state before {state.next_sequence} is not that after {head}")
    return write_checkpoint(directory, head, state_digest_hex(state), encode_state(state), hasher)


def taken_event(info: CheckpointInfo, actor: Actor) -> Outcome:
    """The event that says that it was taken."""
    head = info.head
    return actor.event(
        CheckpointTaken,
        checkpoint_sequence=head.sequence,
        checkpoint_hash=head.entry_hash,
        state_digest_hex=head.state_digest_hex,
        file_name=info.path.name,
        payload_bytes=head.payload_bytes,
    )


def payload_bytes_max(state: GuardState) -> int:
    """What a checkpoint of `state` takes, at most; an estimate."""
    holds = state.ledger.active_reservations
    return HEAD_BYTES + 20 * holds + state.orders.memory_bytes()


class KeyTurn(Protocol):
    """Who changes the log's key with each segment (`guard.server.log_keys`)."""

    @property
    def is_changing(self) -> bool:
        """May nobody else write the manifest now?"""

    def prepare(self) -> bool:
        """Has the manifest made with the key to come, which `rotate` then goes on under."""

    def rotate(self) -> None:
        """Goes on under the next key, in a new segment."""


class Checkpointer:
    """Takes checkpoints of one engine and its log. All calls belong to the loop's thread."""

    def __init__(
        self,
        engine: Engine,
        writer: LogWriter,
        directory: Path,
        hasher: ChainHasher,
        plan: CheckpointPlan,
        *,
        last_sequence: int,
        record: Callable[[Outcome], None],
        actor: Callable[[str], Actor],
        call_later: Callable[[float, Callable[[], None]], object],
        space_left: Callable[[], int],
        monotonic_ns: Callable[[], int],
        say: Callable[[str], None],
        alarm: Callable[[str], None],
        start_child: StartChild = ForkedChild.start,
    ) -> None:
        """`last_sequence`: of the newest checkpoint that there is, 0 for none.

        `space_left`: bytes of the disk that nobody was promised; may raise OSError.
        """
        self._engine = engine
        self._writer = writer
        self._directory = directory
        self._hasher = hasher
        self._plan = plan
        self.last_sequence = last_sequence
        self._record = record
        self._actor = actor
        self._call_later = call_later
        self._space_left = space_left
        self._monotonic_ns = monotonic_ns
        self._say = say
        self._tell = alarm
        self._start_child = start_child
        self._spares = Spares(DESCRIPTORS)
        self._retry_ns = RETRY_NS
        self.keys: KeyTurn | None = None
        self._is_put_off = False
        self._underway: _Underway | None = None
        self._last_began_ns = self._not_before_ns = self.last_taken_ns = monotonic_ns()

    def tick(self) -> None:
        """Begins one if it is due. Once a second or so."""
        if self._underway is not None:
            return
        if self._is_put_off:
            self._begin("put off")
            return
        plan, now_ns = self._plan, self._monotonic_ns()
        record_count = self._writer.staged_head.sequence - self.last_sequence
        if 0 < plan.every_records <= record_count and now_ns >= self._not_before_ns:
            self._begin(f"{record_count} records since the last")
        elif (
            0 < plan.interval_ns <= now_ns - self._last_began_ns
            and now_ns >= self._not_before_ns
            and record_count > 1  # more than the last one's own record
        ):
            self._begin("interval")

    def request(self) -> None:
        """Begins one now, whatever the plan says; one that is under way will do."""
        if self._underway is None:
            self._begin("asked for")

    @property
    def is_under_way(self) -> bool:
        """Is a child writing one?"""
        return self._underway is not None

    def rotate(self) -> None:
        """Lets the next batch begin a segment, under the next key where the log's key evolves."""
        if self.keys is None:
            self._writer.rotate()
        else:
            self.keys.rotate()

    def stop(self) -> None:
        """Ends a child that is at work. What it has not finished is removed by the next start."""
        if self._underway is not None:
            self._underway.child.kill()
            self._underway = None
        self._spares.give_up()

    def promised_bytes(self) -> int:
        """How much the child at work may still write, at most."""
        underway = self._underway
        if underway is None:
            return 0
        written = checkpoint_bytes_written(self._directory, underway.head.sequence)
        return max(0, underway.bytes_max - written)

    def give_way(self) -> None:
        """Ends a child at work, and gives its space back: records need it."""
        underway = self._underway
        if underway is None:
            return
        self.stop()
        abandon_checkpoint(self._directory, underway.head.sequence)
        self._alarm("records need the space that it would take")

    def take_at_stop(self) -> None:
        """Writes one here and now, if the plan says so. All is durable, none is under way."""
        head = self._writer.durable_head
        record_count = head.sequence - self.last_sequence
        if not 0 < self._plan.stop_records <= record_count or self._lacks_space():
            return
        try:
            info = write_state(self._directory, self._hasher, self._engine.state, head)
        except _EXPECTED as error:
            self._alarm(_text_of(error))
            return
        self._log(_taken(info), head, "clean stop")

    def _begin(self, why: str) -> None:
        if self._writer.poisoned:
            return  # the daemon is about to end
        self._last_began_ns = self._monotonic_ns()
        self._is_put_off = self.keys is not None and self.keys.is_changing
        if self._is_put_off or self._lacks_space():
            return
        # The child writes the manifest with the key under which the log then is.
        if self.keys is not None and not self.keys.prepare():
            self._alarm("the log's key cannot be changed before it")
            return
        head, state = self._writer.staged_head, self._engine.state

        def work(frozen: GuardState, wait_for_go: WaitForGo) -> str:
            digest_hex = state_digest_hex(frozen)
            if not wait_for_go():
                raise CheckpointError("the daemon ended")
            info = write_checkpoint(
                self._directory,
                head,
                digest_hex,
                encode_state(frozen),
                self._hasher,
                pace=self._pace,
            )
            return msgspec.json.encode(_taken(info)).decode()

        if state.next_sequence != head.sequence + 1:
            raise InvariantError(f"state before {state.next_sequence} is not that after {head}")
        try:
            with self._spares.lent():
                child = self._start_child(work, state, _EXPECTED)
        except (OSError, MemoryError) as error:
            if self.keys is not None:
                self.keys.rotate()
            self._alarm(f"cannot fork: {_text_of(error)}")
            return
        self.rotate()
        now_ns = self._monotonic_ns()
        stood_still_ns = now_ns - self._last_began_ns
        bytes_max = payload_bytes_max(state)
        self._underway = _Underway(child, head, why, now_ns, stood_still_ns, bytes_max)
        self._look()

    def _pace(self, sync: Callable[[], None]) -> None:
        """In the child: leaves the disk to the log for as long as the sync of a piece took."""
        began_ns = self._monotonic_ns()
        sync()
        sleep((self._monotonic_ns() - began_ns) / NANOSECONDS_PER_SECOND)

    def _look(self) -> None:
        """Looks after the child, again and again until it has ended."""
        underway = self._underway
        if underway is None:
            return
        if self._writer.durable_head.sequence >= underway.head.sequence:
            underway.child.let_go()
        ended = underway.child.poll()
        if ended is not None:
            self._underway = None
            self._spares.take()
            self._settle(underway, ended)
        elif self._monotonic_ns() - underway.started_ns > CHILD_LIFE_MAX_NS:
            underway.child.kill()
            self._underway = None
            self._spares.take()
            self._alarm("it took too long and was ended")
        else:
            self._call_later(POLL_S, self._look)

    def _settle(self, underway: _Underway, ended: Ended) -> None:
        if ended.word is None:
            self._alarm(ended.problem or "")
            return
        taken = _decode_taken(ended.word)
        self._log(taken, underway.head, underway.why)
        self._retry_ns = RETRY_NS
        duration_ns = self._monotonic_ns() - underway.started_ns
        self._not_before_ns = self._monotonic_ns() + REST_FACTOR * ended.cpu_ns
        text = (
            f"checkpoint of record {underway.head.sequence}: {taken.payload_bytes} bytes in "
            f"{duration_ns / 1e9:.1f} s; orders stood still for "
            f"{underway.stood_still_ns / 1e6:.1f} ms"
        )
        self._say(told("checkpoint_taken", text, sequence=underway.head.sequence))

    def _log(self, taken: _Taken, head: Head, why: str) -> None:
        event = self._actor(why).event(
            CheckpointTaken,
            checkpoint_sequence=head.sequence,
            checkpoint_hash=head.entry_hash,
            state_digest_hex=taken.state_digest_hex,
            file_name=taken.file_name,
            payload_bytes=taken.payload_bytes,
        )
        self.last_sequence = head.sequence
        self.last_taken_ns = self._monotonic_ns()
        self._record(event)

    def _lacks_space(self) -> bool:
        needed = payload_bytes_max(self._engine.state)
        try:
            left = self._space_left()
        except OSError as error:
            self._alarm(f"nobody can say how much of its disk is free: {error}")
            return True
        if left >= needed + self._plan.reserve_bytes:
            return False
        self._alarm(
            f"it may take {needed} bytes; {left} are free, and {self._plan.reserve_bytes} of them "
            "are reserved for records"
        )
        return True

    def _alarm(self, problem: str) -> None:
        self._not_before_ns = self._monotonic_ns() + self._retry_ns
        self._retry_ns = min(2 * self._retry_ns, RETRY_NS_MAX)
        text = f"no checkpoint was taken, orders go on: {problem}"
        self._tell(told("checkpoint_failed", text))


def _text_of(error: Exception) -> str:
    """A MemoryError has no text."""
    return str(error) or type(error).__name__


def _taken(info: CheckpointInfo) -> _Taken:
    head = info.head
    return _Taken(info.path.name, head.payload_bytes, head.state_digest_hex)
