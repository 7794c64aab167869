"""`close --offline`: the close of a day of a log whose daemon is stopped.

Owns its plan, which is read from the log and writes nothing, and the start that does it: `run
--then-stop --close-day`, under this process's user, once a person or `--yes` has said so. What a
start finds besides (a configuration that differs from the log, a torn end) it says then.

How it fails: wrong use for what only a running daemon could take; the words of `verify` for a log
that cannot be read to its end.
"""

import argparse
from typing import Any, Final

from guard.cli.base import EXIT_GOOD, UsageError, complain, tool_hasher
from guard.cli.operator import TIMEOUT_S

# What says how a daemon is asked: nobody is.
_OF_A_DAEMON: Final = {
    "by": "--by",
    "curve_key_file": "--curve-key-file",
    "server_key": "--server-key",
    "timeout_s": "--timeout-s",
}


def check_options(options: argparse.Namespace) -> None:
    """Raises UsageError for what an offline close would not heed."""
    if options.config is None:
        raise UsageError("close --offline needs --config, which says how the log is opened")
    for name, option in _OF_A_DAEMON.items():
        if getattr(options, name) not in (None, TIMEOUT_S):
            raise UsageError(
                f"{option}: not allowed with --offline, where no daemon is asked and this "
                "process's user is recorded"
            )


def close_offline(options: argparse.Namespace) -> int:
    """Shows the plan, asks, and closes the day by a start; its exit code."""
    from guard.cli import run_command
    from guard.cli.admin import EXIT_NOT_CONFIRMED, is_confirmed, print_reply, wants_question
    from guard.cli.unverified import report_unverified
    from wal import WalDamage

    if wants_question(options) or options.dry_run:
        hasher = tool_hasher(options)
        try:
            planned = _planned(options)
        except WalDamage as damage:
            return report_unverified(options, hasher, damage)
        print_reply(planned, options.json)
        if options.dry_run:
            return EXIT_GOOD
        if not is_confirmed():
            return complain(EXIT_NOT_CONFIRMED, "nothing was done")
    arguments = ["run", "--config", str(options.config), "--then-stop", "--why", options.why]
    if options.key_file is not None:
        arguments += ["--key-file", str(options.key_file)]
    if options.json:
        arguments += ["--log-format", "json"]
    return run_command([*arguments, "--close-day", options.day])


def _planned(options: argparse.Namespace) -> Any:
    """What the close would do now. Raises UsageError, WalDamage, WalError."""
    from guard.admin.actions import done_before
    from guard.admin.day import close_changes
    from guard.admin.day_name import repeat_words
    from guard.admin.messages import AdminError, CloseDay, Done, Planned, close_action_id
    from guard.config.file import load_config
    from guard.recovery.presence import check_presence
    from guard.recovery.recover import fold_log
    from guard.server.session_records import actor_of
    from wal import read_checkpoints, read_published_head

    check_presence(options.log)
    if read_published_head(options.log) is not None:
        raise UsageError(f"{options.log}: a daemon writes it; close its day without --offline")
    hasher = tool_hasher(options)
    infos = read_checkpoints(options.log, hasher)
    newest = next((info for info in infos if info.problem is None), None)
    engine, _ = fold_log(options.log, hasher, checkpoint=newest)
    action = CloseDay(action_id=close_action_id(options.day), why=options.why, day=options.day)
    actor = actor_of(engine, 0, options.why)
    releases = load_config(options.config).close.release_day_orders
    try:
        before = done_before(engine.state, action, actor)
        if before is not None:
            said = repeat_words(engine.state, options.day, before)
            return Done(action.action_id, before.sequence, True, [said])
        changes = close_changes(engine.state, action, actor, releases=releases)
    except AdminError as error:
        raise UsageError(f"--day: {error}") from error
    return Planned(action.action_id, changes)
