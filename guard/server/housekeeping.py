"""What the daemon looks after once a second, beside the orders.

Owns the heartbeat and its table of duties: the service manager's watchdog (fed only while batches
reach the disk), the look at the log's disk and directory (`guard.server.disk_reserve`,
`guard.server.log_watch`), the periodic anchor, the look whether a checkpoint is due
(`guard.recovery.checkpoint_schedule`), the log's readers where they could not be told of the
durable head (`wal.headfile`), the garbage collector (young objects, while nothing is under
way), the heap's memory (`guard.process.prefault`), and what is still to be told of lines that could
not be said (`guard.process.operator_lines`).

How it fails: what the environment refuses to one duty is said, and that duty alone is tried again
at the next beat (`guard.process.duties`). What must not fail is to record a halt or a resumption:
that is the log's own error, and ends the daemon (`Pipeline.record`). So does whatever else comes
out of a beat, which is a bug of ours: the task's end is the service's (`watch`).
"""

import asyncio
import gc
from collections.abc import Callable, Iterable
from typing import Final

from guard import clock
from guard.process import operator_lines as saying
from guard.process.duties import Duty
from guard.process.notify import ServiceNotifier
from guard.process.prefault import Heap
from guard.server.anchoring import AnchorPublisher
from guard.server.pipeline import Pipeline
from kernel import InvariantError
from wal import Head

# A batch that has been on its way to the disk for so long is no progress: no more watchdog food.
STALL_LIMIT_NS: Final = 10_000_000_000
BEAT_S: Final = 1.0
# At the start and at a stop: how long the anchor's disk is waited for.
ANCHOR_WAIT_S: Final = 5.0


class Housekeeper:
    """One beat a second. All calls belong to the loop's thread."""

    def __init__(
        self,
        pipeline: Pipeline,
        notifier: ServiceNotifier,
        anchor: AnchorPublisher | None,
        durable_head: Callable[[], Head],
        look_after_log: Callable[[], None],
        take_checkpoint_if_due: Callable[[], None],
        say: Callable[[str], None],
        alarm: Callable[[str], None],
        more_duties: Iterable[Duty] = (),
    ) -> None:
        """`more_duties`: rows of somebody else's, behind those that stand here."""
        self._pipeline = pipeline
        self._notifier = notifier
        self._anchor = anchor
        self._durable_head = durable_head
        self._look_after_log = look_after_log
        self._heap = Heap()
        self._say = say
        self._alarm = alarm
        self._period_s = min(BEAT_S, notifier.watchdog_s / 3 or BEAT_S)
        self._anchor_duty = Duty("the anchor", self._publish_anchor)
        # In this order, once a beat.
        self._duties = (
            Duty("the service manager's socket", self._feed_watchdog),
            Duty("the look at the log's disk", self._look_after_log),
            self._anchor_duty,
            Duty("the look whether a checkpoint is due", take_checkpoint_if_due),
            Duty("the telling of the durable head", pipeline.publish_late),
            Duty("the collection of garbage", self._collect_garbage),
            Duty("the taking of the heap's memory", self._heap.take_beside),
            Duty("the telling of lines that could not be said", saying.retry),
            *more_duties,
        )

    def prepare(self) -> None:
        """What must be before the first order. Raises OSError where the log's disk cannot be asked.

        The anchor is waited for, but not for ever; where it fails, it fails as later on.
        """
        self._look_after_log()
        self._perform(self._anchor_duty)
        if self._anchor is not None:
            self._anchor.settle(ANCHOR_WAIT_S)
        self._heap.take()

    async def run(self) -> None:
        """Beats until it is cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(self._period_s)

    def beat(self) -> None:
        """Each duty once. Raises what none of them may."""
        for duty in self._duties:
            self._perform(duty)

    def _perform(self, duty: Duty) -> None:
        if not duty.perform(clock.monotonic_ns(), self._say, self._alarm):
            self._pipeline.counters.duty_failures += 1

    def watch(self, heartbeat: "asyncio.Task[None]") -> None:
        """Has the end of `run`, but by being cancelled, end the service."""

        def look(ended: "asyncio.Task[None]") -> None:
            if not ended.cancelled():
                self._pipeline.fail(ended.exception() or InvariantError("the heartbeat has ended"))

        heartbeat.add_done_callback(look)

    def _feed_watchdog(self) -> None:
        if self._pipeline.is_stalled(STALL_LIMIT_NS):
            self._notifier.flush()
        else:
            self._notifier.send("WATCHDOG=1")

    def _collect_garbage(self) -> None:
        if not self._pipeline.is_idle:
            return
        started_ns = clock.monotonic_ns()
        gc.collect(0)
        gc.freeze()
        counters = self._pipeline.counters
        counters.collections += 1
        spent_ns = clock.monotonic_ns() - started_ns
        counters.collection_ns_max = max(counters.collection_ns_max, spent_ns)

    def _publish_anchor(self) -> None:
        if self._anchor is not None:
            self._anchor.publish_beside(self._durable_head(), clock.monotonic_ns())
