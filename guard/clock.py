"""The only reader of clocks.

Owns wall time and monotonic time; everything else is handed what it needs. Wall time is read from
the system once, when the process starts, and carried on by the monotonic clock from there: a step
of the system's clock (an operator, NTP) moves no timestamp of a running daemon. Across restarts
the engine keeps received times from running backwards. What the system's clock says now is another
question: how old an order is, is judged by it.
"""

import time

_WALL_ANCHOR_NS = time.time_ns() - time.monotonic_ns()


def wall_ns() -> int:
    """Nanoseconds since 1970-01-01 UTC, never running backwards within a process."""
    return _WALL_ANCHOR_NS + time.monotonic_ns()


def system_ns() -> int:
    """What the system's clock says now: nanoseconds since 1970-01-01 UTC, and it may step."""
    return time.time_ns()


def monotonic_ns() -> int:
    """Nanoseconds of an unspecified origin, for durations and deadlines."""
    return time.monotonic_ns()


def sleep_until(deadline_ns: int) -> None:
    """Blocks the thread until the monotonic clock has reached `deadline_ns`. Not for the loop."""
    while (left_ns := deadline_ns - time.monotonic_ns()) > 0:
        time.sleep(left_ns / 1e9)


def thread_cpu_ns() -> int:
    """Nanoseconds of processor time that the calling thread has used."""
    return time.thread_time_ns()


def process_cpu_ns() -> int:
    """Nanoseconds of processor time that this process has used, all threads together."""
    return time.process_time_ns()
