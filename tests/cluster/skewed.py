"""A guard on a host whose clock is off by so many milliseconds.

python skewed.py MS PYTHON ... -m guard.cli COMMAND ...
"""

import sys

from guard import clock

offset_ns = int(sys.argv[1]) * 1_000_000
clock._WALL_ANCHOR_NS += offset_ns  # what the process read when it began
_system_ns = clock.system_ns
clock.system_ns = lambda: _system_ns() + offset_ns

if __name__ == "__main__":
    from guard.cli import main

    sys.argv[1:] = sys.argv[sys.argv.index("guard.cli") + 1 :]
    sys.exit(main())
