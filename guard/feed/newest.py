"""Reads what has just become durable, on the loop: it is in the system's memory still.

Owns the one descriptor that stays open for it. Must not wait for a disk: what is not in memory, or
too much at once, is left to who reads files beside the loop (`guard.feed.files`).

How it works: a byte at each end is asked for by `preadv2` with RWF_NOWAIT, which gives up where it
would have to wait, and where the file system does not know that. If both are there, so is what was
written between them a moment ago, and one call reads it, however many batches it was. The end of a
segment that another one follows may be forgotten already (`wal.commit`): then it, too, is read
beside the loop.
"""

import os
from pathlib import Path
from typing import Final

from guard.feed.page import BrokenPageError, Page, Place, page_of
from wal import open_regular, segment_name

# At once: some 200 µs.
NEWEST_BYTES_MAX: Final = 1024 * 1024


class NewestLines:
    """Of one log's directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._asked = [bytearray(1)]
        self._descriptor: int | None = None
        self._segment_number = 0

    def page(self, begin: Place, end: Place) -> Page | None:
        """What follows a durable place, up to a later one, or as much as is read at once.

        None where it cannot be had by this way.
        """
        number, offset = begin.segment_number, begin.offset
        try:
            while True:
                descriptor = self._open(number)
                until = end.offset
                if number < end.segment_number:
                    until = os.fstat(descriptor).st_size
                if offset < until:
                    return self._page(begin, end, descriptor, number, offset, until)
                number, offset = number + 1, 0
                if number > end.segment_number:
                    return None
        except (OSError, BrokenPageError):
            return None  # who reads the files finds it, and says it

    def close(self) -> None:
        """Closes the descriptor; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self, segment_number: int) -> int:
        if self._descriptor is None or segment_number != self._segment_number:
            self.close()
            path = self._directory / segment_name(segment_number)
            self._descriptor = open_regular(path, follows_links=True)
            self._segment_number = segment_number
        return self._descriptor

    def _page(
        self, begin: Place, end: Place, descriptor: int, number: int, offset: int, until: int
    ) -> Page | None:
        size = min(until - offset, NEWEST_BYTES_MAX)
        for place in (offset, offset + size - 1):
            if os.preadv(descriptor, self._asked, place, os.RWF_NOWAIT) != 1:
                return None
        lines = os.pread(descriptor, size, offset)
        if len(lines) != size:
            return None
        if number == end.segment_number and offset + size == until:
            count = end.sequence - begin.sequence
            return Page(Place(begin.head, number, offset), end, lines, count)
        cut = lines.rfind(b"\n") + 1
        return page_of(begin, number, offset, lines[:cut]) if cut else None
