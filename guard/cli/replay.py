"""`pretrade-guard replay`: make every decision of a log again and compare."""

import argparse
from functools import partial
from typing import TYPE_CHECKING

from guard.cli.base import (
    Commands,
    UsageError,
    add_log_arguments,
    tool_hasher,
)
from guard.cli.replay_report import add_report_arguments, open_audit, show_report
from guard.cli.replay_source import (
    Source,
    add_source_arguments,
    check_source,
    holds_decisions_alone,
    open_source,
    progress_of,
    replay_decisions,
)
from guard.cli.unverified import report_unverified
from wal import Anchor, ChainHasher, WalDamage

if TYPE_CHECKING:
    from guard.replay.replay import Observer, ReplayReport


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "make every decision of a log again and compare"
    parser = commands.add_parser("replay", help=text)
    add_log_arguments(parser)
    add_source_arguments(parser)
    add_report_arguments(parser)
    parser.set_defaults(command=_replay)


def _replay(options: argparse.Namespace) -> int:
    hasher = tool_hasher(options)
    try:
        if holds_decisions_alone(options.log, hasher):
            return replay_decisions(options, hasher)
        source = open_source(options, hasher)
    except WalDamage as damage:
        return report_unverified(options, hasher, damage)
    try:
        return _replay_guard_log(options, hasher, source)
    except WalDamage as damage:
        found = source.reconciliation
        named_sequence = 0 if found is None else found.head.sequence
        return report_unverified(options, hasher, damage, source.anchor, named_sequence)


def _replay_guard_log(options: argparse.Namespace, hasher: ChainHasher, source: Source) -> int:
    from guard.audit.bounds import Bounds, all_of

    if source.beginning is not None and options.limits:
        raise UsageError(
            "--limits needs the log from its first record on: its terms hold from the opening of a "
            "desk, and this log begins behind the checkpoint of record "
            f"{source.beginning.head.sequence}, by when budgets were held and spent under others"
        )
    audit = open_audit(options, source.beginning, hasher.sole_key_id)
    observe = audit.observe_day
    if not source.bounds.is_whole:
        observe = source.bounds.within(observe)
    if audit.is_asked:
        observe = all_of(observe, audit.observe_asked)
    if source.reconciliation is not None:
        observe = all_of(source.reconciliation.observe, observe)
    read = partial(_read_log, options, hasher, source)
    report = read(observe, source.anchor)
    if report.record_count == 0 and source.beginning is None:
        raise UsageError(f"{options.log}: nothing to replay")
    checked = check_source(source, report)
    # What a guard has written meanwhile is not lived again.
    as_read = Bounds(last_sequence=report.head.sequence)
    audit.live_again(lambda observe: read(as_read.within(observe)))
    return show_report(options, audit, report, checked)


def _read_log(
    options: argparse.Namespace,
    hasher: ChainHasher,
    source: Source,
    observe: "Observer",
    anchor: Anchor | None = None,
) -> "ReplayReport":
    from guard.replay.replay import replay_log

    with progress_of(options.log) as advance:
        return replay_log(
            options.log,
            hasher,
            beginning=source.beginning,
            observe=observe,
            anchor=anchor,
            jobs=options.jobs,
            on_bytes=advance,
        )
