"""Digests as text: one text per digest, and an error that says what is wrong with another."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import (
    DigestCharacterError,
    DigestError,
    DigestLengthError,
    decode_digest,
    encode_digest,
)


@given(st.binary(min_size=32, max_size=32))
def test_there_and_back(digest: bytes) -> None:
    assert decode_digest(encode_digest(digest)) == digest


@pytest.mark.parametrize("length", [0, 1, 62, 63, 65, 66, 128])
def test_another_length(length: int) -> None:
    with pytest.raises(
        DigestLengthError, match=f"policy_digest_hex has {length} .* must have 64"
    ) as refused:
        decode_digest("a" * length, "policy_digest_hex")
    assert refused.value.length == length


@pytest.mark.parametrize("character", ["g", "A", "F", " ", "\n", "\uff10", "é", "\x00", "_", "+"])
@pytest.mark.parametrize("offset", [0, 31, 63])
def test_another_character(character: str, offset: int) -> None:
    text = "0" * offset + character + "f" * (63 - offset)
    with pytest.raises(DigestCharacterError, match=f"at offset {offset}; must have 0-9 and a-f"):
        decode_digest(text)
    with pytest.raises(DigestCharacterError) as refused:
        decode_digest(text)
    assert refused.value.offset == offset


@pytest.mark.parametrize("value", [None, 5, b"a" * 64, ["a" * 64]])
def test_no_text(value: object) -> None:
    with pytest.raises(DigestError, match=re.escape(f"digest is {type(value).__name__}")):
        decode_digest(value)


def test_bytes_of_another_length_are_no_digest() -> None:
    with pytest.raises(DigestLengthError, match="entry_hash has 31 bytes; must have 32"):
        encode_digest(bytes(31), "entry_hash")
    with pytest.raises(DigestError, match="digest is str; must be 32 bytes"):
        encode_digest("a" * 64)
