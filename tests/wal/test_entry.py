"""One line and one entry: exact bytes, what is refused, and by the wheel's judgement too."""

import hashlib
from pathlib import Path

import calybris
import pytest
from hypothesis import given
from hypothesis import strategies as st

from json_support import JSON_VALUES, encoded
from wal import LINE_BYTES_MAX, Entry, WalEntryError, check_data, encode_line, parse_line
from wal.entry import line_opening, split_line

HASH = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
LINE = b'{"sequence":2,"previous_hash":"%b","entry_hash":"%b","data":{"a":[1,"\xc3\xa9"]}}\n' % (
    HASH.encode(),
    OTHER.encode(),
)
ENTRY = Entry(2, HASH, OTHER, b'{"a":[1,"\xc3\xa9"]}')


def test_line_has_its_exact_bytes() -> None:
    assert encode_line(2, HASH, OTHER, ENTRY.data) == LINE
    assert parse_line(LINE) == ENTRY
    assert ENTRY.head == (2, OTHER)


def test_genesis_line() -> None:
    line = encode_line(1, "genesis", HASH, b"{}")
    assert line == b'{"sequence":1,"previous_hash":"genesis","entry_hash":"%b","data":{}}\n' % (
        HASH.encode()
    )
    assert parse_line(line) == Entry(1, "genesis", HASH, b"{}")


@given(value=JSON_VALUES, ascii_only=st.booleans(), sequence=st.integers(1, 2**64 - 1))
def test_any_json_comes_back_byte_for_byte(value: object, ascii_only: bool, sequence: int) -> None:
    data = encoded(value, ascii_only)
    check_data(data)
    assert parse_line(encode_line(sequence, HASH, OTHER, data)) == Entry(
        sequence, HASH, OTHER, data
    )


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace(b',"data":', b', "data": '),
        LINE.replace(b'{"sequence":2', b' {\t"sequence" : 2 '),
        LINE.replace(b"}}\n", b"} } \r\n"),
        LINE.replace(b"sequence", b"\\u0073equence"),
        b'{"data":{"a":[1,"\xc3\xa9"]},"entry_hash":"%b","previous_hash":"%b","sequence":2}\n'
        % (OTHER.encode(), HASH.encode()),
    ],
)
def test_reformatted_envelope_keeps_the_bytes_of_data(line: bytes) -> None:
    assert line != LINE
    assert parse_line(line) == ENTRY


def test_data_keeps_its_own_spaces_and_lone_surrogates() -> None:
    line = LINE.replace(b'{"a":[1,"\xc3\xa9"]}', b'  [ 1 , "\\ud800" ]  ')
    assert parse_line(line).data == b'[ 1 , "\\ud800" ]'


def test_hashes_are_text_as_found() -> None:
    line = LINE.replace(HASH.encode(), b"Genesis").replace(OTHER.encode(), b"\\u00e9")
    assert parse_line(line) == Entry(2, "Genesis", "é", ENTRY.data)


REFUSED = {
    b"": "no newline",
    LINE[:-1]: "no newline",
    b"\n": "not JSON",
    b"not json\n": "not JSON",
    b"[1]\n": "not JSON",
    b"{}\n": "not JSON",
    LINE[:40] + b"\n": "not JSON",
    LINE[:-1] + b"x\n": "not JSON",
    LINE[:-1] + LINE: "not JSON",
    b"\xef\xbb\xbf" + LINE: "not JSON",
    LINE.replace(b"\xc3", b"\xff"): "not UTF-8",
    LINE.replace(b"\xc3\xa9", b"\x00"): "not JSON",
    LINE.replace(b"[1", b"[01"): "not JSON",
    LINE.replace(b"[1", b"[NaN"): "NaN is not JSON",
    LINE.replace(b'"data":', b'"data": ').replace(
        b"[1", b"[" * 5000 + b"1" + b"]" * 5000 + b",1"
    ): "nested too deeply",
    LINE.replace(b',"data":', b',"x":1,"data":'): "no part of an entry",
    LINE.replace(b'"data":', b'"Data":'): "no part of an entry",
    LINE.replace(b'"sequence":2,', b""): "no sequence",
    LINE.replace(b',"data":{"a":[1,"\xc3\xa9"]}', b""): "no data",
    LINE.replace(b',"data":', b',"data":{},"data":'): "data stands twice",
    LINE.replace(b'"sequence":2,', b'"sequence":2,"sequence":2,'): "sequence stands twice",
    LINE.replace(b'"sequence":2', b'"sequence":"2"'): "not an integer",
    LINE.replace(b'"sequence":2', b'"sequence":2.0'): "not an integer",
    LINE.replace(b'"sequence":2', b'"sequence":-2'): "not an integer",
    LINE.replace(b'"sequence":2', b'"sequence":0'): "not an integer",
    LINE.replace(b'"sequence":2', b'"sequence":02'): "not JSON",
    LINE.replace(b'"sequence":2', b'"sequence":true'): "not an integer",
    LINE.replace(b'"sequence":2', b'"sequence":18446744073709551616'): "not an integer",
    LINE.replace(b'"%b"' % HASH.encode(), b"12"): "previous_hash is not a string",
    LINE.replace(b'"%b"' % OTHER.encode(), b"null"): "entry_hash is not a string",
    LINE.replace(b'"%b"' % OTHER.encode(), b"[]"): "entry_hash is not a string",
}


@pytest.mark.parametrize(("line", "reason"), REFUSED.items(), ids=range(len(REFUSED)))
def test_refused_lines(line: bytes, reason: str) -> None:
    with pytest.raises(WalEntryError, match=reason):
        parse_line(line)


def test_too_long_a_line_is_refused() -> None:
    with pytest.raises(WalEntryError, match="at most"):
        parse_line(b" " * LINE_BYTES_MAX + b"\n")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not one JSON value"),
        (b"{", "not one JSON value"),
        (b"{}{}", "not one JSON value"),
        (b'{},"data":{}', "not one JSON value"),
        (b" {}", "not one JSON value"),
        (b"{} ", "not one JSON value"),
        (b'"\xff"', "not one JSON value"),
        (b'"\xed\xa0\x80"', "not one JSON value"),
        (b'"\\ud800"', "not one JSON value"),
        (b'"\x1f"', "not one JSON value"),
        (b"NaN", "not one JSON value"),
        (b'{"a":\n1}', "newline"),
        (b"[" * 5000 + b"]" * 4999, "not one JSON value"),
        (b'"' + b"a" * LINE_BYTES_MAX + b'"', "too long"),
    ],
    ids=range(14),
)
def test_refused_data(data: bytes, reason: str) -> None:
    with pytest.raises(WalEntryError, match=reason):
        check_data(data)


@pytest.mark.parametrize("depth", [10, 900, 1000, 20_000])
def test_nesting_is_no_matter_in_our_own_form(depth: int) -> None:
    for data in (
        b"[" * depth + b"]" * depth,
        b'{"a":' * depth + '"é"'.encode() + b"}" * depth,
    ):
        check_data(data)
        line = encode_line(1, "genesis", HASH, data)
        assert parse_line(line) == Entry(1, "genesis", HASH, data)
        opening = line_opening(1, "genesis")
        expected = (HASH.encode(), data) if data.startswith(b"{") else None
        assert split_line(line, opening) == expected
        with pytest.raises(WalEntryError):
            parse_line(line.replace(b"}\n", b"}}\n"))


def for_the_wheel(line: bytes) -> bytes:
    """The line as a first record with a right hash: only its form is left to refuse."""
    data = line[line.find(b'"data":') + 7 : -2]
    right = hashlib.sha256(b"genesis" + data).hexdigest().encode()
    line = line.replace(HASH.encode(), b"genesis").replace(OTHER.encode(), right)
    return line.replace(b'"sequence":2', b'"sequence":1')


def test_the_wheel_takes_what_we_take(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(for_the_wheel(LINE))
    assert calybris.verify_audited_wal(tmp_path / "log")[0] == 1


# The wheel allows blank lines, a missing newline and any nesting.
REFUSED_BY_BOTH = [
    line for line in REFUSED if line.strip() and line != LINE[:-1] and b"[" * 5000 not in line
]


@pytest.mark.parametrize("line", REFUSED_BY_BOTH, ids=range(len(REFUSED_BY_BOTH)))
def test_the_wheel_refuses_what_we_refuse(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(for_the_wheel(line))
    with pytest.raises(calybris.CalybrisError):
        calybris.verify_audited_wal(tmp_path / "log")
