"""The certificate of a day that was closed: what a log says of it, on one page that can be signed.

Owns its content, its form and its check. All of it is worked out from the log: the records are
folded (`guard.record.applying`), those of the day are counted, and the `day_closed` record binds
the balances by the digest of its statement (`guard.engine.day_close`), which the fold has checked.
So the same log gives the same certificate to the byte, whoever makes it, however often.

The file is JSON: `certificate`, and, where a key was given, `signed`: a signed note
(`guard.audit.notes`) of four lines: what it is, the log's id, the day, and the SHA-256 of the
certificate as compact JSON with sorted keys.

How it fails: `CertificateError` for a day that the log does not close, or whose beginning is
archived; for a file that is no certificate, or not that of the log.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from guard.audit.notes import NoteError, SigningKey, VerifierKey, open_note, sign_note
from guard.engine.day_close import configuration_digest_hex
from guard.engine.engine import Engine
from guard.engine.events import DayClosed
from guard.engine.state import GuardState
from guard.protocol.outcome import OutcomeKind
from guard.record.applying import RecordFolder
from guard.record.codec import DIALECT
from guard.recovery.archived_start import find_beginning
from guard.recovery.recover import load_checkpoint
from kernel import InvariantError
from kernel.finance import certify_ledger
from wal import ChainHasher, Head, WalError, read_entries

FORM: Final = "pretrade-guard day certificate v1"

_COUNTED: Final = {
    OutcomeKind.ADMITTED: ("orders", "admits"),
    OutcomeKind.REJECTED: ("orders", "rejects"),
    OutcomeKind.REFUSED: ("orders", "rejects"),
    OutcomeKind.FILLED: ("fills",),
    OutcomeKind.RELEASED: ("cancels",),
}
_COUNTS: Final = ("orders", "admits", "rejects", "fills", "cancels")


class CertificateError(ValueError):
    """There is no such certificate."""


@dataclass(slots=True)
class _Day:
    """What is known when a day begins, and counted until it ends."""

    begins_after: int
    spent: dict[str, int]
    granted: dict[str, int]
    closed_before: str | None = None
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)


def certificate_of(directory: Path, hasher: ChainHasher, day: str | None) -> dict[str, Any]:
    """The certificate of `day`, of the last one that was closed where None.

    Raises CertificateError, and what reading the log raises.
    """
    engine, begun, is_whole = Engine(), Head(0, ""), True
    start = find_beginning(directory, hasher)
    if start is not None:
        engine, begun = load_checkpoint(start, hasher.sole_key_id), start.head.head
        is_whole = False
    folder, state = RecordFolder(engine, hasher.sole_key_id), engine.state
    current, found = _begin(state, begun.sequence), None
    for entry in read_entries(directory, hasher, DIALECT, None if start is None else begun):
        try:
            event = folder.read(entry.sequence, entry.data, entry.previous_hash)
            folder.apply(entry.sequence, event)
        except (InvariantError, ValueError, LookupError) as error:
            raise WalError(f"record {entry.sequence}: {error}") from error
        if event is None:
            _count(current, state, folder)
        elif isinstance(event, DayClosed):
            if day in (None, event.day):
                found = (is_whole, _certificate(state, event, current, entry.head))
                if day is not None:
                    break
            current, is_whole = _begin(state, entry.sequence, event.day), True
    if found is None:
        named = "no day" if day is None else f"no day {day}"
        raise CertificateError(f"{directory}: {named} was closed in this log")
    if not found[0]:
        raise CertificateError(
            f"{directory}: the day's first records are archived: bring them and the log's into one "
            "directory"
        )
    return found[1]


def _begin(state: GuardState, sequence: int, closed_before: str | None = None) -> _Day:
    lines = {name: state.ledger.line(name) for name in state.desks}
    spent = {name: line.committed for name, line in lines.items() if line is not None}
    granted = {name: line.initial for name, line in lines.items() if line is not None}
    return _Day(sequence, spent, granted, closed_before)


def _count(current: _Day, state: GuardState, folder: RecordFolder) -> None:
    said = folder.request.text("desk")
    name = said if said in state.desks else ""
    for counted in _COUNTED.get(OutcomeKind(folder.outcome.kind), ()):
        current.counts[name, counted] += 1


def _certificate(state: GuardState, event: DayClosed, current: _Day, head: Head) -> dict[str, Any]:
    ledger = certify_ledger(state.ledger.snapshot(), sum(current.spent.values()))
    return {
        "form": FORM,
        "log_id": state.log_id,
        "key_id": state.key_id,
        "day": event.day,
        "closed_at_ns": event.received_at_ns,
        "closed_by": event.by,
        "why": event.why,
        "day_before": current.closed_before,
        "first_sequence": current.begins_after + 1,
        "head_sequence": head.sequence,
        "head_hash": head.entry_hash,
        "statement_digest_hex": event.statement_digest_hex,
        "policy_digest_hex": state.policy_digest_hex,
        "configuration_digest_hex": configuration_digest_hex(state),
        "rules_version": state.rules_version,
        "currency": state.currency,
        "ledger": ledger.as_dict(),
        "counts": {each: _total(current, each) for each in _COUNTS},
        "desks": [_desk_row(state, name, current) for name in sorted(state.desks)],
    }


def _total(current: _Day, counted: str) -> int:
    return sum(count for (_, each), count in current.counts.items() if each == counted)


def _desk_row(state: GuardState, name: str, current: _Day) -> dict[str, Any]:
    line = state.ledger.line(name)
    assert line is not None  # opened with the desk
    row = {
        "desk": name,
        "granted_microcents": line.initial,
        "held_microcents": line.reserved,
        "spent_microcents": line.committed,
        "remaining_microcents": line.remaining,
        "unpaid_fees_microcents": state.desks[name].unpaid_fees_microcents,
        "granted_this_day_microcents": line.initial - current.granted.get(name, 0),
        "spent_this_day_microcents": line.committed - current.spent.get(name, 0),
    }
    return row | {each: current.counts[name, each] for each in _COUNTS}


def digest_hex(certificate: dict[str, Any]) -> str:
    """The SHA-256 of the certificate as compact JSON with sorted keys."""
    text = json.dumps(certificate, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def encode_certificate(certificate: dict[str, Any], key: SigningKey | None) -> bytes:
    """The certificate's file, signed where there is a key."""
    content: dict[str, Any] = {"certificate": certificate}
    if key is not None:
        content["signed"] = sign_note(_note_text(certificate), [key]).decode()
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def _note_text(certificate: dict[str, Any]) -> bytes:
    lines = (FORM, certificate["log_id"], certificate["day"], digest_hex(certificate))
    return ("\n".join(lines) + "\n").encode()


def check_certificate(data: bytes, key: VerifierKey | None) -> dict[str, Any]:
    """The certificate in a file, its signature checked where there is a key.

    Raises CertificateError. Whether a log says the same is for `certificate_of` to show.
    """
    try:
        content = json.loads(data)
        certificate: dict[str, Any] = content["certificate"]
        if certificate["form"] != FORM or not isinstance(certificate["day"], str):
            raise CertificateError(f"is no {FORM}")
        text = _note_text(certificate)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CertificateError(f"is no {FORM}: {error}") from error
    if key is None:
        return certificate
    if not isinstance(content.get("signed"), str):
        raise CertificateError("is not signed")
    try:
        if open_note(content["signed"].encode(), [key]).text != text:
            raise CertificateError("its signature is over another certificate")
    except (NoteError, UnicodeEncodeError) as error:
        raise CertificateError(str(error)) from error
    return certificate


def differences(said: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Where a certificate says something else than the log, in words."""
    texts = [
        f"{name}: the certificate says {_short(said.get(name))}, the log {_short(found.get(name))}"
        for name in sorted(said.keys() | found.keys())
        if name != "desks" and said.get(name) != found.get(name)
    ]
    if said.get("desks") != found.get("desks"):
        texts.append("desks: the certificate says other balances or counts than the log")
    return texts


def _short(value: object) -> str:
    return json.dumps(value)[:120]
