"""SHA-256 by OpenSSL's own functions and by hashlib: the same digests, whichever does it."""

import _struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernel
from kernel import sha256 as hashing
from kernel.sha256 import loaded_library, sha256_digest, use_library
from openssl_support import check_loaded_library, check_use, check_wrong_functions

# Finds its way into one block and out of it: 55 bytes are the most that one holds with its padding.
LENGTHS = (0, 1, 54, 55, 56, 63, 64, 65, 79, 119, 120, 128, 4096)


def check_digests() -> None:
    for length in LENGTHS:
        data = bytes(range(256)) * 16
        assert sha256_digest(data[:length]) == sha256(data[:length]).digest(), length
    assert kernel.input_digest_of_row(bytes(70)) == sha256(b"calyinp1\0" + bytes(70)).digest()
    assert kernel.decision_digest_of_row(bytes(65)) == sha256(b"calydcn1\0" + bytes(65)).digest()


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    use_library(loaded_library())


def test_compiled_it_calls_openssl_where_hashlib_has_it() -> None:
    check_use(hashing, kernel.KERNEL_FORM)
    check_digests()


@pytest.mark.parametrize("path", [None, "/no/such/library.so", _struct.__file__])
def test_without_the_functions_hashlib_does_it(path: str | None) -> None:
    assert use_library(path) is False
    check_digests()


def test_functions_that_give_other_digests_are_not_used(tmp_path: Path) -> None:
    check_wrong_functions(hashing, tmp_path, check_digests)


def test_in_fips_mode_or_without_openssl_there_is_no_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_loaded_library(hashing, monkeypatch)


@given(st.binary(max_size=300))
def test_any_message(data: bytes) -> None:
    assert sha256_digest(data) == sha256(data).digest()
