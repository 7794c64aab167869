"""Signed notes: a text and the signatures of those who vouch for it. Pure.

Owns the text form of C2SP `signed-note` with Ed25519 keys, and of the keys themselves, as Go's
`sumdb/note` writes them:

    note         text, ended by LF; an empty line; one line for each signature
    signature    `— NAME BASE64(key id ‖ 64 bytes)`
    public key   `NAME+KEY ID in hex+BASE64(0x01 ‖ 32 bytes)`   (a "vkey": safe to publish)
    private key  `PRIVATE+KEY+NAME+KEY ID in hex+BASE64(0x01 ‖ 32 bytes)`

The key id is the first four bytes of `SHA-256(NAME ‖ LF ‖ 0x01 ‖ public key)`. Must not: read
files, or believe a note's text before a trusted key's signature was checked.

How it works: who reads a note names the keys that are trusted. Signatures by other keys are
ignored, so that keys can be added and rotated; a wrong one by a trusted key refuses the whole
note. There is one way to write anything here: base64 that is not canonical is refused.

How it fails: `NoteKeyError` for a key, `NoteError` for what is no note, `NoteSignatureError` for a
note that no trusted key has signed, or not this text.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from guard.audit.signing import (
    PUBLIC_KEY_BYTES,
    generate_signing_seed,
    is_signed,
    public_key_from_signing_key,
    sign_message,
)

# A note holds a checkpoint and its signatures: some hundred bytes each.
NOTE_BYTES_MAX: Final = 64 * 1024
SIGNATURES_MAX: Final = 100  # the specification asks for 16 or more
KEY_NAME_LENGTH_MAX: Final = 256

_ED25519: Final = b"\x01"
_KEY_ID_BYTES: Final = 4
_SIGNATURE_PREFIX: Final = "— "
_PRIVATE_PREFIX: Final = "PRIVATE+KEY+"
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_KEY_ID: Final = re.compile("[0-9a-f]{8}")


class NoteError(ValueError):
    """The bytes are no signed note, or the text cannot become one."""


class NoteKeyError(NoteError):
    """A key's text form is wrong."""


class NoteSignatureError(NoteError):
    """The note has the form of one, but no trusted key vouches for its text."""


class Signature(NamedTuple):
    """One line: who signed, and the signature behind the key's id."""

    key_name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key and the name it signs under."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell the keys of a name apart; they prove nothing."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(_ED25519 + self.public_key)}"

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `text`."""
        return is_signed(self.public_key, text, signature)


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A private key and the name it signs under. Its text form is a secret."""

    name: str
    seed: bytes

    @property
    def verifier_key(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, public_key_from_signing_key(self.seed))

    def secret_text(self) -> str:
        """The private key's text form, on one line without its LF."""
        key_id = self.verifier_key.key_id.hex()
        return f"{_PRIVATE_PREFIX}{self.name}+{key_id}+{encode_base64(_ED25519 + self.seed)}"

    def sign(self, text: bytes) -> Signature:
        """The signature over `text`."""
        return Signature(self.name, self.verifier_key.key_id, sign_message(self.seed, text))


@dataclass(frozen=True, slots=True)
class Note:
    """A note that was opened: its text, the signatures that were checked, and the others."""

    text: bytes
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...]


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes | None:
    """The bytes of canonical standard base64; None for any other text."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if encode_base64(data) == text else None


def check_key_name(name: str) -> None:
    """Refuse a key's name with space or plus in it, or of a wrong length. Raises NoteKeyError."""
    if not 1 <= len(name) <= KEY_NAME_LENGTH_MAX:
        raise NoteKeyError(f"key name: {len(name)} characters; allowed: 1 to {KEY_NAME_LENGTH_MAX}")
    if any(sign.isspace() or sign == "+" for sign in name) or not name.isprintable():
        raise NoteKeyError("key name: has a space, a control character or a plus in it")


def generate_signing_key(name: str) -> SigningKey:
    """A fresh key, from the system's randomness. Raises NoteKeyError for the name."""
    check_key_name(name)
    return SigningKey(name, generate_signing_seed())


def parse_verifier_key(text: str) -> VerifierKey:
    """The public key in `text`. Raises NoteKeyError."""
    name, key_id, public_key = _split_key("verifier key", text)
    key = VerifierKey(name, public_key)
    if key.key_id.hex() != key_id:
        raise NoteKeyError("verifier key: its id is not that of its name and key")
    return key


def parse_signing_key(text: str) -> SigningKey:
    """The private key in `text` (one line without its LF). Raises NoteKeyError."""
    if not text.startswith(_PRIVATE_PREFIX):
        raise NoteKeyError(f"signing key: does not begin with {_PRIVATE_PREFIX}")
    name, key_id, seed = _split_key("signing key", text.removeprefix(_PRIVATE_PREFIX))
    key = SigningKey(name, seed)
    if key.verifier_key.key_id.hex() != key_id:
        raise NoteKeyError("signing key: its id is not that of its name and key")
    return key


def _split_key(what: str, text: str) -> tuple[str, str, bytes]:
    # Base64 may have a plus in it, a name and an id may not.
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise NoteKeyError(f"{what}: is not NAME+ID+KEY")
    name, key_id, encoded = parts
    check_key_name(name)
    if not _KEY_ID.fullmatch(key_id):
        raise NoteKeyError(f"{what}: its id is not eight lower-case hexadecimal characters")
    key = decode_base64(encoded)
    if key is None:
        raise NoteKeyError(f"{what}: its key is not canonical base64")
    if key[:1] != _ED25519:
        raise NoteKeyError(f"{what}: is of an unknown kind; allowed: Ed25519 (0x01)")
    if len(key) != 1 + PUBLIC_KEY_BYTES:  # a seed has as many
        raise NoteKeyError(f"{what}: has {len(key) - 1} bytes; allowed: {PUBLIC_KEY_BYTES}")
    return name, key_id, key[1:]


def sign_note(text: bytes, keys: Sequence[SigningKey]) -> bytes:
    """The note of `text` (which ends with LF) with one signature by each key. Raises NoteError."""
    if not keys:
        raise NoteError("a note has a signature, and so needs a key")
    lines = []
    for key in keys:
        name, key_id, signature = key.sign(text)
        lines.append(f"{_SIGNATURE_PREFIX}{name} {encode_base64(key_id + signature)}\n")
    note = text + b"\n" + "".join(lines).encode()
    if split_note(note)[0] != text:
        raise NoteError("the text does not end with a newline")
    return note


def split_note(note: bytes) -> tuple[bytes, list[Signature]]:
    """The text of a note and its signatures, none of them checked. Raises NoteError."""
    if len(note) > NOTE_BYTES_MAX:
        raise NoteError(f"a note has at most {NOTE_BYTES_MAX} bytes")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    if _CONTROL.search(whole):
        raise NoteError("the note has a control character in it")
    text, empty_line, signed = whole.rpartition("\n\n")
    if not empty_line or not signed.endswith("\n"):
        raise NoteError("the note is no text, empty line and signatures, each line ended by LF")
    lines = signed[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteError(f"a note has at most {SIGNATURES_MAX} signatures")
    return (text + "\n").encode(), [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    if not line.startswith(_SIGNATURE_PREFIX) or not space:
        raise NoteError("a signature's line is not `— NAME SIGNATURE`")
    try:
        check_key_name(name)
    except NoteKeyError as error:
        raise NoteError(f"a signature's {error}") from None
    data = decode_base64(encoded)
    if data is None or len(data) <= _KEY_ID_BYTES:
        raise NoteError("a signature is not canonical base64 of a key id and a signature")
    return Signature(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def open_note(note: bytes, keys: Sequence[VerifierKey]) -> Note:
    """The note, once at least one of the trusted `keys` is found to have signed its text.

    Signatures by other keys are listed and not checked, also where only the name or only the id is
    that of a trusted one. Raises NoteError, NoteSignatureError.
    """
    text, signatures = split_note(note)
    trusted = {(key.name, key.key_id): key for key in keys}
    if len(trusted) != len(set(keys)):
        raise NoteKeyError("two of the trusted keys have the same name and id")
    verified: list[Signature] = []
    unverified: list[Signature] = []
    for signature in dict.fromkeys(signatures):
        key = trusted.get((signature.key_name, signature.key_id))
        if key is None:
            unverified.append(signature)
        elif key.verify(text, signature.signature):
            verified.append(signature)
        else:
            raise NoteSignatureError(
                f"the signature of {key.name}+{key.key_id.hex()} is not over this text"
            )
    if not verified:
        raise NoteSignatureError("no trusted key has signed the note")
    return Note(text, tuple(verified), tuple(unverified))
