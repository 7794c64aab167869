"""The command line: `pretrade-guard COMMAND`.

Owns which commands there are, and how an error becomes an exit code; a module a command owns its
arguments and what it prints. Exit codes: 0 good; 1 damage, a refused start or a failed
environment; 2 wrong use, a bad configuration, nothing to verify, another key than the log's (or
none), or a start that waits for an option; 3 where a log has an end that the next start mends, or
`tail` finds that its writer is gone and has not closed it; 130 (128 + SIGINT)
when it was interrupted at the keyboard before its end (`run` stops in good order once it serves;
before, it ends with that, or with 143 for SIGTERM); 129 and 143 when SIGHUP or SIGTERM ended a
command that first cleans up (`demo`, `bench`, `export`); 141 (128 + SIGPIPE, as of a tool that the
signal ended) when whoever read the output went away, as `head` does: said to nobody, and nothing is
claimed of the log. Of `run` nobody's reading changes the exit code, or anything else
(`guard.process.operator_lines`). Closed standard descriptors are as /dev/null.

A new command is a module with an `add(commands)`, and a line in `COMMANDS`. What a command needs
beyond its arguments it imports when it runs, so that `--help` stays quick; and of the commands that
one alone is imported which is called.
"""

import argparse
import contextlib
import importlib
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from guard import __version__
from guard.cli.base import (
    EXIT_BROKEN_PIPE,
    EXIT_FAILED,
    EXIT_SIGNAL,
    EXIT_WRONG_USE,
    UsageError,
    complain,
)
from guard.cli.descriptors import open_closed_ones
from guard.cli.hints import HintingParser
from guard.cli.permission import denial_words
from guard.config.errors import ConfigError
from guard.process.leaving import Ended
from kernel import InvariantError
from wal import WalError, WalKeyMismatch

_OUTPUTS: Final = (1, 2)  # what standard output and standard error are to the system

# In the order in which `--help` lists them. Each has a module of its name in `guard.cli`.
COMMANDS: Final = (
    "run",
    "standby",
    "cluster",
    "status",
    "admin",
    "close",
    "observe",
    "top",
    "demo",
    "bench",
    "tail",
    "verify",
    "replay",
    "prove",
    "prove-desks",
    "sign-head",
    "check-proof",
    "export",
    "backup",
    "archive",
    "sql-archive",
    "share",
    "salvage",
    "keygen",
    "check-config",
    "completion",
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    if arguments is None:  # a process of its own
        open_closed_ones()
    if not __debug__:
        sys.stderr.write("pretrade-guard: refuses to run under python -O: its checks are asserts\n")
        return EXIT_WRONG_USE
    try:
        try:
            return run_command(arguments)
        finally:
            if sys.stdout is not None:  # the caller's may be None
                sys.stdout.flush()  # now, while an error of it still has an exit code
    except KeyboardInterrupt as interrupt:
        if arguments is not None:  # the caller's to handle
            raise
        return _ended(interrupt)
    except OSError as error:
        return _failed_output(error, is_own_process=arguments is None)


def _ended(interrupt: KeyboardInterrupt) -> int:
    """Says which signal has ended the command; its exit code."""
    number = interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT
    name = signal.Signals(number).name
    said = "interrupted" if number == signal.SIGINT else f"ended by {name}"
    with contextlib.suppress(OSError):  # with SIGHUP the terminal has gone
        sys.stderr.write(f"pretrade-guard: {said}\n")
        sys.stderr.flush()
    return EXIT_SIGNAL + number


def run_command(arguments: list[str] | None) -> int:
    """Runs one command, within one that runs."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser_of(given[0] if given else "").parse_args(given)
    options.is_own_process = arguments is None  # else somebody's who goes on after the command
    command: Callable[[argparse.Namespace], int] = options.command
    speaking: Callable[[], AbstractContextManager[None]]
    speaking = getattr(options, "speaking", nullcontext)
    with speaking():
        try:
            return command(options)
        except (ConfigError, UsageError, WalKeyMismatch) as error:
            return complain(EXIT_WRONG_USE, f"{error}{denial_words(error)}")
        except BrokenPipeError:
            raise
        except (WalError, InvariantError, OSError) as error:
            return complain(EXIT_FAILED, f"{error}{denial_words(error)}")


def _failed_output(error: OSError, *, is_own_process: bool) -> int:
    """The exit code where output could not be written, or a pipe of the command's own broke."""
    unread = [output for output in _OUTPUTS if _is_unread(output)]
    is_pipe = isinstance(error, BrokenPipeError)
    if is_own_process and (unread or not is_pipe):
        # The interpreter writes what is buffered once more at its end, and would complain.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for output in {_OUTPUTS[0], *unread}:
            os.dup2(nowhere, output)
        os.close(nowhere)
    return EXIT_BROKEN_PIPE if is_pipe and unread else complain(EXIT_FAILED, error)


def _is_unread(output: int) -> bool:
    """Whether it is a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(output, 0)
    return any(events & select.POLLERR for _output, events in poll.poll(0))


def parser_of(called: str = "") -> argparse.ArgumentParser:
    """The whole command line; where a command is `called`, with that one alone."""
    parser = HintingParser(
        prog="pretrade-guard",
        description="A streaming pre-trade guard: durable, replayable decisions over ZeroMQ.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in (called,) if called in COMMANDS else COMMANDS:
        importlib.import_module(f"guard.cli.{name.replace('-', '_')}").add(commands)
    return parser
