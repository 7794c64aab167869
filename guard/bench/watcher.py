"""Watches a guard of the bench's own while it is measured, for the trace.

Owns two threads of the bench: one reads, every 10 ms, what the system tells of the daemon and what
stands in its log's directory; one asks the daemon for its metrics (`stats`) ten times a second, and
notes how long that took. What they cost is a few hundredths of a processor, and falls on the run.
What is seen in a directory was there since the look before: its span begins then.

How it fails: what a thread could not read ends that thread, and `stop` raises BenchError.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard import clock
from guard.bench.frames import LinkError
from guard.bench.site import BenchError
from guard.bench.syncs import read_stats
from guard.bench.timeline import CHECKPOINT, GARBAGE, METRICS, SEGMENT, SLICE_NS, Sample, Span
from wal import read_published_head

STATS_EVERY_NS: Final = 100_000_000
JOIN_S: Final = 30.0


class Watcher:
    """One window of one guard. Times are of the monotonic clock."""

    def __init__(self, process_id: int, log: Path, endpoint: str) -> None:
        """Starts: the window begins now."""
        self.samples: list[Sample] = []
        self.spans: list[Span] = []
        self._schedstat = Path(f"/proc/{process_id}/task/{process_id}/schedstat")
        self._log = log
        self._endpoint = endpoint
        self._started_ns = clock.monotonic_ns()
        self._is_over = threading.Event()
        self._failures: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._run, args=(work,), daemon=True)
            for work in (self._sample, self._ask)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the window. Raises BenchError where a thread failed."""
        self.abandon()
        if self._failures:
            error = self._failures[0]
            raise BenchError(f"the trace: {type(error).__name__}: {error}")

    def abandon(self) -> None:
        """Ends the threads; what they saw, or failed with, is of no use any more."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(JOIN_S)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, ValueError, LinkError) as error:  # told by `stop`
            self._failures.append(error)

    def _since(self) -> int:
        return clock.monotonic_ns() - self._started_ns

    def _log_bytes(self, segments: set[str]) -> int:
        """How long the records are: behind the last durable one there may be zeros."""
        head = read_published_head(self._log)
        if head is None:
            return sum((self._log / name).stat().st_size for name in segments)
        before = (name for name in segments if name < head.segment)
        return head.end_offset + sum((self._log / name).stat().st_size for name in before)

    def _sample(self) -> None:
        segments: set[str] = set()
        checkpoint_from_ns: int | None = None
        due_ns, before_ns = self._started_ns, 0
        while True:
            is_over = self._is_over.is_set()
            at_ns = self._since()
            ran, waited, *_ = map(int, self._schedstat.read_text().split())
            found = {entry.name for entry in os.scandir(self._log)}
            begun = {name for name in found if name.endswith(".jsonl")}
            if segments and begun - segments:
                self.spans.append(Span(SEGMENT, before_ns, at_ns, ", ".join(begun - segments)))
            segments |= begun
            log_bytes = self._log_bytes(begun)
            self.samples.append(Sample(at_ns, ran, waited, log_bytes))
            is_written = any(name.endswith(".new") for name in found)
            if is_written and checkpoint_from_ns is None:
                checkpoint_from_ns = before_ns
            if checkpoint_from_ns is not None and (is_over or not is_written):
                self.spans.append(Span(CHECKPOINT, checkpoint_from_ns, at_ns))
                checkpoint_from_ns = None
            if is_over:
                return
            before_ns = at_ns
            due_ns = max(due_ns + SLICE_NS, clock.monotonic_ns())
            clock.sleep_until(due_ns)

    def _ask(self) -> None:
        collections, answered_before_ns = None, 0
        due_ns = self._started_ns
        while not self._is_over.is_set():
            asked_ns = self._since()
            stats = read_stats(self._endpoint)
            answered_ns = self._since()
            if stats is None:
                return
            self.spans.append(Span(METRICS, asked_ns, answered_ns))
            now = stats.counters.get("collections", 0)
            if collections is not None and now > collections:  # since the last answer
                longest_us = stats.counters["collection_ns_max"] / 1e3
                detail = f"the longest since the daemon's start: {longest_us:.0f} us"
                self.spans.append(Span(GARBAGE, answered_before_ns, answered_ns, detail))
            collections, answered_before_ns = now, answered_ns
            due_ns = max(due_ns + STATS_EVERY_NS, clock.monotonic_ns())
            clock.sleep_until(due_ns)
