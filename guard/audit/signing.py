"""Ed25519 for the library's artifacts: seeds and public keys as raw bytes.

Owns: the only use of the signature algorithm, and the checks of key lengths. Must not: keep or
read keys; whoever signs holds the seed.

Fails: `SigningKeyError` naming the argument and its length.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from guard.audit.errors import SigningKeyError

SEED_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


def generate_signing_seed() -> bytes:
    """A fresh seed (32 bytes), from the system's randomness."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_key_from_signing_key(signing_key: bytes) -> bytes:
    """The public key (32 bytes) of a seed (32 bytes)."""
    return _private(signing_key).public_key().public_bytes_raw()


def sign_message(signing_key: bytes, message: bytes) -> bytes:
    """The signature (64 bytes) over `message`."""
    return _private(signing_key).sign(message)


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature over `message` is that key's."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def check_public_key(name: str, key: object) -> bytes:
    """The key, which has the length of one."""
    return _check(name, key, PUBLIC_KEY_BYTES)


def _private(signing_key: object) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_check("signing_key", signing_key, SEED_BYTES))


def _check(name: str, key: object, byte_count: int) -> bytes:
    if not isinstance(key, bytes):
        raise SigningKeyError(f"{name} is {type(key).__name__}; must be {byte_count} bytes")
    if len(key) != byte_count:
        raise SigningKeyError(f"{name} has {len(key)} bytes; must have {byte_count}")
    return key
