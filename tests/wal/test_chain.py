"""The hash chain against hashlib and hmac, and what a key must be."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wal import EMPTY_HEAD, GENESIS, ChainHasher, WalKeyError, hashes_equal
from wal_support import KEY


def test_genesis_is_the_word() -> None:
    assert GENESIS == "genesis"
    assert EMPTY_HEAD == (0, "genesis")


def test_unkeyed_hash_is_sha256_of_previous_text_and_data() -> None:
    first = ChainHasher(None).entry_hash(GENESIS, b'{"a":1}')
    assert first == hashlib.sha256(b'genesis{"a":1}').hexdigest()


@given(
    key=st.binary(min_size=32, max_size=200), previous=st.text("0123456789abcdef"), data=st.binary()
)
def test_keyed_hash_is_hmac_sha256(key: bytes, previous: str, data: bytes) -> None:
    expected = hmac.new(key, previous.encode() + data, hashlib.sha256).hexdigest()
    hasher = ChainHasher(key)
    assert hasher.entry_hash(previous, data) == expected
    # The prepared contexts are copied, not used up.
    assert hasher.entry_hash(previous, data) == expected


@pytest.mark.parametrize("length", [0, 1, 31])
def test_short_key_is_refused(length: int) -> None:
    with pytest.raises(WalKeyError, match=f"at least 32 bytes, this one has {length}$"):
        ChainHasher(bytes(length))


def test_key_id_tells_keys_apart_and_gives_nothing_away() -> None:
    hasher = ChainHasher(KEY)
    assert hasher.keyed
    message = b"pretrade-guard.wal-key-id.v1\0"
    assert hasher.key_id == hmac.new(KEY, message, hashlib.sha256).hexdigest()[:16]
    assert hasher.key_id == "c6a37905bdccde59"
    assert ChainHasher(KEY + b"x").key_id != hasher.key_id
    assert hasher.key_id not in (hashlib.sha256(KEY).hexdigest()[:16], KEY.hex()[:16])
    unkeyed = ChainHasher(None)
    assert not unkeyed.keyed
    assert unkeyed.key_id == "none"


def test_hashes_compare_by_their_text() -> None:
    assert hashes_equal("ab", "ab")
    assert not hashes_equal("ab", "AB")
    assert not hashes_equal("ab", "abc")
    assert not hashes_equal("ab", "ä")
    assert not hashes_equal("\ud800", "\ud800")
