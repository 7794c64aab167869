"""What the tests of proofs share: a log with its proofs, and a way to forge them."""

import itertools
from dataclasses import replace
from pathlib import Path

from guard.audit.notes import SigningKey
from guard.audit.prove import Wanted, prove_head, prove_record
from guard.audit.tlog import Checkpoint, InclusionProof, decode_proof, sign_checkpoint
from guard.recovery.checkpoint_payload import encode_state, state_digest_hex
from guard_day_support import trading_day
from guard_support import KEY, LoggedEngine, fold, order, write_log
from wal import (
    EMPTY_HEAD,
    GENESIS,
    ChainHasher,
    Head,
    LogWriter,
    MerkleTree,
    archive_segments,
    encode_line,
    leaf_hash,
    write_checkpoint,
)

NAME = "guard.example.com/log1"
SIGNING_KEY = SigningKey(NAME, bytes(range(32)))
VERIFIER_KEY = SIGNING_KEY.verifier_key
OTHER_KEY = SigningKey(NAME, bytes(range(1, 33)))
HASHER = ChainHasher(KEY)
ORDER = Wanted("desk-alpha", "A-1")


class DayLog:
    """The log of a trading day in `directory`, keyed, and what can be proven of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.records = trading_day().records
        self.head = write_log(directory, self.records)
        self.lines = (directory / "00000001.jsonl").read_bytes().splitlines()
        self.proof = prove_record(directory, HASHER, ORDER, SIGNING_KEY, NAME).proof
        self.checkpoint = prove_head(directory, HASHER, SIGNING_KEY, NAME)

    @property
    def decoded(self) -> InclusionProof:
        """The proof of the order A-1, as values."""
        proof = decode_proof(self.proof)
        assert isinstance(proof, InclusionProof)
        return proof


def tree_of(lines: list[bytes], follow: int = 0) -> MerkleTree:
    """The tree over these lines, the leaf and the tree at `follow` followed."""
    tree = MerkleTree()
    for index, line in enumerate(lines):
        if index == follow:
            tree.follow_next()
            tree.follow_size()
        tree.append(leaf_hash(line))
    return tree


def signed_head(
    lines: list[bytes], key: SigningKey = SIGNING_KEY, origin: str = NAME, **changes: object
) -> bytes:
    """The checkpoint over these lines by whoever has `key`, true or not."""
    tree = tree_of(lines)
    checkpoint = Checkpoint(origin, tree.size, tree.root())
    return sign_checkpoint(replace(checkpoint, **changes), key)  # type: ignore[arg-type]


def chained(records: list[bytes], key: bytes | None = KEY) -> list[bytes]:
    """The lines of a fresh chain over these records, without their newlines."""
    hasher, previous, lines = ChainHasher(key), GENESIS, []
    for sequence, data in enumerate(records, 1):
        entry_hash = hasher.entry_hash(previous, data)
        lines.append(encode_line(sequence, previous, entry_hash, data)[:-1])
        previous = entry_hash
    return lines


def changed(records: list[bytes], old: bytes, new: bytes) -> list[bytes]:
    """The records with the first occurrence of `old` replaced."""
    index = next(at for at, data in enumerate(records) if old in data)
    return [*records[:index], records[index].replace(old, new, 1), *records[index + 1 :]]


def flipped(line: bytes, at: int) -> bytes:
    """The line with one bit of its byte `at` flipped."""
    return line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]


def another_log() -> list[bytes]:
    """The records of a log of other orders."""
    other = LoggedEngine()
    for number in range(60):
        other.submit(order(f"Z-{number}", quantity=1 + number))
    return other.records


def archived_log(directory: Path, records: list[bytes], up_to: int) -> Head:
    """The log of these records, keyed, whose first `up_to` were archived; the head before it.

    The archived segment is in `archive` beside it.
    """
    directory.mkdir()
    ticks = itertools.count()
    with LogWriter.open(directory, HASHER, EMPTY_HEAD, monotonic_ns=lambda: next(ticks)) as writer:
        for sequence, data in enumerate(records, 1):
            writer.append(sequence, data)
            if sequence == up_to:
                head = writer.sync_now()
                writer.rotate()
        writer.sync_now()
    state = fold(records[:up_to]).state
    write_checkpoint(directory, head, state_digest_hex(state), encode_state(state), HASHER)
    archive_segments(directory, directory.parent / "archive", up_to)
    return head
