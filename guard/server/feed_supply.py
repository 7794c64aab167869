"""Where the feed's lines come from: what has just become durable, or the log's files.

Owns how far the log may be shown, the lines that are held in memory, and the one thread that reads
files. The pipeline tells it of a batch when its replies have left; nothing is shown before that.

How it works: now and then what became durable since is looked for in the system's memory, in one
go; while nobody listens it is not. Files are read one page at a time, whoever asks, with a pause
behind each, so that who catches up takes a bounded part of the loop's time and of the disk's.

How it fails: FeedReadError, handed to who asked for the page.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeAlias

from guard.feed.files import FeedReadError, read_page
from guard.feed.newest import NewestLines
from guard.feed.page import Page, Place
from guard.feed.recent import PAGE_BYTES, RecentLines
from wal import LogWriter

# Behind each page read from the files: 128 MiB a second at most, all subscribers together, of
# which each takes the loop some 50 µs.
PAGE_PAUSE_S: Final = 0.002

Given: TypeAlias = Callable[[Page | FeedReadError], None]


class FeedSupply:
    """Of one log that is being written. All calls belong to the loop's thread."""

    def __init__(self, writer: LogWriter, directory: Path) -> None:
        """Begins with what is durable now."""
        self._writer = writer
        self._directory = directory
        self._newest = NewestLines(directory)
        self.recent = RecentLines()
        # By who asked, so that who asks again and again is read for once.
        self._waiting: dict[object, tuple[Place, Given]] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._loop = asyncio.get_running_loop()
        self._is_busy = False
        self._is_wanted = False
        self._pause: asyncio.TimerHandle | None = None
        self.told = writer.durable_head  # so far it may be shown, from the next `gather` on
        self.durable = Place(self.told, *writer.durable_place)  # so far it is

    def want(self, is_wanted: bool) -> None:
        """Whether anybody will take what becomes durable from now on."""
        if self._is_wanted and not is_wanted:
            self.recent.clear()
            self._newest.close()
        self._is_wanted = is_wanted

    def gather(self) -> bool:
        """Shows what has been told since the last call. False: it has to be told once more.

        That is where another batch is on disk already, and waits for what else must have it.
        """
        head, writer = self.told, self._writer
        if head.sequence == self.durable.sequence:
            return True
        if writer.durable_head.sequence != head.sequence:
            return False
        durable = Place(head, *writer.durable_place)
        pages = self._newest.pages(self.durable, durable) if self._is_wanted else None
        for page in pages or ():
            self.recent.add(page)
        if pages is None:
            self.recent.clear()
        self.durable = durable
        return True

    def page_behind(self, place: Place) -> Page | None:
        """What is in memory of the lines behind a place; None where they are in the files alone."""
        return self.recent.page_behind(place)

    def read(self, who: object, place: Place, given: Given) -> None:
        """Has a page read from the files, which `given` is called with later."""
        self._waiting[who] = place, given
        self._read_next()

    def forget(self, who: object) -> None:
        """Reads no more for it. What is being read is still given."""
        self._waiting.pop(who, None)

    def close(self) -> None:
        """Reads no more; who still waits is not called."""
        self._waiting.clear()
        self._newest.close()
        if self._pause is not None:
            self._pause.cancel()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _read_next(self) -> None:
        if self._is_busy or not self._waiting:
            return
        self._is_busy = True
        place, given = self._waiting.pop(next(iter(self._waiting)))
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
