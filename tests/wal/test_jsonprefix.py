"""The beginnings of JSON objects, all of them, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from json_support import JSON_VALUES, encoded
from wal.jsonprefix import is_object_beginning

SAMPLE = (
    b'{"a":[1,-2.50e+10,0,"x\\u00e9\\n\xc3\xa9",true,false,null,[],{}],'
    b'"b":{"c":{}},"":[[]],"d":1E5}'
)


def test_every_beginning_of_a_sample() -> None:
    json.loads(SAMPLE)
    for end in range(len(SAMPLE) + 1):
        assert is_object_beginning(SAMPLE[:end]), SAMPLE[:end]


@given(value=st.dictionaries(st.text(), JSON_VALUES, max_size=4), ascii_only=st.booleans())
def test_every_beginning_of_any_object(value: object, ascii_only: bool) -> None:
    data = encoded(value, ascii_only)
    assert all(is_object_beginning(data[:end]) for end in range(len(data) + 1))
    spaced = json.dumps(value, indent=1).encode("utf-8", "surrogatepass")
    assert all(is_object_beginning(spaced[:end]) for end in range(len(spaced) + 1))
    assert not is_object_beginning(data + b"J")
    assert not is_object_beginning(data + data)


@pytest.mark.parametrize(
    "fragment",
    [
        b"x", b"[", b"1", b'"', b" {", b"}", b"{,", b"{1", b"{}}", b"{]", b"{:", b'{"a"}',
        b'{"a",', b'{"a"1', b'{"a"x', b'{"a":,', b'{"a":}', b'{"a":]', b'{"a"::', b'{"a":1 2',
        b'{"a":1"', b'{"a":1x', b'{"a":1,}', b'{"a":1,2', b'{"a":1,x', b'{"a":[1}', b'{"a":[,',
        b'{"a":[1,]', b'{"a":01', b'{"a":1.e', b'{"a":+', b'{"a":.', b'{"a":-x', b'{"a":1e+e',
        b'{"a":truE', b'{"a":nul}', b'{"a":tru,', b'{"a":N', b'{"a":"\n', b'{"a":"\x01',
        b'{"a":"\\x',
        b'{"a":"\\u12g', b'{"a":"\xff', b'{"a":"\xc3"', b'{"\x00', b'{"a":tt', b'{"a":fals ',
    ],
)  # fmt: skip
def test_what_begins_no_object(fragment: bytes) -> None:
    assert not is_object_beginning(fragment)


def test_depth_is_no_matter() -> None:
    assert is_object_beginning(b'{"a":' + b"[" * 100_000)
    assert is_object_beginning(b'{"a":' * 100_000)
