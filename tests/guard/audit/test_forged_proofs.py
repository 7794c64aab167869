"""The tampering list, proofs: every way to forge one that we thought of, each with its reason.

A forger has the proof, the log and every key but the log's signing key; the rows of a lying owner
have that key too, and are refused for what anyone can see. `tests/guard/audit/test_forged_logs.py`
is the list of forged logs.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.audit.check import PROOF_ERRORS, check_proof
from guard.audit.notes import SigningKey, encode_base64, sign_note, split_note
from guard.audit.tlog import (
    CONSISTENCY_HEADER,
    INCLUSION_HEADER,
    Checkpoint,
    ConsistencyProof,
    InclusionProof,
    encode_checkpoint_text,
    encode_consistency_proof,
    encode_inclusion_proof,
    sign_checkpoint,
)
from guard_audit_support import (
    NAME,
    OTHER_KEY,
    SIGNING_KEY,
    VERIFIER_KEY,
    DayLog,
    chained,
    changed,
    flipped,
    signed_head,
    tree_of,
)
from wal import leaf_hash


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> DayLog:
    return DayLog(tmp_path_factory.mktemp("day"))


def order_proof(day: DayLog, **changes: object) -> bytes:
    """The proof of the order, with other values in it."""
    return encode_inclusion_proof(replace(day.decoded, **changes))  # type: ignore[arg-type]


def proof_by(
    lines: list[bytes], index: int, key: SigningKey = SIGNING_KEY, origin: str = NAME
) -> bytes:
    """An inclusion proof as a lying owner would make it: a tree over any leaves, truly signed."""
    tree = tree_of(lines, index)
    checkpoint = signed_head(lines, key, origin)
    hashes = tuple(tree.inclusion_proof(index))
    return encode_inclusion_proof(InclusionProof(lines[index], index, hashes, checkpoint))


def resigned(day: DayLog, key: SigningKey, *, name: str = NAME) -> bytes:
    """The true checkpoint with a signature of `key` under this name and the true key's id."""
    text, _ = split_note(day.checkpoint)
    signature = encode_base64(VERIFIER_KEY.key_id + key.sign(text).signature)
    return text + f"\n— {name} {signature}\n".encode()


def with_text(day: DayLog, old: bytes, new: bytes) -> bytes:
    """The proof with one change in its bytes."""
    assert old in day.proof, old
    return day.proof.replace(old, new, 1)


def consistency_of(
    old: bytes, new: bytes, lines: list[bytes], size: int, **changes: object
) -> bytes:
    proof = ConsistencyProof(old, tuple(tree_of(lines, size).consistency_proof(size)), new)
    return encode_consistency_proof(replace(proof, **changes))  # type: ignore[arg-type]


def forked(day: DayLog) -> list[bytes]:
    return chained(changed(day.records, b'"by":"tester"', b'"by":"nobody"'))


def inner_node(day: DayLog) -> bytes:
    """The order's leaf replaced by the node above it, as if the node were a leaf."""
    true = day.decoded
    pair = [leaf_hash(true.leaf), true.hashes[0]][:: -1 if true.index & 1 else 1]
    return order_proof(day, leaf=b"".join(pair), index=true.index >> 1, hashes=true.hashes[1:])


SIZE = "there is no leaf|more hashes than|fewer hashes than|from the leaf to the root"
ROOT = "does not lead from the leaf to the root"
TEXT = "is not over this text"
NO_KEY = "no trusted key has signed"

PROOFS: tuple[tuple[str, Callable[[DayLog], bytes], str], ...] = (
    (
        "a flipped bit in the record",
        lambda d: order_proof(d, leaf=flipped(d.decoded.leaf, 300)),
        ROOT,
    ),
    ("another record under the proof", lambda d: order_proof(d, leaf=d.lines[9]), ROOT),
    (
        "another answer in the record",
        lambda d: order_proof(
            d, leaf=d.decoded.leaf.replace(b'"type":"admit"', b'"type":"reject"')
        ),
        ROOT,
    ),
    (
        "the record of a forged log",
        lambda d: order_proof(
            d, leaf=chained(changed(d.records, b'"A-1"', b'"A-X"'))[d.decoded.index]
        ),
        ROOT,
    ),
    ("a node of the tree as a leaf", inner_node, SIZE),
    ("a leaf index one lower", lambda d: order_proof(d, index=d.decoded.index - 1), SIZE),
    ("a leaf index one higher", lambda d: order_proof(d, index=d.decoded.index + 1), SIZE),
    (
        "a leaf index beyond the tree",
        lambda d: order_proof(d, index=len(d.lines)),
        "there is no leaf",
    ),
    ("the largest index", lambda d: order_proof(d, index=2**64 - 1), "there is no leaf"),
    (
        "an index beyond the largest",
        lambda d: with_text(d, b"index ", b"index 99999999999999999999"),
        "index is not a decimal number",
    ),
    ("a hash too few", lambda d: order_proof(d, hashes=d.decoded.hashes[:-1]), SIZE),
    (
        "a hash too many",
        lambda d: order_proof(d, hashes=(*d.decoded.hashes, d.decoded.hashes[0])),
        SIZE,
    ),
    ("no hash", lambda d: order_proof(d, hashes=()), SIZE),
    (
        "two hashes swapped",
        lambda d: order_proof(
            d, hashes=(d.decoded.hashes[1], d.decoded.hashes[0], *d.decoded.hashes[2:])
        ),
        ROOT,
    ),
    (
        "a flipped bit in a hash",
        lambda d: order_proof(d, hashes=(*d.decoded.hashes[:-1], flipped(d.decoded.hashes[-1], 0))),
        ROOT,
    ),
    (
        "another tree size in the note",
        lambda d: order_proof(
            d,
            checkpoint=d.checkpoint.replace(
                b"\n%d\n" % len(d.lines), b"\n%d\n" % (len(d.lines) + 1)
            ),
        ),
        TEXT,
    ),
    (
        "another root in the note",
        lambda d: order_proof(
            d,
            checkpoint=signed_head(forked(d)).partition(b"\n\n")[0]
            + b"\n\n"
            + d.checkpoint.partition(b"\n\n")[2],
        ),
        TEXT,
    ),
    (
        "a line added to the note",
        lambda d: order_proof(d, checkpoint=d.checkpoint.replace(b"\n\n", b"\nextension\n\n")),
        TEXT,
    ),
    (
        "a wrong tree size, signed",
        lambda d: order_proof(d, checkpoint=signed_head(d.lines, size=2 * len(d.lines))),
        SIZE,
    ),
    (
        "the head of a shorter log, signed",
        lambda d: order_proof(d, checkpoint=signed_head(d.lines[:-1])),
        SIZE,
    ),
    (
        "the head of a forged log, signed",
        lambda d: order_proof(d, checkpoint=signed_head(forked(d))),
        ROOT,
    ),
    ("the signature of another key", lambda d: proof_by(d.lines, 9, OTHER_KEY), NO_KEY),
    (
        "another key under the true key's id",
        lambda d: order_proof(d, checkpoint=resigned(d, OTHER_KEY)),
        TEXT,
    ),
    (
        "the true key under another name",
        lambda d: order_proof(d, checkpoint=resigned(d, SIGNING_KEY, name="other.example.com")),
        NO_KEY,
    ),
    (
        "the true signature over another text",
        lambda d: order_proof(
            d, checkpoint=b"other.example.com" + d.checkpoint.removeprefix(NAME.encode())
        ),
        TEXT,
    ),
    (
        "another log of the same key",
        lambda d: proof_by(d.lines, 9, origin="guard.example.com/log2"),
        "is of the log 'guard.example.com/log2', not of",
    ),
    (
        "no signature",
        lambda d: with_text(d, d.checkpoint.partition(b"\n\n")[2], b""),
        "is no text, empty line and signatures",
    ),
    (
        "something else signed",
        lambda d: with_text(d, d.checkpoint, sign_note(b"hi\n", [SIGNING_KEY])),
        "the checkpoint is none",
    ),
    (
        "a signed note that is no head",
        lambda d: sign_note(b"hi\n", [SIGNING_KEY]),
        "neither a proof of a known kind nor a checkpoint",
    ),
    (
        "base64 that is not canonical",
        lambda d: with_text(d, b"=\n\n", b"\n\n"),
        "not canonical base64",
    ),
    (
        "base64 with a space in it",
        lambda d: with_text(d, b"extra ", b"extra  "),
        "not canonical base64",
    ),
    (
        "a number with a zero before it",
        lambda d: with_text(d, b"index ", b"index 0"),
        "is not a decimal",
    ),
    ("lines ended by CR LF", lambda d: d.proof.replace(b"\n", b"\r\n"), "neither a proof"),
    ("cut off", lambda d: d.proof[:-40], "the checkpoint is none"),
    ("something behind it", lambda d: d.proof + b"and more\n", "the checkpoint is none"),
    (
        "of another version",
        lambda d: with_text(d, b"@v1", b"@v9"),
        "neither a proof of a known kind",
    ),
    (
        "as a proof of the other kind",
        lambda d: with_text(d, INCLUSION_HEADER.encode(), CONSISTENCY_HEADER.encode()),
        "the proof has no old where",
    ),
    (
        "a lying owner: a leaf that is no record",
        lambda d: proof_by([*d.lines, b"admitted!"], len(d.lines)),
        "the line is not JSON",
    ),
    (
        "a lying owner: a record in another form",
        lambda d: proof_by([*d.lines[:9], d.lines[9].replace(b"{", b"{ ", 1), *d.lines[10:]], 9),
        "not a record in the log's",
    ),
    (
        "a lying owner: a record at another place",
        lambda d: proof_by([*d.lines[:9], d.lines[10], d.lines[9], *d.lines[11:]], 9),
        "leaf at 9 is record 11",
    ),
    (
        "consistency: a fork",
        lambda d: consistency_of(
            d.checkpoint, signed_head([*forked(d), b"more"]), [*forked(d), b"more"], len(d.lines)
        ),
        "does not lead to the old root",
    ),
    (
        "consistency: a fork of the same size",
        lambda d: consistency_of(d.checkpoint, signed_head(forked(d)), d.lines, len(d.lines)),
        "two different trees of",
    ),
    (
        "consistency: backwards",
        lambda d: consistency_of(d.checkpoint, signed_head(d.lines[:-1]), d.lines, 0),
        "cannot begin with one of",
    ),
    (
        "consistency: no hash",
        lambda d: consistency_of(signed_head(d.lines[:9]), d.checkpoint, d.lines, 9, hashes=()),
        "the proof has no hash",
    ),
    (
        "consistency: a hash too many",
        lambda d: consistency_of(
            signed_head(d.lines[:9]), d.checkpoint, d.lines, 9, hashes=(bytes(32),) * 20
        ),
        "more hashes than the tree has levels",
    ),
    (
        "consistency: a hash changed",
        lambda d: consistency_of(
            signed_head(d.lines[:9]),
            d.checkpoint,
            d.lines,
            9,
            hashes=(*tree_of(d.lines, 9).consistency_proof(9)[:-1], bytes(32)),
        ),
        "does not lead to the",
    ),
    (
        "consistency: another size said of the old tree",
        lambda d: consistency_of(signed_head(d.lines[:9], size=10), d.checkpoint, d.lines, 9),
        "does not lead|hashes than",
    ),
    (
        "consistency: the old head by another key",
        lambda d: consistency_of(signed_head(d.lines[:9], OTHER_KEY), d.checkpoint, d.lines, 9),
        NO_KEY,
    ),
    (
        "consistency: the new head by another key",
        lambda d: consistency_of(
            signed_head(d.lines[:9]), signed_head(d.lines, OTHER_KEY), d.lines, 9
        ),
        NO_KEY,
    ),
    (
        "consistency: the old head of another log",
        lambda d: consistency_of(signed_head(d.lines[:9], origin="x"), d.checkpoint, d.lines, 9),
        "is of the log 'x', not of",
    ),
    (
        "consistency: an empty log with a root",
        lambda d: consistency_of(
            sign_checkpoint(Checkpoint(NAME, 0, bytes(32)), SIGNING_KEY), d.checkpoint, d.lines, 0
        ),
        "two different trees of 0",
    ),
)


@pytest.mark.parametrize(
    ("forge", "reason"), [row[1:] for row in PROOFS], ids=[r[0] for r in PROOFS]
)
def test_a_forged_proof_is_refused(
    forge: Callable[[DayLog], bytes], reason: str, day: DayLog
) -> None:
    with pytest.raises(PROOF_ERRORS, match=reason):
        check_proof(forge(day), VERIFIER_KEY, NAME)


@pytest.mark.slow
def test_no_flipped_bit_of_a_proof_passes(day: DayLog) -> None:
    """Of every byte one bit, of every kind of proof."""
    old = signed_head(day.lines[:9])
    consistency = consistency_of(old, day.checkpoint, day.lines, 9)
    for proof in (day.proof, consistency, day.checkpoint):
        check_proof(proof, VERIFIER_KEY, NAME)
        for at in range(len(proof)):
            damaged = proof[:at] + bytes([proof[at] ^ 1 << at % 8]) + proof[at + 1 :]
            with pytest.raises(PROOF_ERRORS):
                check_proof(damaged, VERIFIER_KEY, NAME)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_stands_in_a_proof_it_is_refused_in_words(
    day: DayLog, data: st.DataObject
) -> None:
    """Pieces of true proofs put together, and pieces of nothing: only the errors that are meant."""
    true = (day.proof, day.checkpoint, consistency_of(
        signed_head(day.lines[:9]), day.checkpoint, day.lines, 9))  # fmt: skip
    pieces = [line for proof in true for line in proof.splitlines(keepends=True)]
    piece = st.sampled_from(pieces) | st.binary(max_size=40) | st.just(b"\n")
    forged = b"".join(data.draw(st.lists(piece, max_size=20)))
    with pytest.raises(PROOF_ERRORS):
        check_proof(forged, VERIFIER_KEY, NAME)
    start = data.draw(st.integers(0, len(day.proof)))
    end = data.draw(st.integers(start, len(day.proof)))
    spliced = day.proof[:start] + data.draw(st.binary(max_size=9)) + day.proof[end:]
    if spliced != day.proof:
        with pytest.raises(PROOF_ERRORS):
            check_proof(spliced, VERIFIER_KEY, NAME)


def test_signatures_of_unknown_keys_beside_the_true_one_are_ignored(day: DayLog) -> None:
    text = encode_checkpoint_text(Checkpoint(NAME, len(day.lines), tree_of(day.lines).root()))
    note = sign_note(text, [OTHER_KEY, SIGNING_KEY, SigningKey("witness.example.com", bytes(32))])
    check_proof(order_proof(day, checkpoint=note), VERIFIER_KEY, NAME)
