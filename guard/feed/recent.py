"""The lines that became durable last, in memory, for those who follow the log. Pure.

Owns the bound of that memory. Each page is handed to every subscriber as it is, so that what many
follow stands in memory once. Who wants older lines reads the files.
"""

from collections import deque
from typing import Final

from guard.feed.page import Page, Place

# A page is whole in one message where credit lasts.
PAGE_BYTES: Final = 262_144
RECENT_BYTES_MAX: Final = 16 * 1024 * 1024
RECENT_PAGES_MAX: Final = 1_024  # an idle log has a page for each record


class RecentLines:
    """Pages that follow one another without a gap, the oldest first."""

    def __init__(self, bytes_max: int = RECENT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._pages: deque[Page] = deque()
        self.byte_count = 0

    def add(self, page: Page) -> None:
        """The page that became durable last."""
        pages = self._pages
        if pages and pages[-1].end.sequence != page.begin.sequence:
            self.clear()  # some were left out while nobody listened
        pages.append(page)
        self.byte_count += page.size
        while self.byte_count > self._bytes_max or len(pages) > RECENT_PAGES_MAX:
            self.byte_count -= pages.popleft().size

    def read(self, page: Page, lines: bytes) -> Page:
        """A page of these, whose lines have been read: with them from now on."""
        whole = page._replace(lines=lines)
        for index in range(len(self._pages) - 1, -1, -1):
            if self._pages[index] is page:
                self._pages[index] = whole
                break
        return whole

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
        self.byte_count = 0
