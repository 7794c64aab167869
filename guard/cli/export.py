"""`pretrade-guard export`: a log's decisions, as files that other tools replay."""

import argparse
import json
from pathlib import Path

from guard.cli.base import (
    EXIT_GOOD,
    Commands,
    UsageError,
    add_log_arguments,
    tool_hasher,
)
from guard.cli.unverified import report_unverified
from guard.config.keys import load_key
from guard.process import leaving
from wal import ChainHasher, WalDamage


def add(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("export", help="write a log's decisions as a chain of their own")
    add_log_arguments(parser)
    parser.add_argument(
        "--decisions",
        metavar="OUT.jsonl",
        type=Path,
        required=True,
        help="must not exist yet; beside it go OUT.anchor.json and OUT.policy.json, and with "
        "several policies in force there are OUT.1.jsonl, OUT.2.jsonl, and so on",
    )
    parser.add_argument(
        "--out-key-file", metavar="FILE", type=Path, help="chain with this key; else with none"
    )
    parser.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> int:
    with leaving.nothing_behind(heeds_signals=options.is_own_process):
        return _write(options)


def _write(options: argparse.Namespace) -> int:
    from guard.audit.export import ExportError, export_decisions
    from guard.recovery.archived_start import find_beginning
    from guard.recovery.recover import load_policy

    hasher = tool_hasher(options)
    out_key = load_key(options.out_key_file) if options.out_key_file is not None else None
    try:
        beginning = find_beginning(options.log, hasher)
        start = None if beginning is None else beginning.head.head
        policy = None if beginning is None else load_policy(beginning)
        parts = export_decisions(
            options.log, hasher, options.decisions, ChainHasher(out_key), start, policy
        )
    except WalDamage as damage:
        return report_unverified(options, hasher, damage)
    except ExportError as error:
        raise UsageError(str(error)) from error
    if options.json:
        listed = [
            {
                "path": str(part.path),
                "anchor_path": str(part.anchor_path),
                "policy_path": None if part.policy_path is None else str(part.policy_path),
                "decisions": part.head.sequence,
                "head_hash": part.head.entry_hash,
                "policy_epoch": part.policy_epoch,
                "policy_digest_hex": part.policy_digest_hex,
            }
            for part in parts
        ]
        fields = {
            "ok": True,
            "keyed": out_key is not None,
            "after_sequence": 0 if start is None else start.sequence,
            "files": listed,
        }
        print(json.dumps(fields))
        return EXIT_GOOD
    if start is not None:
        print(f"{options.log}: without what stands before record {start.sequence + 1}")
    for part in parts:
        epoch = "" if part.policy_epoch is None else f"epoch {part.policy_epoch}, "
        print(
            f"{part.path}: {part.head.sequence} decisions under the policy {epoch}"
            f"{part.policy_digest_hex}, head {part.head.entry_hash}"
        )
    return EXIT_GOOD
