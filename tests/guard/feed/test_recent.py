"""The lines that are held in memory: whole pages without a gap, and a bound."""

from guard.feed.page import Place
from guard.feed.recent import PAGE_BYTES, RECENT_PAGES_MAX, RecentLines
from wal import EMPTY_HEAD, ChainHasher, Head, encode_line

HASHER = ChainHasher(None)


class Writer:
    """Gives batches of one record each, one behind the other."""

    def __init__(self, recent: RecentLines) -> None:
        self.recent = recent
        self.place = Place(EMPTY_HEAD, 1, 0)

    def write(self, size: int = 100, *, new_segment: bool = False, is_wanted: bool = True) -> bytes:
        head, data = self.place.head, b'"%b"' % (b"x" * size)
        entry_hash = HASHER.entry_hash(head.entry_hash, data)
        line = encode_line(head.sequence + 1, head.entry_hash, entry_hash, data)
        number = self.place.segment_number + new_segment
        offset = 0 if new_segment else self.place.offset
        end = Place(Head(head.sequence + 1, entry_hash), number, offset + len(line))
        if is_wanted:
            self.recent.add(Place(Head(head.sequence, ""), number, offset), end, line)
        self.place = end
        return line


def held(recent: RecentLines, place: Place) -> bytes:
    """All that follows a place in memory."""
    found = b""
    while (page := recent.page_behind(place)) is not None:
        found, place = found + page.lines, page.end
    return found


def test_batches_become_one_page_and_segments_do_not() -> None:
    recent = RecentLines()
    writer, begin = Writer(recent), Place(EMPTY_HEAD, 1, 0)
    lines = [writer.write() for _ in range(3)]
    assert recent.page_behind(begin) is None  # not before they are gathered
    recent.gather()
    page = recent.page_behind(begin)
    assert page is not None
    assert (page.lines, page.end) == (b"".join(lines), writer.place)
    lines += [writer.write(new_segment=True), writer.write(), writer.write(PAGE_BYTES)]
    recent.gather()
    recent.gather()
    assert held(recent, begin) == b"".join(lines)
    assert recent.page_behind(writer.place) is None
    assert recent.page_behind(Place(Head(1, ""), 0, 0)) is None  # inside, and not known where


def test_what_was_left_out_is_a_new_beginning() -> None:
    recent = RecentLines()
    writer = Writer(recent)
    writer.write()
    recent.gather()
    writer.write(is_wanted=False)
    place = writer.place
    line = writer.write()
    recent.gather()
    assert recent.page_behind(Place(EMPTY_HEAD, 1, 0)) is None
    assert held(recent, place) == line


def test_the_oldest_go_beyond_the_bound() -> None:
    recent = RecentLines(2_000)
    writer = Writer(recent)
    for _ in range(30):
        place = writer.place
        line = writer.write()
        recent.gather()
        assert recent.byte_count <= 2_000
    assert held(recent, place) == line
    writer.write(3_000)  # more than is ever held
    assert recent.byte_count == 0
    place = writer.place
    line = writer.write()
    recent.gather()
    assert held(recent, place) == line


def test_an_idle_log_s_pages_are_bounded_by_their_number() -> None:
    recent = RecentLines()
    writer = Writer(recent)
    first = writer.write(1)
    recent.gather()
    for _ in range(RECENT_PAGES_MAX):
        line = writer.write(1)
        recent.gather()
    assert recent.page_behind(Place(EMPTY_HEAD, 1, 0)) is None
    assert recent.byte_count <= RECENT_PAGES_MAX * len(line)
    assert recent.byte_count > (RECENT_PAGES_MAX - 1) * len(first)
