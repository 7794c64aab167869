"""How many files and sockets the process may have open, and how many of them are for clients.

Owns the limit's raising and the bound on connections. The system counts every socket and every open
file of a process against one number (RLIMIT_NOFILE); where clients use it up, the log gets no next
segment and a checkpoint no pipe. So the limit is raised as far as the system lets it at the start,
and of what is left then a reserve is kept from clients. What the log itself holds ready beside that
is `wal.spares`'s.

How it fails: a limit that cannot be raised is used as it is; descriptors that cannot be counted are
taken to be many.
"""

import os
import resource
from typing import Final

# As far as a process may go where nobody has changed the system (fs.nr_open); a client takes one.
DESCRIPTORS_MAX: Final = 1_048_576
# What is opened beside connections while orders are served, all at once, doubled: the next segment
# and its directory, a checkpoint's four pipes, the anchor and its directory, the manager's socket,
# a client who is told that there is no room, and what the C library reads (users, time zones).
LOG_RESERVE: Final = 32
# Some trading systems, the risk desk and an operator: with fewer it is no service. It is asked for
# before the last dozen that a session holds are open.
CONNECTIONS_MIN: Final = 32
# Where the system does not say how many are open: twice what a session without clients has.
_OPEN_UNKNOWN: Final = 80


def raise_limit(descriptors_max: int = DESCRIPTORS_MAX) -> int:
    """Raises the soft limit to the hard one, at most to `descriptors_max`; the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = descriptors_max if hard == resource.RLIM_INFINITY else min(hard, descriptors_max)
    if soft == resource.RLIM_INFINITY:
        return descriptors_max
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # a sandbox may forbid it
            return soft
        return wanted
    return soft


def open_count() -> int:
    """How many descriptors the process has open."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # the listing's own
    except OSError:
        return _OPEN_UNKNOWN


def connections_max(limit: int, opened: int, reserve: int = LOG_RESERVE) -> int:
    """How many clients may be connected at once, where `opened` descriptors are open without any.

    Below `CONNECTIONS_MIN`: the limit is too low to serve.
    """
    return limit - opened - reserve
