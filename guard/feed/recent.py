"""The lines that became durable last, in memory, for those who follow the log. Pure.

Owns the bound of that memory. How it works: batches are put together to pages, and each page is
handed to every subscriber as it is, so that what many follow stands in memory once. Pages never
reach beyond a segment. Who wants older lines reads the files.
"""

from collections import deque
from typing import Final

from guard.feed.page import Page, Place, page_of

# A page is whole in one message where credit lasts.
PAGE_BYTES: Final = 262_144
RECENT_BYTES_MAX: Final = 8 * 1024 * 1024
RECENT_PAGES_MAX: Final = 1_024  # an idle log has a page for each record


class RecentLines:
    """Pages that follow one another without a gap, the oldest first."""

    def __init__(self, bytes_max: int = RECENT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._pages: deque[Page] = deque()
        self._bytes = 0
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._begin: Place | None = None  # of what is gathered
        self._end: Place | None = None

    @property
    def byte_count(self) -> int:
        """Bytes of all lines that are held."""
        return self._bytes + self._gathered_bytes

    def add(self, begin: Place, end: Place, lines: bytes) -> None:
        """A batch that is durable; `begin` is where it stands, behind what came before it."""
        last = self._end
        if last is not None and last.sequence != begin.sequence:
            self.clear()  # batches were left out while nobody listened
        if len(lines) > self._bytes_max:
            self.clear()  # whoever wants them reads the files
            return
        if self._begin is None or (
            begin.segment_number != self._begin.segment_number
            or self._gathered_bytes + len(lines) > PAGE_BYTES
        ):
            self.gather()
            self._begin = begin
        self._gathered.append(lines)
        self._gathered_bytes += len(lines)
        self._end = end

    def gather(self) -> None:
        """Makes a page of what was added since."""
        begin = self._begin
        if begin is None:
            return
        lines = b"".join(self._gathered)
        page = page_of(begin, begin.segment_number, begin.offset, lines)
        self._gathered.clear()
        self._gathered_bytes, self._begin = 0, None
        self._pages.append(page)
        self._bytes += len(lines)
        while self._bytes > self._bytes_max or len(self._pages) > RECENT_PAGES_MAX:
            self._bytes -= len(self._pages.popleft().lines)

    def page_behind(self, place: Place) -> Page | None:
        """The page that holds the line behind a place that is known; None where it is not here."""
        sequence = place.sequence
        for page in reversed(self._pages):
            if page.begin.sequence <= sequence:
                if sequence >= page.end.sequence:
                    return None
                is_known = place.segment_number == page.begin.segment_number
                return page if is_known or sequence == page.begin.sequence else None
        return None

    def clear(self) -> None:
        """Forgets all of them."""
        self._pages.clear()
        self._gathered.clear()
        self._bytes = self._gathered_bytes = 0
        self._begin = self._end = None
