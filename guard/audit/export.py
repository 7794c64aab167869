"""The decisions of a log as fresh chains that the reference's replay takes.

Owns which records leave the log and under which names. The reference replays one policy over a log
of decision records alone, from record 1 on, so there is one file for each policy in force, each a
chain of its own. A record's data stays as it is, byte for byte: its `request_sequence` is that of
the log it comes from; of orders that stand together in one record each becomes a record. Beside
each file: its anchor, and the policy, where the log, or the checkpoint that it is read from, holds
it.

    one policy in force     OUT.jsonl    OUT.anchor.json    OUT.policy.json
    several, in their order OUT.1.jsonl  OUT.1.anchor.json  OUT.1.policy.json  OUT.2.jsonl  …

A policy that comes back into force after another one begins a file of its own. Must not: overwrite
anything, write into a log's directory, or leave anything behind where the source is damaged.

How it works: one pass, in memory that does not grow with the log. All is written and synced in a
hidden directory beside the output, and gets its names at the end (hard links, which refuse to
replace). How it fails: as the reader does for a damaged log; `ExportError` for a name that is taken
and for what is not there to be exported; `OSError` where the system refuses to write.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from guard.process import leaving
from guard.record.codec import DIALECT, RecordError
from guard.record.order_groups import parts_of
from kernel import PolicySnapshot
from wal import (
    PRIVATE_FILE_MODE,
    ChainFile,
    ChainHasher,
    Head,
    LocatedEntry,
    anchor_of,
    encode_anchor,
    fsync_directory,
    read_entries,
)
from wal.lock import LOCK_NAME

SUFFIX: Final = ".jsonl"
# A policy is changed by a restart: this many in one log is a mistake somewhere.
PARTS_MAX: Final = 10_000
# How the guard and the reference both begin a decision record.
_DECISION: Final = b'{"audit":'
_ACTIVATED: Final = b'{"event":"policy_activated",'


class ExportError(ValueError):
    """The export cannot be made; nothing was written."""


@dataclass(frozen=True, slots=True)
class ExportedPart:
    """One file: its records, its head, and the policy that they were decided under.

    `policy_epoch` is None for bundles of the reference's older generation, which do not name it;
    `policy_path` is None where the log does not hold the policy.
    """

    path: Path
    anchor_path: Path
    policy_path: Path | None
    head: Head
    policy_epoch: int | None
    policy_digest_hex: str


class _Audit(Struct):
    policy_digest_hex: str
    policy_epoch: int | None = None


class _Record(Struct):
    audit: _Audit


class _Activated(Struct):
    policy: msgspec.Raw
    policy_digest_hex: str


_decode_record = msgspec.json.Decoder(_Record).decode
_decode_activated = msgspec.json.Decoder(_Activated).decode


def export_decisions(
    source: Path,
    hasher: ChainHasher,
    out: Path,
    out_hasher: ChainHasher,
    start: Head | None = None,
    start_policy: PolicySnapshot | None = None,
) -> list[ExportedPart]:
    """Write the decision records of `source` (a log's directory, or one file); what was written.

    `out`: the file to write, whose directory must exist and hold no log. `start`: only those behind
    this head, for a log without its oldest segments; `start_policy`: the one in force there. Raises
    WalDamage, WalError, ExportError, OSError.
    """
    _refuse_log(out, source)
    _refuse_existing([out, *_beside(out)])
    with contextlib.ExitStack() as stack:
        try:
            work = stack.enter_context(leaving.temporary_directory(".export-", out.parent))
        except OSError as error:
            raise ExportError(f"{out}: cannot be written: {error.strerror}") from error
        parts = _write_parts(source, hasher, work, out_hasher, start, start_policy)
        if not parts:
            raise ExportError(f"{source}: holds no decision records")
        with leaving.held():  # all of them or none
            return _publish(parts, out)


def _write_parts(
    source: Path,
    hasher: ChainHasher,
    work: Path,
    out_hasher: ChainHasher,
    start: Head | None,
    start_policy: PolicySnapshot | None,
) -> list[ExportedPart]:
    """The parts, durable, under numbers in `work`."""
    parts: list[ExportedPart] = []
    policies: dict[str, bytes] = {}
    if start_policy is not None:
        digest_hex = start_policy.digest.hex()
        policies[digest_hex] = _policy_file(start_policy.as_dict(), digest_hex)
    current: _Part | None = None
    try:
        for entry in read_entries(source, hasher, DIALECT, start):
            for data in _records_of(entry):
                audit = _audit_of(entry, data, policies)
                if audit is None:
                    continue
                if current is None or current.audit.policy_digest_hex != audit.policy_digest_hex:
                    if current is not None:
                        parts.append(current.finish(out_hasher.keyed, policies))
                    if len(parts) == PARTS_MAX:
                        raise ExportError(f"{source}: has more than {PARTS_MAX} policies in turn")
                    current = _Part(work / f"{len(parts) + 1}{SUFFIX}", out_hasher, audit)
                current.file.append(data)
        if current is not None:
            parts.append(current.finish(out_hasher.keyed, policies))
    finally:
        if current is not None:
            current.file.close()
    return parts


class _Part:
    """The part that is being written."""

    def __init__(self, path: Path, hasher: ChainHasher, audit: _Audit) -> None:
        self.path = path
        self.audit = audit
        self.file = ChainFile(path, hasher)

    def finish(self, keyed: bool, policies: dict[str, bytes]) -> ExportedPart:
        head = self.file.finish()
        anchor_path, policy_path = _beside(self.path)
        _write_small(anchor_path, encode_anchor(anchor_of(head, keyed)))
        policy = policies.get(self.audit.policy_digest_hex)
        if policy is not None:
            _write_small(policy_path, policy)
        return ExportedPart(
            self.path,
            anchor_path,
            policy_path if policy is not None else None,
            head,
            self.audit.policy_epoch,
            self.audit.policy_digest_hex,
        )


def _records_of(entry: LocatedEntry) -> list[bytes]:
    """The records of orders that an entry holds; of any other itself alone."""
    try:
        return parts_of(entry.data)
    except RecordError as error:
        raise ExportError(f"{entry.segment}, record {entry.sequence}: {error}") from None


def _audit_of(entry: LocatedEntry, data: bytes, policies: dict[str, bytes]) -> _Audit | None:
    """The audit bundle of a decision record, None for any other; policies are noted on the way."""
    if data.startswith(_DECISION):
        try:
            return _decode_record(data).audit
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ExportError(
                f"{entry.segment}, record {entry.sequence}: its audit bundle names no policy"
            ) from None
    if data.startswith(_ACTIVATED):
        try:
            activated = _decode_activated(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ExportError(
                f"{entry.segment}, record {entry.sequence}: it activates no policy"
            ) from None
        digest_hex = activated.policy_digest_hex
        policies[digest_hex] = _policy_file(activated.policy, digest_hex)
    return None


def _policy_file(policy: object, digest_hex: str) -> bytes:
    return msgspec.json.encode({"policy": policy, "policy_digest_hex": digest_hex}) + b"\n"


def _publish(parts: list[ExportedPart], out: Path) -> list[ExportedPart]:
    """Give the parts their names, all or none."""
    published: list[ExportedPart] = []
    moves: list[tuple[Path, Path]] = []
    for number, part in enumerate(parts, 1):
        path = out if len(parts) == 1 else _numbered(out, number)
        anchor_path, policy_path = _beside(path)
        moves += [(part.path, path), (part.anchor_path, anchor_path)]
        if part.policy_path is not None:
            moves.append((part.policy_path, policy_path))
        published.append(
            ExportedPart(
                path,
                anchor_path,
                policy_path if part.policy_path is not None else None,
                part.head,
                part.policy_epoch,
                part.policy_digest_hex,
            )
        )
    _refuse_existing([new for _, new in moves])
    linked: list[Path] = []
    try:
        for old, new in moves:
            os.link(old, new)
            linked.append(new)
        fsync_directory(out.parent)
    except BaseException:
        for new in linked:
            new.unlink(missing_ok=True)
        raise
    return published


def _refuse_log(out: Path, source: Path) -> None:
    """A log's directory is only read: beside its segments OUT could pass for one of them."""
    directory = out.parent.resolve()
    if directory == source.resolve() or (directory / LOCK_NAME).is_file():
        raise ExportError(f"{out}: is in the directory of a log, which is only read")


def _refuse_existing(paths: list[Path]) -> None:
    for path in paths:
        if os.path.lexists(path):
            raise ExportError(f"{path}: is there already, and is not overwritten")


def _stem(out: Path) -> str:
    return out.name.removesuffix(SUFFIX)


def _numbered(out: Path, number: int) -> Path:
    return out.with_name(f"{_stem(out)}.{number}{SUFFIX}")


def _beside(path: Path) -> tuple[Path, Path]:
    """Where the anchor and the policy of this file stand."""
    stem = _stem(path)
    return path.with_name(f"{stem}.anchor.json"), path.with_name(f"{stem}.policy.json")


def _write_small(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, PRIVATE_FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
