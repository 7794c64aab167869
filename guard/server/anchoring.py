"""The anchor: the log's durable head, published to a second place.

Owns when it is written, and what a start makes of one that is missing or there already. Periodic:
about once a second, behind the log; what is promised against a log that was cut is then up to the
anchor. Synchronous: no reply leaves before the anchor has the head that it stands on, at the price
of a second file's sync a batch. The file itself is `wal.anchor`'s: replaced whole, never in part.

How it fails: `WalError`. In synchronous mode that ends the daemon, as a failed sync of the log
does, and the start that tries it first; in periodic mode the caller says so and goes on, for the
log itself is whole; but not before there is an anchor at all. A disk that does not answer holds up
nobody but the thread that waits for it.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Lock, Thread
from typing import Final

from aiofiles.os import wrap

from guard import clock
from guard.recovery.start_options import NEW_ANCHOR_OPTION, NEW_LOG_OPTION, OptionNeededError
from wal import (
    EMPTY_HEAD,
    Anchor,
    Head,
    Spares,
    WalAnchorError,
    WalError,
    anchor_of,
    read_anchor,
    write_anchor,
)

# Longer than any disk that does its work takes for a small file; the beats go on meanwhile.
SLOW_NS: Final = 10_000_000_000
# The file, and its directory.
DESCRIPTORS: Final = 2


def load_anchor(path: Path | None) -> Anchor | None:
    """The anchor that the log must not be behind; None where none is configured.

    Raises OptionNeededError where it is missing, WalAnchorError for a file that is no anchor,
    WalError for one that cannot be read.
    """
    if path is None:
        return None
    if not os.path.lexists(path):
        raise OptionNeededError(
            f"anchor file {path}: is missing, and without it nothing shows that the log's end was "
            f"cut off; bring it back, or begin a new one with {NEW_ANCHOR_OPTION}, if this log had "
            "none"
        )
    return read_anchor(path)


def check_no_anchor(path: Path | None, option: str) -> None:
    """Raises OptionNeededError where there is an anchor already, which `option` would begin.

    A new log takes up the anchor of one that was not begun to its end: it names no record.
    """
    if path is None:
        if option == NEW_ANCHOR_OPTION:
            raise OptionNeededError(f"{option}: no log.anchor_file is configured")
        return
    if not os.path.lexists(path) or (option == NEW_LOG_OPTION and _names_no_record(path)):
        return
    raise OptionNeededError(
        f"{option}: there is an anchor file {path} already, of a log that has records; start "
        "without the option, or move the file away"
    )


def _names_no_record(path: Path) -> bool:
    try:
        return read_anchor(path).head == EMPTY_HEAD
    except WalAnchorError:
        return False


class AnchorPublisher:
    """Publishes heads to `path`, one at a time, and never an older one behind a newer one.

    Called on the loop's thread only.
    """

    def __init__(
        self, path: Path, keyed: bool, write: Callable[[Path, Anchor], None] = write_anchor
    ) -> None:
        """`write`: puts an anchor on its disk, which may take its time."""
        self._path = path
        self._keyed = keyed
        self._put = write
        self._spares = Spares(DESCRIPTORS)
        self._publish_off_loop: Callable[[Head], Awaitable[None]] = wrap(self.publish_now)
        self._writing = Lock()
        self._thread: Thread | None = None
        self._began_ns = 0
        self._failure: Exception | None = None
        self.published_sequence = -1  # whatever the file says
        self._published_ns = clock.monotonic_ns()

    def behind_ns(self, head: Head, now_ns: int) -> int:
        """For how long the anchor has not been of `head`, at most; 0 where it is."""
        is_current = head.sequence <= self.published_sequence
        return 0 if is_current else max(0, now_ns - self._published_ns)

    def publish_now(self, head: Head) -> None:
        """As `publish`, while the calling thread waits: before the daemon serves, and behind it."""
        with self._writing:  # a beat that was cancelled may still be at it
            if head.sequence > self.published_sequence:
                with self._spares.lent():
                    self._put(self._path, anchor_of(head, self._keyed))
                self.published_sequence = head.sequence
                self._published_ns = clock.monotonic_ns()

    async def publish(self, head: Head) -> None:
        """Makes `head` the anchor and waits until it is on its disk. Raises WalError."""
        if head.sequence > self.published_sequence:
            await self._publish_off_loop(head)

    def publish_beside(self, head: Head, now_ns: int) -> None:
        """Has `head` made the anchor by a thread, unless one is still at work.

        Raises what became of the last one, again and again until one has done its work; `WalError`
        where it has been at work for `SLOW_NS`; RuntimeError where no thread can be had.
        """
        failure = self._failure
        if self._thread is not None and self._thread.is_alive():
            if now_ns - self._began_ns > SLOW_NS:
                waited_s = (now_ns - self._began_ns) // 1_000_000_000
                raise WalError(f"{self._path}: its disk has not answered for {waited_s} s")
        elif head.sequence > self.published_sequence:
            # No end of the process waits for it.
            thread = Thread(target=self._try, args=(head,), name="anchor", daemon=True)
            thread.start()
            self._thread, self._began_ns = thread, now_ns
        if failure is not None:
            raise failure.with_traceback(None)

    def publish_last(self, head: Head, timeout_s: float) -> None:
        """As `publish`, by the caller; waits so long for what is at work. Raises WalError."""
        if not self.settle(timeout_s):
            raise WalError(f"{self._path}: its disk has not answered for {timeout_s:.0f} s")
        self.publish_now(head)

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
            self.publish_now(head)
        except (WalError, OSError, MemoryError) as error:
            self._failure = error
        except Exception as error:
            self._failure = error  # a bug of ours: the loop has it, too
            raise
        else:
            self._failure = None
