"""What `pretrade-guard replay` reports: its arguments for that, and the three forms of the answer.

Owns `--html`, `--explain`, `--desk`, `--policy` and `--limits`. What is found is `guard.audit`'s.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.cli.base import EXIT_GOOD, UsageError, report_good, write_output

if TYPE_CHECKING:
    from guard.audit.audit import Audit
    from guard.replay.replay import ReplayReport
    from wal import CheckpointInfo


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="also write the report as one page on its own"
    )
    parser.add_argument(
        "--explain", metavar="CLIENT_ORDER_ID", help="explain an order, venue by venue"
    )
    parser.add_argument("--desk", help="the desk of the order to explain")
    parser.add_argument(
        "--exact", action="store_true", help="show amounts with all decimals, not with two"
    )
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        help="what if this [policy] had been in force; of a log of decisions alone, what was",
    )
    parser.add_argument(
        "--limits", type=Path, metavar="FILE", help="what if these [[desks]] and [settings] had"
    )


def open_audit(
    options: argparse.Namespace, beginning: "CheckpointInfo | None", key_id: str | None
) -> "Audit":
    """The audit that the arguments ask for. Raises UsageError, ConfigError, WalError.

    `beginning`: the checkpoint that the log is replayed from, None where from its first record.
    `key_id`: of the log's key.
    """
    if options.desk is not None and options.explain is None:
        raise UsageError("--desk needs --explain CLIENT_ORDER_ID")
    if options.html is not None:
        _check_page_file(options.html, options.log)
    from guard.audit.audit import Audit

    overrides = begin = None
    if options.policy is not None or options.limits is not None:
        from guard.audit.overrides import load_overrides

        overrides = load_overrides(options.policy, options.limits)
        if beginning is not None:
            from guard.recovery.recover import load_checkpoint

            begin = partial(load_checkpoint, beginning, key_id)
    return Audit(options.explain, options.desk, overrides, begin)


def _check_page_file(page: Path, log: Path) -> None:
    """The log is only read: no page goes where it is. And it is said before a long replay."""
    if not page.parent.is_dir():
        raise UsageError(f"--html {page}: {page.parent} is no directory")
    if page.is_dir():
        raise UsageError(f"--html {page}: is a directory; allowed: a file")
    if log.is_dir() and page.resolve().is_relative_to(log.resolve()):
        raise UsageError(f"--html {page}: is inside the log's directory, which is only read")
    if page.resolve() == log.resolve():
        raise UsageError(f"--html {page}: is the log itself, which is only read")


def show_report(
    options: argparse.Namespace, audit: "Audit", report: "ReplayReport", source: dict[str, Any]
) -> int:
    """Prints what was found, and writes the page; returns the exit code. Raises UsageError.

    `source`: further fields of the answer, about what the log was held against.
    """
    from guard.audit.audit import AmbiguousOrderError, UnknownOrderError
    from guard.audit.report import HEAD_KEYS
    from guard.audit.text import write_report, write_sentences

    try:
        document = audit.document(report) | source
    except (UnknownOrderError, AmbiguousOrderError) as error:
        raise UsageError(str(error)) from error
    if options.html is not None:
        _write_page(options.html, document, str(options.log))
    if options.json:
        print(json.dumps(document))
        return EXIT_GOOD
    write_sentences(document, sys.stdout)
    shown = {name: document[name] for name in HEAD_KEYS} | source
    report_good(options, "replayed", shown, document["begins_after_sequence"])
    write_report(document, sys.stdout, sys.stdout.isatty(), options.exact)
    return EXIT_GOOD


def _write_page(file: Path, document: dict[str, Any], source: str) -> None:
    from guard.audit.page import render_page

    write_output(file, render_page(document, source).encode())
    sys.stderr.write(f"pretrade-guard: the page is in {file}\n")
