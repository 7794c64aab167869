"""Finds what has just become durable, on the loop: it is in the system's memory still.

Owns the one descriptor that stays open for it. Must not wait for a disk: what is not in memory, or
too much at once, is left to who reads files beside the loop (`guard.feed.files`).

How it works: a byte at each end is asked for by `preadv2` with RWF_NOWAIT, which gives up where it
would have to wait, and where the file system does not know that. If both are there, so is what was
written between them a moment ago. It need not even be read: `sendfile` gives it to a socket as it
stands in the system's memory, and the lines are read for those alone who want a part of them. The
end of a segment that another one follows may be forgotten already (`wal.commit`): then it, too, is
read beside the loop.
"""

import os
from pathlib import Path
from typing import Final

from guard.feed.page import BrokenPageError, Page, Place, page_of
from wal import ENVELOPE_BYTES_MAX, open_regular, parse_heads, segment_name

# At once: some 200 µs.
NEWEST_BYTES_MAX: Final = 1024 * 1024
# What a unix socket takes in one go, by the system's default.
PART_BYTES: Final = 131_072
LOOKED_AT_BYTES: Final = 16_384  # some ten lines


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

    def descriptor_of(self, page: Page) -> int | None:
        """Where the lines of a page stand, from its beginning's offset on; None: not open now."""
        is_open = self._segment_number == page.begin.segment_number
        return self._descriptor if is_open else None

    def lines_of(self, page: Page) -> bytes | None:
        """The lines of a page that were not read; None where they are not in memory any more."""
        descriptor = self.descriptor_of(page)
        if descriptor is None:
            return None
        try:
            return self._read(descriptor, page.begin.offset, page.size)
        except OSError:
            return None

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
        begin = Place(begin.head, number, offset)
        if not self._is_in_memory(descriptor, offset, size):
            return None
        if number == end.segment_number and size <= PART_BYTES and offset + size == until:
            return Page(begin, end, b"", end.sequence - begin.sequence)
        if size > PART_BYTES:
            part = self._part(begin, descriptor)
            if part is not None:
                return part
        lines = self._read(descriptor, offset, size)
        cut = 0 if lines is None else lines.rfind(b"\n") + 1
        return page_of(begin, number, offset, lines[:cut]) if lines and cut else None

    def _part(self, begin: Place, descriptor: int) -> Page | None:
        """The lines behind a place up to the last one that ends within a part, unread.

        Only that one is looked at; None where it is too long for that.
        """
        at = begin.offset + PART_BYTES - LOOKED_AT_BYTES
        looked_at = os.pread(descriptor, LOOKED_AT_BYTES, at)
        end = looked_at.rfind(b"\n") + 1
        start = looked_at.rfind(b"\n", 0, max(end - 1, 0)) + 1
        heads = parse_heads(looked_at[start : start + ENVELOPE_BYTES_MAX]) if start else None
        if heads is None:
            return None
        place = Place(heads[1], begin.segment_number, at + end)
        return Page(begin, place, b"", place.sequence - begin.sequence)

    def _read(self, descriptor: int, offset: int, size: int) -> bytes | None:
        if not self._is_in_memory(descriptor, offset, size):
            return None
        lines = os.pread(descriptor, size, offset)
        return lines if len(lines) == size else None

    def _is_in_memory(self, descriptor: int, offset: int, size: int) -> bool:
        for place in (offset, offset + size - 1):
            if os.preadv(descriptor, self._asked, place, os.RWF_NOWAIT) != 1:
                return False
        return True
