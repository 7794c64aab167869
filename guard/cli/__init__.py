"""The command line: `pretrade-guard COMMAND`.

Owns which commands there are, and how an error becomes an exit code; a module a command owns its
arguments and what it prints. Exit codes: 0 good; 1 damage, a refused start or a failed
environment; 2 wrong use, a bad configuration, or nothing to verify.

A new command is a module with an `add(commands)`, and a line in `COMMANDS`. What a command needs
beyond its arguments it imports when it runs, so that `--help` stays quick.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Final

from guard import __version__
from guard.cli import (
    archive,
    bench,
    check_config,
    check_proof,
    demo,
    export,
    keygen,
    prove,
    replay,
    run,
    salvage,
    verify,
)
from guard.cli.base import EXIT_FAILED, EXIT_WRONG_USE, UsageError, complain
from guard.config import ConfigError
from kernel import InvariantError
from wal import WalError

# In the order in which `--help` lists them.
COMMANDS: Final = (
    run,
    demo,
    bench,
    verify,
    replay,
    prove,
    check_proof,
    export,
    archive,
    salvage,
    keygen,
    check_config,
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    if not __debug__:
        sys.stderr.write("pretrade-guard: refuses to run under python -O: its checks are asserts\n")
        return EXIT_WRONG_USE
    options = _parser().parse_args(arguments)
    options.is_own_process = arguments is None  # else somebody's who goes on after the command
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (ConfigError, UsageError) as error:
        return complain(EXIT_WRONG_USE, error)
    except (WalError, InvariantError, OSError) as error:
        return complain(EXIT_FAILED, error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pretrade-guard",
        description="A streaming pre-trade guard: durable, replayable decisions over ZeroMQ.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
