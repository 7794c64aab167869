"""Stretches of the log's lines, as they stand in a segment, and how one is cut. Pure.

Owns what a place and a page are, and which lines of a page name a desk.

How it works: a line is in the log's own form, so that its newline is its end, and names its desk by
one of few keys, which cannot stand inside of a text (its quotes would be escaped there).
"""

from collections.abc import Set
from typing import Final, NamedTuple

from wal import ENVELOPE_BYTES_MAX, Head, parse_heads

# Before the name of the desk that a record is about: that of an order or a fact, of a `cancel_all`,
# of an action on a scope.
_BEFORE_NAMES: Final = (b'"desk":"', b'"of_desk":"', b'"scope":"desk","name":"')


class Place(NamedTuple):
    """Behind a record: where the next one stands, unless a segment begins with it.

    `head`: with an empty hash where that is not known. `segment_number`: 0 where the place has yet
    to be found.
    """

    head: Head
    segment_number: int
    offset: int

    @property
    def sequence(self) -> int:
        """The record that it is behind."""
        return self.head.sequence


class Page(NamedTuple):
    """The lines between two places: all of them, or those `line_count` that were wanted.

    `lines`: empty, too, where they stand in their segment and nobody has read them yet.
    """

    begin: Place
    end: Place
    lines: bytes
    line_count: int

    @property
    def size(self) -> int:
        """How many bytes all lines between the places have."""
        return self.end.offset - self.begin.offset

    @property
    def is_read(self) -> bool:
        """Are the lines here, where there are any?"""
        return len(self.lines) > 0 or self.line_count == 0


class BrokenPageError(ValueError):
    """The bytes are not the lines that should stand there."""


def page_of(begin: Place, segment_number: int, offset: int, lines: bytes) -> Page:
    """The page of whole lines that stand at `offset`, all of them, which come behind `begin`.

    The page's own beginning has the hash that its first line names: whether that is the hash of
    `begin`, the caller sees. So many lines as the first and the last one say: they are not counted,
    which would take longer than reading them. Raises BrokenPageError where they are not the next.
    """
    last_at = lines.rfind(b"\n", 0, len(lines) - 1) + 1
    first = parse_heads(lines[:ENVELOPE_BYTES_MAX])
    last = parse_heads(lines[last_at : last_at + ENVELOPE_BYTES_MAX])
    if first is None or last is None:
        raise BrokenPageError("a line is not in the form that this version writes")
    before, through = first[0], last[1]
    if before.sequence != begin.sequence:
        raise BrokenPageError(f"record {before.sequence + 1} stands behind {begin.sequence}")
    count = through.sequence - before.sequence
    if count < 1:
        raise BrokenPageError(f"record {through.sequence} ends what begins behind {begin.sequence}")
    end = Place(through, segment_number, offset + len(lines))
    return Page(Place(before, segment_number, offset), end, lines, count)


def cut(page: Page, begin: Place, bytes_max: int, lines_max: int) -> Page:
    """What of a page of all lines follows `begin`: so many bytes and lines at most, one at least.

    `begin` is a place in the page; its offset counts unless it is the page's own beginning.
    """
    at = 0 if begin.sequence == page.begin.sequence else begin.offset - page.begin.offset
    lines = page.lines
    if at == 0 and len(lines) <= bytes_max and page.line_count <= lines_max:
        return page
    end = len(lines)
    if end - at > bytes_max:
        end = lines.rfind(b"\n", at, at + bytes_max) + 1 or behind_lines(lines, at, 1)
    if lines.count(b"\n", at, end) > lines_max:
        end = behind_lines(lines, at, lines_max)
    segment_number, offset = page.begin.segment_number, page.begin.offset + at
    return page_of(begin, segment_number, offset, lines[at:end])


def behind_lines(lines: bytes, at: int, count: int) -> int:
    """Where the line behind `count` further ones begins. Raises BrokenPageError: not so many."""
    for _ in range(count):
        end = lines.find(b"\n", at) + 1
        if end == 0:
            raise BrokenPageError("a line has no end")
        at = end
    return at


def names_in(line: bytes) -> set[bytes]:
    """The desks that a line names: whose it is."""
    found = set()
    for key in _BEFORE_NAMES:
        at = line.find(key)
        while at >= 0:
            name_at = at + len(key)
            found.add(line[name_at : line.find(b'"', name_at)])
            at = line.find(key, name_at)
    return found


def of_desks(page: Page, desks: Set[bytes], lines_max: int) -> Page:
    """The lines of a page of all lines that name one of the desks, so many at most.

    The page ends behind the last one of these where there are more.
    """
    lines, found, at = page.lines, list[bytes](), 0
    places = [lines.find(key) for key in _BEFORE_NAMES]
    while True:
        for which, place in enumerate(places):
            if 0 <= place < at:
                places[which] = lines.find(_BEFORE_NAMES[which], at)
        ahead = [place for place in places if place >= 0]
        if not ahead:
            return page._replace(lines=b"".join(found), line_count=len(found))
        place = min(ahead)
        name_at = place + len(_BEFORE_NAMES[places.index(place)])
        end = lines.index(b"\n", place) + 1
        if lines[name_at : lines.find(b'"', name_at)] in desks:
            start = lines.rfind(b"\n", at, place) + 1 or at
            line = lines[start:end]
            found.append(line)
            if len(found) == lines_max:
                return _ended(page, found, line, end)
        at = end


def _ended(page: Page, found: list[bytes], last: bytes, end: int) -> Page:
    heads = parse_heads(last[:ENVELOPE_BYTES_MAX])
    if heads is None:
        raise BrokenPageError("a line is not in the form that this version writes")
    place = Place(heads[1], page.end.segment_number, page.begin.offset + end)
    return Page(page.begin, place, b"".join(found), len(found))
