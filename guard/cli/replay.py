"""`pretrade-guard replay`: make every decision of a log again and compare."""

import argparse

from guard.cli.base import (
    Commands,
    UsageError,
    add_log_arguments,
    report_damage,
    report_good,
    tool_hasher,
)
from wal import WalDamage


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "make every decision of a log again and compare"
    parser = commands.add_parser("replay", help=text)
    add_log_arguments(parser)
    parser.set_defaults(command=_replay)


def _replay(options: argparse.Namespace) -> int:
    from guard.replay import ForeignLogError, replay_log

    hasher = tool_hasher(options)
    try:
        report = replay_log(options.log, hasher)
    except WalDamage as damage:
        return report_damage(options, damage)
    except ForeignLogError as error:
        raise UsageError(str(error)) from error
    if report.record_count == 0:
        raise UsageError(f"{options.log}: nothing to replay")
    proof = report.engine.state.ledger.prove_conservation()
    fields = {
        "ok": True,
        "records": report.record_count,
        "decisions": report.decision_count,
        "head_sequence": report.head.sequence,
        "head_hash": report.head.entry_hash,
        "log_id": report.engine.state.log_id,
        "events": dict(sorted(report.events.items())),
        "reasons": dict(sorted(report.reasons.items())),
        "conservation": "balanced",
        "ledger_digest_hex": proof.ledger_digest_hex,
    }
    return report_good(options, "replayed", fields)
