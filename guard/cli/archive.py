"""`pretrade-guard archive`: move a log's oldest segments away, once checkpoints stand for them."""

import argparse
import os
from pathlib import Path

from guard.cli.base import (
    EXIT_GOOD,
    Commands,
    UsageError,
    add_key_argument,
    tool_hasher,
)
from guard.cli.unverified import report_unverified
from wal import WalDamage, WalInputError


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "move the oldest segments of a log away, as far as its checkpoints stand for them"
    parser = commands.add_parser("archive", help=text)
    parser.add_argument("log", metavar="LOG_DIR", type=Path, help="a daemon may be writing it")
    parser.add_argument("destination", metavar="DEST", type=Path, help="made if it is not there")
    parser.add_argument(
        "--up-to",
        type=int,
        metavar="N",
        help="only segments whose records are all up to N (default: up to the oldest checkpoint)",
    )
    add_key_argument(parser)
    parser.set_defaults(command=_archive, json=False)


def _archive(options: argparse.Namespace) -> int:
    from guard.recovery.archived_start import find_archivable
    from wal import archive_segments

    hasher = tool_hasher(options)
    if not options.log.is_dir():
        raise UsageError(f"{options.log}: is no directory of a log")
    _check_destination(options.destination, options.log)
    try:
        oldest = find_archivable(options.log, hasher)
        up_to = oldest.sequence if options.up_to is None else options.up_to
        if not 0 < up_to <= oldest.sequence:
            raise UsageError(
                f"--up-to: {up_to} is not allowed; allowed: 1 to {oldest.sequence}, the record of "
                "the oldest checkpoint that a start may begin with"
            )
        moved = archive_segments(options.log, options.destination, up_to)
    except WalInputError as error:
        raise UsageError(str(error)) from error
    except WalDamage as damage:
        return report_unverified(options, hasher, damage)
    for path in moved:
        print(f"{path}")
    if not moved:
        print(
            f"{options.log}: nothing to move: no segment but the last ends at or before record "
            f"{up_to}; a later checkpoint, or a rotated segment, lets the next ones go"
        )
        return EXIT_GOOD
    segments = "1 segment" if len(moved) == 1 else f"{len(moved)} segments"
    print(
        f"{options.log}: {segments} moved to {options.destination}; the log is read from the "
        f"checkpoint of record {oldest.sequence} on, or a later one"
    )
    return EXIT_GOOD


def _check_destination(destination: Path, log: Path) -> None:
    """Said whether there is anything to move or not. Raises UsageError."""
    if destination.resolve().is_relative_to(log.resolve()):
        raise UsageError(f"{destination}: is the log's own directory, or in it")
    if os.path.lexists(destination) and not destination.is_dir():
        raise UsageError(f"{destination}: is no directory")
    if not destination.resolve().parent.is_dir():
        raise UsageError(f"{destination}: cannot be made, {destination.parent} is no directory")
