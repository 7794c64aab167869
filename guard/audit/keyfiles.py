"""Signing keys in files: one line of text, in the form of `guard.audit.notes`.

Owns their reading and making; `guard.config.keys` owns what every file of a secret must be like.
How it fails: `KeyFileError`, naming the file and what is wrong; never with what stands in it.
"""

from pathlib import Path

from guard.audit.notes import NoteKeyError, SigningKey, generate_signing_key, parse_signing_key
from guard.config.keys import KeyFileError, create_secret, read_secret


def load_signing_key(path: Path) -> SigningKey:
    """The Ed25519 key in the file: one line, with or without its LF. Raises KeyFileError."""
    try:
        return parse_signing_key(read_secret(path).decode().removesuffix("\n"))
    except UnicodeDecodeError:
        raise KeyFileError(f"key file {path}: is no signing key: it is not text") from None
    except NoteKeyError as error:
        raise KeyFileError(f"key file {path}: is no signing key: {error}") from None


def create_signing_key(path: Path, name: str) -> SigningKey:
    """Writes a fresh Ed25519 key under `name`, readable by its owner alone. Never overwrites.

    Raises KeyFileError, also for a name that cannot be one.
    """
    try:
        key = generate_signing_key(name)
    except NoteKeyError as error:
        raise KeyFileError(str(error)) from None
    create_secret(path, key.secret_text().encode() + b"\n")
    return key
