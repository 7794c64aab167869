"""`pretrade-guard keygen`: write a fresh log key."""

import argparse
from pathlib import Path

from guard.cli.base import EXIT_GOOD, Commands
from guard.keys import create_key


def add(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("keygen", help="write a fresh log key")
    parser.add_argument("file", metavar="FILE", type=Path, help="must not exist yet")
    parser.set_defaults(command=_keygen)


def _keygen(options: argparse.Namespace) -> int:
    create_key(options.file)
    print(f"{options.file}: a fresh key; whoever has it can check the log, and forge it")
    return EXIT_GOOD
