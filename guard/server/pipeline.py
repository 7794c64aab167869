"""The pipeline: drain, answer, sync, reply.

Owns the order of these steps, and with it the first promise: a reply of any kind leaves only after
everything decided before it is on disk. What a message's answer is, `guard.server.request_path`
says; the rules are the engine's, the files the log's.

How it works (group commit): whatever has arrived is decided and staged while the previous batch is
being synced. When that sync returns, the next batch, with all that has been gathered meanwhile,
goes to the disk, and the replies of the one before leave in order. A reply that changes nothing
waits in the same line.

Being told of a sync on another thread costs more than a quick sync itself takes. So as long as the
disk was quick the last time and little had arrived, nothing behind it, it is synced on the loop,
which has nothing else to do. A slow sync sends the next batch to the thread, until one is quick
again. A disk that stalls holds the loop up in one such sync, or while the log's next segment is
created for a batch of the other kind; no reply could leave in either:
requests wait in their queues, the watchdog is not fed, a signal acts when the disk has answered.
Where a client asks for signs of life (ZMTP's PING), the thread syncs such a batch too, and the loop
waits for it as long as a quick sync takes: when the disk stalls the loop goes on, answers PINGs,
and decides. That takes 20 to 50 µs more for each (two threads are woken, not one), which who
has no client with heartbeats is spared.

After the replies of such a batch the next message is looked for, for a while, before the loop
sleeps (`busy_poll_ns`): being woken costs as much as an order's whole way through the daemon. What
is found is taken up at once, without a turn of the loop.

Where a cluster has the log, too (`confirm`), a batch is under way to both at once, and its replies
wait for both; so do those that stand on no new record, and whoever waits to be told of the durable
head: another guard may have taken over.

How it fails: any error, of the disk or of our own, ends `run`; no reply of an unsynced batch
leaves.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import structs

from guard.engine.engine import Engine
from guard.engine.events import Outcome
from guard.process.installation import build
from guard.protocol.messages import Pong, StatsReply
from guard.server.batch import Answer, Bounds, Drained, Gathering
from guard.server.counters import Counters
from guard.server.disk_reserve import Allowance
from guard.server.late import discard_late
from guard.server.late_replies import LateReplies
from guard.server.listener import Listener
from guard.server.recording import record_event, record_what_is_due
from guard.server.request_path import RequestPath
from wal import Head, LogWriter, WalError, WalPoisoned
from wal.failpoint import is_armed, reach

# One drain decides at most so many messages, or requests, before the loop looks at anything else:
# below a millisecond, so that replies whose batch has become durable meanwhile do not wait long.
DRAIN_MESSAGES_MAX: Final = 64
DRAIN_REQUESTS_MAX: Final = 128
# A batch is synced on the loop if no more than this had arrived; else the loop goes on deciding
# while another thread syncs.
ON_LOOP_MESSAGES_MAX: Final = 64
ON_LOOP_REQUESTS_MAX: Final = 512
# A longer sync than this sends the next batch off the loop: deciding meanwhile gains more by then.
ON_LOOP_SYNC_NS_MAX: Final = 4_000_000
# Turns are taken one upon the other for so long, then timers, signals and other sockets come first.
IN_PLACE_NS_MAX: Final = 2_000_000
# Beyond this much waiting for the disk nothing more is read; clients wait in their TCP queues. The
# bytes are those of records and of replies: a query stages no record, and its reply may be long.
GATHERED_RECORDS_MAX: Final = 16_384
GATHERED_BYTES_MAX: Final = 16 * 1024 * 1024
GATHERED_MESSAGES_MAX: Final = 8_192
# At a stop, what had already arrived is still decided: at most so many messages.
STOP_DRAIN_MESSAGES_MAX: Final = 65_536
STOP_DRAINS_MAX: Final = 64  # each reads no more than the door's turn allows

# Where a test may kill the process, beside the places in `wal.failpoint`. Where one step follows
# upon another, the place after the one is the place before the other.
FAILPOINTS: Final = (
    "decide.before",
    "decide.after",
    "append.after",
    "apply.after",
    "sync.before",
    "sync.after",
    "reply.after",
)


# Who is told of a durable head.
Told: TypeAlias = Callable[[Head], None]


class Batch(NamedTuple):
    """What was gathered, and goes to the disk together."""

    answers: list[Answer]
    last_sequence: int
    byte_count: int  # of records and answers
    started_ns: int
    since_ns: int  # when the first of its messages was taken
    told: list[Told]  # who else is told of the durable head


class Pipeline:
    """Between the door and the log. All calls belong to the loop's thread."""

    def __init__(
        self,
        engine: Engine,
        writer: LogWriter,
        gateway: Listener,
        wall_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
        confirm: Callable[[Head], Awaitable[None]] | None = None,
        busy_poll_ns: int = 0,
        gauges: Callable[[], dict[str, int]] = dict,
        batch_bytes_max: int = GATHERED_BYTES_MAX,
        system_ns: Callable[[], int] | None = None,
        needs_permits: bool = False,
        is_fenced: bool = False,
    ) -> None:
        """`confirm`: what else must have the durable head before a reply may leave.

        `busy_poll_ns`: how long after replies the next message is looked for without sleeping.
        `gauges`: what `stats` tells beside what is counted here.
        `batch_bytes_max`: a bound below `GATHERED_BYTES_MAX`, if the disk asks for one.
        `is_fenced`: `confirm` is asked also for whoever is told of what stands on no new record.
        `system_ns`, `needs_permits`: see `guard.server.request_path`.
        """
        self._engine = engine
        self._writer = writer
        self._gateway = gateway
        self._monotonic_ns = monotonic_ns
        self._confirm = confirm
        self._busy_poll_ns = busy_poll_ns
        self._gauges = gauges
        self._batch_bytes_max = batch_bytes_max
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._is_fenced = is_fenced
        self._is_paused = False
        self._is_publishing_late = False  # it has failed: that is a duty's now
        self._is_turn_due = False
        self._is_stopping = False
        self._failure: BaseException | None = None
        self._batch: Batch | None = None  # on its way to the disk
        self._uncounted: Batch | None = None
        self._syncs_counted = writer.sync_count
        self._created_ns = self._since_ns = monotonic_ns()
        self.counters = Counters()
        self.path = RequestPath(
            engine,
            writer,
            self.counters,
            wall_ns,
            system_ns=system_ns,
            needs_permit=needs_permits,
        )
        self._gathering = Gathering(gateway, self.path, writer, self.counters)
        self.look_at_space: Callable[[], None] = lambda: None
        self._waiting: list[Told] = []  # who is told of the durable head behind the next batch
        self.on_answered: Told | None = None  # told of each batch's head, behind its replies

    def watch_space(self, look: Callable[[], Allowance]) -> None:
        """From now on `look` says how much may be staged before it is asked again.

        It is asked at once, and by `look_at_space`. Raises what it raises.
        """

        def look_at_space() -> None:
            allowance = look()
            self._gathering.staged_end = allowance.staged_bytes
            self.path.refused = int(allowance.refused)

        self._gathering.watch_space(look_at_space)
        self.look_at_space = look_at_space

    def start(self) -> None:
        """Begins to listen, unless it is to stop already."""
        if self._is_stopping:
            return
        self._gateway.attach(self._loop, self._on_readable)
        self._on_readable()

    def stop(self) -> None:
        """Decides what has arrived, listens no more; `run` returns when all of it is answered."""
        if self._is_stopping:
            return
        self._gateway.detach()
        self._is_stopping = True
        for _ in range(STOP_DRAINS_MAX):
            if not self._drain(STOP_DRAIN_MESSAGES_MAX, STOP_DRAIN_MESSAGES_MAX):
                break
        self._wake.set()

    def record(self, outcome: Outcome) -> None:
        """Logs and applies an event that no request asked for; it goes out with the next batch.
        Whatever keeps it from that ends `run`, whoever catches it here.
        """
        self.catch_up(outcome.received_at_ns, outcome)

    def catch_up(self, at_ns: int, outcome: Outcome | None = None) -> None:
        """Records what time has caused by then, before whatever is decided behind it."""
        try:
            count = record_what_is_due(self._engine, self._writer, at_ns)
            if outcome is not None:
                count += 1 + record_event(self._engine, self._writer, outcome)
        except BaseException as error:
            self.fail(error)
            raise
        if count:
            self.counters.records += count
            self._wake.set()

    def when_durable(self, call: Told) -> None:
        """Calls with the durable head as soon as all that is staged by now is on disk.

        Calls are made in the order in which they were asked for, behind the replies of their batch;
        at once where nothing is on its way, and no fence is to be passed. None is made once the
        pipeline has failed.
        """
        if self._failure is not None:
            return
        if self._writer.staged_count or self._is_fenced:
            self._waiting.append(call)
            self._wake.set()
        elif self._batch is not None:
            self._batch.told.append(call)
        else:
            call(self._writer.durable_head)

    def fail(self, failure: BaseException) -> None:
        """Ends `run` with this error: nothing that is not yet on disk will be answered."""
        self._failure = self._failure or failure
        self._wake.set()

    async def run(self) -> None:
        """Syncs and answers batch by batch until `stop`. Raises what went wrong."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (
                self._batch is not None
                or self._gathering.answers
                or self._writer.staged_count
                or self._waiting
                or self._failure is not None
            ):
                await self._finish_batch()
            if self._is_stopping:
                return

    async def discard_late(self) -> None:
        """Reads and forgets what arrives after the stop, and counts it; after `run`."""
        assert self._is_stopping
        await discard_late(self._gateway, self.counters, self._monotonic_ns)

    @property
    def is_idle(self) -> bool:
        """Is nothing on its way to the disk or waiting for it?"""
        return self._batch is None and not self._gathering.answers

    def is_stalled(self, limit_ns: int) -> bool:
        """Has the batch on its way to the disk been there for longer than `limit_ns`?"""
        return self.batch_waiting_ns() > limit_ns

    @property
    def is_stopping(self) -> bool:
        """Is nothing more taken in?"""
        return self._is_stopping

    def batch_waiting_ns(self) -> int:
        """For how long the batch on its way to the disk has been there; 0 where none is."""
        return 0 if self._batch is None else self._monotonic_ns() - self._batch.started_ns

    def uptime_ns(self) -> int:
        """Since it was made."""
        return self._monotonic_ns() - self._created_ns

    async def _finish_batch(self) -> None:
        """The gathered batch to the disk, off the loop, and its replies out."""
        if self._failure is not None:
            raise self._failure
        batch = self._batch or self._take_batch()
        head = await self._writer.sync(batch.last_sequence)
        reach("sync.after")
        if self._confirm is not None:
            await self._confirm(head)
        self._batch = None
        self._begin_next()
        self._send(batch, head)

    def _begin_next(self) -> None:
        """Has what was gathered meanwhile written while the replies before it leave."""
        if self._failure is not None or not self._writer.staged_count:
            return
        self._take_batch()
        try:
            self._writer.sync_within(self._loop, 0)
        except WalError as error:
            self.fail(error)  # those replies are true all the same

    def _finish_batch_here(self) -> None:
        """As `_finish_batch`, without leaving the loop, unless PINGs and the disk ask for it."""
        batch, writer = self._take_batch(), self._writer
        try:
            if not self._gateway.hears_pings:
                writer.sync_now()
            elif not writer.sync_within(self._loop, ON_LOOP_SYNC_NS_MAX):
                self._wake.set()
                return
        except WalError as error:
            self.fail(error)
            return
        reach("sync.after")
        self.counters.batches_on_loop += 1
        self._batch = None
        self._send(batch, writer.durable_head)

    def _may_finish_here(self) -> bool:
        """May the batch that is about to be gathered be synced on the loop?"""
        last = self._writer.last_sync
        return (
            self._batch is None
            and self._confirm is None
            and self._failure is None
            and len(self._gathering.answers) < ON_LOOP_MESSAGES_MAX
            and self._writer.staged_count < ON_LOOP_REQUESTS_MAX
            and (last is None or last.latency_ns <= ON_LOOP_SYNC_NS_MAX)
        )

    def _take_batch(self) -> Batch:
        """What has been gathered is from now on the batch on its way to the disk."""
        byte_count = self._gathering.answers_bytes + self._writer.staged_bytes
        answers = self._gathering.take()
        told, self._waiting = self._waiting, []
        last_sequence, started_ns = self._writer.staging.sequence, self._monotonic_ns()
        self._batch = Batch(answers, last_sequence, byte_count, started_ns, self._since_ns, told)
        reach("sync.before")
        return self._batch

    def _send(self, batch: Batch, head: Head) -> None:
        self._uncounted = batch  # who waits for a reply does not wait for that
        self._gateway.send_all(
            batch.answers,
            functools.partial(self._encode_late, head),
            functools.partial(reach, "reply.after") if is_armed() else None,
        )
        self._count_batch()
        for call in batch.told:
            call(head)
        if self.on_answered is not None:
            self.on_answered(head)
        self._is_paused = False
        # Who stood in line, or was held, while the batch was full.
        if not self._is_turn_due and not self._is_stopping and self._gateway.has_ready():
            self._take_another_turn()

    def _count_batch(self) -> None:
        batch, self._uncounted = self._uncounted, None
        if batch is None:
            return
        self._publish()
        waited_ns = self._monotonic_ns() - batch.since_ns
        self.counters.count_batch(len(batch.answers), batch.byte_count, waited_ns)
        writer = self._writer
        if writer.sync_count != self._syncs_counted:
            self._syncs_counted = writer.sync_count
            assert writer.last_sync is not None
            self.counters.count_sync(*writer.last_sync)

    def _publish(self) -> None:
        """Tells the log's readers of the durable head, behind the replies."""
        if self._is_publishing_late:
            return
        try:
            self._writer.publish()
        except WalPoisoned as error:
            self.fail(error)
        except WalError:
            self._is_publishing_late = True

    def publish_late(self) -> None:
        """Tells them again, where that has failed behind a batch. Raises WalError."""
        if self._is_publishing_late:
            self._writer.publish()
            self._is_publishing_late = False

    def _encode_late(self, head: Head, late: LateReplies) -> bytes:
        replies: list[Any] = []
        for reply in late.replies:
            if isinstance(reply, Pong):
                reply.head_sequence, reply.head_hash = head
            elif isinstance(reply, StatsReply):
                reply = self._stats_with(reply)
            replies.append(reply)
        return late.encode(replies)

    def _stats_with(self, asked: StatsReply) -> StatsReply:
        """The reply as it leaves: what stood when it was asked for, and what is durable now.

        What has been decided since then may not be on disk yet, and no reply shows it.
        """
        reply = self.stats()
        counters = reply.counters | asked.counters
        return structs.replace(reply, counters=counters, request_id=asked.request_id)

    def stats(self) -> StatsReply:
        """What is counted, and how full it is, now; also by what is not durable yet."""
        self._count_batch()  # whose reply this may be
        reply = self.counters.as_reply(
            uptime_ns=self.uptime_ns(),
            head_sequence=self._writer.durable_head.sequence,
            **self._gateway.counts(),
            **self.path.decided_counters(),
            **self._gauges(),
        )
        reply.build = build()
        return reply

    def _on_readable(self) -> None:
        """One turn, and more of them as long as each finds the next: the loop's own costs time."""
        if not self._take_turn():
            return
        end_ns = self._monotonic_ns() + IN_PLACE_NS_MAX
        while self._take_turn():
            if self._monotonic_ns() >= end_ns:
                self._take_another_turn()
                return

    def _take_turn(self) -> bool:
        """Whether it was ended with its replies, and the next message is here already."""
        if self._is_stopping or self._failure is not None:
            return False
        if self._is_paused:
            self._gateway.look()  # replies leave, and who came is let in
            return False
        is_here = self._may_finish_here()
        if is_here:
            has_more = self._drain(ON_LOOP_MESSAGES_MAX, ON_LOOP_REQUESTS_MAX)
        else:
            has_more = self._drain(DRAIN_MESSAGES_MAX, DRAIN_REQUESTS_MAX)
        if has_more and not self._is_turn_due:
            self._take_another_turn()
        if not self._gathering.answers:
            return False
        if is_here and not has_more:
            self._finish_batch_here()
            may_poll = self._batch is None and not self._is_turn_due
            if self._busy_poll_ns and self._failure is None and may_poll:
                return self._finds_more()
        else:
            self._wake.set()
        return False

    def _finds_more(self) -> bool:
        """Saves a client that waits for each reply the time in which this thread is woken."""
        has_input, now_ns = self._gateway.has_input, self._monotonic_ns
        end_ns = now_ns() + self._busy_poll_ns
        while now_ns() < end_ns:
            if has_input():
                self.counters.turns_polled += 1
                return True
        return False

    def _take_another_turn(self) -> None:
        # One at a time: were each batch to start a chain of turns of its own, a flood would have
        # the loop do nothing else.
        assert not self._is_turn_due
        self._is_turn_due = True
        self._loop.call_soon(self._on_turn)

    def _on_turn(self) -> None:
        self._is_turn_due = False
        self._on_readable()

    def _drain(self, messages_max: int, requests_max: int) -> bool:
        """Decides what has arrived. True when it stopped at a bound of its own: more may wait."""
        bytes_max = min(GATHERED_BYTES_MAX, self._batch_bytes_max)
        if not self._gathering.answers:
            self._since_ns = self._monotonic_ns()
        bounds = Bounds(GATHERED_MESSAGES_MAX, GATHERED_RECORDS_MAX, bytes_max)
        drained = self._gathering.drain(messages_max, requests_max, bounds)
        if drained is Drained.FULL:
            self._is_paused = True
            self.counters.pauses += 1
        return drained is Drained.ENOUGH
