"""`pretrade-guard sql-archive`: the log as rows in PostgreSQL, and back (`guard/ARCHIVE.md`).

Owns the verbs and their words; what they do, `guard.archive` does. Needs the extra `cluster`.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from guard import clock
from guard.cli.base import (
    EXIT_FAILED,
    EXIT_GOOD,
    Commands,
    UsageError,
    add_key_argument,
    complain,
    has_key,
    log_hasher,
    tool_hasher,
)
from guard.cli.operator import add_curve_arguments, curve_of
from guard.config.keys import load_keys
from wal import Head, WalDamage, WalInputError

if TYPE_CHECKING:
    from guard.archive.restore import Restored
    from guard.archive.sources import Taken
    from guard.archive.store import Archive

NEEDED: Final = "asyncpg"
FEED_PATIENCE_S: Final = 5.0
_NS_PER_S: Final = 1_000_000_000
_Result = TypeVar("_Result")


def add(commands: Commands) -> None:
    """Adds the command."""
    text = (
        "keep a log's records as rows that people ask in SQL, and write the log out of them again"
    )
    parser = commands.add_parser("sql-archive", help=text, description=text)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser("schema", help="print the tables and views, as SQL")
    verb.set_defaults(command=_schema)
    verb = verbs.add_parser("fill", help="add what the log has since; makes the tables")
    _add_database(verb)
    source = verb.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "log", metavar="LOG_DIR", type=Path, nargs="?", help="a daemon may be writing it"
    )
    source.add_argument(
        "--feed", metavar="ENDPOINT", help="instead: what a daemon tells at its endpoints.feed"
    )
    source.add_argument(
        "--cluster-log", metavar="NAME", help="instead: the rows of a guard's [cluster]"
    )
    _add_cluster(verb)
    verb.add_argument("--follow", action="store_true", help="do not end: fill what comes, too")
    verb.add_argument(
        "--log-id", metavar="ID", help="of a log whose first segments are archived elsewhere"
    )
    add_key_argument(verb)
    add_curve_arguments(verb)
    verb.set_defaults(command=_fill)
    verb = verbs.add_parser("show", help="show which logs are in it, up to where, and which days")
    _add_database(verb)
    verb.set_defaults(command=_show)
    verb = verbs.add_parser("prune", help="drop the oldest days, whole, of all logs")
    _add_database(verb)
    verb.add_argument(
        "--keep-days", type=_days, required=True, metavar="N", help="today, and N-1 days before it"
    )
    verb.add_argument("--dry-run", action="store_true", help="only say which")
    verb.set_defaults(command=_prune)
    verb = verbs.add_parser("restore", help="write a log out of its rows, byte for byte")
    verb.add_argument("destination", metavar="DEST", type=Path, help="must not exist yet")
    _add_database(verb)
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--log-id", metavar="ID", help="which log, where there are several")
    which.add_argument(
        "--cluster-log", metavar="NAME", help="instead: out of the rows of a guard's [cluster]"
    )
    _add_cluster(verb)
    add_key_argument(verb)
    verb.set_defaults(command=_restore)


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        required=True,
        metavar="URL",
        help="postgresql://USER@HOST/NAME; the password from ~/.pgpass or PGPASSWORD",
    )


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cluster-database",
        metavar="URL",
        help="with --cluster-log: where the cluster's rows are, if not in --database",
    )


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 36_525):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to 36525")
    return int(text)


def _schema(_options: argparse.Namespace) -> int:
    from guard.archive.schema import statements

    print(";\n\n".join(statements()) + ";")
    return EXIT_GOOD


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Runs a verb, and says what kept it from its end."""
    if find_spec(NEEDED) is None:
        work.close()
        raise UsageError(f"sql-archive needs {NEEDED}: pip install 'pretrade-guard[cluster]'")
    from guard.archive.columns import ColumnError
    from guard.archive.restore import RestoreError
    from guard.archive.sources import SourceError
    from guard.archive.store import ArchiveError
    from guard.client.feed_session import FeedError, FeedTimeoutError

    try:
        return asyncio.run(work)
    except (SourceError, WalInputError) as error:
        raise UsageError(str(error)) from error
    except (ArchiveError, RestoreError, ColumnError, FeedError, FeedTimeoutError) as error:
        return complain(EXIT_FAILED, error)
    except WalDamage as damage:
        return complain(EXIT_FAILED, damage)


def _fill(options: argparse.Namespace) -> int:
    if options.cluster_log is not None:
        if has_key(options):
            raise UsageError("--key-file: allowed only with the log's directory, or with --feed")
        return _run(_fill_from_cluster(options))
    if options.feed is None:
        hasher = tool_hasher(options) if has_key(options) else None
        if not options.log.is_dir():
            raise UsageError(f"{options.log}: is no directory of a log")
        return _run(_fill_from_files(options, hasher))
    if options.root_key_file is not None:
        raise UsageError("--root-key-file: allowed only with the log's directory, not with --feed")
    plain = [] if options.key_file is None else [options.key_file, *options.old_key_file]
    feed = {"key": load_keys(plain) if plain else None, "curve": curve_of(options)}
    return _run(_fill_from_feed(options, feed))


async def _fill_from_files(options: argparse.Namespace, hasher: Any) -> int:
    from guard.archive.sources import log_id_of, of_directory
    from guard.archive.store import open_archive

    found = log_id_of(options.log)
    log_id = found or options.log_id
    if log_id is None:
        raise UsageError(
            f"{options.log}: its first segments are archived, and so is its id: name it, --log-id"
        )
    if options.log_id not in (None, log_id):
        raise UsageError(f"--log-id: {options.log} is log {log_id}")
    async with open_archive(options.database) as archive:
        await archive.make()
        after = await _after(archive, log_id)
        taken = of_directory(options.log, hasher, after, follows=options.follow)
        return await _take(archive, log_id, after, taken)


async def _fill_from_feed(options: argparse.Namespace, feed: dict[str, Any]) -> int:
    from guard.archive.sources import log_id_of_feed, of_feed
    from guard.archive.store import open_archive

    log_id = await log_id_of_feed(options.feed, FEED_PATIENCE_S, **feed)
    async with open_archive(options.database) as archive:
        await archive.make()
        after = await _after(archive, log_id)
        taken = of_feed(
            options.feed, after, follows=options.follow, timeout_s=FEED_PATIENCE_S, **feed
        )
        return await _take(archive, log_id, after, taken)


async def _fill_from_cluster(options: argparse.Namespace) -> int:
    from guard.archive.cluster_log import open_cluster_log
    from guard.archive.sources import log_id_of_cluster, of_cluster
    from guard.archive.store import open_archive

    rows = options.cluster_database or options.database
    async with open_cluster_log(rows, options.cluster_log) as log:
        log_id = await log_id_of_cluster(log)
        async with open_archive(options.database) as archive:
            await archive.make()
            after = await _after(archive, log_id)
            taken = of_cluster(log, after, follows=options.follow)
            return await _take(archive, log_id, after, taken)


async def _after(archive: "Archive", log_id: str) -> Head | None:
    found = await archive.log(log_id)
    return None if found is None else found.head


async def _take(
    archive: "Archive", log_id: str, after: Head | None, taken: "AsyncIterator[Taken]"
) -> int:
    from guard.archive.columns import row_of

    count, last = 0, after
    async for entries, segments in taken:
        rows = [
            row_of(log_id, entry, segment) for entry, segment in zip(entries, segments, strict=True)
        ]
        await archive.append(log_id, entries[0], entries[-1], rows)
        count, last = count + len(rows), entries[-1].head
    head = last or Head(0, "genesis")
    records = "1 record" if count == 1 else f"{count} records"
    print(f"log {log_id}: {records} added, up to record {head.sequence} ({head.entry_hash})")
    return EXIT_GOOD


def _show(options: argparse.Namespace) -> int:
    return _run(_show_it(options))


async def _show_it(options: argparse.Namespace) -> int:
    from guard.archive.store import open_archive

    async with open_archive(options.database) as archive:
        await archive.check()
        for log in await archive.logs():
            print(
                f"log {log.log_id}: records {log.first_sequence} to {log.head.sequence} "
                f"({log.head.entry_hash})"
            )
        days = await archive.days()
        listed = f"{days[0][0]} to {days[-1][0]}" if days else "none"
        print(f"days: {len(days)}, {listed}")
    return EXIT_GOOD


def _prune(options: argparse.Namespace) -> int:
    return _run(_prune_it(options, _today()))


def _today() -> date:
    return datetime.fromtimestamp(clock.wall_ns() // _NS_PER_S, UTC).date()


async def _prune_it(options: argparse.Namespace, today: date) -> int:
    from guard.archive.store import open_archive

    first_kept = today - timedelta(days=options.keep_days - 1)
    async with open_archive(options.database) as archive:
        await archive.check()
        days = [each for each in await archive.days() if each[0] < first_kept]
        if not options.dry_run:
            await archive.drop(days)
    said = "would go" if options.dry_run else "dropped"
    for day, _name in days:
        print(f"{day}: {said}")
    if not days:
        print(f"no day before {first_kept}")
    return EXIT_GOOD


def _restore(options: argparse.Namespace) -> int:
    return _run(_restore_it(options))


async def _restore_it(options: argparse.Namespace) -> int:
    from guard.record.codec import DIALECT
    from wal import Follower, verify_chain

    done = await _written(options)
    if has_key(options):
        options.log = options.destination
        verify_chain(options.destination, log_hasher(options), DIALECT)
        checked = "every record is as it was written"
    else:
        follower = Follower(options.destination)
        for _ in follower.poll():
            pass  # each line is checked against the one before
        checked = "every record follows the one before (no key was given)"
    print(
        f"{options.destination}: {done.segment_count} segments, {done.byte_count} bytes, up to "
        f"record {done.head.sequence} ({done.head.entry_hash}); {checked}"
    )
    return EXIT_GOOD


async def _written(options: argparse.Namespace) -> "Restored":
    """Writes the directory out of the archive, or out of a cluster's rows."""
    from guard.archive.cluster_log import open_cluster_log
    from guard.archive.restore import restore
    from guard.archive.store import open_archive

    if options.cluster_log is not None:
        rows = options.cluster_database or options.database
        async with open_cluster_log(rows, options.cluster_log) as cluster:
            log = await cluster.log()
            return await restore(cluster.records(log.head), log, options.destination)
    async with open_archive(options.database) as archive:
        await archive.check()
        logs = await archive.logs()
        wanted = [log for log in logs if options.log_id in (None, log.log_id)]
        if len(wanted) != 1:
            names = ", ".join(log.log_id for log in logs) or "none"
            raise UsageError(f"--log-id: one of the archived logs is needed; they are: {names}")
        return await restore(archive.records(wanted[0].log_id), wanted[0], options.destination)
