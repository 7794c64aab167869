"""`pretrade-guard keygen`: write a fresh key, of the log or for signing."""

import argparse
from pathlib import Path

from guard.cli.base import EXIT_GOOD, Commands, UsageError
from guard.config.keys import create_key


def add(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("keygen", help="write a fresh key: of the log, or for signing")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="a log key; must not exist yet"
    )
    parser.add_argument(
        "--signing", metavar="FILE", type=Path, help="an Ed25519 key instead; must not exist yet"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="what it signs as, one a log: like guard.example.com/desk1"
    )
    parser.set_defaults(command=_keygen)


def _keygen(options: argparse.Namespace) -> int:
    if (options.file is None) == (options.signing is None):
        raise UsageError("keygen: give FILE for a log key, or --signing FILE for a signing key")
    if (options.signing is None) != (options.name is None):
        raise UsageError("keygen: --signing FILE and --name NAME go together")
    if options.signing is not None:
        from guard.audit.keyfiles import create_signing_key

        # Only the public key goes to stdout, so that it can be kept as it comes.
        print(create_signing_key(options.signing, options.name).verifier_key)
        return EXIT_GOOD
    create_key(options.file)
    print(f"{options.file}: a fresh key; whoever has it can check the log, and forge it")
    return EXIT_GOOD
