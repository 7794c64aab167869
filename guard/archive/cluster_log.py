"""A log that a guard keeps in a cluster, read out of its batches' rows (`guard/CLUSTER.md`).

Owns how far it may be read: to the head that its writer has said to be on the quorum, since a row
that is only visible may vanish. Lines come as they stand in the rows, each checked against the one
before; what the guard's own statements ask, `guard.cluster.statements` has.

How it fails: `ArchiveError` where there is no such log, or a row does not follow the one before.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from guard.archive.store import ArchivedLog, ArchiveError, Kept, connected
from guard.cluster.statements import READ_BATCHES, READ_LOG
from wal import EMPTY_HEAD, Entry, Head, WalEntryError, hashes_equal, parse_line

# Of one look: each is a batch of the guard's, of at most 64 MiB and mostly a few kilobytes.
BATCHES_MAX: Final = 1_000
BYTES_MAX: Final = 16 * 1024 * 1024


class ClusterLog:
    """One log in a cluster."""

    def __init__(self, connection: Any, errors: tuple[type[Exception], ...], name: str) -> None:
        self._connection = connection
        self._errors = errors
        self._name = name

    async def acknowledged(self) -> Head:
        """How far it may be read. Raises ArchiveError."""
        row = next(iter(await self._fetch(READ_LOG, self._name)), None)
        if row is None:
            raise ArchiveError(f"the cluster has no log {self._name!r}")
        return Head(row["acknowledged_sequence"], row["acknowledged_hash"])

    async def batches(self, after: Head, until: Head) -> AsyncIterator[list[Entry]]:
        """The records behind `after` up to `until`, a batch or more at a time.

        Raises ArchiveError.
        """
        head = after
        while head.sequence < until.sequence:
            rows = await self._fetch(
                READ_BATCHES, self._name, head.sequence, until.sequence, BATCHES_MAX, BYTES_MAX
            )
            entries: list[Entry] = []
            for row in rows:
                for line in row["lines"].splitlines(keepends=True):
                    entry = self._entry(line, head)
                    if entry is not None:
                        entries.append(entry)
                        head = entry.head
            if not entries:
                raise ArchiveError(
                    f"log {self._name!r}: no row holds record {head.sequence + 1}, though "
                    f"{until.sequence} is acknowledged"
                )
            yield entries

    def _entry(self, line: bytes, head: Head) -> Entry | None:
        """The line's record; None for one that is had already. Raises ArchiveError."""
        try:
            entry = parse_line(line)
        except WalEntryError as error:
            raise self._broken(head, str(error)) from error
        if entry.sequence <= head.sequence:
            return None
        if entry.sequence != head.sequence + 1:
            raise self._broken(head, f"the next one in the rows is {entry.sequence}")
        if not hashes_equal(entry.previous_hash, head.entry_hash):
            raise self._broken(head, "it does not follow the record before")
        return entry

    def _broken(self, head: Head, why: str) -> ArchiveError:
        return ArchiveError(f"log {self._name!r}, record {head.sequence + 1}: {why}")

    async def log(self) -> ArchivedLog:
        """All of it that may be read, as an archived log is described. Raises ArchiveError."""
        return ArchivedLog(self._name, 1, EMPTY_HEAD.entry_hash, await self.acknowledged())

    async def records(self, until: Head) -> AsyncIterator[Kept]:
        """Every record up to `until`. Raises ArchiveError."""
        async for entries in self.batches(EMPTY_HEAD, until):
            for entry in entries:
                yield Kept(entry.sequence, None, entry.entry_hash, entry.data)

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        try:
            return list(await self._connection.fetch(statement, *arguments))
        except self._errors as error:
            raise ArchiveError(f"the cluster's rows cannot be read: {error}") from error


@asynccontextmanager
async def open_cluster_log(database: str, name: str) -> AsyncIterator[ClusterLog]:
    """Connects. Raises ArchiveError."""
    async with connected(database) as (connection, errors):
        yield ClusterLog(connection, errors, name)
