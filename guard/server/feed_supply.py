"""Where the feed's lines come from: what has just become durable, or the log's files.

Owns how far the log may be shown, the lines that are held in memory, and the one thread that reads
files. It is told of each batch by the log's writer, and by the pipeline when the batch's replies
have left; nothing is shown before that.

How it works: while nobody listens a batch is noted and not copied. Files are read one page at a
time, whoever asks, with a pause behind each, so that who catches up takes a bounded part of the
loop's time and of the disk's.

How it fails: FeedReadError, handed to who asked for the page.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from guard.feed.files import FeedReadError, read_page
from guard.feed.page import Page, Place
from guard.feed.recent import PAGE_BYTES, RecentLines
from wal import Head, LogWriter
from wal.commit import Batch

# Behind each page read from the files: 128 MiB a second at most, all subscribers together, of
# which each takes the loop some 50 µs.
PAGE_PAUSE_S: Final = 0.002

Given: TypeAlias = Callable[[Page | FeedReadError], None]


class _Durable(NamedTuple):
    begin: Place
    end: Place
    lines: bytes | None  # None: nobody listened


class FeedSupply:
    """Of one log that is being written. All calls belong to the loop's thread."""

    def __init__(self, writer: LogWriter, directory: Path) -> None:
        """Begins with what is durable now."""
        self._directory = directory
        self._recent = RecentLines()
        self._untold: deque[_Durable] = deque()
        self._waiting: deque[tuple[Place, Given]] = deque()
        self._executor: ThreadPoolExecutor | None = None
        self._loop = asyncio.get_running_loop()
        self._is_busy = False
        self._is_wanted = False
        self._pause: asyncio.TimerHandle | None = None
        self._told = Place(writer.durable_head, *writer.durable_place)
        self.durable = self._told  # how far is shown

    def want(self, is_wanted: bool) -> None:
        """Whether anybody will take what becomes durable from now on."""
        if self._is_wanted and not is_wanted:
            self._recent.clear()
        self._is_wanted = is_wanted

    def take(self, batch: Batch) -> None:
        """A batch is durable: its lines are copied here, if they are wanted."""
        begin = Place(Head(batch.first_sequence - 1, ""), batch.segment_number, batch.offset)
        end = Place(batch.head, batch.segment_number, batch.end_offset)
        lines = bytes(batch.lines) if self._is_wanted else None
        self._untold.append(_Durable(begin, end, lines))

    def tell(self, head: Head) -> None:
        """All up to there may be shown, from the next `gather` on."""
        untold = self._untold
        while untold and untold[0].end.sequence <= head.sequence:
            begin, self._told, lines = untold.popleft()
            if lines is not None and self._is_wanted:
                self._recent.add(begin, self._told, lines)

    def gather(self) -> None:
        """Shows what has been told since the last call."""
        self._recent.gather()
        self.durable = self._told

    def page_behind(self, place: Place) -> Page | None:
        """What is in memory of the lines behind a place; None where they are in the files alone."""
        return self._recent.page_behind(place)

    def read(self, place: Place, given: Given) -> None:
        """Has a page read from the files, which `given` is called with later."""
        self._waiting.append((place, given))
        self._read_next()

    def close(self) -> None:
        """Reads no more; who still waits is not called."""
        self._waiting.clear()
        if self._pause is not None:
            self._pause.cancel()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _read_next(self) -> None:
        if self._is_busy or not self._waiting:
            return
        self._is_busy = True
        place, given = self._waiting.popleft()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "feed-files")
        reading = self._executor.submit(read_page, self._directory, place, self.durable, PAGE_BYTES)
        reading.add_done_callback(lambda done: self._tell_loop(done, given))

    def _tell_loop(self, done: "Future[Page]", given: Given) -> None:
        """On the thread."""
        if not done.cancelled() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._land, done, given)

    def _land(self, done: "Future[Page]", given: Given) -> None:
        try:
            found: Page | FeedReadError = done.result()
        except FeedReadError as error:
            found = error
        self._pause = self._loop.call_later(PAGE_PAUSE_S, self._end_pause)
        given(found)

    def _end_pause(self) -> None:
        self._pause = None
        self._is_busy = False
        self._read_next()
