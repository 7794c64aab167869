"""One life of the guard in the simulator: the daemon's steps without its sockets, clocks, threads.

Everything of the product that can run here does: recovery, repair and tail rewrite, the events of
a start, `Pipeline` with its own `start`, `run` and `stop`, the order path, records, `LogWriter`. In
place of the rest stand a loop without time or descriptors (`SimLoop`), a gateway that is two lists
(`SimGateway`), and a writer whose `sync` is the same object's `sync_now`.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from guard.config.file import Config
from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.engine.events import (
    RULES_VERSION,
    Outcome,
    SessionClosed,
)
from guard.record.codec import DIALECT
from guard.record.people_rules import DECIDE_NOTHING
from guard.recovery.checkpoint_schedule import Checkpointer, CheckpointPlan
from guard.recovery.recover import Recovered, recover_log
from guard.server.disk_reserve import DiskReserve
from guard.server.pipeline import Pipeline
from guard.server.recording import record_losses
from guard.server.request_path import record_due, record_event
from sim.checkpoints import Checkpoints, ChildKilledError
from sim.disk import Disk
from sim.gateway import SimGateway, SimLoop
from sim.operating import Operating
from sim.start_events import HASHER, note_configuration, start_events
from wal import Anchor, Head, LogLock, LogWriter, anchor_of, verify_chain

# So large that a life's records do not bring it from one edge to the next.
RESERVE_BYTES = 2**26
FREE_BYTES = 4 * RESERVE_BYTES


class SimWriter(LogWriter):
    """The log's writer; its thread is ours."""

    async def sync(self, sequence: int | None = None) -> Head:
        return self.sync_now()

    def sync_within(self, _loop: Any, _wait_ns: int) -> bool:
        self.sync_now()
        return True


class Server:
    """From `open` to `stop`, or to whatever ends it before. `close` always."""

    def __init__(
        self,
        directory: Path,
        disk: Disk,
        config: Config,
        checkpoints: Checkpoints,
        *,
        anchors: bool = False,
        first_rules_version: int = RULES_VERSION,
    ) -> None:
        """`anchors`: no reply leaves before its head is published in a second place.

        `first_rules_version`: a log that begins here is one of software with those rules.
        """
        self.directory = directory
        self.disk = disk
        self.config = config
        self.loop = SimLoop()
        self.is_loop_busy = False
        self.engine = Engine()
        self.recovered_sequence = -1  # not known yet
        self.start_events: list[Outcome] = []
        self._first_rules_version = first_rules_version
        self.anchors = anchors
        self.checkpoints = checkpoints
        self.timers: deque[Callable[[], None]] = deque()
        self.published: Anchor | None = None
        self.cut_count = 0
        self.free = FREE_BYTES
        self.reserve: DiskReserve | None = None
        self._lock: LogLock | None = None
        self._writer: SimWriter | None = None
        self._run: Coroutine[Any, Any, None] | None = None
        self._waiting: Any = None

    def open(
        self,
        gateway: SimGateway,
        wall_ns: Callable[[], int],
        segment_bytes_max: int,
        write_ahead_bytes: int,
        anchor: Anchor | None,
        sync_clock_ns: Callable[[], int],
        noting: Callable[[], None],
        operating: Operating,
        *,
        new_log: bool = False,
        accept_loss: bool = False,
    ) -> None:
        """Recovers, logs what a start logs, and begins to listen.

        `new_log`, `accept_loss`: the options of `run`.
        `sync_clock_ns`: times the syncs, and so decides which of them the loop does itself.
        `noting` is called before each record of a checkpoint.
        """
        self.published = anchor
        recovered = recover_log(
            self.directory, HASHER, anchor, new_log=new_log, accept_loss=accept_loss
        )
        self._lock = recovered.lock
        self.engine, head = recovered.engine, recovered.head
        self.recovered_sequence = head.sequence
        self.checkpoints.check(recovered)
        actor = self._actor(wall_ns(), "start")
        self.cut_count = len(recovered.cuts)
        events = start_events(
            self.directory, self.config, recovered, actor, self._first_rules_version
        )
        self._writer = SimWriter.open(
            self.directory,
            HASHER,
            head,
            monotonic_ns=sync_clock_ns,
            lock=self._lock,
            files=self.disk,
            segment_bytes_max=segment_bytes_max,
            fresh_segment=True,
            write_ahead_bytes=write_ahead_bytes,
        )
        self.start_events = events
        self._record(events)
        self._record_due(wall_ns())
        recovered.settle()
        note_configuration(self.directory, self.config, self.engine)
        self._make_pipeline(gateway, wall_ns)
        self._watch_space(wall_ns)
        self.pipeline.start()
        self._run = self.pipeline.run()
        self._take_checkpoints(recovered, wall_ns, noting)
        self._serve_operators(operating, wall_ns)

    def _serve_operators(self, operating: Operating, wall_ns: Callable[[], int]) -> None:
        assert self._writer is not None
        operating.open(
            self.pipeline,
            self.engine.state,
            self._writer,
            self.checkpointer,
            wall_ns,
            lambda by, why: replace(self._actor(wall_ns(), why), by=by),
            self._published_sequence,
        )

    def _make_pipeline(self, gateway: SimGateway, wall_ns: Callable[[], int]) -> None:
        assert self._writer is not None
        asyncio._set_running_loop(self.loop)  # type: ignore[arg-type]
        try:
            self.pipeline = Pipeline(
                self.engine,
                self._writer,
                gateway,  # type: ignore[arg-type]
                wall_ns,
                lambda: 0,
                confirm=self._confirm if self.anchors else None,
                system_ns=wall_ns,
            )
        finally:
            asyncio._set_running_loop(None)

    def _take_checkpoints(
        self, recovered: Recovered, wall_ns: Callable[[], int], noting: Callable[[], None]
    ) -> None:
        assert self._writer is not None

        def record(event: Outcome) -> None:
            noting()
            self.pipeline.record(event)

        self.checkpointer = Checkpointer(
            self.engine,
            self._writer,
            self.directory,
            HASHER,
            CheckpointPlan(0, 0, self.checkpoints.rng.choice((0, 1)), 0),
            last_sequence=0 if recovered.checkpoint is None else recovered.checkpoint.sequence,
            record=record,
            actor=lambda why: self._actor(wall_ns(), why),
            call_later=lambda _delay_s, call: self.timers.append(call),
            space_left=lambda: 2**40,
            monotonic_ns=lambda: 0,
            say=lambda _text: None,
            alarm=lambda _text: None,
            start_child=self.checkpoints.start_child,
        )

    def look_after_checkpoints(self) -> None:
        """What the loop's timer does; now and then somebody asks for one."""
        if self.checkpoints.rng.random() < 0.08:
            self.checkpointer.request()
        if self.timers:
            self.timers.popleft()()

    def listen(self) -> None:
        """Lets the pipeline take what has arrived, as far as it wants to.

        It may sync on the loop itself, which does nothing else then.
        """
        if self.is_loop_busy:
            return
        self.is_loop_busy = True
        try:
            if self.loop.reader is not None:
                self.loop.reader()
            while self.loop.ready:
                self.loop.ready.popleft()()
        finally:
            self.is_loop_busy = False

    def advance(self) -> bool:
        """Lets the pipeline sync and answer what is gathered; True when it has ended."""
        assert self._run is not None
        if self._waiting is not None and not self._waiting.done():
            return False
        asyncio._set_running_loop(self.loop)  # type: ignore[arg-type]
        try:
            self._waiting = self._run.send(None)
        except StopIteration:
            return True
        finally:
            asyncio._set_running_loop(None)
        return False

    def publish(self) -> None:
        """Makes the durable head the anchor."""
        assert self._writer is not None
        self.published = anchor_of(self._writer.durable_head, HASHER.keyed)

    def _watch_space(self, wall_ns: Callable[[], int]) -> None:
        assert self._writer is not None
        self.reserve = DiskReserve(
            self.engine.state,
            self._writer,
            RESERVE_BYTES,
            free_bytes=lambda: self.free,
            record=self.pipeline.record,
            actor=lambda: self._actor(wall_ns(), "disk space"),
            say=lambda _text: None,
            alarm=lambda _text: None,
        )
        self.pipeline.watch_space(self.reserve.look)

    def _published_sequence(self) -> int | None:
        """The anchor's record, where replies wait for it."""
        if not self.anchors:
            return None
        return 0 if self.published is None else self.published.sequence

    def look_at_space(self) -> None:
        """What the housekeeper does once a second."""
        self.pipeline.look_at_space()

    @property
    def left(self) -> int:
        """What was left on the disk at the last look, if one has been taken yet."""
        seen = None if self.reserve is None else self.reserve._seen_left
        return FREE_BYTES if seen is None else seen

    async def _confirm(self, _head: Head) -> None:
        self.disk.hit("before the anchor")
        self.publish()
        self.disk.hit("after the anchor")

    def stop(self, wall_ns: int, closing: Callable[[], None]) -> None:
        """A clean stop: everything that has arrived is answered, the session closed.

        `closing` is called before the record that says so.
        """
        self.pipeline.stop()
        while not self.advance():
            pass
        self.checkpointer.stop()
        assert self._writer is not None
        self._writer.sync_now()
        self.checkpoints.draw_fate()
        with self.checkpoints.publishing(), contextlib.suppress(ChildKilledError):
            self.checkpointer.take_at_stop()
        self._writer.sync_now()
        closing()
        self._record([self._actor(wall_ns, "clean stop").event(SessionClosed)])
        self._writer.seal()

    def close(self) -> None:
        """What the end of a process does: descriptors and the lock are let go, nothing else."""
        if self._run is not None:
            self._run.close()
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()

    def head_on_disk(self) -> Head:
        """The verified head of the log."""
        return verify_chain(self.directory, HASHER, DIALECT).head

    def _actor(self, wall_ns: int, why: str) -> Actor:
        received_at_ns = max(wall_ns, self.engine.state.last_received_at_ns)
        staged_count = 0 if self._writer is None else self._writer.staged_count
        return Actor(received_at_ns, self.engine.next_sequence - staged_count, "sim", why)

    def _record_due(self, wall_ns: int) -> None:
        """Early fills that a crash has cut off behind their order."""
        assert self._writer is not None
        actor = self._actor(wall_ns, "start")
        if record_due(self.engine, self._writer, actor.received_at_ns, actor.batch_first_sequence):
            self._writer.sync_now()

    def _record(self, events: list[Outcome]) -> None:
        assert self._writer is not None
        for event in events:
            if type(event) not in DECIDE_NOTHING:
                record_losses(self.engine, self._writer)
            record_event(self.engine, self._writer, event)
        record_losses(self.engine, self._writer)
        self._writer.sync_now()


def scratch_root() -> Path:
    """Where logs are written: memory where there is some, since no sync here is for real."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else Path(os.environ.get("TMPDIR", "/tmp"))
