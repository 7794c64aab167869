"""What both packages that hash by OpenSSL's own functions must do, whichever of them it is.

`kernel.sha256` and `wal.entryhash` have `use_library` and `loaded_library` each, since neither
package may import the other.
"""

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

WRONG = """
int SHA256_Init(void *context) { return 1; }
int SHA256_Update(void *context, const void *data, unsigned long size) { return 1; }
int SHA256_Final(unsigned char *digest, void *context) { digest[0] = 0; return 1; }
"""


def is_found_by_ctypes(path: str | None) -> bool:
    """Whether a library has the functions, asked in another way."""
    return path is not None and hasattr(ctypes.CDLL(path), "SHA256_Init")


def check_use(hashing: ModuleType, form: str) -> None:
    """Compiled it calls OpenSSL where hashlib has it. `form`: of the package."""
    path = hashing.loaded_library()
    assert hashing.use_library(path) == (form == "compiled" and is_found_by_ctypes(path))


def check_wrong_functions(
    hashing: ModuleType, directory: Path, check_digests: Callable[[], None]
) -> None:
    """Functions that give other digests are not used."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    (directory / "wrong.c").write_text(WRONG)
    library = directory / "wrong.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-w", "-o", library, directory / "wrong.c"],
        check=True,
        timeout=60,
    )
    assert is_found_by_ctypes(str(library))  # and loaded by this, from now on
    assert hashing.use_library(str(library)) is False
    check_digests()


def check_loaded_library(hashing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """In FIPS mode or without OpenSSL there is no library."""
    for mode, expected in ((0, "/some/library.so"), (1, None)):
        module = SimpleNamespace(__file__="/some/library.so", get_fips_mode=lambda mode=mode: mode)
        monkeypatch.setitem(sys.modules, "_hashlib", module)
        assert hashing.loaded_library() == expected
    monkeypatch.setitem(sys.modules, "_hashlib", SimpleNamespace(get_fips_mode=lambda: 0))
    assert hashing.loaded_library() is None  # part of the interpreter
    monkeypatch.delitem(sys.modules, "_hashlib")
    assert hashing.loaded_library() is None
