"""Under which of a log's keys a record of the feed is, for a client that has them.

Owns the way from one key to the next. A client that follows some desks alone is not told of the
record that changes the key, so it tries the keys that came later; never one that came before, which
may be in other hands by now.
"""

from collections.abc import Sequence

from wal import ChainHasher, Entry, hashes_equal


class FeedKeys:
    """The keys of one log, of which the records so far have shown the newest in force."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: the newest first. Raises WalKeyError."""
        self._left = [ChainHasher(key) for key in reversed(keys)]

    def is_right(self, entry: Entry) -> bool:
        """Whether the record's hash is right under the key in force, or one that came later."""
        for at, hasher in enumerate(self._left):
            right = hasher.entry_hash(entry.previous_hash, entry.data)
            if hashes_equal(right, entry.entry_hash):
                del self._left[:at]
                return True
        return False


def feed_keys(key: bytes | Sequence[bytes] | None) -> FeedKeys | None:
    """`key`: the log's, or all that it has had, the newest first. Raises WalKeyError."""
    if key is None:
        return None
    return FeedKeys([key] if isinstance(key, bytes) else key)
