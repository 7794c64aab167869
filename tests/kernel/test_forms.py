"""The published vectors, in the form that is not running, in a process of its own."""

import os
import subprocess
from pathlib import Path

import pytest

import kernel
from child_support import module

CHECKOUT = Path(__file__).parent.parent.parent
STRICT = ("-W", "error")


def run(switch: str, command: list[str]) -> str:
    """What a fresh interpreter prints with PRETRADE_GUARD_PURE set so."""
    done = subprocess.run(
        command,
        env=os.environ | {"PRETRADE_GUARD_PURE": switch},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(kernel.KERNEL_FORM == "interpreted", reason="already running the source")
@pytest.mark.slow
def test_the_vectors_in_the_source_form_of_every_module() -> None:
    command = module(
        "pytest", "-q", "-p", "no:cacheprovider", "tests/kernel/test_digest.py",
        "tests/kernel/test_records.py", "tests/kernel/test_prescribe.py", "-k", "not arithmetic",
        flags=STRICT,
    )  # fmt: skip
    printed = run("1", command)
    assert " passed" in printed
