"""Checks a proof with nothing but the proof and the log's public key. Pure.

Owns what a proof file must show before anything in it is believed, in this order: its form; the
signature of the log's key, over a checkpoint of the log that is meant; the way from the leaf, or
from the older tree, to the signed root; and that the leaf is a whole record at the place of its
sequence. Must not: need the log, a secret, or a clock.

What it does not show: that the log's owner gave the same log to everyone. Two checkpoints that are
not consistent show the opposite, whoever compares them.

How it fails: `ProofFormatError`, `NoteError`, `NoteSignatureError`, and of the `WalInputError`
family `MerkleProofError` and `WalEntryError`: every one a ValueError that says what is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from guard.audit.claims import Claim, read_claim
from guard.audit.notes import NoteError, NoteSignatureError, VerifierKey, open_note
from guard.audit.tlog import (
    Checkpoint,
    ConsistencyProof,
    InclusionProof,
    ProofFormatError,
    decode_proof,
    open_checkpoint,
)
from wal import (
    Entry,
    MerkleProofError,
    WalEntryError,
    check_consistency,
    check_inclusion,
    leaf_hash,
    leaf_of,
    parse_line,
)


@dataclass(frozen=True, slots=True)
class ProvenRecord:
    """The record `entry` is in the log whose head `checkpoint` is; `claim` says what it says."""

    checkpoint: Checkpoint
    entry: Entry
    claim: Claim


@dataclass(frozen=True, slots=True)
class ProvenConsistency:
    """The log of `old` is the beginning of that of `checkpoint`: nothing of it was changed."""

    checkpoint: Checkpoint
    old: Checkpoint


@dataclass(frozen=True, slots=True)
class ProvenHead:
    """`checkpoint` is a head that the log's key vouches for."""

    checkpoint: Checkpoint


Proven = ProvenRecord | ProvenConsistency | ProvenHead

# All that `check_proof` raises.
PROOF_ERRORS = (ProofFormatError, NoteError, MerkleProofError, WalEntryError)


def check_proof(data: bytes, key: VerifierKey, origin: str) -> Proven:
    """What the proof file `data` proves of the log `origin`, whose key is `key`.

    Raises one of PROOF_ERRORS for a proof that is damaged, false, of another log or by another key.
    """
    proof = decode_proof(data)
    if isinstance(proof, InclusionProof):
        return _check_record(proof, key, origin)
    if isinstance(proof, ConsistencyProof):
        return _check_consistency(proof, key, origin)
    return ProvenHead(open_checkpoint(proof, key, origin)[0])


def check_witnesses(data: bytes, witnesses: Sequence[VerifierKey]) -> None:
    """Sees that each of them, too, has signed the head that a proof stands on.

    Raises one of PROOF_ERRORS.
    """
    proof = decode_proof(data)
    note = proof if isinstance(proof, bytes) else proof.checkpoint
    for witness in witnesses:
        try:
            open_note(note, [witness])
        except NoteSignatureError as error:
            raise NoteSignatureError(f"witness {witness.name}: {error}") from error


def _check_record(proof: InclusionProof, key: VerifierKey, origin: str) -> ProvenRecord:
    checkpoint, _ = open_checkpoint(proof.checkpoint, key, origin)
    leaf = leaf_hash(proof.leaf)
    check_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    entry = parse_line(proof.leaf + b"\n")
    if leaf_of(entry) != proof.leaf:
        raise ProofFormatError("the leaf is not a record in the log's own form")
    if entry.sequence != proof.index + 1:
        raise ProofFormatError(
            f"the leaf at {proof.index} is record {entry.sequence}, which stands elsewhere"
        )
    return ProvenRecord(checkpoint, entry, read_claim(entry.data))


def _check_consistency(proof: ConsistencyProof, key: VerifierKey, origin: str) -> ProvenConsistency:
    checkpoint, _ = open_checkpoint(proof.checkpoint, key, origin)
    old, _ = open_checkpoint(proof.old_checkpoint, key, origin)
    check_consistency(old.size, old.root, checkpoint.size, checkpoint.root, proof.hashes)
    return ProvenConsistency(checkpoint, old)
