"""The Merkle tree over a log's records, with proofs that need no log. Pure.

Owns: what a leaf is, the tree's hashes, and both kinds of proof, made and checked: that a record
is in the tree (inclusion), and that one tree is the beginning of another (consistency). Must not:
read files, sign, or know the text forms in which proofs travel (`guard.audit` does).

How it works: RFC 9162, section 2.1 (RFC 6962 hashes the same): a leaf is `SHA-256(0x00 || leaf)`, a
node `SHA-256(0x01 || left || right)`, and the left side of a node with `n` leaves holds the largest
power of two below `n`. A tree that only grows is kept as the roots of its whole subtrees, one for
each bit of its size; a proof is gathered while the tree grows past its place. Leaves are not kept:
memory is some 64 hashes for the tree and for each place followed, whatever the log's length.

A node is named by its level (0: leaves) and its index in that level, counted from 0: node (l, i)
covers the leaves from `i * 2**l` on, `2**l` of them.

How it fails: `MerkleProofError` for a proof that does not prove it, saying why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from wal.entry import Entry, encode_line
from wal.errors import MerkleProofError, WalInputError, WalInvariantError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256().digest()  # of the tree without a leaf
TREE_SIZE_MAX: Final = 2**64 - 1  # as many leaves as there are sequences

_LEAF_PREFIX: Final = b"\x00"
_NODE_PREFIX: Final = b"\x01"


def leaf_of(entry: Entry) -> bytes:
    """A record as a leaf: its line in our exact form, without the newline.

    A record of a foreign log whose envelope has another form is the same leaf.
    """
    return encode_line(entry.sequence, entry.previous_hash, entry.entry_hash, entry.data)[:-1]


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf, 32 bytes."""
    return sha256(_LEAF_PREFIX + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node from those of its sides, 32 bytes."""
    return sha256(_NODE_PREFIX + left + right).digest()


class MerkleTree:
    """A tree that grows leaf by leaf, and the proofs about the places that were followed."""

    def __init__(self) -> None:
        self._size = 0
        # The roots of the whole subtrees, the largest first: one for each bit of the size.
        self._roots: list[bytes] = []
        # Nodes that a followed place's proof may need; None until the tree has them.
        self._kept: dict[tuple[int, int], bytes | None] = {}

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return self._size

    def append(self, leaf: bytes) -> None:
        """Add the leaf whose hash is `leaf`."""
        if len(leaf) != HASH_BYTES:
            raise WalInputError(f"leaf: {len(leaf)} bytes are not allowed; allowed: {HASH_BYTES}")
        kept = self._kept
        node, level, index = leaf, 0, self._size
        if (0, index) in kept:
            kept[0, index] = node
        while index & 1:
            node = sha256(_NODE_PREFIX + self._roots.pop() + node).digest()
            level += 1
            index >>= 1
            if (level, index) in kept:
                kept[level, index] = node
        self._roots.append(node)
        self._size += 1

    def root(self) -> bytes:
        """The root hash of the tree as it is now, 32 bytes."""
        return _fold(self._roots) if self._roots else EMPTY_ROOT

    def follow_next(self) -> int:
        """Follow the leaf that is appended next, so that its inclusion can be proven; its index."""
        self._follow(0, self._size, self._roots)
        return self._size

    def follow_size(self) -> int:
        """Follow the tree of now, so that its consistency with later ones can be proven."""
        if self._roots:
            level = _trailing_zeros(self._size)
            index = (self._size >> level) - 1
            self._follow(level, index, self._roots[:-1])
            self._kept[level, index] = self._roots[-1]
        return self._size

    def forget_followed(self) -> None:
        """Follow no place any more; what is proven needs no more memory."""
        self._kept.clear()

    def inclusion_proof(self, index: int) -> list[bytes]:
        """The proof that the followed leaf `index` is in the tree of now, from the leaf upwards."""
        if not 0 <= index < self._size:
            raise WalInputError(f"index: {index} is not allowed; allowed: 0 to {self._size - 1}")
        return self._path(0, index)

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """The proof that the followed tree of `old_size` leaves is the beginning of that of now."""
        if not 0 <= old_size <= self._size:
            raise WalInputError(f"old_size: {old_size} is not allowed; allowed: 0 to {self._size}")
        if old_size in (0, self._size):
            return []
        level = _trailing_zeros(old_size)
        index = (old_size >> level) - 1
        path = self._path(level, index)
        if index == 0:  # the old tree is a whole subtree: whoever checks has its root already
            return path
        return [self._node(level, index), *path]

    def _follow(self, level: int, index: int, left_roots: Sequence[bytes]) -> None:
        """Keep what the path of node (level, index) will need.

        `left_roots`: the roots of the whole subtrees before it, the largest first; they are its
        siblings on the left.
        """
        lefts = list(left_roots)
        for height in range(level, TREE_SIZE_MAX.bit_length()):
            sibling = (height, (index >> (height - level)) ^ 1)
            if (index >> (height - level)) & 1:
                self._kept[sibling] = lefts.pop()
            else:
                self._kept[sibling] = None  # nothing behind the place is there yet
        if lefts:
            raise WalInvariantError(f"the tree has {len(lefts)} roots too many")

    def _node(self, level: int, index: int) -> bytes:
        node = self._kept.get((level, index))
        if node is None:
            raise WalInvariantError(f"node {index} of level {level} was not followed")
        return node

    def _path(self, level: int, index: int) -> list[bytes]:
        """The siblings from node (level, index) up to the root of the tree of now."""
        at, top = _subtree_of(self._size, index << level)
        siblings = [
            self._node(height, (index >> (height - level)) ^ 1) for height in range(level, top)
        ]
        behind = self._roots[at + 1 :]
        if behind:
            siblings.append(_fold(behind))
        return siblings + self._roots[:at][::-1]


def check_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf with hash `leaf` stands at `index` in the tree of that size and root.

    Hashes of 32 bytes, the proof from the leaf upwards (RFC 9162, section 2.1.3.2). Raises
    `MerkleProofError`.
    """
    _check_shape([leaf, root, *proof])
    if not 0 <= index < size <= TREE_SIZE_MAX:
        raise MerkleProofError(f"there is no leaf {index} in a tree of {size}")
    node = leaf
    for sibling, is_left in _upwards(index, size - 1, proof):
        node = node_hash(sibling, node) if is_left else node_hash(node, sibling)
    if not compare_digest(node, root):
        raise MerkleProofError("the proof does not lead from the leaf to the root")


def check_consistency(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the old tree is the beginning of the tree of that size and root.

    Hashes of 32 bytes (RFC 9162, section 2.1.4.2). Raises `MerkleProofError`.
    """
    _check_shape([old_root, root, *proof])
    if not 0 <= old_size <= size <= TREE_SIZE_MAX:
        raise MerkleProofError(f"a tree of {size} cannot begin with one of {old_size}")
    if old_size in (0, size):
        if proof:
            raise MerkleProofError("the proof has hashes where none is needed")
        if not compare_digest(old_root, root if old_size else EMPTY_ROOT):
            raise MerkleProofError(f"two different trees of {old_size}")
        return
    if not proof:
        raise MerkleProofError("the proof has no hash")
    # A whole subtree as the old tree is known to whoever checks, and left out of the proof.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    number, last = old_size - 1, size - 1
    while number & 1:
        number >>= 1
        last >>= 1
    old_node = node = path[0]
    for sibling, is_left in _upwards(number, last, path[1:]):
        if is_left:
            old_node = node_hash(sibling, old_node)
        node = node_hash(sibling, node) if is_left else node_hash(node, sibling)
    if not compare_digest(old_node, old_root):
        raise MerkleProofError("the proof does not lead to the old root")
    if not compare_digest(node, root):
        raise MerkleProofError("the proof does not lead to the new root")


def _upwards(number: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each hash of a proof, and whether it stands on the left of what has been made so far.

    From the node `number` of a level up to the root; `last` is that level's last node. Raises
    `MerkleProofError` where the proof has not as many hashes as the way has levels.
    """
    for sibling in proof:
        if last == 0:
            raise MerkleProofError("the proof has more hashes than the tree has levels")
        is_left = bool(number & 1) or number == last
        yield sibling, is_left
        if is_left:
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        number >>= 1
        last >>= 1
    if last:
        raise MerkleProofError("the proof has fewer hashes than the tree has levels")


def _check_shape(hashes: Sequence[bytes]) -> None:
    for found in hashes:
        if len(found) != HASH_BYTES:
            raise MerkleProofError(f"a hash has {HASH_BYTES} bytes, this one has {len(found)}")


def _fold(roots: Sequence[bytes]) -> bytes:
    """The root over whole subtrees that stand beside each other, the largest first."""
    node = roots[-1]
    for left in reversed(roots[:-1]):
        node = node_hash(left, node)
    return node


def _subtree_of(size: int, leaf_index: int) -> tuple[int, int]:
    """Of the whole subtrees of a tree, the one that holds a leaf: its place among them, its level.

    The place counts from 0, the largest subtree first.
    """
    at = start = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            if leaf_index < start + (1 << level):
                return at, level
            start += 1 << level
            at += 1
    raise AssertionError(f"no leaf {leaf_index} in a tree of {size}")


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1
