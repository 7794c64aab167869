"""`pretrade-guard keygen`: write a fresh key, of the log, for signing, or of a CURVE connection."""

import argparse
from pathlib import Path

from guard.cli.base import EXIT_GOOD, Commands, UsageError
from guard.config.evolving_keys import create_evolving
from guard.config.keys import create_curve_key, create_key


def add(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "keygen", help="write a fresh key: of the log, for signing, of CURVE"
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="a log key; must not exist yet"
    )
    parser.add_argument(
        "--signing", metavar="FILE", type=Path, help="an Ed25519 key instead; must not exist yet"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="what it signs as, one a log: like guard.example.com/desk1"
    )
    parser.add_argument(
        "--curve",
        metavar="FILE",
        type=Path,
        help="a CURVE key instead, of the daemon's endpoints or of a client; must not exist yet",
    )
    parser.add_argument(
        "--evolving",
        metavar="FILE",
        type=Path,
        help="a log key that evolves instead (log.forward_secure), and --root FILE, from which all "
        "come; neither may exist yet",
    )
    parser.add_argument(
        "--root", metavar="FILE", type=Path, help="with --evolving: keep it off the daemon's host"
    )
    parser.set_defaults(command=_keygen)


def _keygen(options: argparse.Namespace) -> int:
    if [options.file, options.signing, options.curve, options.evolving].count(None) != 3:
        raise UsageError(
            "keygen: give FILE for a log key, or --signing FILE for a signing key, or --curve FILE "
            "for a CURVE key, or --evolving FILE for a log key that evolves"
        )
    if (options.evolving is None) != (options.root is None):
        raise UsageError("keygen: --evolving FILE and --root FILE go together")
    if (options.signing is None) != (options.name is None):
        raise UsageError("keygen: --signing FILE and --name NAME go together")
    if options.signing is not None:
        from guard.audit.keyfiles import create_signing_key

        # Only the public key goes to stdout, so that it can be kept as it comes.
        print(create_signing_key(options.signing, options.name).verifier_key)
        return EXIT_GOOD
    if options.curve is not None:
        print(create_curve_key(options.curve))
        return EXIT_GOOD
    if options.evolving is not None:
        create_evolving(options.root, options.evolving)
        print(
            f"{options.evolving}: the log's first key, for the daemon's host; {options.root}: the "
            "root of all of them, which opens the whole log (--root-key-file) and belongs elsewhere"
        )
        return EXIT_GOOD
    create_key(options.file)
    print(f"{options.file}: a fresh key; whoever has it can check the log, and forge it")
    return EXIT_GOOD
