"""`pretrade-guard prove`: a small file that shows a record of a log to who has no log."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from guard.cli.base import (
    EXIT_GOOD,
    Commands,
    UsageError,
    add_anchor_argument,
    add_key_argument,
    tool_anchor,
    tool_hasher,
)
from wal import ChainHasher, read_regular

if TYPE_CHECKING:
    from guard.audit.notes import SigningKey


def add(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("prove", help="prove to others what a log holds")
    parser.add_argument("log", metavar="LOG_DIR", type=Path, help="a log's directory, or a file")
    add_key_argument(parser)
    add_anchor_argument(parser)
    add_signer_arguments(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--order", metavar="CLIENT_ORDER_ID", help="an order; needs --desk")
    what.add_argument("--sequence", metavar="N", type=int, help="the record with this sequence")
    what.add_argument(
        "--consistency", metavar="OLD", type=Path, help="that the log continues this checkpoint"
    )
    what.add_argument("--checkpoint", action="store_true", help="the signed head alone")
    parser.add_argument("--desk", help="the desk of the order")
    event = parser.add_mutually_exclusive_group()
    event.add_argument("--fill", metavar="FILL_ID", help="this fill of the order instead")
    event.add_argument("--cancel", action="store_true", help="the cancel of the order instead")
    parser.set_defaults(command=_prove)


def _prove(options: argparse.Namespace) -> int:
    from guard.audit.notes import NoteError
    from guard.audit.prove import NothingToProve
    from guard.audit.tlog import ProofFormatError

    if (options.order is None) != (options.desk is None):
        raise UsageError("prove: --order and --desk go together")
    if options.order is None and (options.fill is not None or options.cancel):
        raise UsageError("prove: --fill and --cancel are of an --order")
    try:
        proof = _proof(options)
    except (NoteError, ProofFormatError, NothingToProve) as error:
        raise UsageError(str(error)) from error
    sys.stdout.flush()
    sys.stdout.buffer.write(proof)
    sys.stdout.buffer.flush()
    return EXIT_GOOD


class Signer(NamedTuple):
    """Who signs what of which log."""

    log: Path
    hasher: ChainHasher
    key: "SigningKey"
    origin: str


def add_signer_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose signature, and under which name of the log: what `signing_key_of` reads."""
    parser.add_argument(
        "--signing-key", metavar="FILE", type=Path, required=True, help="from keygen --signing"
    )
    parser.add_argument("--origin", help="the log's own name, where it is not that of its key")


def signing_key_of(options: argparse.Namespace) -> tuple["SigningKey", str]:
    """The key, and the log's name. Raises ConfigError."""
    from guard.audit.keyfiles import load_signing_key

    key = load_signing_key(options.signing_key)
    return key, key.name if options.origin is None else options.origin


def signer_of(options: argparse.Namespace) -> Signer:
    """The whole log that was named, and the key for it.

    Raises UsageError, ConfigError, WalError.
    """
    from guard.recovery.archived_start import find_beginning

    hasher = tool_hasher(options)
    if find_beginning(options.log, hasher) is not None:
        raise UsageError(
            f"{options.log}: its oldest segments are archived, and a proof is about the whole log: "
            "bring them and the log's into one directory"
        )
    return Signer(options.log, hasher, *signing_key_of(options))


def _proof(options: argparse.Namespace) -> bytes:
    from guard.audit.prove import Wanted, prove_consistency, prove_head, prove_record
    from guard.audit.tlog import PROOF_BYTES_MAX

    (_, hasher, key, origin), anchor = signer_of(options), tool_anchor(options)
    if options.checkpoint:
        return prove_head(options.log, hasher, key, origin, anchor)
    if options.consistency is not None:
        old = read_input(options.consistency, PROOF_BYTES_MAX)
        return prove_consistency(options.log, hasher, old, key, origin, anchor)
    wanted = Wanted(options.desk, options.order, options.fill, options.cancel, options.sequence)
    proven = prove_record(options.log, hasher, wanted, key, origin, anchor)
    if proven.other_sequences:
        sys.stderr.write(
            f"pretrade-guard: proven is record {proven.sequence}, the first one; also of this "
            f"name: {', '.join(map(str, proven.other_sequences))} (--sequence proves one of them)\n"
        )
    return proven.proof


def read_input(path: Path, bytes_max: int) -> bytes:
    """The bytes of a small file that the user named, one more at most. Raises UsageError."""
    try:
        return read_regular(path, bytes_max, follows_links=True, takes_streams=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
