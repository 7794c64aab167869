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

    def pages(self, begin: Place, end: Place) -> list[Page] | None:
        """All lines between two durable places, a page for each segment; None: not by this way."""
        if end.segment_number - begin.segment_number > 1:
            return None
        pages: list[Page] = []
        place = begin
        try:
            while place.sequence < end.sequence:
                is_last = place.segment_number == end.segment_number
                descriptor = self._open(place.segment_number)
                until = end.offset if is_last else os.fstat(descriptor).st_size
                if until > place.offset:
                    lines = self._read(descriptor, place.offset, until - place.offset)
                    if lines is None:
                        return None
                    pages.append(page_of(place, place.segment_number, place.offset, lines))
                    place = pages[-1].end
                if not is_last:
                    place = Place(place.head, place.segment_number + 1, 0)
        except (OSError, BrokenPageError):
            return None  # who reads the files finds it, and says it
        return pages

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

    def _read(self, descriptor: int, offset: int, size: int) -> bytes | None:
        if size > NEWEST_BYTES_MAX:
            return None
        for place in (offset, offset + size - 1):
            if os.preadv(descriptor, self._asked, place, os.RWF_NOWAIT) != 1:
                return None
        lines = os.pread(descriptor, size, offset)
        return lines if len(lines) == size else None
