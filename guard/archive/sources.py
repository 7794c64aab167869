"""Where the records come from: a log's files, a cluster's rows, or what a running guard tells.

Owns what is taken for a log of a guard, and that lines come in order, each once, none left out:
`wal.Follower`, `guard.archive.cluster_log` and `guard.client.feed` hold that. Every line must be in
the exact form in which a guard writes it, so that it can be written again from its parts.

How it fails: `SourceError` for what is no such log; what the two raise.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from guard.archive.cluster_log import ClusterLog
from guard.client.feed import AsyncFeedClient
from guard.client.feed_session import FeedTimeoutError
from wal import (
    EMPTY_HEAD,
    GENESIS,
    ChainHasher,
    Entry,
    Follower,
    Head,
    LogState,
    WalStartMismatch,
    encode_line,
    list_segments,
)

# Of one transaction: enough to be quick, little enough to be held in memory.
BATCH_RECORDS_MAX: Final = 4_000
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
PAUSE_S: Final = 0.05
CLUSTER_PAUSE_S: Final = 0.5
_LOG_OPENED: Final = b'{"event":"log_opened",'
_LOG_ID: Final = b',"log_id":"'
_LOG_ID_LENGTH: Final = 32


class SourceError(ValueError):
    """What was given is no log of a guard, or not the one that is archived."""


class Taken(NamedTuple):
    """Records that follow each other; of each the number of its segment, None where unknown."""

    entries: list[Entry]
    segments: list[int | None]


def log_id_of(directory: Path) -> str | None:
    """The id of the log in a directory; None where its first segments are archived.

    Raises SourceError, WalError.
    """
    follower = Follower(directory)
    if follower.head.sequence:
        return None
    line = next(follower.poll(), None)
    if line is None or follower.last is None:
        raise SourceError(f"{directory}: holds no record")
    return _log_id(follower.last.data, str(directory))


def _log_id(data: bytes, source: str) -> str:
    """The id that a log's first record names. Raises SourceError."""
    if not data.startswith(_LOG_OPENED) or _LOG_ID not in data:
        raise SourceError(f"{source}: does not begin with log_opened: it is no log of a guard")
    start = data.index(_LOG_ID) + len(_LOG_ID)
    return data[start : start + _LOG_ID_LENGTH].decode()


async def of_directory(
    directory: Path, hasher: ChainHasher | None, after: Head | None, *, follows: bool
) -> AsyncIterator[Taken]:
    """What stands behind `after` (None: all that there is), up to what is durable, or for ever.

    It ends with a writer's end, too. Raises SourceError, WalError.
    """
    from guard.record.codec import DIALECT

    follower = Follower(directory, hasher, DIALECT.key_change)
    if after is not None and after.sequence > 0:
        _skip(follower, directory, after)
    while True:
        state = follower.state()
        for taken in _batches(follower, directory):
            yield taken
        if not follows or state is LogState.ENDED:
            return
        await asyncio.sleep(PAUSE_S)


def _skip(follower: Follower, directory: Path, after: Head) -> None:
    """To behind that record, which the log must hold."""
    begins_after = follower.head
    if after.sequence < begins_after.sequence:
        raise SourceError(
            f"{directory}: begins with record {begins_after.sequence + 1}; what is archived ends "
            f"with record {after.sequence}: fill it from the segments that were moved away first"
        )
    if after.sequence > begins_after.sequence:
        try:
            follower.skip_to_sequence(after.sequence + 1)
        except WalStartMismatch as error:
            raise SourceError(f"{directory}: {error.reason}; so far it is archived") from error
    if follower.head != after:
        raise SourceError(
            f"{directory}: record {after.sequence} is another one than what is archived of this "
            "log: the two are different histories"
        )


def _batches(follower: Follower, directory: Path) -> Iterator[Taken]:
    taken, byte_count = Taken([], []), 0
    for line in follower.poll():
        entry = follower.last
        assert entry is not None
        _check(line, entry, str(directory))
        taken.entries.append(entry)
        taken.segments.append(int(follower.segment.partition(".")[0]))
        byte_count += len(line)
        if len(taken.entries) >= BATCH_RECORDS_MAX or byte_count >= BATCH_BYTES_MAX:
            yield taken
            taken, byte_count = Taken([], []), 0
    if taken.entries:
        yield taken


async def of_feed(
    endpoint: str, after: Head | None, *, follows: bool, timeout_s: float, **options: Any
) -> AsyncIterator[Taken]:
    """What a running guard tells behind `after`, up to what is durable as it begins, or for ever.

    `options`: of the client. Raises FeedError, FeedTimeoutError where nobody is there.
    """
    sequence = 0 if after is None else after.sequence
    known = after is not None and after.entry_hash != GENESIS
    async with AsyncFeedClient(
        endpoint,
        after_sequence=sequence,
        after_hash=after.entry_hash if known and after is not None else None,
        **options,
    ) as feed:
        until: int | None = None
        while True:
            try:
                batch = await feed.next_batch(timeout_s)
            except FeedTimeoutError:
                if follows:
                    continue
                raise
            until = batch.head.sequence if until is None else until
            if batch.records:
                for line, entry in zip(
                    batch.lines.splitlines(keepends=True), batch.records, strict=True
                ):
                    _check(line, entry, endpoint)
                yield Taken(batch.records, [None] * len(batch.records))
            if not follows and batch.through.sequence >= until:
                return


async def log_id_of_feed(endpoint: str, timeout_s: float, **options: Any) -> str:
    """The id of the log that a running guard writes. Raises FeedError."""
    async with AsyncFeedClient(endpoint, **options) as feed:
        await feed.next_batch(timeout_s)
        return feed.log_id


async def of_cluster(log: ClusterLog, after: Head | None, *, follows: bool) -> AsyncIterator[Taken]:
    """What a cluster's rows have behind `after`, up to what is acknowledged now, or for ever.

    Raises ArchiveError.
    """
    head = EMPTY_HEAD if after is None else after
    while True:
        async for entries in log.batches(head, await log.acknowledged()):
            for first in range(0, len(entries), BATCH_RECORDS_MAX):
                some = entries[first : first + BATCH_RECORDS_MAX]
                yield Taken(some, [None] * len(some))
            head = entries[-1].head
        if not follows:
            return
        await asyncio.sleep(CLUSTER_PAUSE_S)


async def log_id_of_cluster(log: ClusterLog) -> str:
    """The id of the log in a cluster's rows. Raises SourceError, ArchiveError."""
    until = await log.acknowledged()
    async for entries in log.batches(EMPTY_HEAD, until):
        return _log_id(entries[0].data, "the cluster's log")
    raise SourceError("the cluster's log holds no record yet")


def _check(line: bytes, entry: Entry, source: str) -> None:
    if encode_line(entry.sequence, entry.previous_hash, entry.entry_hash, entry.data) != line:
        raise SourceError(f"{source}: record {entry.sequence} is not in the form of a guard's")


def has_segments(directory: Path) -> bool:
    """Whether there is a log at all. Raises WalError."""
    return bool(list_segments(directory, archived=True))
