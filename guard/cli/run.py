"""`pretrade-guard run`: serve orders."""

import argparse
from functools import partial
from pathlib import Path
from typing import Final

from guard.cli.base import EXIT_FAILED, EXIT_GOOD, Commands, UsageError, complain
from guard.config.amending import OPTION_OF, AmendmentAsked, Saying, parse_asked
from guard.config.errors import ConfigError
from guard.config.evolving_keys import check_replaceable, load_host_key, load_plain_key
from guard.config.file import Config, check_orders_endpoint, load_config
from guard.config.keys import EPHEMERAL_KEY_NAME, ephemeral_key, load_curve_key, load_keys
from guard.process.operator_lines import say, speaking, use_json
from guard.process.secrecy import keep_secret
from guard.process.signals import Signals, StopAsked
from guard.recovery.start_options import (
    ACCEPT_CLOCK_OPTION,
    ACCEPT_LOSS_OPTION,
    CLOSE_DAY_OPTION,
    NEW_ANCHOR_OPTION,
    NEW_LOG_OPTION,
    TAKE_OVER_OPTION,
)
from wal import EvolvingKey, holds_files

_SAYINGS: Final[dict[Saying, str]] = {
    "accept": "charge the fee of a fill that was not charged: DESK/ORDER/FILL",
    "bust": "say that a fill did not happen: what was charged for it returns to the budget",
    "correct": "say what a fill was: 'DESK/ORDER/FILL quantity=LOTS price=TICKS fee=MONEY'",
}


def add(commands: Commands) -> None:
    """Adds the command."""
    run = commands.add_parser("run", help="serve orders")
    key = add_places(run)
    key.add_argument(
        "--ephemeral-key",
        action="store_true",
        help=f"for trying out: a key made at the first start, kept as LOG_DIR/{EPHEMERAL_KEY_NAME}",
    )
    _add_changes(run)
    _add_beginnings(run)
    run.add_argument(
        CLOSE_DAY_OPTION,
        type=_day,
        metavar="YYYY-MM-DD",
        help="with --then-stop: close that day, as `pretrade-guard close --offline` does",
    )
    run.add_argument(
        "--then-stop",
        action="store_true",
        help="start as told, serve nobody, and stop in good order",
    )
    run.add_argument(
        TAKE_OVER_OPTION,
        action="store_true",
        help="with [cluster]: end the guard that serves this log, and serve it",
    )
    run.set_defaults(command=serve, speaking=speaking, is_standby=False)


def add_places(parser: argparse.ArgumentParser) -> "argparse._MutuallyExclusiveGroup":
    """Where things are, of whoever serves or is to; the group of the log's key."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE")
    parser.add_argument("--log-dir", type=Path, metavar="DIR", help="instead of log.directory")
    parser.add_argument("--orders", metavar="ENDPOINT", help="instead of endpoints.orders")
    parser.add_argument(
        "--curve-key-file",
        type=Path,
        metavar="FILE",
        help="instead of endpoints.curve_secret_key_file, which must be there",
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="how what it says is written: for people, or one JSON object a line",
    )
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--key-file", type=Path, metavar="FILE", help="instead of log.key_file")
    return key


def _add_changes(run: argparse.ArgumentParser) -> None:
    """What the log is told to change."""
    run.add_argument(
        "--apply-config",
        action="store_true",
        help="log where the configuration differs from the log, instead of refusing to start",
    )
    run.add_argument(
        "--why",
        metavar="TEXT",
        help="with what changes the log (config, desks, losses, the clock, fills): the reason",
    )
    run.add_argument(
        "--resume-desk",
        action="append",
        default=[],
        metavar="DESK",
        help="let a halted desk enter orders again",
    )
    for saying, what in _SAYINGS.items():
        run.add_argument(
            OPTION_OF[saying],
            action="append",
            dest="amendments",
            default=[],
            type=partial(_asked, saying),
            metavar="FILL",
            help=what,
        )


def _add_beginnings(run: argparse.ArgumentParser) -> None:
    """Where the start cannot go on from what is there."""
    fresh = run.add_mutually_exclusive_group()
    fresh.add_argument(
        NEW_LOG_OPTION,
        action="store_true",
        help="the first start: begin a fresh log, and its anchor, where there is none",
    )
    fresh.add_argument(
        NEW_ANCHOR_OPTION,
        action="store_true",
        help="begin the configured anchor, of a log that has had none",
    )
    fresh.add_argument(
        ACCEPT_LOSS_OPTION,
        action="store_true",
        help="go on with a log that is known to have lost records, and log that",
    )
    run.add_argument(
        ACCEPT_CLOCK_OPTION,
        action="store_true",
        help="go on from the system's clock, which is behind the log's time, and log that",
    )


def _day(text: str) -> str:
    from guard import clock
    from guard.admin.day_name import today_of, wrong_day

    if (wrong := wrong_day(text, today_of(clock.system_ns()))) is not None:
        raise argparse.ArgumentTypeError(wrong)
    return text


def _asked(saying: Saying, text: str) -> AmendmentAsked:
    try:
        return parse_asked(saying, text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def serve(options: argparse.Namespace) -> int:
    """Serves as the options say; the exit code."""
    if options.log_format == "json":
        use_json()
    try:
        with Signals(say) as signals:
            return _serve(options, signals)
    except StopAsked as asked:
        return complain(asked.exit_code, asked)


def _serve(options: argparse.Namespace, signals: Signals) -> int:
    config = load_config(options.config)
    if options.is_own_process:
        from guard.process.huge_pages import ask_for_huge_pages

        ask_for_huge_pages(config.settings.remembered_orders_max)
        keep_secret()  # behind it, since an exec undoes that
    from guard.recovery.presence import check_presence
    from guard.server.daemon import ServiceError, StartError, run_daemon
    from guard.server.service import RunOptions

    needs_why = (
        options.apply_config or options.resume_desk or options.accept_loss or options.accept_clock
    )
    if options.close_day is not None and not options.then_stop:
        raise UsageError("--close-day needs --then-stop; a running daemon closes by `close`")
    if (needs_why or options.amendments or options.close_day) and not options.why:
        raise UsageError(
            "--apply-config, --resume-desk, --accept-loss, --accept-clock, --accept-fill, "
            "--bust-fill, --correct-fill and --close-day need --why TEXT, which is logged"
        )
    directory = options.log_dir or Path(config.log.directory)
    _check_cluster(options, config)
    if not options.new_log and config.cluster is None:  # before anything is made there
        check_presence(directory, None if options.log_dir else Path(config.written_directory))
    if options.orders is not None:
        has_clients = config.clients is not None
        check_orders_endpoint(options.orders, config.endpoints, has_clients=has_clients)
    curve_key_file = _curve_key_file(options, config)
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
                options.new_log,
                options.new_anchor,
                options.accept_loss,
                options.then_stop,
                tuple(options.amendments),
                _run_key_file(options, config, directory),
                options.accept_clock,
                options.config,
                None if curve_key_file is None else load_curve_key(curve_key_file),
                options.close_day,
                curve_key_file,
                tuple(load_keys(map(Path, config.log.old_key_files))),
                _evolving_key(options, config, directory),
                options.is_standby,
                options.take_over,
            ),
            signals,
        )
    except (StartError, ServiceError) as error:
        signals.check()
        return complain(EXIT_FAILED, error)
    return EXIT_GOOD


def _check_cluster(options: argparse.Namespace, config: Config) -> None:
    """Raises UsageError where an option needs a cluster, or cannot be beside one."""
    if config.cluster is None and (options.is_standby or options.take_over):
        what = "standby" if options.is_standby else TAKE_OVER_OPTION
        raise UsageError(f"{what}: allowed only with [cluster] in the configuration")
    if config.cluster is not None and options.new_anchor:
        raise UsageError(f"{NEW_ANCHOR_OPTION}: allowed only without [cluster]")


def _evolving_key(
    options: argparse.Namespace, config: Config, directory: Path
) -> EvolvingKey | None:
    """The log's key, where it is one that evolves. Raises ConfigError."""
    if not config.log.forward_secure:
        return None
    path = _run_key_file(options, config, directory)
    check_replaceable(path)
    return load_host_key(path)


def _run_key(options: argparse.Namespace, config: Config, directory: Path) -> bytes:
    if config.log.forward_secure:
        if options.ephemeral_key:
            raise UsageError("--ephemeral-key: allowed only without log.forward_secure = true")
        return b""  # see `_evolving_key`
    if options.key_file is None and (options.ephemeral_key or config.log.ephemeral_key):
        # Beside a log that is there, another key than its own would only be in the way.
        return ephemeral_key(directory, may_create=options.new_log and not holds_files(directory))
    return load_plain_key(_run_key_file(options, config, directory))


def _curve_key_file(options: argparse.Namespace, config: Config) -> Path | None:
    """The file of the doors' secret key; None where clients need none. Raises ConfigError."""
    configured = config.endpoints.curve_secret_key_file
    if configured is None:
        if options.curve_key_file is not None:
            raise UsageError(
                "--curve-key-file: allowed only with endpoints.curve_secret_key_file in the "
                "configuration, which says that clients need keys"
            )
        return None
    return options.curve_key_file or Path(configured)


def _run_key_file(options: argparse.Namespace, config: Config, directory: Path) -> Path:
    if options.key_file is not None:
        return Path(options.key_file)
    if options.ephemeral_key or config.log.ephemeral_key:
        return directory / EPHEMERAL_KEY_NAME
    if config.log.key_file is not None:
        return Path(config.log.key_file)
    raise ConfigError("log.key_file: is missing (or give --key-file, or --ephemeral-key)")
