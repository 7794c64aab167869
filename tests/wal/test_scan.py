"""The scanner passes nothing that the long way refuses, and every line of ours."""

import json
from array import array
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wal import EMPTY_HEAD, GENESIS, ChainHasher, Head, WalEntryError, encode_line, parse_line
from wal.entryhash import EntryHash
from wal.scan import LineScanner
from wal_support import KEY

HASHER = ChainHasher(KEY)
PLAIN = settings(max_examples=100, deadline=None)


def chained(*datas: bytes, head: Head = EMPTY_HEAD, hasher: ChainHasher = HASHER) -> bytes:
    """The lines of these records after `head`."""
    lines = []
    for data in datas:
        entry_hash = hasher.entry_hash(head.entry_hash, data)
        lines.append(encode_line(head.sequence + 1, head.entry_hash, entry_hash, data))
        head = Head(head.sequence + 1, entry_hash)
    return b"".join(lines)


def scan(
    block: bytes, head: Head = EMPTY_HEAD, hasher: ChainHasher = HASHER, lines_max: int = 9
) -> tuple[int, LineScanner, list[int]]:
    scanner = LineScanner(EntryHash(hasher), head.sequence, head.entry_hash.encode())
    spans = array("q", bytes(24 * lines_max))
    count = scanner.scan(block, 0, spans, lines_max)
    return count, scanner, list(spans[: 3 * count])


@pytest.mark.parametrize("key", [KEY, None])
def test_places_and_head(key: bytes | None) -> None:
    hasher = ChainHasher(key)
    datas = [b"{}", b'{"a":[1,{"b":null}]}', '{"ä":"\\u00e4 \\n"}'.encode()]
    block = chained(*datas, hasher=hasher)
    count, scanner, spans = scan(block, hasher=hasher)
    assert count == 3
    lines = block.splitlines(keepends=True)
    starts = [0, len(lines[0]), len(lines[0]) + len(lines[1])]
    for index, data in enumerate(datas):
        data_at, data_end, hash_at = spans[3 * index : 3 * index + 3]
        assert block[data_at:data_end] == data
        entry = parse_line(lines[index])
        assert block[hash_at : hash_at + 64].decode() == entry.entry_hash
        assert data_end + 2 == starts[index] + len(lines[index])
    assert (scanner.sequence, scanner.entry_hash) == (3, entry.entry_hash.encode())
    assert scanner.stopped_at == len(block)


def test_it_goes_on_where_it_stopped() -> None:
    block = chained(*[b'{"n":%d}' % n for n in range(5)])
    count, scanner, _ = scan(block, lines_max=2)
    assert (count, scanner.sequence) == (2, 2)
    spans = array("q", bytes(24 * 9))
    assert scanner.scan(block, scanner.stopped_at, spans, 9) == 3
    assert (scanner.sequence, scanner.stopped_at) == (5, len(block))


def test_it_stops_before_a_bad_line_with_the_head_before_it() -> None:
    good = chained(b'{"a":1}', b'{"a":2}')
    bad = bytearray(chained(b'{"a":1}', b'{"a":2}', b'{"a":3}'))
    bad[-4] ^= 1
    count, scanner, _ = scan(bytes(bad))
    assert (count, scanner.sequence, scanner.stopped_at) == (2, 2, len(good))


# Not compact, or not an object: for the long way.
UNUSUAL = [
    b"[]", b"1", b'"x"', b'{"a": 1}', b'{ "a":1}', b'{"a" :1}', b'{"a":1 }', b'{"a":[1, 2]}',
    b'{"a":1e5}', b'{"a":-1.25E-07}', b'{"a":1E+3}', b'{"a":1e999}', b'{"a":' + b"1" * 301 + b"}",
    b'{"a":"\\ud834\\udd1e"}', b'{"a":"\\udfff"}', b'{"a":"\\uD800"}',
    b'{"a":[ ]}', b'{"a":' + b"[" * 48 + b"]" * 48 + b"}",
]  # fmt: skip
COMPACT = [
    b"{}", b'{"":""}', b'{"a":{}}', b'{"a":[]}', b'{"a":[[],{},[{}]]}', b'{"a":-0}', b'{"a":0.5}',
    b'{"a":-1.25}', b'{"a":true,"b":false,"c":null}', b'{"a":' + b"1" * 300 + b"}",
    b'{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD7ff\\ue00E"}', '{"é":"𝄞"}'.encode(),
    b'{"a":"\x7f"}',
    b'{"a":1,"a":1}', b'{"a":18446744073709551616}', b'{"a":' + b"[" * 47 + b"]" * 47 + b"}",
    b'{"seventeen letters":"and a text that is longer than eight bytes, \\\\ and more"}',
]  # fmt: skip
NO_JSON = [
    b"{", b"}", b"{}}", b"{}{}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{,}', b'{"a":[1,]}',
    b'{"a":[,]}',
    b'{"a":[}', b'{"a":{]}', b'{"a":[1}}', b'{a:1}', b"{1:1}", b'{"a":01}', b'{"a":-}', b'{"a":+1}',
    b'{"a":1.}', b'{"a":.5}', b'{"a":1e}', b'{"a":1e+}', b'{"a":--1}', b'{"a":tru}', b'{"a":nul}',
    b'{"a":falsE}', b'{"a":True}', b'{"a":NaN}', b'{"a":"\\x"}', b'{"a":"\\u12g4"}',
    b'{"a":"\\u123"}',
    b'{"a":"\x01"}', b'{"a":"\t"}', b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"}',
    b'{"a":"\\"}',
    b'{"a":1}\x00', b'{"a":1}{"b":2}', b'{"a":1},"x":{"b":2}', b'{"a":1:2}', b'{"a","b"}',
    b'{"a":[1:2]}',
]  # fmt: skip


def long_way_passes(line: bytes) -> bool:
    try:
        parse_line(line)
    except WalEntryError:
        return False
    return True


@pytest.mark.parametrize("data", COMPACT)
def test_every_compact_object_is_passed(data: bytes) -> None:
    assert scan(chained(data))[0] == 1
    assert long_way_passes(chained(data))


@pytest.mark.parametrize("data", UNUSUAL)
def test_an_unusual_line_is_left_to_the_long_way(data: bytes) -> None:
    assert scan(chained(data))[0] == 0
    assert long_way_passes(chained(data))


@pytest.mark.parametrize("data", NO_JSON)
def test_what_is_no_json_is_never_passed(data: bytes) -> None:
    assert scan(chained(data))[0] == 0
    assert not long_way_passes(chained(data))


TEXTS = st.text(st.characters(codec="utf-8", max_codepoint=0xD7FF), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(0.001, 10**15) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)  # fmt: skip


@PLAIN
@given(value=st.dictionaries(TEXTS, VALUES), is_ascii=st.booleans())
def test_what_a_json_writer_writes_is_passed(value: Any, is_ascii: bool) -> None:
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=is_ascii).encode()
    assert scan(chained(data))[0] == 1


@PLAIN
@given(
    value=st.dictionaries(TEXTS, VALUES),
    at=st.integers(0, 10**6),
    byte=st.sampled_from(b'"\\{}[]:,0-9.eEtu\x00\t\x1f a\x7f\x80\xc3\xff'),
)
@example(value={"a": ""}, at=6, byte=0x5C)
def test_what_it_passes_of_changed_text_the_long_way_passes(value: Any, at: int, byte: int) -> None:
    data = bytearray(json.dumps(value, separators=(",", ":")).encode())
    data[at % len(data)] = byte
    line = chained(bytes(data))
    if scan(line)[0]:
        assert long_way_passes(line)


def test_every_changed_byte_of_a_line_stops_it() -> None:
    first = chained(b'{"a":[1,"x\\u0041",null]}')
    head = Head(1, parse_line(first).entry_hash)
    for at_head, line in ((EMPTY_HEAD, first), (head, chained(b'{"b":2}', head=head))):
        assert scan(line, at_head)[0] == 1
        for at in range(len(line) - 1):
            for bit in range(8):
                changed = bytearray(line)
                changed[at] ^= 1 << bit
                assert scan(bytes(changed), at_head)[0] == 0


@pytest.mark.parametrize(
    ("head", "count"),
    [
        (Head(8, "a" * 64), 1),
        (Head(9, "a" * 64), 1),
        (Head(10**18 - 1, "a" * 64), 1),
        (Head(10**19 - 2, "a" * 64), 1),
        (Head(10**19 - 1, "a" * 64), 0),  # of 20 digits: the long way
        (Head(2**64 - 2, "a" * 64), 0),
    ],
)
def test_sequences_of_any_length(head: Head, count: int) -> None:
    line = chained(b"{}", head=head)
    assert scan(line, head)[0] == count
    assert scan(line, Head(head.sequence - 1, head.entry_hash))[0] == 0
    assert scan(line.replace(b'{"sequence":', b'{"sequence":0'), head)[0] == 0


def test_a_line_that_is_cut_short_anywhere() -> None:
    line = chained(b'{"a":"\\u0041"}')
    for size in range(1, len(line) - 1):
        assert scan(line[:size] + b"\n")[0] == 0
    assert scan(b"\n")[0] == 0
    assert scan(b" " * 300 + b"\n")[0] == 0


def test_a_block_that_cannot_be_scanned() -> None:
    block = chained(b"{}")
    spans = array("q", bytes(24))
    scanner = LineScanner(EntryHash(HASHER), 0, GENESIS.encode())
    for bad, start in ((block[:-1], 0), (b"", 0), (block, -1), (block, len(block))):
        with pytest.raises(ValueError, match="cannot be scanned"):
            scanner.scan(bad, start, spans, 1)
    with pytest.raises(ValueError, match="spans holds 3 places"):
        scanner.scan(block, 0, spans, 2)
    assert scanner.sequence == 0
