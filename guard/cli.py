"""The command line: `pretrade-guard COMMAND`.

Owns arguments, exit codes and what is printed. Exit codes: 0 good; 1 damage, a refused start or a
failed environment; 2 wrong use, a bad configuration, or nothing to verify.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from guard import __version__
from guard.config import Config, ConfigError, check_orders_endpoint, load_config
from guard.keys import create_key, ephemeral_key, load_key
from kernel import InvariantError
from wal import ChainHasher, WalDamage, WalError, WalInputError

EXIT_GOOD: Final = 0
EXIT_FAILED: Final = 1
EXIT_WRONG_USE: Final = 2


class UsageError(ValueError):
    """The command line asks for something that cannot be."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    if not __debug__:
        sys.stderr.write("pretrade-guard: refuses to run under python -O: its checks are asserts\n")
        return EXIT_WRONG_USE
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (ConfigError, UsageError) as error:
        return _complain(EXIT_WRONG_USE, error)
    except (WalError, InvariantError, OSError) as error:
        return _complain(EXIT_FAILED, error)


def _complain(code: int, error: Exception) -> int:
    sys.stderr.write(f"pretrade-guard: {error}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pretrade-guard",
        description="A streaming pre-trade guard: durable, replayable decisions over ZeroMQ.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    demo = commands.add_parser("demo", help="play recorded order flow through a real daemon")
    demo.set_defaults(command=_demo)
    for name, command, text in (
        ("verify", _verify, "check a log's chain"),
        ("replay", _replay, "make every decision of a log again and compare"),
    ):
        tool = commands.add_parser(name, help=text)
        tool.add_argument("log", metavar="LOG_DIR", type=Path, help="a log's directory, or a file")
        tool.add_argument("--key-file", type=Path, help="the key that the log was written with")
        tool.add_argument("--json", action="store_true", help="answer in JSON")
        tool.set_defaults(command=command)
    salvage = commands.add_parser(
        "salvage", help="copy what verifies of a damaged log into a new directory"
    )
    salvage.add_argument("log", metavar="LOG_DIR", type=Path, help="is only read")
    salvage.add_argument("destination", metavar="NEW_DIR", type=Path, help="must not exist yet")
    salvage.add_argument("--key-file", type=Path, help="the key that the log was written with")
    salvage.set_defaults(command=_salvage)
    keygen = commands.add_parser("keygen", help="write a fresh log key")
    keygen.add_argument("file", metavar="FILE", type=Path, help="must not exist yet")
    keygen.set_defaults(command=_keygen)
    check = commands.add_parser("check-config", help="check a configuration file")
    check.add_argument("--config", required=True, type=Path, metavar="FILE")
    check.set_defaults(command=_check_config)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="serve orders")
    run.add_argument("--config", required=True, type=Path, metavar="FILE")
    run.add_argument("--log-dir", type=Path, metavar="DIR", help="instead of log.directory")
    run.add_argument("--orders", metavar="ENDPOINT", help="instead of endpoints.orders")
    key = run.add_mutually_exclusive_group()
    key.add_argument("--key-file", type=Path, metavar="FILE", help="instead of log.key_file")
    key.add_argument(
        "--ephemeral-key",
        action="store_true",
        help="for trying out: a key made at the first start and kept beside the log",
    )
    run.add_argument(
        "--apply-config",
        action="store_true",
        help="log where the configuration differs from the log, instead of refusing to start",
    )
    run.add_argument("--why", metavar="TEXT", help="with --apply-config, --resume-desk: the reason")
    run.add_argument(
        "--resume-desk",
        action="append",
        default=[],
        metavar="DESK",
        help="let a halted desk enter orders again",
    )
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from guard.daemon import RunOptions, StartError, run_daemon

    config = load_config(options.config)
    if (options.apply_config or options.resume_desk) and not options.why:
        raise UsageError("--apply-config and --resume-desk need --why TEXT, which is logged")
    directory = options.log_dir or Path(config.log.directory)
    if options.orders is not None:
        check_orders_endpoint(options.orders, config.endpoints)
    try:
        run_daemon(
            RunOptions(
                config,
                _run_key(options, config, directory),
                directory,
                options.orders or config.endpoints.orders,
                options.apply_config,
                tuple(options.resume_desk),
                options.why or "start",
            )
        )
    except StartError as error:
        return _complain(EXIT_FAILED, error)
    return EXIT_GOOD


def _run_key(options: argparse.Namespace, config: Config, directory: Path) -> bytes:
    if options.key_file is not None:
        return load_key(options.key_file)
    if options.ephemeral_key or config.log.ephemeral_key:
        return ephemeral_key(directory)
    if config.log.key_file is not None:
        return load_key(Path(config.log.key_file))
    raise ConfigError("log.key_file: is missing (or give --key-file, or --ephemeral-key)")


def _tool_hasher(options: argparse.Namespace) -> ChainHasher:
    if not options.log.exists():
        raise UsageError(f"{options.log}: no such file or directory")
    return ChainHasher(load_key(options.key_file) if options.key_file is not None else None)


def _verify(options: argparse.Namespace) -> int:
    from guard.journal import DIALECT
    from wal import verify_chain

    hasher = _tool_hasher(options)
    try:
        report = verify_chain(options.log, hasher, DIALECT)
    except WalDamage as damage:
        return _report_damage(options, damage)
    if report.record_count == 0:
        raise UsageError(f"{options.log}: nothing to verify")
    fields = {
        "ok": True,
        "records": report.record_count,
        "segments": report.segment_count,
        "head_sequence": report.head.sequence,
        "head_hash": report.head.entry_hash,
        "closed_cleanly": report.closed_cleanly,
    }
    return _report_good(options, "verified", fields)


def _replay(options: argparse.Namespace) -> int:
    from guard.replay import ForeignLogError, replay_log

    hasher = _tool_hasher(options)
    try:
        report = replay_log(options.log, hasher)
    except WalDamage as damage:
        return _report_damage(options, damage)
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
    return _report_good(options, "replayed", fields)


def _salvage(options: argparse.Namespace) -> int:
    from guard.journal import DIALECT
    from wal import salvage_log

    hasher = _tool_hasher(options)
    try:
        report = salvage_log(options.log, options.destination, hasher, DIALECT)
    except WalInputError as error:
        raise UsageError(str(error)) from error
    print(
        f"{options.destination}: {report.record_count} records up to {report.head.sequence} "
        f"({report.head.entry_hash}); {options.log} is untouched"
    )
    for left in report.left_out:
        print(
            f"  left out: {left.segment}, from byte {left.offset}, record "
            f"{left.first_sequence} on, {left.byte_count} bytes: {left.reason}"
        )
    return EXIT_GOOD


def _report_good(options: argparse.Namespace, what: str, fields: dict[str, Any]) -> int:
    if options.json:
        print(json.dumps(fields))
        return EXIT_GOOD
    print(f"{options.log}: {what}, every record is as it was written")
    for name, value in fields.items():
        if name != "ok":
            shown = value if not isinstance(value, dict) else _listed(value)
            print(f"  {name.replace('_', ' ')}: {shown}")
    return EXIT_GOOD


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _report_damage(options: argparse.Namespace, damage: WalDamage) -> int:
    if options.json:
        fields = {
            "ok": False,
            "segment": damage.segment,
            "offset": damage.offset,
            "sequence": damage.sequence,
            "reason": damage.reason,
        }
        print(json.dumps(fields))
    else:
        print(
            f"{options.log}: DAMAGED: segment {damage.segment}, offset {damage.offset}, "
            f"sequence {damage.sequence}: {damage.reason}"
        )
    return EXIT_FAILED


def _keygen(options: argparse.Namespace) -> int:
    create_key(options.file)
    print(f"{options.file}: a fresh key; whoever has it can check the log, and forge it")
    return EXIT_GOOD


def _check_config(options: argparse.Namespace) -> int:
    config = load_config(options.config)
    print(
        f"{options.config}: good: policy epoch {config.policy.policy_epoch} "
        f"({config.policy_digest_hex}), {len(config.policy.models)} venues, "
        f"{len(config.instruments)} instruments, {len(config.desks)} desks"
    )
    return EXIT_GOOD


def _demo(_options: argparse.Namespace) -> int:
    from guard.demo import run_demo

    return run_demo()


if __name__ == "__main__":
    sys.exit(main())
