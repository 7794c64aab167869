"""The guard's own command line, in a process that kills itself at a named place.

    python victim.py CONTROL_FILE POINT NUMBER DUTIES_FAIL -- COMMAND...

At the NUMBER-th time that the place POINT (`-`: none) is reached while the control file says
`armed`, the process sends itself SIGKILL: nothing is flushed, closed or said. Such a share of its
duties beside the orders as DUTIES_FAIL says (0 to 1) fails, as for want of a descriptor. Where it
is a child that writes a checkpoint, the guard is killed, and the child with it. Owns the layout of
the control file, which is shared memory: who started the process arms it, sees that the kill was
this one, and counts what was reached.
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import signal
import struct
import sys
from pathlib import Path

from guard.cli import main
from guard.process import duties
from guard.server.pipeline import FAILPOINTS
from wal import failpoint

(DUTY,) = duties.FAILPOINTS
POINTS = (*failpoint.NAMES, *FAILPOINTS, DUTY)
NO_POINT = "-"
ARMED, STRUCK, COUNTS = 0, 1, 8  # offsets; from the third on, 64 bits for each place
CONTROL_BYTES = COUNTS + 8 * len(POINTS)
PLACES = {name: COUNTS + 8 * at for at, name in enumerate(POINTS)}
COUNT = struct.Struct("=Q")


def open_control(path: Path) -> mmap.mmap:
    """The control file, shared, as it is."""
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), CONTROL_BYTES)


def install(control: mmap.mmap, point: str, number: int, duties_fail: float) -> None:
    """From now on count every place that is reached, and die at this one."""
    armed_count = 0
    guard_pid = os.getpid()
    draw = random.Random(f"{point} {number} {duties_fail}")

    def on_reach(name: str) -> None:
        nonlocal armed_count
        place = PLACES[name]
        COUNT.pack_into(control, place, COUNT.unpack_from(control, place)[0] + 1)
        if name == point and control[ARMED]:
            armed_count += 1
            if armed_count == number:
                control[STRUCK] = 1
                os.kill(guard_pid, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
        if name == DUTY and draw.random() < duties_fail:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    failpoint.install(on_reach)


if __name__ == "__main__":
    control_file, chosen_point, chosen_number, fail, _separator, *command = sys.argv[1:]
    install(open_control(Path(control_file)), chosen_point, int(chosen_number), float(fail))
    sys.exit(main(command))
