"""A log's files where the cluster alone says what is durable: written, and not waited for.

Owns those calls. What the disk has of them after a power cut is worth nothing by itself: a start
reads what is whole, and fetches the rest from the rows (`guard.server.joining`).
"""

import os


class UnsyncedFiles:
    """As the system's own calls, without a wait for the disk behind a batch."""

    def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
        """As `os.pwrite`."""
        return os.pwrite(descriptor, data, offset)

    def fdatasync(self, descriptor: int, /) -> None:
        """The system writes it when it likes."""

    def shorten(self, descriptor: int, size: int, /) -> None:
        """Ends a segment durably, once it is full or its session ends."""
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
