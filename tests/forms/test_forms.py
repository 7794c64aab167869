"""The switch between the two forms of the compiled modules, in processes of their own."""

import importlib
import os
import shutil
import subprocess
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import forms
from forms.modules import SHARED_MODULE
from guard.process import own_process

CODE = Path(__file__).parents[1] / "child_code.py"
PACKAGES = Path(forms.__file__).parent.parent
NAMES = [
    f"{package}.{module}"
    for package, modules in forms.COMPILED_MODULES.items()
    for module in modules
]
REPORT = """
import importlib, sys
import guard, kernel, wal
print(kernel.KERNEL_FORM, wal.WAL_FORM, guard.GUARD_FORM)
for name in sys.argv[1:]:
    print("source" if importlib.import_module(name).__file__.endswith(".py") else "built")
"""


def run(switch: str, packages: Path = PACKAGES) -> tuple[set[str], set[str]]:
    """The forms that a fresh interpreter says run, and of what its modules are.

    `switch`: PRETRADE_GUARD_PURE. `packages`: where they stand.
    """
    done = subprocess.run(
        own_process.command(str(CODE), REPORT, *NAMES, packages=packages),
        env=os.environ | {"PRETRADE_GUARD_PURE": switch},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said, *files = done.stdout.splitlines()
    assert len(files) == len(NAMES)
    return set(said.split()), set(files)


def built(name: str, packages: Path = PACKAGES) -> Path:
    return packages / (name.replace(".", "/") + EXTENSION_SUFFIXES[0])


def test_the_switch_forces_the_source_of_every_module() -> None:
    assert run("1") == ({"interpreted"}, {"source"})


def test_without_it_the_built_form_runs_where_all_were_built() -> None:
    is_built = all(built(name).exists() for name in NAMES)
    wanted = ({"compiled"}, {"built"}) if is_built else ({"interpreted"}, {"source"})
    assert run("") == wanted


@pytest.mark.skipif(not built(NAMES[0]).exists(), reason="nothing was built")
@pytest.mark.parametrize("missing", [NAMES[0], "wal.standing", NAMES[-1], SHARED_MODULE])
def test_where_one_is_missing_none_runs_compiled(tmp_path: Path, missing: str) -> None:
    packages = tmp_path / "packages"
    ignored = shutil.ignore_patterns("*.c", "__pycache__")
    for name in ("forms", "kernel", "wal", "guard"):
        shutil.copytree(PACKAGES / name, packages / name, ignore=ignored)
    assert run("", packages) == ({"compiled"}, {"built"})
    built(missing, packages).unlink()
    assert run("", packages) == ({"interpreted"}, {"source"})


def test_each_module_of_the_list_is_there_with_its_types() -> None:
    for name in NAMES:
        source = PACKAGES / (name.replace(".", "/") + ".py")
        assert source.is_file(), name
        assert importlib.import_module(name).__name__ == name
    without = [n for n in NAMES if not (PACKAGES / (n.replace(".", "/") + ".pxd")).exists()]
    assert without == []


def test_no_module_is_listed_twice() -> None:
    """The compiler takes one that is for one, and then nothing is built."""
    for modules in forms.COMPILED_MODULES.values():
        assert len(set(modules)) == len(modules)
