"""`pretrade-guard salvage`: copy what verifies of a damaged log into a new directory."""

import argparse
from pathlib import Path

from guard.cli.base import EXIT_GOOD, Commands, UsageError, add_key_argument, tool_hasher
from wal import WalInputError, segment_name


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "copy what verifies of a damaged log into a new directory"
    parser = commands.add_parser("salvage", help=text)
    parser.add_argument("log", metavar="LOG_DIR", type=Path, help="is only read")
    parser.add_argument("destination", metavar="NEW_DIR", type=Path, help="must not exist yet")
    add_key_argument(parser)
    parser.set_defaults(command=_salvage)


def _salvage(options: argparse.Namespace) -> int:
    from guard.record.codec import DIALECT
    from wal import salvage_log

    hasher = tool_hasher(options)
    first = segment_name(1)
    if any(options.log.glob("*.jsonl")) and not (options.log / first).exists():
        raise UsageError(
            f"{options.log}: has no {first}, with which a salvage begins: bring the archived "
            "segments and the log's into one directory"
        )
    try:
        report = salvage_log(options.log, options.destination, hasher, DIALECT)
    except WalInputError as error:
        raise UsageError(str(error)) from error
    print(
        f"{options.destination}: {report.record_count} records up to {report.head.sequence} "
        f"({report.head.entry_hash}); {options.log} is untouched"
    )
    for left in report.left_out:
        record = "" if left.first_sequence is None else f"record {left.first_sequence} on, "
        print(
            f"  left out: {left.segment}, from byte {left.offset}, {record}"
            f"{left.byte_count} bytes: {left.reason}"
        )
    return EXIT_GOOD
