"""The anchor: the log's durable head, published to a second place.

Owns when it is written. Periodic: about once a second, behind the log; what is promised against a
log that was cut is then up to the anchor. Synchronous: no reply leaves before the anchor has the
head that it stands on, at the price of a second file's sync a batch. The file itself is
`wal.anchor`'s: replaced whole, never in part.

How it fails: `WalError`. In synchronous mode that ends the daemon, as a failed sync of the log
does; in periodic mode the caller says so and goes on, for the log itself is whole. A disk that does
not answer holds up nobody but the thread that waits for it.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Thread
from typing import Final

from aiofiles.os import wrap

from wal import Anchor, Head, Spares, WalError, anchor_of, read_anchor, write_anchor

# Longer than any disk that does its work takes for a small file; the beats go on meanwhile.
SLOW_NS: Final = 10_000_000_000
# The file, and its directory.
DESCRIPTORS: Final = 2


def load_anchor(path: Path | None) -> Anchor | None:
    """The anchor that the log must not be behind; None where none has been published yet.

    Raises WalAnchorError for a file that is no anchor, WalError for one that cannot be read.
    """
    if path is None or not path.exists():
        return None
    return read_anchor(path)


class AnchorPublisher:
    """Publishes heads to `path`, off the loop, one at a time. Called on the loop's thread only."""

    def __init__(self, path: Path, keyed: bool) -> None:
        self._path = path
        self._keyed = keyed
        self._spares = Spares(DESCRIPTORS)
        self._write_elsewhere: Callable[[Head], Awaitable[None]] = wrap(self._write)
        self._thread: Thread | None = None
        self._began_ns = 0
        self._failure: Exception | None = None
        self.published_sequence = 0

    async def publish(self, head: Head) -> None:
        """Makes `head` the anchor and waits until it is on its disk. Raises WalError."""
        if head.sequence > self.published_sequence:
            await self._write_elsewhere(head)

    def publish_beside(self, head: Head, now_ns: int) -> None:
        """Has `head` made the anchor by a thread, unless one is still at work.

        Raises what became of the last one, again and again until one has done its work; `WalError`
        where it has been at work for `SLOW_NS`; RuntimeError where no thread can be had.
        """
        if self._thread is not None and self._thread.is_alive():
            if now_ns - self._began_ns > SLOW_NS:
                waited_s = (now_ns - self._began_ns) // 1_000_000_000
                raise WalError(f"{self._path}: its disk has not answered for {waited_s} s")
        elif head.sequence > self.published_sequence:
            # No end of the process waits for it.
            thread = Thread(target=self._try, args=(head,), name="anchor", daemon=True)
            thread.start()
            self._thread, self._began_ns = thread, now_ns
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def publish_last(self, head: Head, timeout_s: float) -> None:
        """As `publish`, by the caller; waits so long for what is at work. Raises WalError."""
        if not self.settle(timeout_s):
            raise WalError(f"{self._path}: its disk has not answered for {timeout_s:.0f} s")
        if head.sequence > self.published_sequence:
            self._write(head)

    def settle(self, timeout_s: float) -> bool:
        """Waits for the thread that is at work; whether none is by now."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def _try(self, head: Head) -> None:
        try:
            self._write(head)
        except (WalError, OSError, MemoryError) as error:
            self._failure = error
        except Exception as error:
            self._failure = error  # a bug of ours: the loop has it, too
            raise
        else:
            self._failure = None

    def _write(self, head: Head) -> None:
        with self._spares.lent():
            write_anchor(self._path, anchor_of(head, self._keyed))
        self.published_sequence = head.sequence
