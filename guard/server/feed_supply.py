"""Where the feed's lines come from: what has just become durable, or the log's files.

Owns how far the log may be shown, the lines that are held in memory, and the one thread that reads
files. The pipeline tells it of a batch when its replies have left; nothing is shown before that.

How it works: now and then what became durable since is looked for in the system's memory, in one
go, or read beside the loop where it is not there; while nobody listens it is left alone. For who is
behind, files are read one page at a time, whoever asks, with a pause behind each, so that catching
up takes a bounded part of the loop's time and of the disk's. The last pages are kept: who fell
behind together, reads them together.

How it fails: FeedReadError, handed to who asked for the page.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from guard.feed.files import FeedReadError, read_page
from guard.feed.newest import NewestLines
from guard.feed.page import Page, Place
from guard.feed.recent import PAGE_BYTES, RecentLines
from wal import Head

# Behind each page read from the files: 256 MiB a second at most, all subscribers together. Handing
# one out takes the loop some 50 µs.
PAGE_PAUSE_S: Final = 0.001
PAGES_KEPT: Final = 4
PAGES_AT_ONCE: Final = 8  # of what has just become durable; the rest in the next turn

Given: TypeAlias = Callable[[Page | FeedReadError], None]


class DurableEnd(Protocol):
    """How far a log is durable: its writer, or who takes one over."""

    @property
    def durable_head(self) -> Head:
        """The last durable record."""

    @property
    def durable_place(self) -> tuple[int, int]:
        """Its segment, and the byte behind it."""


class FeedSupply:
    """Of one log that is being written. All calls belong to the loop's thread."""

    def __init__(self, writer: DurableEnd, directory: Path) -> None:
        """Begins with what is durable now."""
        self._writer = writer
        self._directory = directory
        self._newest = NewestLines(directory)
        self.recent = RecentLines()
        # By who asked, so that who asks again and again is read for once.
        self._waiting: dict[object, tuple[Place, Given]] = {}
        self._kept: deque[Page] = deque(maxlen=PAGES_KEPT)
        self._executor: ThreadPoolExecutor | None = None
        self._is_filling = False
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
            self._kept.clear()
            self._newest.close()
        self._is_wanted = is_wanted

    @property
    def is_shown(self) -> bool:
        """Is all shown that may be?"""
        return self.durable.head.sequence == self.told.sequence

    def gather(self) -> bool:
        """Shows what has been told since, or the next part of it. False: tell it once more.

        That is where another batch is on disk already, and waits for what else must have it.
        """
        head, writer = self.told, self._writer
        if head.sequence == self.durable.head.sequence or self._is_filling:
            return True
        if writer.durable_head.sequence != head.sequence:
            return False
        durable = Place(head, *writer.durable_place)
        if not self._is_wanted:
            self.durable = durable
            return True
        for _ in range(PAGES_AT_ONCE):
            page = self._newest.page(self.durable, durable)
            if page is None:
                self._is_filling = True
                self._start(self.durable, durable, partial(self._fill, durable))
                break
            self._add(page)
            if self.is_shown:
                break
        return True

    def _add(self, page: Page) -> None:
        self.recent.add(page)
        self.durable = page.end

    def _fill(self, durable: Place, found: Page | FeedReadError) -> None:
        """What was not in the system's memory. Where it cannot be read, who wants it is told."""
        self._is_filling = False
        if isinstance(found, Page):
            self._add(found)
        else:
            self.durable = durable

    def page_behind(self, place: Place) -> Page | None:
        """What is in memory of the lines behind a place; None where they are in the files alone."""
        page = self.recent.page_behind(place)
        if page is None and place.segment_number:
            for page in self._kept:
                if page.begin.head.sequence == place.head.sequence:
                    return page
            return None
        return page

    def read_now(self, page: Page) -> Page | None:
        """A page with its lines, if they are in the system's memory."""
        if page.is_read:
            return page
        lines = self._newest.lines_of(page)
        return None if lines is None else self.recent.read(page, lines)

    def descriptor_of(self, page: Page) -> int | None:
        """The file that a page's lines can be sent from; None: not by this way."""
        return self._newest.descriptor_of(page)

    def read(self, who: object, place: Place, given: Given) -> None:
        """Has a page read from the files, which `given` is called with later."""
        self._waiting[who] = place, given
        self._read_next()

    def fetch(self, call: Callable[[], bytes | None], given: Callable[[Any], None]) -> None:
        """Has the thread call that, which may raise FeedReadError, and `given` called with it."""
        self._submit(call, given)

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
        self._start(place, self.durable, partial(self._give, given))

    def _give(self, given: Given, found: Page | FeedReadError) -> None:
        if isinstance(found, Page) and len(found.lines) <= PAGE_BYTES:
            self._kept.append(found)
        self._pause = self._loop.call_later(PAGE_PAUSE_S, self._end_pause)
        given(found)

    def _start(self, place: Place, until: Place, given: Given) -> None:
        """Has the thread read a page."""
        self._submit(partial(read_page, self._directory, place, until, PAGE_BYTES), given)

    def _submit(self, call: Callable[[], Any], given: Callable[[Any], None]) -> None:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "feed-files")
        reading = self._executor.submit(call)
        reading.add_done_callback(lambda done: self._tell_loop(done, given))

    def _tell_loop(self, done: "Future[Any]", given: Callable[[Any], None]) -> None:
        """On the thread."""
        if not done.cancelled() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._land, done, given)

    def _land(self, done: "Future[Any]", given: Callable[[Any], None]) -> None:
        try:
            found = done.result()
        except FeedReadError as error:
            found = error
        given(found)

    def _end_pause(self) -> None:
        self._pause = None
        self._is_busy = False
        self._read_next()
