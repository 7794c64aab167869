"""Takes the heap's memory from the system before an order needs it.

Owns when that is done. In huge pages the system clears 2 MiB when the first of their bytes is
touched: 0.2 ms, and 5 to 8 in a virtual machine that has itself to be given the memory first, while
an order waits. So whatever the C library has put by for the heap (`guard.process.huge_pages` has it
put by plenty at a time) is taken at once at start-up; and what it puts by later, as soon as a beat
of the housekeeper sees it, by a thread that then ends.

How it works: `MADV_POPULATE_WRITE` takes pages and changes no byte of them, so that it may be said
of memory that is in use, by another thread. One huge page at a time, since nobody else may change
the process's memory map meanwhile.

How it fails: where the system or the C library knows nothing of this, or memory runs short, it ends
for good without a word: pages are taken as they are touched, as ever.
"""

import ctypes
from pathlib import Path
from threading import Thread
from typing import Final

_MAPS: Final = Path("/proc/self/maps")
_POPULATE_WRITE: Final = 23  # of madvise(2), since Linux 5.14
_STEP_BYTES: Final = 2 * 1024 * 1024


class Heap:
    """The process's heap. All calls belong to the loop's thread."""

    def __init__(self) -> None:
        """Nothing of it is taken yet."""
        self._taken_to = _heap_begins_at()
        self._thread: Thread | None = None
        if self._taken_to is not None:
            try:
                c_library = ctypes.CDLL(None)
                self._break_at, self._madvise = c_library.sbrk, c_library.madvise
            except (OSError, AttributeError):
                self._taken_to = None
            else:
                self._break_at.restype = ctypes.c_void_p
                self._break_at.argtypes = (ctypes.c_ssize_t,)
                self._madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

    def take(self) -> None:
        """Takes all that is put by; the caller waits."""
        if self._taken_to is not None:
            self._take_to(self._break_at(0))

    def take_beside(self) -> None:
        """As `take`, on a thread, where more has been put by."""
        if self._taken_to is None or (self._thread is not None and self._thread.is_alive()):
            return
        end = self._break_at(0)
        if end < self._taken_to:
            self._taken_to = end  # given back to the system
        elif end >= self._taken_to + _STEP_BYTES:
            thread = Thread(target=self._take_to, args=(end,), name="heap-take")
            try:
                thread.start()
            except RuntimeError:  # no thread can be had
                self._taken_to = None
            else:
                self._thread = thread

    def _take_to(self, end: int) -> None:
        begin = self._taken_to
        while begin is not None and begin < end:
            next_begin = min(begin - begin % _STEP_BYTES + _STEP_BYTES, end)
            if self._madvise(begin, next_begin - begin, _POPULATE_WRITE) == 0:
                begin = next_begin
            else:
                end = self._break_at(0)  # lower, if that has been given back meanwhile
                begin = end if end < next_begin else None
        self._taken_to = begin


def _heap_begins_at() -> int | None:
    try:
        lines = _MAPS.read_bytes().splitlines()
    except OSError:
        return None
    heap = next((line for line in lines if line.endswith(b"[heap]")), None)
    return None if heap is None else int(heap.partition(b"-")[0], 16)
