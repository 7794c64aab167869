"""How a process of ours is started: as the very installation that its starter belongs to.

Owns the command line of such a process. Everything that starts one goes through here, the tests and
benches too: what is measured, shown or tested is then what is installed, whatever the working
directory holds (a folder named `guard`), whatever PYTHONPATH or PYTHONSAFEPATH says. `-m` alone
would look in the working directory first, and in PYTHONPATH.

How it works: the interpreter is given a file of ours by its path, `guard/process/own_start.py`,
which takes the packages from the folder that it is told. How it fails: a process that would be
another version or form than its starter (files exchanged meanwhile) ends with exit 1 and says so on
stderr.
"""

import os
import select
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from guard.process import leaving
from guard.process.installation import PACKAGES, identity

_START: Final = Path(__file__).with_name("own_start.py")


def command(program: str, *arguments: str, packages: Path | None = None) -> list[str]:
    """The command line that runs a module, or a script by its path, in a process of ours.

    `packages`: the folder whose `guard` is run, instead of this one's; it is taken as it is.
    """
    flags = ["-P"]
    if sys.flags.ignore_environment:
        flags.append("-E")
    if sys.flags.no_user_site:
        flags.append("-s")
    # "" stands for the working directory.
    path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
    expected = identity() if packages is None else ""
    return [
        *(sys.executable, *flags, str(_START), str(packages or PACKAGES), expected),
        *(str(len(path)), *path),
        *(program, *arguments),
    ]


def spoken(module: str) -> str:
    """A module's command line for a person's shell. Processes of ours are started by `command`."""
    return f"{shlex.quote(sys.executable)} -P -m {module}"


def start(
    program: str, *arguments: str, packages: Path | None = None, **options: Any
) -> "subprocess.Popen[bytes]":
    """Starts it. `options` are Popen's. It is ended with the command that started it."""
    return leaving.start_process(command(program, *arguments, packages=packages), **options)


def first_line(process: "subprocess.Popen[bytes]", timeout_s: float) -> str | None:
    """What it says first on its standard output, a pipe: "" where it ended, None where it is late.

    Bytes behind that line may be taken too: nobody who asks for one line reads on.
    """
    assert process.stdout is not None
    is_there, _, _ = select.select([process.stdout], [], [], timeout_s)
    return process.stdout.readline().decode() if is_there else None
