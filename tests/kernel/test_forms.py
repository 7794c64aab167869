"""The switch between the two forms, in processes of their own."""

import os
import subprocess
from pathlib import Path

import pytest

import kernel
from child_support import code, module

CHECKOUT = Path(__file__).parent.parent.parent
PACKAGES = Path(kernel.__file__).parent.parent  # the checkout as well, or where it is installed
STRICT = ("-W", "error")
REPORT = """
import sys, kernel
files = [sys.modules["kernel." + name].__file__ for name in kernel.COMPILED_MODULES]
print(kernel.KERNEL_FORM, *("source" if name.endswith(".py") else "built" for name in files))
"""


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


def test_the_switch_forces_the_source() -> None:
    form, *files = run("1", code(REPORT, flags=STRICT)).split()
    assert (form, files) == ("interpreted", ["source"] * len(kernel.COMPILED_MODULES))


def test_without_it_the_built_form_runs_where_it_is_built() -> None:
    form, *files = run("", code(REPORT, flags=STRICT)).split()
    built = all(any((PACKAGES / "kernel").glob(f"{name}.*.so")) for name in kernel.COMPILED_MODULES)
    if built:
        assert (form, files) == ("compiled", ["built"] * len(kernel.COMPILED_MODULES))
    else:
        assert (form, files) == ("interpreted", ["source"] * len(kernel.COMPILED_MODULES))


@pytest.mark.skipif(kernel.KERNEL_FORM == "interpreted", reason="already running the source")
def test_the_vectors_in_the_source_form_of_every_module() -> None:
    command = module(
        "pytest", "-q", "-p", "no:cacheprovider", "tests/kernel/test_digest.py",
        "tests/kernel/test_records.py", "tests/kernel/test_prescribe.py", "-k", "not arithmetic",
        flags=STRICT,
    )  # fmt: skip
    printed = run("1", command)
    assert " passed" in printed
