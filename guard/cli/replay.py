"""`pretrade-guard replay`: make every decision of a log again and compare."""

import argparse

from guard.cli.base import (
    Commands,
    UsageError,
    add_log_arguments,
    report_damage,
    tool_hasher,
)
from guard.cli.replay_report import add_report_arguments, open_audit, show_report
from wal import WalDamage


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "make every decision of a log again and compare"
    parser = commands.add_parser("replay", help=text)
    add_log_arguments(parser)
    add_report_arguments(parser)
    parser.set_defaults(command=_replay)


def _replay(options: argparse.Namespace) -> int:
    from guard.beginnings import find_beginning
    from guard.replay import ForeignLogError, replay_log

    hasher = tool_hasher(options)
    audit = open_audit(options)
    try:
        beginning = find_beginning(options.log, hasher)
        report = replay_log(options.log, hasher, beginning=beginning, observe=audit.observe)
    except WalDamage as damage:
        return report_damage(options, damage)
    except ForeignLogError as error:
        raise UsageError(str(error)) from error
    if report.record_count == 0 and beginning is None:
        raise UsageError(f"{options.log}: nothing to replay")
    return show_report(options, audit, report)
