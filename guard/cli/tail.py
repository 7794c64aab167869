"""`pretrade-guard tail`: the durable lines of a log, as they come."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guard import clock
from guard.cli.base import (
    EXIT_FAILED,
    EXIT_GOOD,
    EXIT_UNFINISHED,
    Commands,
    UsageError,
    add_key_argument,
    complain,
    tool_hasher,
)
from wal import WalDamage, WalStartMismatch

if TYPE_CHECKING:
    from wal import Follower

PAUSE_NS: Final = 20_000_000


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "show the durable records of a log as they come, and check how they follow each other"
    parser = commands.add_parser("tail", help=text)
    parser.add_argument("log", metavar="LOG_DIR", type=Path, help="a daemon may be writing it")
    parser.add_argument(
        "--from",
        dest="first",
        default="now",
        metavar="WHERE",
        help="now (the default), start, or the sequence of a record",
    )
    parser.add_argument(
        "--no-follow", action="store_true", help="end behind what is durable now, do not wait"
    )
    add_key_argument(parser)
    parser.set_defaults(command=_tail, json=False)


def _tail(options: argparse.Namespace) -> int:
    from guard.recovery.wrong_key import check_key
    from wal import Follower, LogState, list_segments

    hasher = tool_hasher(options) if options.key_file is not None else None
    if not options.log.is_dir():
        raise UsageError(f"{options.log}: is no directory of a log")
    if hasher is not None:
        check_key(list_segments(options.log, archived=True), hasher)
    try:
        follower = Follower(options.log, hasher)
        _begin(follower, options.first)
        while True:
            state = follower.state()  # before the look: what comes behind it is for the next one
            for line in follower.poll():
                sys.stdout.buffer.write(line)
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


def _begin(follower: "Follower", first: str) -> None:
    if first == "now":
        follower.skip_to_end()
    elif first != "start":
        if not (first.isascii() and first.isdigit() and int(first) > 0):
            raise UsageError(
                f"--from: {first!r} is not allowed; allowed: now, start, or a sequence"
            )
        follower.skip_to_sequence(int(first))


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
