"""Signed notes against the vectors of Go's `sumdb/note`, and everything that is no note."""

import json
from pathlib import Path
from typing import Any

import pytest

from guard.audit.notes import (
    NOTE_BYTES_MAX,
    SIGNATURES_MAX,
    NoteError,
    NoteKeyError,
    NoteSignatureError,
    VerifierKey,
    decode_base64,
    encode_base64,
    generate_signing_key,
    open_note,
    parse_signing_key,
    parse_verifier_key,
    sign_note,
    split_note,
)

DATA = Path(__file__).parent.parent.parent / "data" / "transparency"
VECTORS: dict[str, Any] = json.loads((DATA / "notes.json").read_text())
PETER = parse_verifier_key(VECTORS["verifier_key"])
ENOCH = parse_verifier_key(VECTORS["other_verifier_key"])
TEXT = VECTORS["text"].encode()
PETER_LINE = VECTORS["signature"].encode()
ENOCH_LINE = VECTORS["other_signature"].encode()
NOTE = TEXT + b"\n" + PETER_LINE


def test_the_public_note_is_made_to_the_byte() -> None:
    key = parse_signing_key(VECTORS["signer_key"])
    assert sign_note(TEXT, [key]) == NOTE
    assert key.secret_text() == VECTORS["signer_key"]
    assert str(key.verifier_key) == VECTORS["verifier_key"] == str(PETER)
    assert VECTORS["signer_key"].rpartition("+")[2] not in repr(key)


def test_the_public_note_opens() -> None:
    both = NOTE + ENOCH_LINE
    for keys, names, others in (
        ([PETER], ["PeterNeumann"], ["EnochRoot"]),
        ([ENOCH], ["EnochRoot"], ["PeterNeumann"]),
        ([PETER, ENOCH], ["PeterNeumann", "EnochRoot"], []),
    ):
        note = open_note(both, keys)
        assert note.text == TEXT
        assert [signature.key_name for signature in note.verified] == names
        assert [signature.key_name for signature in note.unverified] == others
    with pytest.raises(NoteSignatureError, match="no trusted key has signed"):
        open_note(both, [])


def test_a_signature_that_stands_twice_counts_once() -> None:
    altered = ENOCH_LINE[:60] + b"ABCD" + ENOCH_LINE[60:]
    note = open_note(NOTE + PETER_LINE + ENOCH_LINE + ENOCH_LINE + altered, [PETER])
    assert (len(note.verified), len(note.unverified)) == (1, 2)


def test_a_real_checkpoint_with_the_signatures_of_witnesses() -> None:
    note = VECTORS["sum_checkpoint"].encode()
    lines = VECTORS["sum_cosignatures"] + VECTORS["sum_unknown_signatures"]
    note += "".join(lines).encode()
    log = parse_verifier_key(VECTORS["sum_verifier_key"])
    witnesses = [parse_verifier_key(key) for key in VECTORS["sum_cosigner_keys"]]
    opened = open_note(note, [log, *witnesses])
    assert opened.text.startswith(b"go.sum database tree\n6476701\n")
    assert len(opened.verified) == 4
    assert [signature.key_name for signature in opened.unverified] == ["random1", "random2"]


def test_a_wrong_signature_of_a_trusted_key_refuses_the_note() -> None:
    altered = PETER_LINE[:60] + b"ABCD" + PETER_LINE[60:]
    for note in (TEXT + b"\n" + altered, b"X" + NOTE, NOTE.replace(b"answer", b"Answer")):
        with pytest.raises(
            NoteSignatureError, match=r"PeterNeumann\+c74f20a3 is not over this text"
        ):
            open_note(note, [PETER])
    # One good signature does not save a wrong one.
    with pytest.raises(NoteSignatureError, match="PeterNeumann"):
        open_note(TEXT + b"\n" + altered + ENOCH_LINE, [PETER, ENOCH])


def test_a_key_with_only_the_same_name_or_only_the_same_id_is_another_key() -> None:
    same_name = VerifierKey("PeterNeumann", ENOCH.public_key)
    with pytest.raises(NoteSignatureError, match="no trusted key"):
        open_note(NOTE, [same_name])
    signed = split_note(NOTE)[1][0]
    renamed = f"— Other {encode_base64(PETER.key_id + signed.signature)}\n".encode()
    with pytest.raises(NoteSignatureError, match="no trusted key"):
        open_note(TEXT + b"\n" + renamed, [PETER])


def test_a_key_whose_id_collides_does_not_sign_for_the_trusted_one() -> None:
    forger = generate_signing_key("PeterNeumann")
    # Four bytes collide soon: what a forger with such a key would write.
    signature = forger.sign(TEXT).signature
    line = f"— PeterNeumann {encode_base64(PETER.key_id + signature)}\n".encode()
    with pytest.raises(NoteSignatureError, match="is not over this text"):
        open_note(TEXT + b"\n" + line, [PETER])


def test_two_trusted_keys_of_one_name_and_id_cannot_be_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert open_note(NOTE, [PETER, PETER]).text == TEXT
    twin = VerifierKey("PeterNeumann", ENOCH.public_key)
    monkeypatch.setattr(VerifierKey, "key_id", PETER.key_id)
    with pytest.raises(NoteKeyError, match="the same name and id"):
        open_note(NOTE, [PETER, twin])


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        (TEXT, "is no text, empty line and signatures"),
        (TEXT + b"\n", "is no text, empty line and signatures"),
        (b"", "is no text, empty line and signatures"),
        (NOTE[:-1], "is no text, empty line and signatures"),
        (b"\x01" + NOTE, "control character"),
        (NOTE.replace(b"\n", b"\r\n"), "control character"),
        (b"\xff" + NOTE, "not UTF-8"),
        (NOTE + b"Unexpected line.\n", "is not `— NAME SIGNATURE`"),
        (NOTE + "— NoSignature\n".encode(), "is not `— NAME SIGNATURE`"),
        (NOTE.replace("— ".encode(), b"- "), "is not `— NAME SIGNATURE`"),
        (NOTE.replace(b"PeterNeumann", b"Bad Name"), "canonical base64"),
        (NOTE.replace(b"PeterNeumann", b"Bad+Name"), "a plus in it"),
        (NOTE.replace(b"PeterNeumann", "Bad\u00a0Name".encode()), "has a space"),
        (NOTE.replace(b"PeterNeumann", b"N" * 257), "257 characters; allowed: 1 to 256"),
        (NOTE.replace("— PeterNeumann ".encode(), "—  ".encode()), "0 characters"),
        (NOTE + "— A AAAA\n".encode(), "of a key id and a signature"),
        (NOTE.replace(b"BwJnAM=\n", b"BwJnAN=\n"), "canonical base64"),
        (NOTE.replace(b"=\n", b"\n"), "canonical base64"),
        (NOTE.replace(b"x08go/", b"x08go_"), "canonical base64"),
        (TEXT + b"\n" + PETER_LINE * (SIGNATURES_MAX + 1), "at most 100 signatures"),
        (b"a" * NOTE_BYTES_MAX + NOTE, "at most 65536 bytes"),
    ],
)
def test_what_is_no_note(note: bytes, reason: str) -> None:
    with pytest.raises(NoteError, match=reason):
        open_note(note, [PETER])


def test_the_last_empty_line_ends_the_text() -> None:
    key = generate_signing_key("a/b")
    for text in (b"\n", b"a\n\nb\n", b"a\n\n\xe2\x80\x94 a/b AAAAAAAA\n", "Ä\n".encode()):
        assert open_note(sign_note(text, [key]), [key.verifier_key]).text == text
    for text in (b"", b"no newline", b"a\tb\n", b"\xff\n"):
        with pytest.raises(NoteError):
            sign_note(text, [key])


def test_any_part_of_a_key_is_no_key() -> None:
    for text, parse in (
        (VECTORS["verifier_key"], parse_verifier_key),
        (VECTORS["signer_key"], parse_signing_key),
    ):
        parts = [text[start:] for start in range(1, len(text) + 1)]
        parts += [text[:end] for end in range(len(text))]
        for at, sign in enumerate(text):
            parts.append(text[:at] + chr(ord(sign) + 1) + text[at + 1 :])
        for part in parts:
            with pytest.raises(NoteKeyError):
                parse(part)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "base64|unknown kind") for text in VECTORS["refused_verifier_keys"]),
        ("PeterNeumann", "is not NAME[+]ID[+]KEY"),
        ("PeterNeumann+C74F20A3+" + VECTORS["verifier_key"][22:], "lower-case hexadecimal"),
        ("a b+" + VECTORS["verifier_key"][13:], "has a space"),
        ("Peter+" + VECTORS["verifier_key"][13:], "not that of its name and key"),
        ("A+00000000+AQ==", "has 0 bytes; allowed: 32"),
    ],
)
def test_what_is_no_verifier_key(text: str, reason: str) -> None:
    with pytest.raises(NoteKeyError, match=reason):
        parse_verifier_key(text)


def test_fresh_keys_differ_and_come_back_from_their_text() -> None:
    one, other = generate_signing_key("guard/1"), generate_signing_key("guard/1")
    assert one != other
    assert parse_signing_key(one.secret_text()) == one
    assert parse_verifier_key(str(one.verifier_key)) == one.verifier_key
    with pytest.raises(NoteKeyError, match="0 characters"):
        generate_signing_key("")


def test_base64_has_one_form() -> None:
    assert decode_base64("AAE=") == b"\0\1"
    for text in ("AAE", "AAF=", "AAE=\n", " AAE=", "AA E=", "A-E=", "é", "AAE==="):
        assert decode_base64(text) is None
