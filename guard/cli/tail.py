"""`pretrade-guard tail`: the durable records of a log, as they come.

Two forms: the lines of the log as they are, for programs; columns for people. Columns are chosen
where a terminal reads, or by `--columns`; the lines elsewhere, or by `--json`.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Set
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guard import clock
from guard.cli.base import (
    EXIT_FAILED,
    EXIT_GOOD,
    EXIT_UNFINISHED,
    Commands,
    UsageError,
    add_key_argument,
    complain,
    has_key,
    tool_hasher,
)
from guard.cli.operator import add_curve_arguments
from wal import WalDamage, WalStartMismatch

if TYPE_CHECKING:
    from guard.audit.record_lines import Filter, Memory
    from wal import Follower

PAUSE_NS: Final = 20_000_000
DESKS_SHOWN_MAX: Final = 10
PLAIN_COLUMNS: Final = sys.maxsize  # nothing is cut where no terminal is
_NS_PER_S: Final = 1_000_000_000
_SECONDS_PER_DAY: Final = 86_400
# What stands at a segment's beginning: the records of its session's start, instruments among them.
_OPENING_RECORDS_MAX: Final = 20_000
_COLOURS: Final = {
    "admit": "32",
    "reject": "31",
    "fill": "36",
    "cancel": "33",
    "reduce": "33",
    "exec": "36",
    "settle": "33",
    "event": "35",
}


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "show the durable records of a log as they come, and check how they follow each other"
    parser = commands.add_parser("tail", help=text, description=text)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "log", metavar="LOG_DIR", type=Path, nargs="?", help="a daemon may be writing it"
    )
    source.add_argument(
        "--feed", metavar="ENDPOINT", help="instead: what a daemon tells at its endpoints.feed"
    )
    parser.add_argument(
        "--from",
        dest="first",
        default="now",
        metavar="WHERE",
        help="now (the default), start, the sequence of a record, or a time in UTC: HH:MM, "
        "HH:MM:SS of today, 2026-11-30T15:00:00",
    )
    parser.add_argument(
        "--no-follow", action="store_true", help="end behind what is durable now, do not wait"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--columns", action="store_true", help="a line a record for people (default at a terminal)"
    )
    form.add_argument(
        "--json", action="store_true", help="the log's lines as they are (default elsewhere)"
    )
    for name, shown in (
        ("desk", "NAME"),
        ("symbol", "NAME"),
        ("venue", "NUMBER"),
        ("verdict", "admit|reject|fill|cancel|event"),
        ("reason", "WORD"),
        ("client", "NAME"),
        ("order", "ID"),
    ):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar=shown, help="only these; repeatable"
        )
    add_key_argument(parser)
    add_curve_arguments(parser)
    parser.set_defaults(command=_tail)


def _tail(options: argparse.Namespace) -> int:
    from guard.audit.record_lines import Memory
    from guard.cli.tail_feed import follow_feed
    from guard.record.codec import DIALECT
    from guard.recovery.wrong_key import check_key
    from wal import Follower, LogState, list_segments

    wanted, memory = _filter(options), Memory()
    show = _shower(options, wanted, memory)
    knows = not wanted.is_everything or _is_for_people(options)
    if options.feed is not None:
        return follow_feed(options, show, memory if knows else None)
    hasher = tool_hasher(options) if has_key(options) else None
    if not options.log.is_dir():
        raise UsageError(f"{options.log}: is no directory of a log")
    if hasher is not None:  # another key is wrong use, and no damage
        check_key(list_segments(options.log, archived=True), hasher)
    try:
        follower = Follower(options.log, hasher, DIALECT.key_change)
        if knows:
            begun_with = _learn(options.log, memory)
            if begun_with and (strange := wanted.desks - begun_with):
                _say_strange(strange, begun_with)
        _begin(follower, options, wanted.from_ns)
        while True:
            state = follower.state()  # before the look: what comes behind it is for the next one
            for line in follower.poll():
                show(line)
            sys.stdout.buffer.flush()
            if options.no_follow:
                return EXIT_GOOD
            if state is LogState.ENDED:
                return _say_end(options.log, follower)
            clock.sleep_until(clock.monotonic_ns() + PAUSE_NS)
    except WalStartMismatch as error:
        raise UsageError(f"--from: {error.reason}") from error
    except WalDamage as damage:
        sys.stdout.buffer.flush()  # all that stands before it holds
        return complain(EXIT_FAILED, damage)


def _is_for_people(options: argparse.Namespace) -> bool:
    return options.columns or (not options.json and sys.stdout.isatty())


def _shower(
    options: argparse.Namespace, wanted: "Filter", memory: "Memory"
) -> Callable[[bytes], object]:
    """What is done with each line."""
    from guard.audit.record_lines import line_of, passes, seen_each

    write: Callable[[bytes], object] = sys.stdout.buffer.write
    is_for_people = _is_for_people(options)
    if not is_for_people and wanted.is_everything:
        return write
    is_terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns if is_terminal else PLAIN_COLUMNS
    has_colours = is_terminal and not os.environ.get("NO_COLOR")

    def show(line: bytes) -> None:
        record = json.loads(line)
        for seen in seen_each(record["sequence"], record["data"]):
            memory.note(seen)
            if not passes(seen, wanted, memory):
                continue
            if not is_for_people:
                write(line)
                return
            text = line_of(seen, memory, columns)
            if has_colours:
                text = f"\x1b[{_COLOURS[seen.verdict]}m{text}\x1b[0m"
            write(text.encode() + b"\n")

    return show


def _filter(options: argparse.Namespace) -> "Filter":
    from guard.audit.record_lines import VERDICTS, Filter

    for verdict in options.verdict:
        if verdict not in VERDICTS:
            allowed = ", ".join(VERDICTS)
            raise UsageError(f"--verdict: {verdict!r} is not allowed; allowed: {allowed}")
    for venue in options.venue:
        if not (venue.isascii() and venue.isdigit()):
            raise UsageError(f"--venue: {venue!r} is not allowed; allowed: a venue's number")
    return Filter(
        frozenset(options.desk),
        frozenset(options.symbol),
        frozenset(map(int, options.venue)),
        frozenset(options.verdict),
        frozenset(options.reason),
        frozenset(options.client),
        frozenset(options.order),
        _time_of(options.first) or 0,
    )


def _time_of(first: str) -> int | None:
    """The time that `--from` names, in ns; None where it names none. Raises UsageError."""
    if ":" not in first:
        return None
    text = first.removesuffix("Z")
    try:
        if "T" in text:
            at = datetime.fromisoformat(text)
            if at.tzinfo is not None:
                raise ValueError("a zone")
            return round(at.replace(tzinfo=UTC).timestamp()) * _NS_PER_S
        of_day = time.fromisoformat(text)
        if of_day.tzinfo is not None:
            raise ValueError("a zone")
    except ValueError as error:
        raise UsageError(
            f"--from: {first!r} is not allowed; allowed: a time in UTC such as 15:00, 15:00:30, "
            "2026-11-30T15:00:00"
        ) from error
    since = timedelta(hours=of_day.hour, minutes=of_day.minute, seconds=of_day.second)
    today_s = clock.wall_ns() // _NS_PER_S // _SECONDS_PER_DAY * _SECONDS_PER_DAY
    return (today_s + round(since.total_seconds())) * _NS_PER_S


def _learn(log: Path, memory: "Memory") -> set[str]:
    """What the sessions in the log began with: its instruments are noted; its desks, by name.

    No desks where the segments that open them are archived.
    """
    from guard.audit.record_lines import seen_of
    from wal import list_segments

    desks: set[str] = set()
    for path in list_segments(log):
        for sequence, data in _opening_records(path):
            if data.get("event") == "instrument_defined":
                memory.note(seen_of(sequence, data))
            elif data.get("event") == "desk_opened":
                desks.add(data["desk"])
    return desks


def _say_strange(strange: Set[str], begun_with: Set[str]) -> None:
    """Nothing may ever be shown of a desk that is misspelt; it may have been opened since."""
    known = ", ".join(sorted(begun_with)[:DESKS_SHOWN_MAX])
    more = ", …" if len(begun_with) > DESKS_SHOWN_MAX else ""
    names = ", ".join(map(repr, sorted(strange)))
    complain(
        EXIT_GOOD,
        f"--desk: no session of the log began with {names}, only with {known}{more}; unless it "
        "was opened since, nothing is shown of it",
    )


def _opening_records(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The administrative records at a segment's beginning, as far as they can be read."""
    found: list[tuple[int, dict[str, Any]]] = []
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
                data, sequence = record["data"], record["sequence"]
            except (ValueError, KeyError, TypeError):
                break  # zeros, or a torn end: whoever shows it says so
            if "by" not in data or len(found) >= _OPENING_RECORDS_MAX:
                break
            found.append((sequence, data))
    return found


def _begin(follower: "Follower", options: argparse.Namespace, from_ns: int) -> None:
    first = options.first
    if from_ns:
        sequence = _first_of_segment_at(options.log, from_ns)
        if sequence > 1:
            follower.skip_to_sequence(sequence)
    elif first == "now":
        follower.skip_to_end()
    elif first != "start":
        if not (first.isascii() and first.isdigit() and int(first) > 0):
            raise UsageError(
                f"--from: {first!r} is not allowed; allowed: now, start, a sequence, or a time"
            )
        follower.skip_to_sequence(int(first))


def _first_of_segment_at(log: Path, from_ns: int) -> int:
    """The first record of the last segment that begins before then; 1 where none does."""
    from guard.audit.record_lines import seen_of
    from wal import list_segments

    found = 1
    for path in list_segments(log):
        with path.open("rb") as file:
            line = file.readline()
        try:
            record = json.loads(line)
            seen = seen_of(record["sequence"], record["data"])
        except (ValueError, KeyError, TypeError):
            break
        if seen.received_at_ns > from_ns:
            break
        found = seen.sequence
    return found


def _say_end(log: Path, follower: "Follower") -> int:
    """Nobody writes the log any more: how it was left."""
    from guard.record.codec import DIALECT

    where = f"{log}: the log ends with record {follower.head.sequence}"
    if follower.last is not None and DIALECT.is_clean_close(follower.last.data):
        return complain(EXIT_GOOD, f"{where}, which closes its session: nobody writes it now")
    text = "its writer is gone, and has not closed it"
    if follower.has_torn_end:
        text += "; behind it stands a part of a record, which the next start cuts off"
    return complain(EXIT_UNFINISHED, f"{where}: {text}")
