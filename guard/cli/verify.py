"""`pretrade-guard verify`: check a log's chain, and that it agrees with an anchor."""

import argparse

from guard.cli.base import (
    Commands,
    UsageError,
    add_anchor_argument,
    add_jobs_argument,
    add_log_arguments,
    report_good,
    tool_anchor,
    tool_hasher,
)
from guard.cli.unverified import report_unverified
from wal import WalDamage


def add(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("verify", help="check a log's chain")
    add_log_arguments(parser)
    add_anchor_argument(parser)
    add_jobs_argument(parser)
    parser.set_defaults(command=_verify)


def _verify(options: argparse.Namespace) -> int:
    from guard.record.codec import DIALECT
    from guard.recovery.archived_start import find_beginning
    from wal import verify_chain

    hasher = tool_hasher(options)
    anchor = tool_anchor(options)
    try:
        beginning = find_beginning(options.log, hasher)
        start = None if beginning is None else beginning.head.head
        report = verify_chain(options.log, hasher, DIALECT, anchor, start, jobs=options.jobs)
    except WalDamage as damage:
        return report_unverified(options, hasher, damage, anchor)
    if report.record_count == 0 and beginning is None:
        raise UsageError(f"{options.log}: nothing to verify")
    fields = {
        "ok": True,
        "records": report.record_count,
        "segments": report.segment_count,
        "head_sequence": report.head.sequence,
        "head_hash": report.head.entry_hash,
        "closed_cleanly": report.closed_cleanly,
    }
    begins_after = 0
    if beginning is not None:
        begins_after = fields["checkpoint_sequence"] = beginning.head.sequence
    return report_good(options, "verified", fields, begins_after)
