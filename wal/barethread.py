# cython: annotation_typing=False
"""Brings batches to the disk on a thread that needs no interpreter.

Owns the thread, its two pipes, and how the loop learns that a batch is done. What is to be written
where is `wal.writer`'s to say, and what an error means. Must not: create segments (`wal.commit`),
or take a second batch before the first is done.

How it works: a byte into one pipe starts a write and an `fdatasync` of the given lines, a byte out
of the other one, which the loop watches, says that both have returned; to a loop that waits for
them first, a word in memory does. A thread of the interpreter's own would have to win it back after
each call from a loop that is busy deciding, and would stop that loop whenever it did: with this
one, side by side, 1.2 to 1.3 times the orders were answered at full load. Interpreted, it is such a
thread.

How it fails: an error of a call is the `Outcome`'s. Nothing is tried twice. Signals are blocked on
the thread, so that none interrupts a call.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Callable
from threading import Thread
from typing import NamedTuple

from wal import diskcalls
from wal.errors import WalInvariantError


class Outcome(NamedTuple):
    """What became of a batch: so many bytes written, and the error's number; 0: it is durable."""

    bytes_written: int
    error_number: int


class BareThread:
    """One batch at a time. All calls belong to the loop's thread."""

    def __init__(self, name: str = "wal-sync") -> None:
        """Makes the pipes. Raises OSError; the thread, `name`, begins with the first batch."""
        self._name = name
        self._go_read, self._go_write = os.pipe()
        try:
            self._done_read, self._done_write = os.pipe()
        except OSError:
            os.close(self._go_read)
            os.close(self._go_write)
            raise
        # A look that comes too late, behind `wait`, must not hold the loop up.
        os.set_blocking(self._done_read, False)
        self._job = diskcalls.new_job(self._go_read, self._done_write)
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lines = memoryview(b"")
        self._on_done: Callable[[Outcome], None] | None = None

    def __dealloc__(self) -> None:
        # The compiled form's end; an interpreted object's parts are Python's own.
        diskcalls.free_job(self._job)

    def start(
        self,
        descriptor: int,
        lines: memoryview,
        offset: int,
        loop: asyncio.AbstractEventLoop,
        on_done: Callable[[Outcome], None],
        wait_ns: int = 0,
    ) -> None:
        """Writes the lines, at least one byte, at `offset`, and syncs; then calls `on_done`.

        That is before this call returns, where it is done within `wait_ns`: who waits here is told
        sooner. Else it is on `loop`, or within `wait`.
        """
        if self._on_done is not None:
            raise WalInvariantError("a thread is given lines while it still writes others")
        self._watch(loop)
        if self._thread is None:
            thread = Thread(target=self._serve, name=self._name)
            thread.start()
            self._thread = thread
        self._lines, self._on_done = lines, on_done
        diskcalls.give(self._job, descriptor, lines, offset, wait_ns == 0)
        os.write(self._go_write, b".")
        if wait_ns and diskcalls.is_done_within(self._job, wait_ns):
            self._tell(self._outcome())

    @property
    def is_busy(self) -> bool:
        """Whether something was started and `on_done` was not called yet."""
        return self._on_done is not None

    def wait(self) -> None:
        """Waits for what was started, and calls its `on_done` before it returns."""
        if self._on_done is not None:
            # `select` takes no descriptor above 1,023, which a daemon of many clients has.
            poller = select.poll()
            poller.register(self._done_read, select.POLLIN)
            poller.poll()
            self._finish()

    def close(self) -> None:
        """Waits until what was started is done, and ends the thread; a second call does nothing."""
        if self._go_write < 0:
            return
        os.close(self._go_write)
        self._go_write = -1
        if self._thread is not None:
            self._thread.join()
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._done_read)
            if self._on_done is not None:
                loop.call_soon(self._tell, self._outcome())
        for descriptor in (self._go_read, self._done_read, self._done_write):
            os.close(descriptor)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is self._loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._done_read)
        self._loop = loop
        loop.add_reader(self._done_read, self._finish)

    def _serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        diskcalls.serve(self._job)

    def _finish(self) -> None:
        try:
            os.read(self._done_read, 1)
        except BlockingIOError:
            return  # the loop had been told of the byte that `wait` has read
        self._tell(self._outcome())

    def _outcome(self) -> Outcome:
        return Outcome(self._job.written, self._job.error_number)

    def _tell(self, outcome: Outcome) -> None:
        on_done, self._on_done = self._on_done, None
        self._lines = memoryview(b"")
        assert on_done is not None
        on_done(outcome)
