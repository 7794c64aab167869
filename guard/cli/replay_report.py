"""What `pretrade-guard replay` reports: its arguments for that, and the forms of the answer.

Owns `--explain`, `--desk`, `--policy` and `--limits`. What is found is `guard.audit`'s.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from guard.cli.base import EXIT_GOOD, UsageError, report_good

if TYPE_CHECKING:
    from guard.audit.audit import Audit
    from guard.replay import ReplayReport


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--explain", metavar="CLIENT_ORDER_ID", help="explain an order, venue by venue"
    )
    parser.add_argument("--desk", help="the desk of the order to explain")
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="what if this [policy] had been in force"
    )
    parser.add_argument(
        "--limits", type=Path, metavar="FILE", help="what if these [[desks]] and [settings] had"
    )


def open_audit(options: argparse.Namespace) -> "Audit":
    """The audit that the arguments ask for. Raises UsageError, ConfigError."""
    if options.desk is not None and options.explain is None:
        raise UsageError("--desk needs --explain CLIENT_ORDER_ID")
    from guard.audit.audit import Audit

    overrides = None
    if options.policy is not None or options.limits is not None:
        from guard.audit.overrides import load_overrides

        overrides = load_overrides(options.policy, options.limits)
    return Audit(options.explain, options.desk, overrides)


def show_report(options: argparse.Namespace, audit: "Audit", report: "ReplayReport") -> int:
    """Prints what was found; returns the exit code. Raises UsageError."""
    from guard.audit.audit import AmbiguousOrderError, UnknownOrderError
    from guard.audit.report import HEAD_KEYS
    from guard.audit.text import write_report

    try:
        document = audit.document(report)
    except (UnknownOrderError, AmbiguousOrderError) as error:
        raise UsageError(str(error)) from error
    if options.json:
        print(json.dumps(document))
        return EXIT_GOOD
    report_good(options, "replayed", {name: document[name] for name in HEAD_KEYS})
    write_report(document, sys.stdout, sys.stdout.isatty())
    return EXIT_GOOD
