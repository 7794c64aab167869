"""Reads a page of the log's lines from its files, for who has fallen behind.

Owns the finding of a record in the segments, and the bound of what one look reads. Called on a
thread of its own: files may be slow. Must not read beyond what is durable.

How it works: a segment that another one follows ends with its records; the running one is read up
to the durable end. A record is found by the first line of its segment, and by counting lines from
there. What is read is seen to follow the line before; its hashes are the reader's to check.

How it fails: `FeedReadError`, which has a code and words for the subscriber.
"""

from pathlib import Path
from typing import BinaryIO, Final

from guard.feed.page import BrokenPageError, Page, Place, behind_lines, page_of
from wal import (
    LINE_BYTES_MAX,
    Head,
    WalError,
    first_head,
    list_segments,
    open_to_read,
    segment_name,
)

COUNTED_BYTES: Final = 262_144  # looked through in one go


class FeedReadError(Exception):
    """The log's files do not give what is asked for."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


def read_page(directory: Path, begin: Place, durable: Place, bytes_max: int) -> Page:
    """The lines behind `begin`: of so many bytes at most, but one line at least.

    `durable`: how far may be read; `begin` is before it. Raises FeedReadError.
    """
    try:
        place = find_place(directory, begin.head, durable) if begin.segment_number == 0 else begin
        number, offset = place.segment_number, place.offset
        while True:
            with open_to_read(directory / segment_name(number), 0, follows_links=True) as file:
                end = durable.offset if number == durable.segment_number else _size(file)
                if offset < end:
                    lines = _read_lines(file, offset, end, bytes_max)
                    return page_of(place, number, offset, lines)
            if number >= durable.segment_number:
                raise BrokenPageError(f"it ends before record {begin.sequence + 1}")
            number, offset = number + 1, 0
    except FileNotFoundError as error:
        raise FeedReadError(
            "gone", "after_sequence", f"record {begin.sequence + 1} has been archived: {error}"
        ) from error
    except (OSError, WalError, BrokenPageError) as error:
        where = f"the log cannot be read behind record {begin.sequence}"
        raise FeedReadError("unreadable", "", f"{where}: {error}") from error


def find_place(directory: Path, head: Head, durable: Place) -> Place:
    """The place behind record `head.sequence`; its hash is not looked at.

    Raises FeedReadError where the log begins later, WalError, OSError.
    """
    sequence = head.sequence
    earliest: int | None = None
    for path in reversed(list_segments(directory, archived=True)):
        number = int(path.name[:8])
        first = None if number > durable.segment_number else first_head(path)
        if first is None:
            continue
        if first.sequence > sequence:
            earliest = first.sequence
            continue
        with open_to_read(path, 0, follows_links=True) as file:
            return Place(head, number, _behind_lines(file, sequence - first.sequence))
    if earliest is None:
        raise BrokenPageError("no segment can be read")
    raise FeedReadError(
        "gone",
        "after_sequence",
        f"after_sequence: {sequence} is not allowed; allowed: {earliest} to {durable.sequence}: "
        "what stands before has been archived",
    )


def _behind_lines(file: BinaryIO, count: int) -> int:
    """The offset behind the first `count` lines of a segment."""
    offset = 0
    while count:
        data = file.read(COUNTED_BYTES)
        if not data:
            raise BrokenPageError(f"its segment ends {count} lines before")
        found = data.count(b"\n")
        if found >= count:
            return offset + behind_lines(data, 0, count)
        count -= found
        offset += len(data)
    return offset


def _read_lines(file: BinaryIO, offset: int, end: int, bytes_max: int) -> bytes:
    """Whole lines from `offset` on."""
    file.seek(offset)
    data = file.read(min(bytes_max, end - offset))
    while (cut := data.rfind(b"\n") + 1) == 0:
        more = file.read(min(len(data), LINE_BYTES_MAX - len(data), end - offset - len(data)))
        if not more:
            raise BrokenPageError("the line has no end")
        data += more
    return data if cut == len(data) else data[:cut]


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)
