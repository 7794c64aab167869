"""The tree over a log, against public vectors, a plain definition of it, and forged proofs."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wal import (
    EMPTY_ROOT,
    ChainHasher,
    Dialect,
    MerkleProofError,
    MerkleTree,
    check_consistency,
    check_inclusion,
    leaf_hash,
    leaf_of,
    node_hash,
    read_entries,
)
from wal.merkle import TREE_SIZE_MAX
from wal_support import DIALECT, KEY, SEGMENT, small_batches, unpack_vector, write_log

DATA = Path(__file__).parent.parent / "data" / "transparency"
VECTORS: dict[str, Any] = json.loads((DATA / "merkle.json").read_text())
ARGON: dict[str, Any] = json.loads((DATA / "ct_argon2020.json").read_text())
LEAVES = [leaf_hash(bytes.fromhex(text)) for text in VECTORS["leaves"]]
ROOTS = [bytes.fromhex(text) for text in VECTORS["roots"]]
SOME_HASH = bytes.fromhex(VECTORS["some_hash"])
BLIND = Dialect(lambda data: False, lambda data: None, lambda data: False)

MANY = [leaf_hash(bytes([number])) for number in range(70)]


def unhexed(vector: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(text) for text in vector["proof"]]


def unbased(texts: list[str]) -> list[bytes]:
    return [base64.b64decode(text) for text in texts]


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 9162's own definition, section 2.1.1, word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(plain_root(leaves[:split]), plain_root(leaves[split:]))


def grown(leaves: list[bytes], follow: int) -> MerkleTree:
    """The tree of these leaves, with the leaf and the tree at `follow` followed."""
    tree = MerkleTree()
    for index, leaf in enumerate(leaves):
        if index == follow:
            assert (tree.follow_next(), tree.follow_size()) == (follow, follow)
        tree.append(leaf)
    if follow == len(leaves):
        assert tree.follow_size() == follow
    return tree


def test_the_public_roots() -> None:
    assert bytes.fromhex(VECTORS["empty_root"]) == EMPTY_ROOT == MerkleTree().root()
    tree = MerkleTree()
    for size, leaf in enumerate(LEAVES, 1):
        tree.append(leaf)
        assert (tree.size, tree.root()) == (size, ROOTS[size - 1])


@pytest.mark.parametrize("vector", VECTORS["inclusion"])
def test_the_public_inclusion_proofs(vector: dict[str, Any]) -> None:
    index, size, proof = vector["leaf"] - 1, vector["size"], unhexed(vector)
    leaf, root = LEAVES[index], ROOTS[size - 1]
    check_inclusion(leaf, index, size, proof, root)
    assert grown(LEAVES[:size], index).inclusion_proof(index) == proof
    for changed in corrupt_inclusions(leaf, index, size, proof, root):
        with pytest.raises(MerkleProofError):
            check_inclusion(*changed)


def corrupt_inclusions(
    leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes
) -> Iterator[tuple[bytes, int, int, list[bytes], bytes]]:
    """What the vectors' own project tries on each of them."""
    for wrong_index in (index - 1, index + 1, index ^ 2):
        yield leaf, wrong_index, size, proof, root
    for wrong_size in (size * 2, size // 2):
        yield leaf, index, wrong_size, proof, root
    yield b"WrongLeaf", index, size, proof, root
    for wrong_root in (EMPTY_ROOT, SOME_HASH, b""):
        yield leaf, index, size, proof, wrong_root
    for extra in (b"", root):
        yield leaf, index, size, [*proof, extra], root
        yield leaf, index, size, [extra, *proof], root
    for at, part in enumerate(proof):
        flipped = bytes([part[0] ^ 8]) + part[1:]
        yield leaf, index, size, [*proof[:at], flipped, *proof[at + 1 :]], root
    if proof:
        yield leaf, index, size, proof[:-1], root
    if len(proof) > 1:
        yield leaf, index, size, [proof[0], SOME_HASH, *proof[1:]], root


@pytest.mark.parametrize("vector", VECTORS["consistency"])
def test_the_public_consistency_proofs(vector: dict[str, Any]) -> None:
    old_size, size, proof = vector["size1"], vector["size2"], unhexed(vector)
    old_root, root = ROOTS[old_size - 1], ROOTS[size - 1]
    check_consistency(old_size, old_root, size, root, proof)
    assert grown(LEAVES[:size], old_size).consistency_proof(old_size) == proof
    if not proof:
        return
    for changed in corrupt_consistencies(old_size, old_root, size, root, proof):
        with pytest.raises(MerkleProofError):
            check_consistency(*changed)


def corrupt_consistencies(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: list[bytes]
) -> Iterator[tuple[int, bytes, int, bytes, list[bytes]]]:
    for wrong_size in (old_size - 1, old_size + 1, old_size ^ 2):
        yield wrong_size, old_root, size, root, proof
    for wrong_size in (size * 2, size // 2):
        yield old_size, old_root, wrong_size, root, proof
    yield old_size, b"WrongRoot", size, root, proof
    yield old_size, old_root, size, b"WrongRoot", proof
    yield old_size, root, size, old_root, proof
    yield old_size, old_root, size, root, []
    for extra in (b"", root, old_root, proof[0]):
        yield old_size, old_root, size, root, [extra, *proof]
        if extra != proof[0]:
            yield old_size, old_root, size, root, [*proof, extra]
    yield old_size, old_root, size, root, proof[:-1]
    for at, part in enumerate(proof):
        flipped = bytes([part[0] ^ 16]) + part[1:]
        yield old_size, old_root, size, root, [*proof[:at], flipped, *proof[at + 1 :]]


def test_a_real_log_of_nearly_a_billion_entries() -> None:
    size, root = ARGON["tree_size"], base64.b64decode(ARGON["sha256_root_hash"])
    leaf = leaf_hash(base64.b64decode(ARGON["leaf_input"]))
    path = unbased(ARGON["audit_path"])
    check_inclusion(leaf, ARGON["leaf_index"], size, path, root)
    with pytest.raises(MerkleProofError, match="does not lead from the leaf to the root"):
        check_inclusion(leaf, ARGON["leaf_index"] + 2, size, path, root)
    old_size, old_root = ARGON["first"], base64.b64decode(ARGON["first_root_hash"])
    proof = unbased(ARGON["consistency"])
    check_consistency(old_size, old_root, size, root, proof)
    with pytest.raises(MerkleProofError, match="does not lead to the old root"):
        check_consistency(old_size, root, size, root, proof)


@pytest.mark.parametrize("size", [*range(20), 31, 32, 33, 47, 63, 64, 65, 70])
def test_every_place_of_a_tree_can_be_proven(size: int) -> None:
    leaves = MANY[:size]
    root = plain_root(leaves)
    for at in range(size + 1):
        tree = grown(leaves, at)
        assert tree.root() == root
        old_root = plain_root(leaves[:at])
        check_consistency(at, old_root, size, root, tree.consistency_proof(at))
        if at < size:
            check_inclusion(leaves[at], at, size, tree.inclusion_proof(at), root)


def test_many_places_followed_at_once_and_proven_as_the_tree_grows() -> None:
    tree = MerkleTree()
    for size, leaf in enumerate(MANY[:40]):
        tree.follow_next()
        tree.follow_size()
        tree.append(leaf)
        for at in range(size + 1):
            check_inclusion(MANY[at], at, size + 1, tree.inclusion_proof(at), tree.root())
            old_root = plain_root(MANY[:at])
            check_consistency(at, old_root, size + 1, tree.root(), tree.consistency_proof(at))


@given(st.data())
def test_a_forged_proof_does_not_pass(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 64))
    at = data.draw(st.integers(0, size - 1))
    tree = grown(MANY[:size], at)
    proof, root = tree.inclusion_proof(at), tree.root()
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != at))
    with pytest.raises(MerkleProofError):
        check_inclusion(MANY[other], at, size, proof, root)
    with pytest.raises(MerkleProofError):
        check_inclusion(MANY[at], other, size, proof, root)
    # A tree in which one leaf was changed is no continuation of any that held the true one.
    fork = [*MANY[:at], SOME_HASH, *MANY[at + 1 : size]]
    for known in range(at + 1, size):
        forger = grown(fork, known)
        with pytest.raises(MerkleProofError):
            check_consistency(
                known,
                plain_root(MANY[:known]),
                size,
                forger.root(),
                forger.consistency_proof(known),
            )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((SOME_HASH, 0, 0, [], SOME_HASH), "there is no leaf 0 in a tree of 0"),
        ((SOME_HASH, 1, 1, [], SOME_HASH), "there is no leaf 1 in a tree of 1"),
        ((SOME_HASH, -1, 1, [], SOME_HASH), "there is no leaf -1 in a tree of 1"),
        ((SOME_HASH, 0, TREE_SIZE_MAX + 1, [], SOME_HASH), "there is no leaf 0 in a tree of"),
        ((SOME_HASH[1:], 0, 1, [], SOME_HASH), "a hash has 32 bytes, this one has 31"),
        ((SOME_HASH, 0, 1, [SOME_HASH], SOME_HASH), "more hashes than the tree has levels"),
        ((SOME_HASH, 0, 2, [], SOME_HASH), "fewer hashes than the tree has levels"),
        ((SOME_HASH, 0, 1, [], EMPTY_ROOT), "does not lead from the leaf to the root"),
    ],
)
def test_a_wrong_inclusion_says_why(arguments: Any, reason: str) -> None:
    with pytest.raises(MerkleProofError, match=reason):
        check_inclusion(*arguments)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((2, SOME_HASH, 1, SOME_HASH, []), "a tree of 1 cannot begin with one of 2"),
        ((-1, SOME_HASH, 1, SOME_HASH, []), "a tree of 1 cannot begin with one of -1"),
        ((0, SOME_HASH, 1, SOME_HASH, []), "two different trees of 0"),
        ((1, SOME_HASH, 1, EMPTY_ROOT, []), "two different trees of 1"),
        ((0, EMPTY_ROOT, 1, SOME_HASH, [SOME_HASH]), "hashes where none is needed"),
        ((1, SOME_HASH, 1, SOME_HASH, [SOME_HASH]), "hashes where none is needed"),
        ((1, SOME_HASH, 2, SOME_HASH, []), "the proof has no hash"),
        ((1, SOME_HASH, 2, SOME_HASH, [SOME_HASH]), "does not lead to the new root"),
        ((3, SOME_HASH, 5, SOME_HASH, [SOME_HASH] * 2), "fewer hashes than the tree has levels"),
        ((3, SOME_HASH, 5, SOME_HASH, [SOME_HASH] * 9), "more hashes than the tree has levels"),
        ((1, SOME_HASH, 2, SOME_HASH, [b""]), "a hash has 32 bytes, this one has 0"),
    ],
)
def test_a_wrong_consistency_says_why(arguments: Any, reason: str) -> None:
    with pytest.raises(MerkleProofError, match=reason):
        check_consistency(*arguments)


def test_a_leaf_is_the_line_as_it_stands_in_the_file(tmp_path: Path) -> None:
    hasher = ChainHasher(KEY)
    write_log(tmp_path, hasher, small_batches(hasher))
    lines = (tmp_path / SEGMENT).read_bytes().split(b"\n")[:-1]
    assert [leaf_of(entry) for entry in read_entries(tmp_path, hasher, DIALECT)] == lines


def test_a_leaf_does_not_depend_on_the_form_of_the_envelope(tmp_path: Path) -> None:
    path = unpack_vector("unkeyed.jsonl", tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    leaves = [line[:-1] for line in lines]
    path.write_bytes(b"\n" + lines[0].replace(b'{"sequence":1,', b'{ "sequence" : 1,') + lines[1])
    assert [leaf_of(entry) for entry in read_entries(path, ChainHasher(None), BLIND)] == leaves[:2]
