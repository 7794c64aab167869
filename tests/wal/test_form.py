"""The switch between the two forms of the log's compiled modules, in processes of their own."""

import os
import subprocess
from pathlib import Path

import wal
from child_support import code

PACKAGES = Path(wal.__file__).parent.parent
REPORT = """
import sys, wal
files = [sys.modules["wal." + name].__file__ for name in wal.COMPILED_MODULES]
print(wal.WAL_FORM, *("source" if name.endswith(".py") else "built" for name in files))
"""
COUNT = len(wal.COMPILED_MODULES)


def run(switch: str) -> list[str]:
    """What a fresh interpreter prints with PRETRADE_GUARD_PURE set so."""
    done = subprocess.run(
        code(REPORT, flags=("-W", "error")),
        env=os.environ | {"PRETRADE_GUARD_PURE": switch},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def test_the_switch_forces_the_source() -> None:
    assert run("1") == ["interpreted"] + ["source"] * COUNT


def test_without_it_the_built_form_runs_where_it_is_built() -> None:
    is_built = all(any((PACKAGES / "wal").glob(f"{name}.*.so")) for name in wal.COMPILED_MODULES)
    built, source = ["compiled"] + ["built"] * COUNT, ["interpreted"] + ["source"] * COUNT
    assert run("") == (built if is_built else source)
