"""Programs of the tests in processes of their own, with the packages that the test itself imports.

Neither the working directory nor PYTHONPATH says which these are (`guard.process.own_process`).
Their form may differ from this process's: the tests of the forms want it so.
"""

import sys
from pathlib import Path

from guard.process import own_process
from guard.process.installation import PACKAGES

_CODE = Path(__file__).with_name("child_code.py")


def code(program: str, *arguments: str, flags: tuple[str, ...] = ()) -> list[str]:
    """The command line of a program given as text. `flags` are the interpreter's."""
    return module(str(_CODE), program, *arguments, flags=flags)


def module(name: str, *arguments: str, flags: tuple[str, ...] = ()) -> list[str]:
    """The command line of a module, or of a script by its path."""
    line = own_process.command(name, *arguments, packages=PACKAGES)
    assert line[0] == sys.executable
    return [line[0], *flags, *line[1:]]
