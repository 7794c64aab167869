"""`pretrade-guard sign-head`: sign a log's head, away from the daemon's host, as what goes on.

The file of the last signature is the signer's memory: the next one is made only of a log that
continues the one that was signed. So who has the host, and the log's key, cannot have two pasts
signed; and the file goes to whoever is to be convinced.
"""

import argparse
from pathlib import Path

from guard.cli.base import (
    EXIT_FAILED,
    EXIT_GOOD,
    Commands,
    UsageError,
    add_key_argument,
    complain,
    write_output,
)
from guard.cli.prove import add_signer_arguments, read_input, signer_of


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "sign a log's head, if it continues the one that was signed last"
    parser = commands.add_parser("sign-head", help=text)
    parser.add_argument("log", metavar="LOG_DIR", type=Path, help="a copy of the log, or a mount")
    add_key_argument(parser)
    add_signer_arguments(parser)
    parser.add_argument(
        "--head", metavar="FILE", type=Path, required=True, help="the last signature; the next one"
    )
    parser.add_argument(
        "--first", action="store_true", help="there is no last one: FILE must not exist yet"
    )
    parser.set_defaults(command=_sign_head)


def _sign_head(options: argparse.Namespace) -> int:
    from guard.audit.notes import NoteError
    from guard.audit.prove import ForkedLogError, NothingToProve, prove_head, prove_next_head
    from guard.audit.tlog import PROOF_BYTES_MAX, ProofFormatError, open_checkpoint

    if options.first == options.head.exists():
        raise UsageError(
            f"{options.head}: is there, and --first is for a log of which nothing was signed yet"
            if options.first
            else f"{options.head}: is missing; bring the last signature back, or say --first where "
            "nothing was signed yet"
        )
    signer = signer_of(options)
    try:
        if options.first:
            note = prove_head(signer.log, signer.hasher, signer.key, signer.origin)
        else:
            old = read_input(options.head, PROOF_BYTES_MAX)
            note = prove_next_head(signer.log, signer.hasher, old, signer.key, signer.origin)
        head, _ = open_checkpoint(note, signer.key.verifier_key, signer.origin)
    except ForkedLogError as error:
        return complain(EXIT_FAILED, f"{error}; nothing was signed")
    except (NoteError, ProofFormatError, NothingToProve) as error:
        raise UsageError(str(error)) from error
    write_output(options.head, note, may_replace=not options.first)
    print(f"{options.head}: signed: {head.size} records, root {head.root.hex()}")
    return EXIT_GOOD
