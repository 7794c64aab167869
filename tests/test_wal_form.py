"""The switch between the two forms of the log's compiled module, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import wal

PACKAGES = Path(wal.__file__).parent.parent
REPORT = "import sys, wal; print(wal.WAL_FORM, sys.modules['wal.scan'].__file__.endswith('.py'))"


def run(switch: str) -> list[str]:
    """What a fresh interpreter prints with PRETRADE_GUARD_PURE set so."""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", REPORT],
        env=os.environ | {"PRETRADE_GUARD_PURE": switch, "PYTHONPATH": str(PACKAGES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def test_the_switch_forces_the_source() -> None:
    assert run("1") == ["interpreted", "True"]


def test_without_it_the_built_form_runs_where_it_is_built() -> None:
    is_built = any((PACKAGES / "wal").glob("scan.*.so"))
    assert run("") == (["compiled", "False"] if is_built else ["interpreted", "True"])
