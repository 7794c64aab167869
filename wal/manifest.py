"""`checkpoints.json`: which checkpoints a log has, so that nobody without its key can plant one.

Owns: the manifest's bytes and its replacement on disk. Must not: read or judge the checkpoints
themselves (`checkpoint` does).

How it works: one line of canonical JSON, newest checkpoint first. Each entry carries a code under
the log's key over its own text, so that one bad entry does not take the others with it. Any other
form than the canonical one is damage, so that every byte counts.

How it fails: `ManifestError` for bytes that are no manifest, naming what is wrong; an entry whose
code is wrong is left out and named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from wal.chain import ChainHasher, Head, hashes_equal
from wal.entry import SEQUENCE_MAX
from wal.publish import NEW_SUFFIX, replacing
from wal.regularfile import NOT_REGULAR, read_regular
from wal.segment import MANIFEST_NAME, write_all

MANIFEST_SCHEMA: Final = "pretrade-guard.wal-checkpoints.v1"
MANIFEST_BYTES_MAX: Final = 64 * 1024  # a hundred times what the kept ones take

_MAC_DOMAIN: Final = "pretrade-guard.wal-checkpoint.v1\x00"
_HASH: Final = re.compile("[0-9a-f]{64}")


class ManifestError(ValueError):
    """The bytes are not a manifest."""


class CheckpointHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a checkpoint holds: the state after record `sequence`, whose hash is `entry_hash`.

    `payload_sha256` and `state_digest_hex` are 64 lower-case hexadecimal characters: of the file,
    and what the state's owner calls its digest.
    """

    sequence: int
    entry_hash: str
    payload_sha256: str
    payload_bytes: int
    state_digest_hex: str

    @property
    def head(self) -> Head:
        """The log's head that the state belongs to: where reading goes on."""
        return Head(self.sequence, self.entry_hash)


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """One checkpoint. `problem`: why it cannot be used, in words; None where it seems good.

    With a problem, `head` may hold no more than the sequence in the file's name. Whether the log
    still holds `head` (or ends before it) only reading from there can tell.
    """

    path: Path
    head: CheckpointHead
    problem: str | None = None


class _Listed(CheckpointHead, frozen=True, forbid_unknown_fields=True):
    mac: str


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema_version: str
    checkpoints: list[_Listed]


# Made now, not at its first use: another thread may be in the middle of that when a child is
# forked, which then has half of what msgspec knows of the type.
_decode: Final = msgspec.json.Decoder(_Manifest).decode


class Manifest(NamedTuple):
    """The entries whose code is right, newest first, and the sequences of the others."""

    heads: list[CheckpointHead]
    forged_sequences: list[int]


def is_hash(text: str) -> bool:
    """Whether `text` is 64 lower-case hexadecimal characters."""
    return _HASH.fullmatch(text) is not None


def encode_manifest(heads: list[CheckpointHead], hasher: ChainHasher) -> bytes:
    """The manifest that lists `heads`, which are in descending order."""
    listed = [_Listed(**msgspec.structs.asdict(head), mac=_mac(head, hasher)) for head in heads]
    return msgspec.json.encode(_Manifest(MANIFEST_SCHEMA, listed)) + b"\n"


def decode_manifest(data: bytes, hasher: ChainHasher) -> Manifest:
    """The manifest in `data`. Raises `ManifestError`."""
    if len(data) > MANIFEST_BYTES_MAX:
        raise ManifestError(f"it has more than {MANIFEST_BYTES_MAX} bytes")
    try:
        manifest = _decode(data)
        canonical = msgspec.json.encode(manifest) + b"\n"
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ManifestError(f"it cannot be read: {error}") from None
    if manifest.schema_version != MANIFEST_SCHEMA:
        raise ManifestError(f"its schema_version is not {MANIFEST_SCHEMA}")
    if canonical != data:
        raise ManifestError("it is not in its canonical form")
    sequences = [listed.sequence for listed in manifest.checkpoints]
    if sequences != sorted(set(sequences), reverse=True):
        raise ManifestError("its checkpoints are not in descending order")
    heads, forged = [], []
    for listed in manifest.checkpoints:
        head = CheckpointHead(*msgspec.structs.astuple(listed)[:-1])
        if _is_possible(head) and any(
            hashes_equal(_mac(head, each), listed.mac) for each in hasher.likely()
        ):
            heads.append(head)
        else:
            forged.append(head.sequence)
    return Manifest(heads, forged)


def read_manifest(directory: Path, hasher: ChainHasher) -> Manifest | None:
    """The manifest in `directory`, None where there is none. Raises `ManifestError`, `OSError`."""
    try:
        data = read_regular(directory / MANIFEST_NAME, MANIFEST_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in NOT_REGULAR:
            raise ManifestError("it is no regular file") from error
        raise
    return decode_manifest(data, hasher)


def write_manifest(directory: Path, heads: list[CheckpointHead], hasher: ChainHasher) -> None:
    """Replace the manifest, durably and in one step. Raises `OSError`, the old one being kept."""
    path = directory / MANIFEST_NAME
    beside = path.with_name(path.name + NEW_SUFFIX)
    with replacing(path, beside, place="manifest") as descriptor:
        write_all(descriptor, encode_manifest(heads, hasher))


def _mac(head: CheckpointHead, hasher: ChainHasher) -> str:
    return hasher.mac(_MAC_DOMAIN, msgspec.json.encode(head))


def _is_possible(head: CheckpointHead) -> bool:
    return (
        0 < head.sequence <= SEQUENCE_MAX
        and head.payload_bytes >= 0
        and is_hash(head.entry_hash)
        and is_hash(head.payload_sha256)
        and is_hash(head.state_digest_hex)
    )
