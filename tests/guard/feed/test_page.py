"""Pages of lines: how one is cut, whose desks' lines are in it, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed_support import of_desk
from guard.feed.page import BrokenPageError, Page, Place, cut, of_desks, page_of
from wal import EMPTY_HEAD, ChainHasher, Head, encode_line

HASHER = ChainHasher(None)


def made(datas: list[bytes], offset: int = 500) -> Page:
    """A page of these records, the log's first."""
    head, lines = EMPTY_HEAD, b""
    for data in datas:
        entry_hash = HASHER.entry_hash(head.entry_hash, data)
        lines += encode_line(head.sequence + 1, head.entry_hash, entry_hash, data)
        head = Head(head.sequence + 1, entry_hash)
    return page_of(Place(EMPTY_HEAD, 3, offset), 3, offset, lines)


def test_a_page_says_what_it_is_behind_and_where_it_ends() -> None:
    page = made([b"1", b"2", b"3"])
    assert page.begin == Place(EMPTY_HEAD, 3, 500)
    assert (page.end.sequence, page.line_count) == (3, 3)
    assert page.end.offset == 500 + len(page.lines)
    unknown = page_of(Place(Head(0, ""), 0, 0), 3, 500, page.lines)
    assert unknown == page  # the first line names the hash


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines.replace(b'"sequence":2', b'"sequence":5'), None),
        (lambda lines: lines.replace(b'{"sequence":3', b'{"sequence":0'), "not in the form"),
        (lambda lines: lines + lines[: lines.index(b"\n") + 1].replace(b":1,", b":0,"), "not in"),
        (lambda lines: lines.replace(b'{"sequence":1', b'{"sequence":7'), "record 7 stands behind"),
        (lambda lines: b" " + lines, "not in the form"),
    ],
)
def test_what_cannot_be_the_next_lines(change: object, words: str | None) -> None:
    assert callable(change)
    lines = change(made([b"1", b"2", b"3"]).lines)
    if words is None:  # the chain's check sees that one
        assert page_of(Place(EMPTY_HEAD, 1, 0), 1, 0, lines).line_count == 3
        return
    with pytest.raises(BrokenPageError, match=words):
        page_of(Place(EMPTY_HEAD, 1, 0), 1, 0, lines)


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=12),
    st.integers(1, 2_000),
    st.integers(1, 13),
)
def test_parts_of_a_page_are_the_page(sizes: list[int], bytes_max: int, lines_max: int) -> None:
    page = made([b'"%b"' % (b"x" * size) for size in sizes])
    place, found = page.begin, b""
    while place.sequence < page.end.sequence:
        part = cut(page, place, bytes_max, lines_max)
        assert part.begin.sequence == place.sequence
        assert 1 <= part.line_count <= lines_max
        assert part.line_count == 1 or len(part.lines) <= bytes_max
        found, place = found + part.lines, part.end
    assert (found, place) == (page.lines, page.end)
    assert cut(page, page.begin, 10**9, 10**9) is page


RECORDS = st.sampled_from(
    [
        of_desk("a"),
        of_desk("b"),
        of_desk("ab"),
        b'{"event":"trading_halted","scope":"desk","name":"a"}',
        b'{"event":"trading_halted","scope":"symbol","name":"a"}',
        b'{"event":"cancel_all","cancel_all":{"of_desk":"a"}}',
        b'{"event":"cancel_all","cancel_all":{"of_desk":null,"of_symbol":"a"}}',
        of_desk("b", r"\"desk\":\"a\""),
        b'{"audit":{},"metadata":{"order":{"desk":"a"},"answer":{"desk":"a"}}}',
        b'{"event":"log_opened"}',
    ]
)


@given(st.lists(RECORDS, min_size=1, max_size=12), st.integers(1, 5))
def test_a_desk_s_lines_are_found_in_parts(datas: list[bytes], lines_max: int) -> None:
    page = made(datas)
    every = page.lines.splitlines(keepends=True)
    about = (b'"desk":"a"', b'"of_desk":"a"', b'"scope":"desk","name":"a"')
    wanted = [line for line in every if any(key in line for key in about)]
    place, found = page.begin, list[bytes]()
    while place.sequence < page.end.sequence:
        part = of_desks(cut(page, place, 10**9, 10**9), frozenset((b"a",)), lines_max)
        assert part.line_count <= lines_max
        found += part.lines.splitlines(keepends=True)
        place = part.end
    assert found == wanted
