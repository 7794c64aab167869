"""The anchor: the log's durable head, published to a second place.

Owns when it is written. Periodic: about once a second, behind the log; what is promised against a
log that was cut is then up to the anchor. Synchronous: no reply leaves before the anchor has the
head that it stands on, at the price of a second file's sync a batch. The file itself is
`wal.anchor`'s: replaced whole, never in part.

How it fails: `WalError`. In synchronous mode that ends the daemon, as a failed sync of the log
does; in periodic mode the caller says so and goes on, for the log itself is whole.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiofiles.os import wrap

from wal import Anchor, Head, anchor_of, read_anchor, write_anchor


def load_anchor(path: Path | None) -> Anchor | None:
    """The anchor that the log must not be behind; None where none has been published yet.

    Raises WalAnchorError for a file that is no anchor, WalError for one that cannot be read.
    """
    if path is None or not path.exists():
        return None
    return read_anchor(path)


class AnchorPublisher:
    """Publishes heads to `path`, off the loop, one at a time."""

    def __init__(self, path: Path, keyed: bool) -> None:
        self._path = path
        self._keyed = keyed
        self._write: Callable[[Path, Anchor], Awaitable[None]] = wrap(write_anchor)
        self.published_sequence = 0

    async def publish(self, head: Head) -> None:
        """Makes `head` the anchor and waits until it is on its disk. Raises WalError."""
        if head.sequence > self.published_sequence:
            await self._write(self._path, anchor_of(head, self._keyed))
            self.published_sequence = head.sequence
