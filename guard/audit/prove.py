"""Makes proofs about a log that convince who has neither the log nor its key.

Owns the pass over the log: every record is verified (the reader) and hashed into the tree; the
places that a proof is wanted for are followed on the way. Must not: write anything, or sign what
it has not read to the end.

How it works: one pass, in memory that does not grow with the log; up to an anchor where one is
given, which is the way with a log that is still written to. What was read is synced before it is
signed: a head that a power cut could take back would make its owner contradict himself. Each proof
is checked as its receiver would check it before it is handed out.

How it fails: as the reader does, for a damaged log; `NothingToProve` where the log does not hold
what is asked for; `ForkedLogError` where an older checkpoint is not one of this log.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Final

import msgspec

from guard.audit.check import check_proof
from guard.audit.claims import ORDER_EVENTS, Claim, read_claim
from guard.audit.notes import SigningKey
from guard.audit.tlog import (
    Checkpoint,
    ConsistencyProof,
    InclusionProof,
    decode_proof,
    encode_consistency_proof,
    encode_inclusion_proof,
    open_checkpoint,
    sign_checkpoint,
)
from guard.record.codec import DIALECT
from wal import (
    Anchor,
    ChainHasher,
    Entry,
    MerkleTree,
    WalError,
    leaf_hash,
    leaf_of,
    read_entries,
    sync_source,
)

# An id that returns after its window, or is refused as reused, has more records than its first.
# Beyond so many they are counted no further.
OTHER_SEQUENCES_MAX: Final = 64


class NothingToProve(ValueError):  # noqa: N818 (no error of the log: it does not hold it)
    """The log does not hold what a proof is wanted for."""


class ForkedLogError(WalError):
    """The log is not the continuation of a checkpoint that its key has signed.

    One of the two was changed: the strongest evidence there is, so keep both.
    """


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record to prove: the order `client_order_id` of `desk`, or one of its events.

    `fill_id`: that fill of it; `cancel`: its cancel; `sequence`: the record with that sequence,
    whatever the rest says (which is then None).
    """

    desk: str | None = None
    client_order_id: str | None = None
    fill_id: str | None = None
    cancel: bool = False
    sequence: int | None = None

    def test(self) -> Callable[[Entry], bool]:
        """Whether an entry is the one: cheap for all those that are not."""
        if self.sequence is not None:
            sequence = self.sequence
            return lambda entry: entry.sequence == sequence
        text = msgspec.json.encode(self.client_order_id)
        return lambda entry: text in entry.data and self._is_of(entry.data)

    def __str__(self) -> str:
        if self.sequence is not None:
            return f"record {self.sequence}"
        order = f"order {self.client_order_id} of {self.desk}"
        if self.fill_id is not None:
            return f"fill {self.fill_id} of {order}"
        return f"cancel of {order}" if self.cancel else order

    def _is_of(self, data: bytes) -> bool:
        claim = read_claim(data)
        return any(map(self._is_claimed, claim.orders or (claim,)))

    def _is_claimed(self, claim: Claim) -> bool:
        if (claim.desk, claim.client_order_id) != (self.desk, self.client_order_id):
            return False
        if self.fill_id is not None:
            return claim.event == "fill" and claim.fill_id == self.fill_id
        if self.cancel:
            return claim.event == "release"
        return claim.event in ORDER_EVENTS


@dataclass(frozen=True, slots=True)
class RecordProof:
    """The proof of one record, and the sequences of later records of the same name."""

    proof: bytes
    sequence: int
    other_sequences: tuple[int, ...]


def prove_record(
    source: Path,
    hasher: ChainHasher,
    wanted: Wanted,
    key: SigningKey,
    origin: str,
    anchor: Anchor | None = None,
) -> RecordProof:
    """The proof that the first record that is `wanted` is in the log, as its file's bytes.

    `anchor`: prove the log up to this head, which it must hold, and read no further.
    Raises WalDamage, WalError, NothingToProve, ProofFormatError for a record that is too long.
    """
    is_wanted = wanted.test()
    tree = MerkleTree()
    found: Entry | None = None
    others: list[int] = []
    for entry in _entries(source, hasher, anchor):
        if is_wanted(entry):
            if found is None:
                found = entry
                tree.follow_next()
            elif len(others) < OTHER_SEQUENCES_MAX:
                others.append(entry.sequence)
        tree.append(leaf_hash(leaf_of(entry)))
    if found is None:
        raise NothingToProve(f"{source}: no {wanted} in its {tree.size} records")
    index = found.sequence - 1
    proof = encode_inclusion_proof(
        InclusionProof(
            leaf_of(found),
            index,
            tuple(tree.inclusion_proof(index)),
            _sign(tree, key, origin),
        )
    )
    check_proof(proof, key.verifier_key, origin)
    return RecordProof(proof, found.sequence, tuple(others))


def prove_head(
    source: Path, hasher: ChainHasher, key: SigningKey, origin: str, anchor: Anchor | None = None
) -> bytes:
    """The signed checkpoint of the log's head, or of the anchor's.

    Raises WalDamage, WalError, NothingToProve.
    """
    tree = MerkleTree()
    for entry in _entries(source, hasher, anchor):
        tree.append(leaf_hash(leaf_of(entry)))
    if tree.size == 0:
        raise NothingToProve(f"{source}: holds no record")
    checkpoint = _sign(tree, key, origin)
    check_proof(checkpoint, key.verifier_key, origin)
    return checkpoint


def prove_next_head(
    source: Path, hasher: ChainHasher, old: bytes, key: SigningKey, origin: str
) -> bytes:
    """The signed checkpoint of the log's head, if the log continues that of the checkpoint `old`.

    Raises as `prove_consistency`.
    """
    proof = decode_proof(prove_consistency(source, hasher, old, key, origin))
    assert isinstance(proof, ConsistencyProof)
    return proof.checkpoint


def prove_consistency(
    source: Path,
    hasher: ChainHasher,
    old: bytes,
    key: SigningKey,
    origin: str,
    anchor: Anchor | None = None,
) -> bytes:
    """The proof that the log continues the one of the checkpoint `old`, as its file's bytes.

    `old`: a checkpoint signed by `key`, or a proof, whose checkpoint is then taken. Raises
    WalDamage, WalError, ForkedLogError, ProofFormatError, NoteError, NoteSignatureError.
    """
    decoded = decode_proof(old)
    note = decoded if isinstance(decoded, bytes) else decoded.checkpoint
    checkpoint, _ = open_checkpoint(note, key.verifier_key, origin)
    tree = MerkleTree()
    for entry in _entries(source, hasher, anchor):
        if tree.size == checkpoint.size:
            _check_same(tree, checkpoint)
        tree.append(leaf_hash(leaf_of(entry)))
    if tree.size < checkpoint.size:
        raise ForkedLogError(
            f"{source}: has {tree.size} records, and its key has signed {checkpoint.size}"
        )
    if tree.size == checkpoint.size:
        _check_same(tree, checkpoint)
    hashes = tuple(tree.consistency_proof(checkpoint.size))
    proof = encode_consistency_proof(ConsistencyProof(note, hashes, _sign(tree, key, origin)))
    check_proof(proof, key.verifier_key, origin)
    return proof


def _entries(source: Path, hasher: ChainHasher, anchor: Anchor | None) -> Iterator[Entry]:
    """Every verified record up to the anchor, or to the end; in the end, all of it durable."""
    if anchor is None or anchor.sequence:
        for entry in read_entries(source, hasher, DIALECT, anchor=anchor):
            yield entry
            if anchor is not None and entry.sequence == anchor.sequence:
                break
    sync_source(source)


def _check_same(tree: MerkleTree, checkpoint: Checkpoint) -> None:
    """The tree, as far as it is read, must be the checkpoint's; then it is followed."""
    if not compare_digest(tree.root(), checkpoint.root):
        raise ForkedLogError(
            f"the first {tree.size} records are not those that the log's key has signed"
        )
    tree.follow_size()


def _sign(tree: MerkleTree, key: SigningKey, origin: str) -> bytes:
    return sign_checkpoint(Checkpoint(origin, tree.size, tree.root()), key)
