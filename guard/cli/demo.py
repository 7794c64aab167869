"""`pretrade-guard demo`: play recorded order flow through a real daemon."""

import argparse
import os
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from guard.cli.base import Commands, UsageError


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "play recorded order flow through a real daemon"
    parser = commands.add_parser("demo", help=text)
    parser.add_argument(
        "--keep",
        metavar="DIR",
        type=Path,
        help="leave the log, its key, the configuration and the day's page there: a new or an "
        "empty directory",
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="instead on three PostgreSQL servers of this machine, with a second guard that goes "
        "on when the first one is killed; needs PostgreSQL and the extra cluster",
    )
    parser.set_defaults(command=_demo)


def _demo(options: argparse.Namespace) -> int:
    from guard.process import leaving

    if options.cluster:
        _check_cluster(options)
        from guard.demo.cluster_play import run_cluster_demo

        with leaving.nothing_behind(heeds_signals=options.is_own_process):
            return run_cluster_demo()
    if options.keep is not None:
        _check_keep(options.keep)
    from guard.demo.play import run_demo

    with leaving.nothing_behind(heeds_signals=options.is_own_process):
        return run_demo(options.keep, _program(is_own_process=options.is_own_process))


def _check_cluster(options: argparse.Namespace) -> None:
    """Raises UsageError where it cannot be played."""
    if options.keep is not None:
        raise UsageError("--cluster: allowed only without --keep")
    if find_spec("asyncpg") is None:
        raise UsageError(
            "--cluster: needs the extra cluster: pip install 'pretrade-guard[cluster]'"
        )
    from guard.demo.postgres import BINARIES

    if BINARIES is None:
        raise UsageError(
            "--cluster: needs PostgreSQL's server on this machine (Debian: postgresql)"
        )


def _check_keep(directory: Path) -> None:
    """What is there is nobody's to write into. Raises UsageError."""
    allowed = "allowed: a directory that is empty, or a new one"
    if directory.is_dir():
        if any(directory.iterdir()):
            raise UsageError(f"--keep {directory}: is not empty; {allowed}")
    elif os.path.lexists(directory):
        raise UsageError(f"--keep {directory}: is no directory; {allowed}")


def _program(*, is_own_process: bool) -> str:
    """This command as whoever has called it would call it again, for a shell."""
    from guard.process import own_process

    called = Path(sys.argv[0])
    if is_own_process and called.name == "pretrade-guard":
        found = shutil.which(called.name)
        is_on_path = found is not None and os.path.samefile(found, called)
        return called.name if is_on_path else shlex.quote(str(called))
    return own_process.spoken("guard.cli")
