"""The chain's hash by OpenSSL's own functions and by hashlib: the same, whichever does it."""

import _struct
import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wal import WAL_FORM, ChainHasher
from wal.entryhash import EntryHash, loaded_library, use_library
from wal_support import KEY

# Around the ends of SHA-256's blocks of 64 bytes, the hash before included.
LENGTHS = (0, 1, 47, 48, 54, 55, 56, 63, 64, 65, 119, 120, 1600)
KEYS = [None, KEY, bytes(63), bytes(64), bytes(65), b"k" * 300]
WRONG = """
int SHA256_Init(void *context) { return 1; }
int SHA256_Update(void *context, const void *data, unsigned long size) { return 1; }
int SHA256_Final(unsigned char *digest, void *context) { digest[0] = 0; return 1; }
"""


def is_found_by_ctypes(path: str | None) -> bool:
    """Whether a library has the functions, asked in another way."""
    return path is not None and hasattr(ctypes.CDLL(path), "SHA256_Init")


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
    path = loaded_library()
    assert use_library(path) == (WAL_FORM == "compiled" and is_found_by_ctypes(path))
    check_hashes()


@pytest.mark.parametrize("path", [None, "/no/such/library.so", _struct.__file__])
def test_without_the_functions_hashlib_does_it(path: str | None) -> None:
    assert use_library(path) is False
    check_hashes()


def test_functions_that_give_other_digests_are_not_used(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "wrong.c").write_text(WRONG)
    library = tmp_path / "wrong.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-w", "-o", library, tmp_path / "wrong.c"],
        check=True,
        timeout=60,
    )
    assert is_found_by_ctypes(str(library))  # and loaded by this, from now on
    assert use_library(str(library)) is False
    check_hashes()


def test_in_fips_mode_or_without_openssl_there_is_no_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for mode, expected in ((0, "/some/library.so"), (1, None)):
        module = SimpleNamespace(__file__="/some/library.so", get_fips_mode=lambda mode=mode: mode)
        monkeypatch.setitem(sys.modules, "_hashlib", module)
        assert loaded_library() == expected
    monkeypatch.setitem(sys.modules, "_hashlib", SimpleNamespace(get_fips_mode=lambda: 0))
    assert loaded_library() is None  # part of the interpreter
    monkeypatch.delitem(sys.modules, "_hashlib")
    assert loaded_library() is None


@given(st.binary(min_size=32, max_size=80), st.binary(max_size=300))
def test_any_key_and_any_record(key: bytes, data: bytes) -> None:
    hasher = ChainHasher(key)
    hashed = EntryHash(hasher).digest(b"ab" * 32, data)
    assert hashed.hex() == hasher.entry_hash("ab" * 32, data)
