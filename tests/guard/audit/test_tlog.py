"""Checkpoints and proof files: their text, and all that is not quite their text."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.notes import (
    NoteSignatureError,
    encode_base64,
    parse_verifier_key,
    sign_note,
)
from guard.audit.tlog import (
    CONSISTENCY_HEADER,
    INCLUSION_HEADER,
    LEAF_BYTES_MAX,
    PROOF_BYTES_MAX,
    Checkpoint,
    ConsistencyProof,
    InclusionProof,
    ProofFormatError,
    decode_checkpoint_text,
    decode_proof,
    encode_checkpoint_text,
    encode_consistency_proof,
    encode_inclusion_proof,
    open_checkpoint,
    sign_checkpoint,
)
from guard_audit_support import NAME, OTHER_KEY, SIGNING_KEY, VERIFIER_KEY
from wal import leaf_hash

DATA = Path(__file__).parent.parent.parent / "data" / "transparency"
VECTORS: dict[str, Any] = json.loads((DATA / "notes.json").read_text())
ROOT = bytes(range(32))
ROOT_TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
HEAD = Checkpoint(NAME, 44, ROOT)
NOTE = sign_checkpoint(HEAD, SIGNING_KEY)
PROOF = InclusionProof(b"leaf", 7, (ROOT, ROOT[::-1]), NOTE)
TEXT = encode_inclusion_proof(PROOF)
CONSISTENCY = ConsistencyProof(NOTE, (ROOT,), NOTE)
CONSISTENCY_TEXT = encode_consistency_proof(CONSISTENCY)


def test_the_checkpoints_text() -> None:
    text = f"{NAME}\n44\n{ROOT_TEXT}\n".encode()
    assert encode_checkpoint_text(HEAD) == text
    assert decode_checkpoint_text(text) == HEAD
    assert NOTE.startswith(text + "\n— guard.example.com/log1 ".encode())
    assert open_checkpoint(NOTE, VERIFIER_KEY, NAME)[0] == HEAD
    extended = Checkpoint("a b+c", 0, ROOT, ("one", "two"))
    assert decode_checkpoint_text(encode_checkpoint_text(extended)) == extended


def test_a_real_checkpoint_of_another_log() -> None:
    key = parse_verifier_key(VECTORS["sum_verifier_key"])
    note = VECTORS["sum_checkpoint"].encode()
    checkpoint, opened = open_checkpoint(note, key, "go.sum database tree")
    assert (checkpoint.size, checkpoint.root[:3].hex()) == (6_476_701, "99bf10")
    assert len(opened.verified) == 1
    with pytest.raises(ProofFormatError, match=r"is of the log 'go\.sum database tree', not of"):
        open_checkpoint(note, key, "Go rocks but I might have the wrong ID")


def test_the_public_head_of_a_tree() -> None:
    text = VECTORS["sum_checkpoint"].encode()
    hello = Checkpoint("go.sum database tree", 123_456_789_012, leaf_hash(b"hello world"))
    line = b"go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n"
    assert encode_checkpoint_text(hello) == line
    assert text.startswith(b"go.sum database tree\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{NAME}\n44\n{ROOT_TEXT}", "ends with a newline"),
        ("", "ends with a newline"),
        (f"\n44\n{ROOT_TEXT}\n", "has no origin"),
        (f"{NAME}\n44\n", "is not origin, tree size and root hash"),
        (f"{NAME}\n\n{ROOT_TEXT}\n", "tree size is not a decimal number"),
        (f"{NAME}\n044\n{ROOT_TEXT}\n", "tree size is not a decimal number"),
        (f"{NAME}\n+44\n{ROOT_TEXT}\n", "tree size is not a decimal number"),
        (f"{NAME}\n-1\n{ROOT_TEXT}\n", "tree size is not a decimal number"),
        (f"{NAME}\n 44\n{ROOT_TEXT}\n", "tree size is not a decimal number"),
        (f"{NAME}\n٤٤\n{ROOT_TEXT}\n", "tree size is not a decimal number"),
        (f"{NAME}\n{2**64}\n{ROOT_TEXT}\n", "tree size is not a decimal number"),
        (f"{NAME}\n3438945738945739845734895735\n{ROOT_TEXT}\n", "tree size is not a decimal"),
        (f"{NAME}\n44\n{ROOT_TEXT[:-1]}\n", "root hash is not canonical base64"),
        (f"{NAME}\n44\n{ROOT_TEXT[:-2]}9=\n", "root hash is not canonical base64"),
        (f"{NAME}\n44\nYmFuYW5hcw==\n", "root hash has 7 bytes; allowed: 32"),
        (f"{NAME}\n44\n{ROOT_TEXT}\n\n", "has an empty line"),
    ],
)
def test_what_is_no_checkpoint(text: str, reason: str) -> None:
    with pytest.raises(ProofFormatError, match=reason):
        decode_checkpoint_text(text.encode())


@pytest.mark.parametrize("origin", ["", "two\nlines"])
def test_an_origin_that_is_no_line(origin: str) -> None:
    with pytest.raises(ProofFormatError):
        encode_checkpoint_text(Checkpoint(origin, 1, ROOT))


def test_the_inclusion_proofs_text_is_the_published_one() -> None:
    lines = [
        "c2sp.org/tlog-proof@v1",
        "extra bGVhZg==",
        "index 7",
        ROOT_TEXT,
        encode_base64(ROOT[::-1]),
        "",
    ]
    assert "".join(f"{line}\n" for line in lines).encode() + NOTE == TEXT
    assert decode_proof(TEXT) == PROOF
    alone = InclusionProof(b"", 0, (), NOTE)
    assert decode_proof(encode_inclusion_proof(alone)) == alone


def test_the_consistency_proofs_text() -> None:
    lines = ["pretrade-guard/tlog-consistency@v1", f"old {encode_base64(NOTE)}", ROOT_TEXT, ""]
    assert "".join(f"{line}\n" for line in lines).encode() + NOTE == CONSISTENCY_TEXT
    assert decode_proof(CONSISTENCY_TEXT) == CONSISTENCY
    assert decode_proof(NOTE) == NOTE


def changed(old: bytes, new: bytes, text: bytes = TEXT) -> bytes:
    assert old in text, old
    return text.replace(old, new, 1)


HASH_LINE = ROOT_TEXT.encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the proof is empty"),
        (b"a" * (PROOF_BYTES_MAX + 1), "a proof has at most"),
        (b"not a proof\n", "neither a proof of a known kind nor a checkpoint"),
        (changed(b"@v1", b"@v2"), "neither a proof of a known kind nor a checkpoint"),
        (changed(b"\n", b"\r\n"), "neither a proof of a known kind nor a checkpoint"),
        (changed(b"extra bGVhZg==\n", b""), "has no extra where it should stand"),
        (changed(b"extra", b"Extra"), "has no extra where it should stand"),
        (changed(b"bGVhZg==", b"!!notbase64!!"), "extra is not canonical base64"),
        (changed(b"bGVhZg==", b"bGVhZg"), "extra is not canonical base64"),
        (changed(b"index 7\n", b""), "has no index where it should stand"),
        (changed(b"index 7", b"index"), "has no index where it should stand"),
        (changed(b"index 7", b"index notanumber"), "index is not a decimal number"),
        (changed(b"index 7", b"index -7"), "index is not a decimal number"),
        (changed(b"index 7", b"index 07"), "index is not a decimal number"),
        (changed(b"index 7", b"index 7 "), "index is not a decimal number"),
        (changed(b"index 7", b"index %d" % 2**64), "index is not a decimal number"),
        (changed(b"index 7", b"index " + b"9" * 5000), "index is not a decimal number"),
        (changed(b"index 7\n", b"index 7\nindex 8\n"), "a hash is not canonical base64"),
        (changed(HASH_LINE, b"AAAA\n"), "a hash has 3 bytes; allowed: 32"),
        (changed(HASH_LINE, HASH_LINE[:-2] + b"\n"), "a hash is not canonical base64"),
        (changed(HASH_LINE, HASH_LINE * 66), "at most 65 hashes"),
        (changed(HASH_LINE, b"\xff\n"), "is not UTF-8"),
        (changed(HASH_LINE, b"\n"), "the checkpoint is none|canonical"),
        (TEXT[: TEXT.index(b"\n\n") + 1], "no empty line before its checkpoint"),
        (TEXT[:-1], "the checkpoint is none"),
        (TEXT + b"\n", "the checkpoint is none"),
        (changed(b"old ", b"new ", CONSISTENCY_TEXT), "has no old where it should stand"),
        (changed(b"old ", b"old A", CONSISTENCY_TEXT), "old is not canonical base64"),
        (changed(encode_base64(NOTE).encode(), b"AAAA", CONSISTENCY_TEXT), "old checkpoint is no"),
        (changed(HASH_LINE, b"index 1\n", CONSISTENCY_TEXT), "a hash is not canonical base64"),
    ],
)
def test_what_is_no_proof(data: bytes, reason: str) -> None:
    with pytest.raises(ProofFormatError, match=reason):
        decode_proof(data)


def test_a_record_too_long_for_a_proof_is_refused() -> None:
    longest = InclusionProof(b"a" * LEAF_BYTES_MAX, 7, (ROOT,) * 65, NOTE)
    assert decode_proof(encode_inclusion_proof(longest)) == longest
    too_long = InclusionProof(b"a" * (LEAF_BYTES_MAX + 1), 7, (), NOTE)
    with pytest.raises(ProofFormatError, match="extra has 262145 bytes; allowed: 262144"):
        encode_inclusion_proof(too_long)


@given(
    st.binary(max_size=99),
    st.integers(0, 2**64 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=65),
)
def test_every_proof_comes_back(leaf: bytes, index: int, hashes: list[bytes]) -> None:
    proof = InclusionProof(leaf, index, tuple(hashes), NOTE)
    assert decode_proof(encode_inclusion_proof(proof)) == proof


@pytest.mark.parametrize("text", [TEXT, CONSISTENCY_TEXT, NOTE])
def test_one_flipped_bit_never_reads_as_the_same(text: bytes) -> None:
    """There is one text for a proof: no second form, so that nothing can hide in a proof file."""
    whole = decode_proof(text)
    for at, byte in enumerate(text):
        for bit in range(8):
            try:
                damaged = decode_proof(text[:at] + bytes([byte ^ 1 << bit]) + text[at + 1 :])
            except ProofFormatError:
                continue
            assert damaged != whole


def test_only_the_logs_key_opens_a_checkpoint() -> None:
    with pytest.raises(NoteSignatureError, match="no trusted key has signed"):
        open_checkpoint(NOTE, OTHER_KEY.verifier_key, NAME)
    both = sign_note(encode_checkpoint_text(HEAD), [OTHER_KEY, SIGNING_KEY])
    assert open_checkpoint(both, VERIFIER_KEY, NAME)[0] == HEAD
    assert open_checkpoint(both, OTHER_KEY.verifier_key, NAME)[0] == HEAD
    signed_text = sign_note(b"no checkpoint\n", [SIGNING_KEY])
    with pytest.raises(ProofFormatError, match="is not origin, tree size and root hash"):
        open_checkpoint(signed_text, VERIFIER_KEY, NAME)


def test_the_headers_are_what_they_are() -> None:
    assert (INCLUSION_HEADER, CONSISTENCY_HEADER) == (
        "c2sp.org/tlog-proof@v1",
        "pretrade-guard/tlog-consistency@v1",
    )
