"""The archive's PostgreSQL: made, filled, dropped by day and read, each in its transactions.

Owns what may be written: the records that follow the last one that the log's row names, all of a
batch and the row's new head in one transaction. So a batch that is filled again is refused by its
place and not doubled, whoever fills and whatever was interrupted, and there is never a gap. Those
transactions do not wait for the disk (`synchronous_commit` off): what a crash of the database
takes, it takes whole, head included, and the log has it still.

How it fails: `ArchiveError`, with what PostgreSQL said.
"""

import importlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Final, NamedTuple

from guard.archive.columns import COLUMN_NAMES, Row, day_of
from guard.archive.schema import (
    SCHEMA,
    SCHEMA_LOCK,
    SCHEMA_VERSION,
    make_partition,
    partition_day,
    statements,
)
from wal import Entry, Head

CONNECT_S: Final = 10.0
# Rows that the database sends ahead of who restores.
READ_AHEAD_ROWS: Final = 1_000


class ArchiveError(Exception):
    """The archive cannot be used as it was asked to; it is as it was."""


class ArchivedLog(NamedTuple):
    """How far a log is in the archive: from which record on (what stands before it), to which."""

    log_id: str
    first_sequence: int
    first_previous_hash: str
    head: Head


class Kept(NamedTuple):
    """A record, as its row has it, and the segment that it stood in, where that is known."""

    sequence: int
    segment: int | None
    entry_hash: str
    data: bytes


class Archive:
    """An open archive. One task at a time."""

    def __init__(self, connection: Any, errors: tuple[type[Exception], ...]) -> None:
        self._connection = connection
        self._errors = errors
        self._days: set[object] = set()

    async def make(self) -> None:
        """Tables and views, where they are not there. Raises ArchiveError."""
        async with self._said("the schema cannot be made"), self._connection.transaction():
            await self._connection.execute("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK)
            for statement in statements():
                await self._connection.execute(statement)
        await self.check()

    async def check(self) -> None:
        """That it is an archive of this version. Raises ArchiveError."""
        async with self._said("there is no archive in this database"):
            version = await self._connection.fetchval(f"SELECT version FROM {SCHEMA}.about")
        if version != SCHEMA_VERSION:
            raise ArchiveError(
                f"the archive has version {version}; this software knows {SCHEMA_VERSION}"
            )

    async def logs(self) -> list[ArchivedLog]:
        """All logs that are in it. Raises ArchiveError."""
        async with self._said("the logs cannot be listed"):
            rows = await self._connection.fetch(f"SELECT * FROM {SCHEMA}.logs ORDER BY log_id")
        return [_log_of(row) for row in rows]

    async def log(self, log_id: str) -> ArchivedLog | None:
        """How far a log is in it. Raises ArchiveError."""
        async with self._said("the log cannot be looked up"):
            row = await self._connection.fetchrow(
                f"SELECT * FROM {SCHEMA}.logs WHERE log_id = $1", log_id
            )
        return None if row is None else _log_of(row)

    async def append(self, log_id: str, first: Entry, last: Entry, rows: Sequence[Row]) -> None:
        """The records from `first` to `last`, which follow what the log's row names.

        Raises ArchiveError where they do not.
        """
        async with self._said("records cannot be filled"), self._connection.transaction():
            await self._connection.execute("SET LOCAL synchronous_commit = off")
            await self._take_place(log_id, first)
            for day in {day_of(row) for row in rows} - self._days:
                assert isinstance(day, date)
                await self._make_partition(day)
            await self._connection.copy_records_to_table(
                "records", schema_name=SCHEMA, columns=COLUMN_NAMES, records=rows
            )
            await self._connection.execute(
                f"UPDATE {SCHEMA}.logs SET head_sequence = $2, head_hash = $3, filled_at = now() "
                "WHERE log_id = $1",
                log_id,
                last.sequence,
                last.entry_hash,
            )
        self._days |= {day_of(row) for row in rows}

    async def _take_place(self, log_id: str, first: Entry) -> None:
        """Holds the log's row until the transaction ends; that is where others wait."""
        await self._connection.execute(
            f"INSERT INTO {SCHEMA}.logs VALUES ($1, $2, $3, $4, $3) ON CONFLICT DO NOTHING",
            log_id,
            first.sequence,
            first.previous_hash,
            first.sequence - 1,
        )
        row = await self._connection.fetchrow(
            f"SELECT * FROM {SCHEMA}.logs WHERE log_id = $1 FOR UPDATE", log_id
        )
        head = _log_of(row).head
        if head != Head(first.sequence - 1, first.previous_hash):
            raise ArchiveError(
                f"record {first.sequence} does not follow what is archived of log {log_id}, which "
                f"ends with record {head.sequence} ({head.entry_hash}): somebody else fills it, "
                "or it is another history of that log"
            )

    async def _make_partition(self, day: date) -> None:
        await self._connection.execute("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK)
        await self._connection.execute(make_partition(day))

    async def days(self) -> list[tuple[date, str]]:
        """The days that it has tables of, ascending, and their names. Raises ArchiveError."""
        async with self._said("the days cannot be listed"):
            rows = await self._connection.fetch(
                "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
                "WHERE inhparent = $1::regclass",
                f"{SCHEMA}.records",
            )
        found = ((partition_day(row["relname"]), row["relname"]) for row in rows)
        return sorted((day, name) for day, name in found if day is not None)

    async def drop(self, days: Iterable[tuple[date, str]]) -> None:
        """Drops those days, whole, all or none. Raises ArchiveError."""
        async with self._said("days cannot be dropped"), self._connection.transaction():
            for day, name in days:
                await self._connection.execute(f'DROP TABLE {SCHEMA}."{name}"')
                self._days.discard(day)

    async def records(self, log_id: str) -> AsyncIterator[Kept]:
        """What there is of a log, in order. Raises ArchiveError."""
        async with (
            self._said("records cannot be read"),
            self._connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = self._connection.cursor(
                f"SELECT wal_sequence, segment, entry_hash, data FROM {SCHEMA}.records "
                "WHERE log_id = $1 ORDER BY wal_sequence",
                log_id,
                prefetch=READ_AHEAD_ROWS,
            )
            async for sequence, segment, entry_hash, data in rows:
                yield Kept(sequence, segment, entry_hash.hex(), data.encode())

    @asynccontextmanager
    async def _said(self, what: str) -> AsyncIterator[None]:
        try:
            yield
        except self._errors as error:
            raise ArchiveError(f"{what}: {error}") from error


def _log_of(row: Any) -> ArchivedLog:
    head = Head(row["head_sequence"], row["head_hash"])
    return ArchivedLog(row["log_id"], row["first_sequence"], row["first_previous_hash"], head)


@asynccontextmanager
async def open_archive(database: str) -> AsyncIterator[Archive]:
    """Connects. `database`: a URL of libpq's (`postgresql://…`). Raises ArchiveError."""
    async with connected(database) as (connection, errors):
        yield Archive(connection, errors)


@asynccontextmanager
async def connected(database: str) -> AsyncIterator[tuple[Any, tuple[type[Exception], ...]]]:
    """A connection, and what it raises. Raises ArchiveError where there is none."""
    driver: Any = importlib.import_module("asyncpg")  # it has no types that a checker could read
    errors = (driver.PostgresError, driver.InterfaceError, OSError)
    try:
        connection = await driver.connect(
            database,
            timeout=CONNECT_S,
            server_settings={"application_name": "pretrade-guard sql-archive"},
        )
    except (*errors, ValueError) as error:
        raise ArchiveError(f"no connection to the database: {error or type(error).__name__}") from (
            error
        )
    try:
        yield connection, errors
    finally:
        connection.terminate()  # all that was to be written is committed, or undone
