"""`pretrade-guard backup`: copy a log, also while a daemon writes it."""

import argparse
from pathlib import Path

from guard.cli.base import EXIT_GOOD, Commands, UsageError, add_key_argument, has_key, tool_hasher
from wal import WalInputError


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "copy a log up to what is durable now, also while a daemon writes it, and check it"
    parser = commands.add_parser("backup", help=text)
    parser.add_argument("log", metavar="LOG_DIR", type=Path, help="is only read")
    parser.add_argument("destination", metavar="DEST", type=Path, help="must not exist yet")
    add_key_argument(parser)
    parser.set_defaults(command=_backup, json=False)


def _backup(options: argparse.Namespace) -> int:
    from guard.record.codec import DIALECT
    from guard.recovery.archived_start import find_beginning
    from guard.recovery.wrong_key import check_key
    from wal import Follower, backup_log, list_segments, verify_chain

    hasher = tool_hasher(options)
    if not options.log.is_dir():
        raise UsageError(f"{options.log}: is no directory of a log")
    try:
        if has_key(options):  # before anything is copied
            check_key(list_segments(options.log, archived=True), hasher)
        backup = backup_log(options.log, options.destination)
    except WalInputError as error:
        raise UsageError(str(error)) from error
    if not has_key(options):
        follower = Follower(options.destination)
        for _ in follower.poll():
            pass  # each line is checked against the one before
        head, checked = follower.head, "every record follows the one before (no key was given)"
    else:
        beginning = find_beginning(options.destination, hasher)
        start = None if beginning is None else beginning.head.head
        head = verify_chain(options.destination, hasher, DIALECT, start=start).head
        checked = "every record is as it was written"
    print(
        f"{options.destination}: {backup.segment_count} segments and {backup.checkpoint_count} "
        f"checkpoints, {backup.byte_count} bytes, up to record {head.sequence} "
        f"({head.entry_hash}); {checked}"
    )
    return EXIT_GOOD
