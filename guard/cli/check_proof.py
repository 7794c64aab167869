"""`pretrade-guard check-proof`: what a proof shows, without the log and without a secret."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from guard.cli.base import EXIT_FAILED, EXIT_GOOD, Commands, UsageError
from guard.cli.prove import read_input


def add(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("check-proof", help="check a proof; needs no log and no secret")
    parser.add_argument("proof", metavar="PROOF", type=Path, help="what `prove` wrote")
    parser.add_argument(
        "--log-key", metavar="VKEY", required=True, help="the log's public key, from keygen"
    )
    parser.add_argument(
        "--witness",
        metavar="VKEY",
        action="append",
        default=[],
        help="a public key that must have signed the same head; may be given again",
    )
    parser.add_argument("--origin", help="the log's own name, where it is not that of its key")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(command=_check_proof)


def _check_proof(options: argparse.Namespace) -> int:
    from guard.audit.check import PROOF_ERRORS, check_proof, check_witnesses
    from guard.audit.notes import NoteKeyError, parse_verifier_key
    from guard.audit.tlog import PROOF_BYTES_MAX

    data = read_input(options.proof, PROOF_BYTES_MAX)
    if not data:
        raise UsageError(f"{options.proof}: nothing to check")
    option = "--log-key"
    try:
        key = parse_verifier_key(options.log_key.strip())
        option = "--witness"
        witnesses = [parse_verifier_key(text.strip()) for text in options.witness]
    except NoteKeyError as error:
        raise UsageError(f"{option}: {error}") from error
    origin = key.name if options.origin is None else options.origin
    try:
        proven = check_proof(data, key, origin)
        check_witnesses(data, witnesses)
    except PROOF_ERRORS as error:
        if options.json:
            print(json.dumps({"ok": False, "reason": str(error)}))
        else:
            print(f"{options.proof}: FALSE: {_printable(str(error))}")
        return EXIT_FAILED
    title, fields = _described(proven)
    if options.json:
        print(msgspec.json.encode({"ok": True} | fields).decode())
        return EXIT_GOOD
    print(f"{options.proof}: true: {_printable(title)}")
    for name, value in fields.items():
        if value is not None and name != "record":
            print(f"  {name.replace('_', ' ')}: {_printable(str(value))}")
    return EXIT_GOOD


def _printable(text: str) -> str:
    """Text from a proof for a terminal: what its owner wrote must not steer it."""
    return text if text.isprintable() else ascii(text)


def _described(proven: Any) -> tuple[str, dict[str, Any]]:
    """What was proven, in one line and as fields."""
    from guard.audit.check import ProvenConsistency, ProvenRecord

    head = proven.checkpoint
    fields = {
        "log_origin": head.origin,
        "tree_size": head.size,
        "root_hash_hex": head.root.hex(),
    }
    if isinstance(proven, ProvenRecord):
        return _described_record(proven, fields)
    if isinstance(proven, ProvenConsistency):
        old = {"old_tree_size": proven.old.size, "old_root_hash_hex": proven.old.root.hex()}
        title = f"the first {proven.old.size} of {head.size} records are as they were"
        return title, {"kind": "consistency"} | old | fields
    return f"a head of {head.size} records", {"kind": "checkpoint"} | fields


_OF_AN_ORDER: Final = ("client_order_id", "answer", "reason", "venue")
_WORDS: Final = {"admit": "was admitted", "reject": "was rejected"}


def _described_record(proven: Any, head_fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    claim, entry = proven.claim, proven.entry
    fields: dict[str, Any] = {
        "kind": "record",
        "event": claim.event,
        "desk": claim.desk,
        "client_order_id": claim.client_order_id,
        "fill_id": claim.fill_id,
        "answer": claim.answer,
        "reason": claim.reason,
        "venue": claim.venue,
        "sequence": entry.sequence,
        "received_at_ns": claim.received_at_ns,
        "received_at": _as_text(claim.received_at_ns),
        "client": claim.client,
        "entry_hash": entry.entry_hash,
    }
    title = f"record {entry.sequence} is in the log"
    if claim.desk is not None and claim.client_order_id is not None:
        what = _WORDS.get(claim.answer or "", f"has the event {claim.event}")
        title = f"order {claim.client_order_id} of {claim.desk} {what}"
    if claim.orders:
        title = f"{len(claim.orders)} orders of {claim.desk} stand or fall together"
        fields["orders"] = [
            {name: getattr(each, name) for name in _OF_AN_ORDER} for each in claim.orders
        ]
    return title, fields | head_fields | {"record": msgspec.Raw(entry.data)}


def _as_text(at_ns: int | None) -> str | None:
    """A time for people: UTC, to the nanosecond."""
    if at_ns is None:
        return None
    seconds, rest_ns = divmod(at_ns, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{moment:%Y-%m-%d %H:%M:%S}.{rest_ns:09d} UTC"
