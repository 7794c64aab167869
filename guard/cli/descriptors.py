"""Standard input, output and error, where whoever started the command has closed them.

Owns that these three exist. Closed ones are opened on /dev/null: else the next file or socket that
the command opens would take their numbers, what is said to people would be written into a log, and
libuv, which takes such a descriptor for a fault, would abort. Nothing is said of it: whoever closes
an output does not want it.
"""

import os
import sys
from typing import Final

_STANDARD: Final = (0, 1, 2)


def open_closed_ones() -> None:
    """Called first of all, before anything is opened."""
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            assert opened == number, (opened, number)
            os.set_inheritable(number, True)  # processes of ours need them as well
    # None is what the interpreter has made of a closed one.
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
