"""SHA-256 by OpenSSL's own functions and by hashlib: the same digests, whichever does it."""

import _struct
import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernel
from kernel.sha256 import loaded_library, sha256_digest, use_library

# Finds its way into one block and out of it: 55 bytes are the most that one holds with its padding.
LENGTHS = (0, 1, 54, 55, 56, 63, 64, 65, 79, 119, 120, 128, 4096)
WRONG = """
int SHA256_Init(void *context) { return 1; }
int SHA256_Update(void *context, const void *data, unsigned long size) { return 1; }
int SHA256_Final(unsigned char *digest, void *context) { digest[0] = 0; return 1; }
"""


def is_found_by_ctypes(path: str | None) -> bool:
    """Whether a library has the functions, asked in another way."""
    return path is not None and hasattr(ctypes.CDLL(path), "SHA256_Init")


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
    path = loaded_library()
    expected = kernel.KERNEL_FORM == "compiled" and is_found_by_ctypes(path)
    assert use_library(path) == expected
    check_digests()


@pytest.mark.parametrize("path", [None, "/no/such/library.so", _struct.__file__])
def test_without_the_functions_hashlib_does_it(path: str | None) -> None:
    assert use_library(path) is False
    check_digests()


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
    check_digests()


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


@given(st.binary(max_size=300))
def test_any_message(data: bytes) -> None:
    assert sha256_digest(data) == sha256(data).digest()
