"""Asks the C library for memory in huge pages, where very many orders are to be remembered.

Owns when that is asked for, and how. A checkpoint forks the daemon, and a fork copies page tables:
55 ms for the 2.8 GB of ten million orders in pages of 4 KiB, during which no order is answered, and
6 ms in pages of 2 MiB. Below a million orders it is a few milliseconds anyway.

How it works: glibc reads how it allocates from the environment, once, when a process starts. So the
process replaces itself by itself, before it has opened anything: the same arguments, the same
process id. Whoever has set GLIBC_TUNABLES is not overruled.

How it fails: where anything is missing (another C library, huge pages switched off, a refused exec)
the process goes on as it is: the same answers.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ORDERS_WITHOUT_MAX: Final = 1_000_000
VARIABLE: Final = "GLIBC_TUNABLES"
# All but the very greatest blocks come from the heap, and the heap from huge pages. Once the first
# is said, the C library no longer finds the second by itself: with its 128 KiB, each buffer freed
# at the heap's end goes back to the system, and whoever takes it again has 2 MiB cleared for it.
# The last is how much it puts by beyond what is asked for, so that `guard.process.prefault` can
# take it before.
TUNABLES: Final = (
    "glibc.malloc.hugetlb=1"
    ":glibc.malloc.mmap_threshold=67108864"
    ":glibc.malloc.trim_threshold=134217728"
    ":glibc.malloc.top_pad=67108864"
)
SWITCH: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def wants_huge_pages(
    orders_max: int, environment: Mapping[str, str], c_library: str, switch: str
) -> bool:
    """`c_library`: its name and version. `switch`: the system's setting, as in its file."""
    return (
        orders_max > ORDERS_WITHOUT_MAX
        and VARIABLE not in environment
        and c_library.startswith("glibc")
        and "[never]" not in switch
    )


def ask_for_huge_pages(orders_max: int) -> None:
    """Replaces this process by itself, with huge pages, where they are wanted; else returns."""
    try:
        c_library = os.confstr("CS_GNU_LIBC_VERSION") or ""
        switch = SWITCH.read_text()
    except (OSError, ValueError):
        return
    if not sys.executable or not wants_huge_pages(orders_max, os.environ, c_library, switch):
        return
    os.environ[VARIABLE] = TUNABLES
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    except OSError:
        return
