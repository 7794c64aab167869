"""What this machine's cores give together: loops that share nothing, one alone and one on each.

Owns the loops. Two cores may be two threads of one, and a virtual machine's need not be there when
they are wanted: what anything gains by another core is to be read beside what these gain.
"""

import subprocess
import sys
from typing import Final

from guard.process import leaving

_LOOP: Final = """
import time
started_s = time.perf_counter()
for _ in range(6_000_000):
    pass
print(time.perf_counter() - started_s)
"""


def busy_ratio(cores: int) -> float:
    """How many times the work of one alone so many loops do side by side. Raises OSError."""
    (alone_s,) = _run_loops(1)
    return sum(alone_s / each_s for each_s in _run_loops(cores))


def _run_loops(count: int) -> list[float]:
    loops = [
        leaving.start_process([sys.executable, "-I", "-c", _LOOP], stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    return [float(loop.communicate()[0]) for loop in loops]
