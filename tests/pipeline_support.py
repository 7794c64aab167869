"""A pipeline with the real engine, log, gateway and sockets, over a disk that waits or fails."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from daemon_support import KEY, config_text
from guard import clock
from guard.config.activation import opening_events
from guard.config.file import parse_config
from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.server import pipeline
from guard.server.listener import Listener
from guard.server.pipeline import ON_LOOP_MESSAGES_MAX, Pipeline
from guard.server.request_path import record_event
from patience_support import PATIENCE_S
from server_support import open_listener
from wal import EMPTY_HEAD, ChainHasher, LogWriter


class GatedDisk:
    """Real writes. Each `fdatasync` waits to be let go, and fails if `error` is set by then."""

    def __init__(self) -> None:
        self.is_open = True
        self.error: OSError | None = None
        self.sync_count = 0
        self.write_count = 0
        self.threads: list[int] = []  # of each sync
        self.entered = threading.Semaphore(0)
        self._let_go = threading.Semaphore(0)

    def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
        self.write_count += 1
        return os.pwrite(descriptor, data, offset)

    def shorten(self, descriptor: int, size: int, /) -> None:
        os.ftruncate(descriptor, size)

    def fdatasync(self, descriptor: int, /) -> None:
        self.sync_count += 1
        self.threads.append(threading.get_ident())
        if not self.is_open:
            self.entered.release()
            assert self._let_go.acquire(timeout=PATIENCE_S)
        if self.error is not None:
            raise self.error
        os.fdatasync(descriptor)

    def let_go(self) -> None:
        self._let_go.release()

    async def wait_entered(self) -> None:
        """Until a sync is waiting in this disk."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=PATIENCE_S)


class Guard:
    """A pipeline that runs, and what it stands on."""

    def __init__(
        self, running: Pipeline, disk: GatedDisk, writer: LogWriter, gateway: Listener
    ) -> None:
        self.pipeline = running
        self.disk = disk
        self.writer = writer
        self.gateway = gateway
        self.task = asyncio.get_running_loop().create_task(running.run())

    async def until(self, condition: Any) -> None:
        """Gives the loop its turns until the condition holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.001)

    async def gathered(self, messages: int) -> None:
        """Until so many messages have been decided since the start."""
        await self.until(lambda: self.pipeline.counters.messages >= messages)

    async def stop(self) -> None:
        self.pipeline.stop()
        async with asyncio.timeout(PATIENCE_S):
            await self.task


@asynccontextmanager
async def guarding(
    directory: Path, *, on_loop: bool = False, busy_poll_ns: int = 0
) -> AsyncIterator[Guard]:
    """A pipeline on a fresh log whose opening records are on disk.

    `on_loop`: small batches may be synced on the loop, however long the disk took the last time.
    Elsewhere none is, since a disk that waits would hold up the test, too.
    """
    with (
        patch.object(pipeline, "ON_LOOP_MESSAGES_MAX", ON_LOOP_MESSAGES_MAX if on_loop else 0),
        patch.object(pipeline, "ON_LOOP_SYNC_NS_MAX", 3_600_000_000_000),
    ):
        async with _guarding(directory, busy_poll_ns) as guard:
            yield guard


@asynccontextmanager
async def _guarding(directory: Path, busy_poll_ns: int) -> AsyncIterator[Guard]:
    config = parse_config(config_text())
    hasher, disk, engine = ChainHasher(KEY), GatedDisk(), Engine()
    directory.mkdir(exist_ok=True)
    gateway = open_listener()
    writer = LogWriter.open(
        directory, hasher, EMPTY_HEAD, monotonic_ns=clock.monotonic_ns, files=disk
    )
    try:
        actor = Actor(clock.wall_ns(), 1, "test", "a fresh log")
        for event in opening_events(config, actor, "0" * 32, hasher.key_id):
            record_event(engine, writer, event)
        writer.sync_now()
        running = Pipeline(
            engine, writer, gateway, clock.wall_ns, clock.monotonic_ns, busy_poll_ns=busy_poll_ns
        )
        # As the daemon does: what a callback of the loop raises ends the pipeline.
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: running.fail(context["exception"])
        )
        guard = Guard(running, disk, writer, gateway)
        running.start()
        yield guard
        if not guard.task.done():
            await guard.stop()
    finally:
        disk.is_open = True
        disk.let_go()
        writer.close()
        gateway.close()
