"""A digest as text: 64 lower-case hexadecimal characters, and nothing else.

Owns: both directions, for every digest that stands in a JSON form, and the one decoder of such text
(keys and signatures are written so too). Upper case is refused, as the reference refuses it: one
digest has one text, so that texts can be compared.

Must not: compute digests. Fails: `DigestLengthError`, `DigestCharacterError` (or `DigestError` for
what is no text), naming the field and what is wrong with it.
"""

from __future__ import annotations

from kernel.errors import DigestCharacterError, DigestError, DigestLengthError

DIGEST_BYTES = 32

_HEX = frozenset("0123456789abcdef")


def decode_digest(text: object, field: str = "digest") -> bytes:
    """The 32 raw bytes of a digest's text. `field` names it in an error."""
    return decode_hex(text, DIGEST_BYTES, field)


def decode_hex(text: object, byte_count: int, field: str) -> bytes:
    """The bytes, `byte_count` of them, of lower-case hexadecimal text."""
    if not isinstance(text, str):
        raise DigestError(f"{field} is {type(text).__name__}; must be text")
    if len(text) != 2 * byte_count:
        raise DigestLengthError(
            f"{field} has {len(text)} characters; must have {2 * byte_count}", len(text)
        )
    for offset, character in enumerate(text):
        if character not in _HEX:
            raise DigestCharacterError(
                f"{field} has {character!a} at offset {offset}; must have 0-9 and a-f only", offset
            )
    return bytes.fromhex(text)


def encode_digest(digest: object, field: str = "digest") -> str:
    """The text of a digest of 32 raw bytes."""
    if not isinstance(digest, bytes):
        raise DigestError(f"{field} is {type(digest).__name__}; must be {DIGEST_BYTES} bytes")
    if len(digest) != DIGEST_BYTES:
        raise DigestLengthError(
            f"{field} has {len(digest)} bytes; must have {DIGEST_BYTES}", 2 * len(digest)
        )
    return digest.hex()
