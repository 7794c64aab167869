"""Memory that a forked child does not get. Pure.

Owns the choice of such memory. A fork makes every page of its parent's read-only until either side
has a copy of its own, and the parent's next write to each costs it several microseconds. For a
large index, which is written all over and of which no child needs a byte, that was a tenth of the
time that orders took under load. This memory stays the parent's alone. A child that reads it all
the same ends by SIGSEGV: it must not take zeros for an empty index.

How it works: an anonymous mapping of its own with `MADV_DONTFORK`; in huge pages where the system
gives them on request, since hardly two probes of an index go to the same page. All of it is taken
at once: nobody's order waits for a page, and what the daemon needs shows at its start.

How it fails: where the system knows no such advice the memory is as any other, and a child has it.
"""

import mmap
from typing import Final

# Below it a fork's copies cost nothing that would be worth a mapping.
UNFORKED_BYTES_MIN: Final = 1 << 20
_ADVICE: Final = tuple(
    getattr(mmap, name) for name in ("MADV_DONTFORK", "MADV_HUGEPAGE") if hasattr(mmap, name)
)


def zeros(byte_count: int) -> memoryview:
    """So many bytes, all zero, that can be written. Raises MemoryError, OSError: too many."""
    if byte_count < UNFORKED_BYTES_MIN or not _ADVICE:
        return memoryview(bytearray(byte_count))
    mapping = mmap.mmap(-1, byte_count, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for advice in _ADVICE:
        mapping.madvise(advice)
    memory = memoryview(mapping)
    memory[:: mmap.PAGESIZE] = bytes(len(range(0, byte_count, mmap.PAGESIZE)))
    return memory
