"""The switch between the two forms of guard's compiled modules, in processes of their own."""

import os
import subprocess
from pathlib import Path

import guard
import wal
from child_support import code

PACKAGES = Path(guard.__file__).parent.parent
REPORT = """
import guard, kernel, sys
built = [not sys.modules["guard." + name].__file__.endswith(".py") for name in {names}]
print(guard.GUARD_FORM, kernel.KERNEL_FORM, *built)
"""


def run(switch: str) -> list[str]:
    """What a fresh interpreter prints with PRETRADE_GUARD_PURE set so."""
    imports = "".join(f"import guard.{name}\n" for name in guard.COMPILED_MODULES)
    done = subprocess.run(
        code(imports + REPORT.format(names=guard.COMPILED_MODULES), flags=("-W", "error")),
        env=os.environ | {"PRETRADE_GUARD_PURE": switch},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


def test_the_switch_forces_the_source_of_both_packages() -> None:
    form, kernel_form, *built = run("1")
    assert {form, kernel_form} == {"interpreted"}
    assert set(built) == {"False"}


def test_without_it_the_built_form_runs_where_it_is_built() -> None:
    places = [name.replace(".", "/") for name in guard.COMPILED_MODULES]
    built = all(any((PACKAGES / "guard").glob(f"{place}.*.so")) for place in places)
    form, _, *modules_built = run("")
    expected = ("compiled", {"True"}) if built else ("interpreted", {"False"})
    assert (form, set(modules_built)) == expected


def test_the_forms_of_the_log_are_those_of_its_package() -> None:
    assert guard.WAL_MODULES == wal.COMPILED_MODULES
    assert guard._is_wal_compiled() or wal.WAL_FORM == "interpreted"
