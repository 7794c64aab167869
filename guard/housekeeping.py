"""What the daemon looks after once a second, beside the orders.

Owns the heartbeat: the service manager's watchdog (fed only while batches reach the disk), the
garbage collector (young objects, while nothing is under way), the periodic anchor, and the disk's
reserve: with less free than that, entries are halted by an event in the log, while fills and
cancels are still recorded; they resume when a quarter more is free. It also asks, once a beat,
whether a checkpoint is due (`guard.checkpointing`), and has the heap's memory taken (`guard.heap`).

How it fails: an anchor that cannot be published is said once, until it can be again. Anything else
ends the daemon through the loop's error handler.
"""

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard import clock
from guard.activation import Actor
from guard.anchoring import AnchorPublisher
from guard.engine.state import GuardState
from guard.heap import Heap
from guard.notify import ServiceNotifier
from guard.outcomes import EntriesHalted, EntriesResumed, Outcome
from guard.pipeline import Pipeline
from wal import Head, WalError

# A batch that has been on its way to the disk for so long is no progress: no more watchdog food.
STALL_LIMIT_NS: Final = 10_000_000_000
BEAT_S: Final = 1.0
RESUME_NUMERATOR: Final = 5  # entries resume above 5/4 of the reserve: no flapping around its edge
RESUME_DENOMINATOR: Final = 4


def free_bytes(directory: Path) -> int:
    """What an unprivileged process may still write to the directory's disk."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def disk_event(state: GuardState, free: int, reserve_bytes: int, actor: Actor) -> Outcome | None:
    """The halt or the resumption that so much free space calls for. Pure."""
    if state.entries_halt is None:
        if free < reserve_bytes:
            return actor.event(
                EntriesHalted, reason="disk_low", free_bytes=free, reserve_bytes=reserve_bytes
            )
    elif free * RESUME_DENOMINATOR >= reserve_bytes * RESUME_NUMERATOR:
        return actor.event(EntriesResumed, free_bytes=free)
    return None


class Housekeeper:
    """One beat a second. All calls belong to the loop's thread."""

    def __init__(
        self,
        pipeline: Pipeline,
        notifier: ServiceNotifier,
        anchor: AnchorPublisher | None,
        durable_head: Callable[[], Head],
        check_disk: Callable[[], Outcome | None],
        take_checkpoint_if_due: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._pipeline = pipeline
        self._notifier = notifier
        self._anchor = anchor
        self._durable_head = durable_head
        self._check_disk = check_disk
        self._take_checkpoint_if_due = take_checkpoint_if_due
        self._heap = Heap()
        self._say = say
        self._anchor_fails = False
        self._period_s = min(BEAT_S, notifier.watchdog_s / 3 or BEAT_S)

    async def prepare(self) -> None:
        """What must be before the first order."""
        await self.look_after_disks()
        self._heap.take()

    async def run(self) -> None:
        """Beats until it is cancelled."""
        while True:
            if not self._pipeline.is_stalled(STALL_LIMIT_NS):
                self._notifier.send("WATCHDOG=1")
            if self._pipeline.is_idle:
                self._collect_garbage()
            await self.look_after_disks()
            self._take_checkpoint_if_due()
            self._heap.take_beside()
            await asyncio.sleep(self._period_s)

    def _collect_garbage(self) -> None:
        started_ns = clock.monotonic_ns()
        gc.collect(0)
        gc.freeze()
        counters = self._pipeline.counters
        counters.collections += 1
        spent_ns = clock.monotonic_ns() - started_ns
        counters.collection_ns_max = max(counters.collection_ns_max, spent_ns)

    async def look_after_disks(self) -> None:
        """The log's reserve and the anchor."""
        event = self._check_disk()
        if event is not None:
            self._pipeline.record(event)
            self._say(f"{type(event).__name__}: {event}")
        await self._publish_anchor()

    async def _publish_anchor(self) -> None:
        if self._anchor is None:
            return
        try:
            await self._anchor.publish(self._durable_head())
        except WalError as error:
            if not self._anchor_fails:
                self._say(f"the anchor cannot be published, the log goes on without: {error}")
            self._anchor_fails = True
        else:
            self._anchor_fails = False
