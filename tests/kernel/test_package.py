"""The kernel as a package: what it offers, and what importing it pulls in."""

import subprocess
import sys
from pathlib import Path

import pytest

import kernel

PACKAGES = Path(kernel.__file__).parent.parent
# Neither a parser nor anything of the process: a program that only decides needs none of it.
UNNEEDED = ("json", "asyncio", "logging", "socket", "ssl", "random", "decimal", "tempfile")
REPORT = """
import sys
before = set(sys.modules)
import kernel
print(*sorted(set(sys.modules) - before))
kernel.EngineConfig
print(*sorted(set(sys.modules) - before))
"""


def test_importing_it_pulls_in_no_more_than_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(PACKAGES)!r})"
         + REPORT],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    at_first, later = (line.split() for line in done.stdout.splitlines())
    assert not {"guard", "wal"} & {name.partition(".")[0] for name in later}
    third_party = {
        root
        for root in (name.partition(".")[0] for name in later)
        if root not in ("forms", "kernel") and root not in sys.stdlib_module_names
    }
    # Compiled modules register the compiler's run-time, and what they share, by names of its own.
    registered = {"cython_runtime", "cython_shared"}
    assert {name for name in third_party if not name.startswith("_cython_")} <= registered
    assert not set(UNNEEDED) & set(at_first)
    modules = {f"kernel.{module}" for module in kernel.LATER}
    assert not modules & set(at_first)
    assert "kernel.engine_config" in later


def test_all_it_says_it_has_is_there_and_sorted() -> None:
    assert len(kernel.__all__) == len(set(kernel.__all__))
    for name in kernel.__all__:
        assert getattr(kernel, name) is not None
    for names in kernel.LATER.values():
        assert set(names) <= set(kernel.__all__)


def test_what_it_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'kernel' has no attribute 'EngineConfg'"):
        kernel.EngineConfg  # type: ignore[attr-defined]  # noqa: B018
