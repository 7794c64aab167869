"""Signed heads of a log's tree, and the files in which proofs about it travel. Pure.

Owns three text forms (`guard/PROOFS.md` shows each of them): the checkpoint (C2SP
`tlog-checkpoint`), the inclusion proof (C2SP `tlog-proof`), and the consistency proof, for which no
published form stands alone: it is ours, in the manner of the second. Must not: read files, or know
what a record means.

How it works: each is decoded strictly into values, which say the same however they are read; a
signature is checked by whoever has the key (`open_checkpoint`). What an inclusion proof is about
travels in its `extra` line: it is trusted for nothing but being hashed, and so proves itself.

How it fails: `ProofFormatError`, with one clause; `guard.audit.notes` refuses signatures.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeVar

from guard.audit.notes import (
    NOTE_BYTES_MAX,
    Note,
    NoteError,
    SigningKey,
    VerifierKey,
    decode_base64,
    encode_base64,
    open_note,
    sign_note,
    split_note,
)
from wal import HASH_BYTES, TREE_SIZE_MAX

INCLUSION_HEADER: Final = "c2sp.org/tlog-proof@v1"
CONSISTENCY_HEADER: Final = "pretrade-guard/tlog-consistency@v1"
# A record of the guard takes some 1.5 kB; the one unbounded kind, a policy, is not proven alone.
LEAF_BYTES_MAX: Final = 256 * 1024
PROOF_BYTES_MAX: Final = 2 * LEAF_BYTES_MAX + 4 * NOTE_BYTES_MAX
# Of a tree of 2**64 leaves an inclusion proof has 64 hashes and a consistency proof one more.
HASHES_MAX: Final = 65

_NUMBER: Final = re.compile("0|[1-9][0-9]{0,19}")
_Value = TypeVar("_Value")


class ProofFormatError(ValueError):
    """The bytes are not a proof or a checkpoint, or not in the one form that it has."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log's tree: whose log, how many records, and the root over them.

    `extensions`: further lines of a foreign log, which mean nothing here.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That `leaf` stands at `index` (from 0) in the tree of the checkpoint (a signed note)."""

    leaf: bytes
    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the tree of one checkpoint is the beginning of that of another (both signed notes)."""

    old_checkpoint: bytes
    hashes: tuple[bytes, ...]
    checkpoint: bytes


def encode_checkpoint_text(checkpoint: Checkpoint) -> bytes:
    """The text that is signed. Raises ProofFormatError for an origin that cannot be a line."""
    lines = [checkpoint.origin, str(checkpoint.size), encode_base64(checkpoint.root)]
    text = "".join(line + "\n" for line in [*lines, *checkpoint.extensions]).encode()
    if decode_checkpoint_text(text) != checkpoint:
        raise ProofFormatError("the checkpoint cannot be written")
    return text


def decode_checkpoint_text(text: bytes) -> Checkpoint:
    """The head in a checkpoint's text. Raises ProofFormatError."""
    if not text.endswith(b"\n"):
        raise ProofFormatError("a checkpoint's text ends with a newline")
    origin, *rest = _decode(text)[:-1].split("\n")
    if not origin:
        raise ProofFormatError("the checkpoint has no origin")
    if len(rest) < 2:
        raise ProofFormatError("the checkpoint is not origin, tree size and root hash")
    size = _parse_number("tree size", rest[0])
    root = _parse_hash("root hash", rest[1])
    if "" in rest:
        raise ProofFormatError("the checkpoint has an empty line")
    return Checkpoint(origin, size, root, tuple(rest[2:]))


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """The checkpoint as a note signed by `key`. Raises ProofFormatError, NoteError."""
    return sign_note(encode_checkpoint_text(checkpoint), [key])


def open_checkpoint(note: bytes, key: VerifierKey, origin: str) -> tuple[Checkpoint, Note]:
    """The head in a note that `key` signed for the log `origin`, and the note.

    Raises NoteError, NoteSignatureError, ProofFormatError.
    """
    opened = open_note(note, [key])
    checkpoint = decode_checkpoint_text(opened.text)
    if checkpoint.origin != origin:
        raise ProofFormatError(
            f"the checkpoint is of the log {checkpoint.origin!r}, not of {origin!r}"
        )
    return checkpoint, opened


def encode_inclusion_proof(proof: InclusionProof) -> bytes:
    """The proof as a `tlog-proof` with the leaf as its extra data."""
    lines = [
        INCLUSION_HEADER,
        f"extra {encode_base64(proof.leaf)}",
        f"index {proof.index}",
        *map(encode_base64, proof.hashes),
    ]
    return _encode(lines, proof.checkpoint)


def encode_consistency_proof(proof: ConsistencyProof) -> bytes:
    """The proof as text, the old checkpoint in base64."""
    lines = [
        CONSISTENCY_HEADER,
        f"old {encode_base64(proof.old_checkpoint)}",
        *map(encode_base64, proof.hashes),
    ]
    return _encode(lines, proof.checkpoint)


def decode_proof(data: bytes) -> InclusionProof | ConsistencyProof | bytes:
    """What a proof file holds; a checkpoint alone is returned as it stands.

    Raises ProofFormatError.
    """
    if not data:
        raise ProofFormatError("the proof is empty")
    if len(data) > PROOF_BYTES_MAX:
        raise ProofFormatError(f"a proof has at most {PROOF_BYTES_MAX} bytes")
    header, _, rest = data.partition(b"\n")
    if header == INCLUSION_HEADER.encode():
        return _decode_inclusion_proof(rest)
    if header == CONSISTENCY_HEADER.encode():
        return _decode_consistency_proof(rest)
    _check_form(data, "neither a proof of a known kind nor a checkpoint")
    return data


def _decode_inclusion_proof(body: bytes) -> InclusionProof:
    lines, checkpoint = _split(body)
    leaf = _parse_bytes("extra", lines)
    index = _parse_number("index", _parse_field("index", lines))
    if len(leaf) > LEAF_BYTES_MAX:
        raise ProofFormatError(f"extra has {len(leaf)} bytes; allowed: {LEAF_BYTES_MAX}")
    return InclusionProof(leaf, index, _parse_hashes(lines), checkpoint)


def _decode_consistency_proof(body: bytes) -> ConsistencyProof:
    lines, checkpoint = _split(body)
    old_checkpoint = _parse_bytes("old", lines)
    _check_form(old_checkpoint, "the old checkpoint is none")
    return ConsistencyProof(old_checkpoint, _parse_hashes(lines), checkpoint)


def _encode(lines: list[str], checkpoint: bytes) -> bytes:
    data = "".join(line + "\n" for line in lines).encode() + b"\n" + checkpoint
    decode_proof(data)  # what cannot be read back is not written
    return data


def _split(body: bytes) -> tuple[list[str], bytes]:
    """The lines before the first empty one, and the checkpoint behind it."""
    head, empty_line, checkpoint = body.partition(b"\n\n")
    if not empty_line:
        raise ProofFormatError("the proof has no empty line before its checkpoint")
    _check_form(checkpoint, "the checkpoint is none")
    return _decode(head).split("\n")[::-1], checkpoint


def _check_form(note: bytes, what: str) -> None:
    """Refuse what cannot be a signed checkpoint; whether one signed it is not asked here."""
    try:
        decode_checkpoint_text(split_note(note)[0])
    except (NoteError, ProofFormatError) as error:
        raise ProofFormatError(f"{what}: {error}") from None


def _parse_field(name: str, lines: list[str]) -> str:
    """The value of the line `name`, which must be the next one (the last of `lines`)."""
    if not lines or not lines[-1].startswith(f"{name} "):
        raise ProofFormatError(f"the proof has no {name} where it should stand")
    return lines.pop().removeprefix(f"{name} ")


def _parse_bytes(name: str, lines: list[str]) -> bytes:
    return _some(decode_base64(_parse_field(name, lines)), f"{name} is not canonical base64")


def _parse_hashes(lines: list[str]) -> tuple[bytes, ...]:
    if len(lines) > HASHES_MAX:
        raise ProofFormatError(f"a proof has at most {HASHES_MAX} hashes")
    return tuple(_parse_hash("a hash", line) for line in reversed(lines))


def _parse_hash(name: str, text: str) -> bytes:
    found = _some(decode_base64(text), f"{name} is not canonical base64")
    if len(found) != HASH_BYTES:
        raise ProofFormatError(f"{name} has {len(found)} bytes; allowed: {HASH_BYTES}")
    return found


def _parse_number(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > TREE_SIZE_MAX:
        raise ProofFormatError(f"{name} is not a decimal number from 0 to 2^64 - 1")
    return int(text)


def _some(value: _Value | None, reason: str) -> _Value:
    if value is None:
        raise ProofFormatError(reason)
    return value


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProofFormatError("the proof is not UTF-8") from None
