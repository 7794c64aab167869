"""The lines that are held in memory: pages without a gap, and a bound."""

from guard.feed.page import Page, Place, page_of
from guard.feed.recent import RECENT_PAGES_MAX, RecentLines
from wal import EMPTY_HEAD, ChainHasher, Head, encode_line

HASHER = ChainHasher(None)


class Writer:
    """Gives pages of one record each, one behind the other."""

    def __init__(self, recent: RecentLines) -> None:
        self.recent = recent
        self.place = Place(EMPTY_HEAD, 1, 0)

    def page(self, size: int = 100, *, new_segment: bool = False) -> Page:
        head, data = self.place.head, b'"%b"' % (b"x" * size)
        entry_hash = HASHER.entry_hash(head.entry_hash, data)
        line = encode_line(head.sequence + 1, head.entry_hash, entry_hash, data)
        number = self.place.segment_number + new_segment
        page = page_of(self.place, number, 0 if new_segment else self.place.offset, line)
        self.place = page.end
        return page

    def write(self, size: int = 100, *, new_segment: bool = False) -> bytes:
        page = self.page(size, new_segment=new_segment)
        self.recent.add(page)
        return page.lines


def held(recent: RecentLines, place: Place) -> bytes:
    """All that follows a place in memory."""
    found = b""
    while (page := recent.page_behind(place)) is not None:
        found, place = found + page.lines, page.end
    return found


def test_what_follows_a_place_over_segments() -> None:
    recent = RecentLines()
    writer = Writer(recent)
    lines = [writer.write(), writer.write(), writer.write(new_segment=True), writer.write()]
    assert held(recent, Place(EMPTY_HEAD, 1, 0)) == b"".join(lines)
    assert held(recent, Place(Head(2, ""), 0, 0)) == lines[2] + lines[3]  # a page begins there
    assert recent.page_behind(writer.place) is None


def test_a_place_inside_of_a_page_is_good_where_it_is_known() -> None:
    recent = RecentLines()
    writer = Writer(recent)
    first, second = writer.page(), writer.page()
    both = page_of(first.begin, 1, 0, first.lines + second.lines)
    recent.add(both)
    assert recent.page_behind(first.end) is both
    assert recent.page_behind(Place(first.end.head, 0, 0)) is None


def test_what_was_left_out_is_a_new_beginning() -> None:
    recent = RecentLines()
    writer = Writer(recent)
    writer.write()
    writer.page()
    place = writer.place
    line = writer.write()
    assert recent.page_behind(Place(EMPTY_HEAD, 1, 0)) is None
    assert held(recent, place) == line


def test_the_oldest_go_beyond_the_bound() -> None:
    recent = RecentLines(2_000)
    writer = Writer(recent)
    for _ in range(30):
        place = writer.place
        line = writer.write()
        assert recent.byte_count <= 2_000
    assert held(recent, place) == line
    writer.write(3_000)  # more than is ever held
    assert recent.byte_count == 0
    place = writer.place
    assert held(recent, place) == b""
    assert writer.write() == held(recent, place)


def test_an_idle_log_s_pages_are_bounded_by_their_number() -> None:
    recent = RecentLines()
    writer = Writer(recent)
    first = writer.write(1)
    for _ in range(RECENT_PAGES_MAX):
        line = writer.write(1)
    assert recent.page_behind(Place(EMPTY_HEAD, 1, 0)) is None
    assert recent.byte_count <= RECENT_PAGES_MAX * len(line)
    assert recent.byte_count > (RECENT_PAGES_MAX - 1) * len(first)


def test_a_page_that_is_read_is_so_for_all() -> None:
    recent = RecentLines()
    writer = Writer(recent)
    begin = writer.place
    page = writer.page()
    recent.add(page._replace(lines=b""))
    assert recent.byte_count == len(page.lines)
    unread = recent.page_behind(begin)
    assert unread is not None
    assert not unread.is_read
    assert recent.read(unread, page.lines) == page
    assert held(recent, begin) == page.lines
