"""The chain's hash by OpenSSL's own functions and by hashlib: the same, whichever does it."""

import _struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openssl_support import check_loaded_library, check_use, check_wrong_functions
from wal import WAL_FORM, ChainHasher
from wal import entryhash as hashing
from wal.entryhash import EntryHash, loaded_library, use_library
from wal_support import KEY

# Around the ends of SHA-256's blocks of 64 bytes, the hash before included.
LENGTHS = (0, 1, 47, 48, 54, 55, 56, 63, 64, 65, 119, 120, 1600)
KEYS = [None, KEY, bytes(63), bytes(64), bytes(65), b"k" * 300]


def check_hashes() -> None:
    for key in KEYS:
        hasher = ChainHasher(key)
        entry_hash = EntryHash(hasher)
        for previous in ("genesis", "ab" * 32):
            for length in LENGTHS:
                data = bytes(range(256)) * 7
                expected = hasher.entry_hash(previous, data[:length])
                assert entry_hash.digest(previous.encode(), data[:length]).hex() == expected


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    use_library(loaded_library())


def test_compiled_it_calls_openssl_where_hashlib_has_it() -> None:
    check_use(hashing, WAL_FORM)
    check_hashes()


@pytest.mark.parametrize("path", [None, "/no/such/library.so", _struct.__file__])
def test_without_the_functions_hashlib_does_it(path: str | None) -> None:
    assert use_library(path) is False
    check_hashes()


def test_functions_that_give_other_digests_are_not_used(tmp_path: Path) -> None:
    check_wrong_functions(hashing, tmp_path, check_hashes)


def test_in_fips_mode_or_without_openssl_there_is_no_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_loaded_library(hashing, monkeypatch)


@given(st.binary(min_size=32, max_size=80), st.binary(max_size=300))
def test_any_key_and_any_record(key: bytes, data: bytes) -> None:
    hasher = ChainHasher(key)
    hashed = EntryHash(hasher).digest(b"ab" * 32, data)
    assert hashed.hex() == hasher.entry_hash("ab" * 32, data)
